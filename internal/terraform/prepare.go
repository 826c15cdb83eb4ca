package terraform

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"coder/internal/archive"
)

// embeddedFile marks a directory whose coder/coder is the embedded one.
const embeddedFile = "embedded"

// preparedLife is how long an initialised directory that nobody used is kept.
const preparedLife = 30 * 24 * time.Hour

// Fetch opens a template's tar archive.
type Fetch func(ctx context.Context) (io.ReadCloser, error)

// Workshop makes job directories out of archives. One serves all jobs of a
// daemon, and any number of daemons share one cache directory.
type Workshop struct {
	cacheDir    string
	engine      Engine
	environment []string
	operator    OperatorConfig
	provider    Provider
	mirror      string
	now         func() time.Time
}

// WorkshopOptions are what a Workshop stands on.
type WorkshopOptions struct {
	CacheDir string
	Engine   Engine
	// Environment is the host's, from HostEnvironment.
	Environment []string
	Operator    OperatorConfig
	Provider    Provider
	Now         func() time.Time
}

// NewWorkshop lays out the provider mirror in the cache directory.
func NewWorkshop(opts WorkshopOptions) (*Workshop, error) {
	mirror, err := mirrorProvider(opts.CacheDir, opts.Provider)
	if err != nil {
		return nil, err
	}
	return &Workshop{
		cacheDir: opts.CacheDir, engine: opts.Engine, environment: opts.Environment,
		operator: opts.Operator, provider: opts.Provider, mirror: mirror, now: opts.Now,
	}, nil
}

// Prepared is an initialised directory in the cache. It is never changed:
// jobs run in clones of it.
type Prepared struct {
	Dir string
	// CLIConfig is the file that engines in its clones get as their configuration.
	CLIConfig string
	// Environment is what every engine call in its clones gets.
	Environment []string
	// Fresh: init ran just now.
	Fresh bool
	// Provider is the embedded provider's binary, where one process of it can
	// serve every engine call of a job; empty where it cannot.
	Provider string
	// types of the template's variables, as written.
	types map[string]string
	lock  *os.File
}

// Release lets the directory be pruned again.
func (p *Prepared) Release() error { return p.lock.Close() }

// SourceError is a fault of the template, found before an engine ran.
type SourceError struct{ Err error }

func (e *SourceError) Error() string { return e.Err.Error() }
func (e *SourceError) Unwrap() error { return e.Err }

// InitError is a failed init; its output was sent to the writer.
type InitError struct{ Err error }

func (e *InitError) Error() string { return "initialize the template: " + e.Err.Error() }
func (e *InitError) Unwrap() error { return e.Err }

// Prepare returns an initialised directory for the archive with the given
// hash. fetch is called only where the cache has none; init's output
// goes to output. The caller releases what it gets.
func (w *Workshop) Prepare(ctx context.Context, hash string, fetch Fetch, output io.Writer) (*Prepared, error) {
	key := w.key(hash)
	dir := filepath.Join(w.cacheDir, "prepared", key)
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return nil, fmt.Errorf("open the cache: %w", err)
	}
	lock, err := lockShared(dir + ".lock")
	if err != nil {
		return nil, fmt.Errorf("open the cache: %w", err)
	}
	fresh := !complete(dir)
	if fresh {
		lock, err = w.makePrepared(ctx, dir, hash, lock, fetch, output)
		if err != nil {
			return nil, err
		}
	}
	prepared, err := w.openPrepared(dir, lock)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	prepared.Fresh = fresh
	return prepared, nil
}

// key names everything that an initialised directory depends on.
func (w *Workshop) key(hash string) string {
	sum := sha256.New()
	fmt.Fprintln(sum, "1", hash, w.engine.Path, w.engine.Product, w.engine.Version, w.mirror, w.provider.Version)
	for _, path := range w.operator.Files {
		content, _ := os.ReadFile(path)
		fmt.Fprintf(sum, "%s %d\n%s", path, len(content), content)
	}
	return hex.EncodeToString(sum.Sum(nil))[:40]
}

// makePrepared fills the cache under an exclusive lock. The directory gets
// its name only when init is done, so a crash leaves nothing that looks whole.
func (w *Workshop) makePrepared(ctx context.Context, dir, hash string, lock *os.File, fetch Fetch, output io.Writer) (*os.File, error) {
	if err := lock.Close(); err != nil {
		return nil, fmt.Errorf("open the cache: %w", err)
	}
	exclusive, err := lockExclusive(ctx, dir+".lock")
	if err != nil {
		return nil, fmt.Errorf("wait for the cache: %w", err)
	}
	if !complete(dir) {
		err = w.fill(ctx, dir, hash, fetch, output)
	}
	if err == nil {
		err = downgrade(exclusive)
	}
	if err != nil {
		return nil, errors.Join(err, exclusive.Close())
	}
	return exclusive, nil
}

func (w *Workshop) fill(ctx context.Context, dir, hash string, fetch Fetch, output io.Writer) error {
	making := dir + ".making"
	if err := errors.Join(os.RemoveAll(making), os.RemoveAll(dir)); err != nil {
		return fmt.Errorf("clear the cache: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(making, "work"), 0o700); err != nil {
		return fmt.Errorf("make a directory in the cache: %w", err)
	}
	defer os.RemoveAll(making)
	if err := w.unpackInto(ctx, filepath.Join(making, "work"), hash, fetch); err != nil {
		return err
	}
	environment, err := w.configure(making)
	if err != nil {
		return err
	}
	if err := w.runInit(ctx, filepath.Join(making, "work"), environment, output); err != nil {
		return err
	}
	if err := markComplete(making); err != nil {
		return fmt.Errorf("finish a directory in the cache: %w", err)
	}
	if err := os.Rename(making, dir); err != nil {
		return fmt.Errorf("finish a directory in the cache: %w", err)
	}
	return nil
}

// unpackInto trusts the archive only when its bytes have the hash that the
// cache will know it by.
func (w *Workshop) unpackInto(ctx context.Context, work, hash string, fetch Fetch) error {
	content, err := fetch(ctx)
	if err != nil {
		return fmt.Errorf("fetch the template: %w", err)
	}
	defer content.Close()
	sum := sha256.New()
	reader := io.TeeReader(content, sum)
	err = archive.Extract(reader, work, archive.TemplateLimits())
	if refused := (*archive.Error)(nil); errors.As(err, &refused) {
		return &SourceError{fmt.Errorf("unpack the template: %w", err)}
	}
	if err == nil {
		_, err = io.Copy(io.Discard, reader)
	}
	if err != nil {
		return fmt.Errorf("fetch the template: %w", err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != hash {
		return fmt.Errorf("fetch the template: its bytes have the hash %s, not %s", got, hash)
	}
	if !hasConfiguration(work) {
		return &SourceError{errors.New("the template has no .tf file at its root; add one, for example main.tf")}
	}
	return nil
}

func hasConfiguration(dir string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, entry := range entries {
		if !entry.IsDir() && isConfiguration(entry.Name()) {
			return true
		}
	}
	return false
}

// configure writes the override and the CLI configuration, and returns the
// environment of the engine.
func (w *Workshop) configure(making string) ([]string, error) {
	work := filepath.Join(making, "work")
	found, err := scanSource(work)
	if err != nil {
		return nil, &SourceError{err}
	}
	if err := found.checkBackends(); err != nil {
		return nil, &SourceError{err}
	}
	embedded, err := w.usesEmbedded(found, work)
	if err != nil {
		return nil, &SourceError{err}
	}
	if embedded {
		err := errors.Join(unlockCoder(work), os.WriteFile(filepath.Join(making, embeddedFile), nil, 0o600))
		if err != nil {
			return nil, &SourceError{err}
		}
	}
	config, err := MergeConfig(w.operator, w.mirror, embedded)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(work, overrideFile), []byte(overrideText), 0o600); err != nil {
		return nil, fmt.Errorf("pin the local backend: %w", err)
	}
	path := filepath.Join(making, "cli.tfrc")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return nil, fmt.Errorf("write the CLI configuration: %w", err)
	}
	return w.engineEnvironment(path), nil
}

// usesEmbedded: our provider is the one when every constraint allows it and
// no lock file pins another.
func (w *Workshop) usesEmbedded(found source, work string) (bool, error) {
	for _, locked := range lockedVersions(work) {
		if locked != w.provider.Version {
			return false, nil
		}
	}
	return found.accepts(w.provider.Version)
}

func (w *Workshop) engineEnvironment(cliConfig string) []string {
	return EngineEnvironment(w.environment, cliConfig)
}

func (w *Workshop) runInit(ctx context.Context, work string, environment []string, output io.Writer) error {
	pluginLock, err := lockExclusive(ctx, filepath.Join(w.cacheDir, "plugins.lock"))
	if err != nil {
		return fmt.Errorf("wait for the plugin cache: %w", err)
	}
	defer pluginLock.Close()
	environment, err = w.withPluginCache(environment)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, w.engine.Path, w.engine.initArguments()...)
	cmd.Dir = work
	cmd.Env = environment
	cmd.Stdout, cmd.Stderr = output, output
	cmd.Cancel = func() error { return killGroup(cmd.Process.Pid) }
	cmd.WaitDelay = 2 * time.Second
	cmd.SysProcAttr = groupLeader()
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return &InitError{err}
	}
	return nil
}

// withPluginCache shares downloaded providers between templates, unless the
// operator has set that up. The cache belongs to one build of ours, because
// coder/coder is in it too, and every build of ours has the same version of that.
func (w *Workshop) withPluginCache(environment []string) ([]string, error) {
	if w.operator.hasPluginCache() || slices.ContainsFunc(environment, func(entry string) bool { return strings.HasPrefix(entry, "TF_PLUGIN_CACHE_DIR=") }) {
		return environment, nil
	}
	plugins := filepath.Join(w.cacheDir, "plugins", filepath.Base(w.mirror))
	if err := os.MkdirAll(plugins, 0o700); err != nil {
		return nil, fmt.Errorf("make the plugin cache: %w", err)
	}
	return append(slices.Clone(environment),
		"TF_PLUGIN_CACHE_DIR="+plugins,
		"TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE=1"), nil
}

// openPrepared reads back what a directory in the cache says about itself,
// and marks it used.
func (w *Workshop) openPrepared(dir string, lock *os.File) (*Prepared, error) {
	now := w.now()
	if err := os.Chtimes(dir+".lock", now, now); err != nil {
		return nil, fmt.Errorf("mark the cache used: %w", err)
	}
	config := filepath.Join(dir, "cli.tfrc")
	found, err := scanSource(filepath.Join(dir, "work"))
	if err != nil {
		return nil, err
	}
	prepared := &Prepared{
		Dir: filepath.Join(dir, "work"), CLIConfig: config,
		Environment: w.engineEnvironment(config), types: found.types, lock: lock,
	}
	if _, err := os.Stat(filepath.Join(dir, embeddedFile)); err == nil && found.served() {
		prepared.Provider = filepath.Join(w.mirror, w.provider.fileName())
	}
	return prepared, nil
}

// Prune removes what nobody used for 30 days.
func (w *Workshop) Prune(ctx context.Context) error {
	locks, err := filepath.Glob(filepath.Join(w.cacheDir, "prepared", "*.lock"))
	if err != nil {
		return fmt.Errorf("prune the cache: %w", err)
	}
	for _, path := range locks {
		info, err := os.Stat(path)
		if err != nil || w.now().Sub(info.ModTime()) < preparedLife {
			continue
		}
		if err := pruneOne(path); err != nil {
			return fmt.Errorf("prune the cache: %w", err)
		}
		if ctx.Err() != nil {
			return nil
		}
	}
	return nil
}

func pruneOne(lockPath string) error {
	lock, err := tryLock(lockPath)
	if err != nil || lock == nil {
		return err
	}
	defer lock.Close()
	dir := lockPath[:len(lockPath)-len(".lock")]
	return errors.Join(os.RemoveAll(dir+".making"), os.RemoveAll(dir))
}
