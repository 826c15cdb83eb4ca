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

// Files of a prepared directory: embeddedFile marks one whose coder/coder is
// the embedded one.
const (
	embeddedFile  = "embedded"
	cliConfigFile = "cli.tfrc"
)

// workName is the directory below a prepared one that jobs get clones of.
const workName = "work"

// Fetch opens a template's tar archive.
type Fetch func(ctx context.Context) (io.ReadCloser, error)

// Workshop makes job directories out of archives. One serves all jobs of a
// daemon, and any number of daemons share one cache directory.
type Workshop struct {
	cache       *Cache
	engine      Engine
	environment []string
	operator    OperatorConfig
	provider    Provider
	mirror      string
	// mirrorLock keeps the mirror in the cache as long as the workshop is in use.
	mirrorLock *os.File
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
func NewWorkshop(ctx context.Context, opts WorkshopOptions) (*Workshop, error) {
	cache := OpenCache(opts.CacheDir, opts.Now)
	mirror, lock, err := cache.mirrorProvider(ctx, opts.Provider)
	if err != nil {
		return nil, err
	}
	return &Workshop{
		cache: cache, engine: opts.Engine, environment: opts.Environment,
		operator: opts.Operator, provider: opts.Provider, mirror: mirror, mirrorLock: lock,
	}, nil
}

// Cache is where the workshop keeps what it makes.
func (w *Workshop) Cache() *Cache { return w.cache }

// mirrorName is the hash that the mirror is known by.
func (w *Workshop) mirrorName() string { return filepath.Base(w.mirror) }

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
	types    map[string]string
	cache    *Cache
	name     string
	manifest *manifest
	folder   string
	lock     *os.File
}

// Release lets what the job has used be removed from the cache again.
func (p *Prepared) Release() error { return errors.Join(p.cache.endUse(p.folder), p.lock.Close()) }

// Request asks for an initialised directory.
type Request struct {
	// Hash of the template's archive.
	Hash string
	// Fetch is called only where the cache has no directory.
	Fetch Fetch
	// Output gets what init prints.
	Output io.Writer
	// Folder of the job: as long as it exists, nothing that the job uses is
	// removed from the cache, even when this process has died. Empty: as long
	// as the result is not released.
	Folder string
}

// SourceError is a fault of the template, found before an engine ran.
type SourceError struct{ Err error }

func (e *SourceError) Error() string { return e.Err.Error() }
func (e *SourceError) Unwrap() error { return e.Err }

// InitError is a failed init; its output was sent to the writer.
type InitError struct{ Err error }

func (e *InitError) Error() string { return "initialize the template: " + e.Err.Error() }
func (e *InitError) Unwrap() error { return e.Err }

// Prepare returns an initialised directory for the archive that is asked for.
// The caller releases what it gets.
func (w *Workshop) Prepare(ctx context.Context, req Request) (*Prepared, error) {
	if err := w.cache.ensureMirror(ctx, w.mirror, w.provider); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(w.cache.preparedDir(""), 0o700); err != nil {
		return nil, fmt.Errorf("open the cache: %w", err)
	}
	dir, made, lock, err := w.take(ctx, req)
	if err != nil {
		return nil, err
	}
	fresh := made == nil
	if fresh {
		made, lock, err = w.makePrepared(ctx, dir, req, lock)
		if err != nil {
			return nil, err
		}
	}
	prepared, err := w.openPrepared(dir, lock)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	prepared.Fresh, prepared.manifest, prepared.folder = fresh, made, req.Folder
	return prepared, nil
}

// take returns the directory of a request, locked, and its manifest where it
// is there. One that is whole, but of no use any more, is given up.
func (w *Workshop) take(ctx context.Context, req Request) (string, *manifest, *os.File, error) {
	key := w.key(req.Hash)
	for {
		name := w.cache.current(key)
		dir := w.cache.preparedDir(name)
		if err := w.cache.noteUse(ctx, use{Folder: req.Folder, Prepared: name, Mirror: w.mirrorName()}); err != nil {
			return "", nil, nil, err
		}
		lock, err := lockShared(ctx, dir+lockSuffix)
		if err != nil {
			return "", nil, nil, fmt.Errorf("open the cache: %w", err)
		}
		made := w.cache.ready(dir)
		if made != nil || !complete(dir) {
			return dir, made, lock, nil
		}
		if err := errors.Join(w.cache.retire(name), lock.Close()); err != nil {
			return "", nil, nil, err
		}
	}
}

// key names everything that an initialised directory depends on.
func (w *Workshop) key(hash string) string {
	sum := sha256.New()
	fmt.Fprintln(sum, "2", hash, w.engine.Path, w.engine.Product, w.engine.Version, w.mirror, w.provider.Version)
	for _, path := range w.operator.Files {
		content, _ := os.ReadFile(path)
		fmt.Fprintf(sum, "%s %d\n%s", path, len(content), content)
	}
	return hex.EncodeToString(sum.Sum(nil))[:40]
}

// makePrepared fills the cache under an exclusive lock. The directory gets
// its name only when init is done, so a crash leaves nothing that looks whole.
func (w *Workshop) makePrepared(ctx context.Context, dir string, req Request, lock *os.File) (*manifest, *os.File, error) {
	if err := lock.Close(); err != nil {
		return nil, nil, fmt.Errorf("open the cache: %w", err)
	}
	exclusive, err := lockExclusive(ctx, dir+lockSuffix)
	if err != nil {
		return nil, nil, fmt.Errorf("wait for the cache: %w", err)
	}
	made := w.cache.ready(dir)
	if made == nil {
		made, err = w.fill(ctx, dir, req)
	}
	if err == nil {
		err = downgrade(exclusive)
	}
	if err != nil {
		return nil, nil, errors.Join(err, exclusive.Close())
	}
	return made, exclusive, nil
}

func (w *Workshop) fill(ctx context.Context, dir string, req Request) (*manifest, error) {
	making := dir + makingSuffix
	if err := errors.Join(os.RemoveAll(making), os.RemoveAll(dir)); err != nil {
		return nil, fmt.Errorf("clear the cache: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(making, workName), 0o700); err != nil {
		return nil, fmt.Errorf("make a directory in the cache: %w", err)
	}
	defer os.RemoveAll(making)
	work := filepath.Join(making, workName)
	if err := w.unpackInto(ctx, work, req.Hash, req.Fetch); err != nil {
		return nil, err
	}
	environment, err := w.configure(making)
	if err != nil {
		return nil, err
	}
	if err := w.runInit(ctx, work, environment, req.Output); err != nil {
		return nil, err
	}
	made, err := takeManifest(ctx, making)
	if err == nil {
		err = made.write(filepath.Join(making, manifestFile))
	}
	if err == nil {
		err = markComplete(making)
	}
	if err == nil {
		err = os.Rename(making, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("finish a directory in the cache: %w", err)
	}
	return made, nil
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
	work := filepath.Join(making, workName)
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
	path := filepath.Join(making, cliConfigFile)
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
	pluginLock, err := w.cache.lockPlugins(ctx)
	if err != nil {
		return err
	}
	defer pluginLock.Close()
	if err := w.cache.dropUnfinished(w.mirrorName()); err != nil {
		return fmt.Errorf("clear the plugin cache: %w", err)
	}
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
	return w.cache.recordPlugins(ctx, w.mirrorName())
}

// withPluginCache shares downloaded providers between templates, unless the
// operator has set that up. The cache belongs to one build of ours, because
// coder/coder is in it too, and every build of ours has the same version of that.
func (w *Workshop) withPluginCache(environment []string) ([]string, error) {
	if w.operator.hasPluginCache() || slices.ContainsFunc(environment, func(entry string) bool { return strings.HasPrefix(entry, "TF_PLUGIN_CACHE_DIR=") }) {
		return environment, nil
	}
	plugins := w.cache.pluginDir(w.mirrorName())
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
	now := w.cache.now()
	if err := os.Chtimes(dir+lockSuffix, now, now); err != nil {
		return nil, fmt.Errorf("mark the cache used: %w", err)
	}
	config := filepath.Join(dir, cliConfigFile)
	found, err := scanSource(filepath.Join(dir, workName))
	if err != nil {
		return nil, err
	}
	prepared := &Prepared{
		Dir: filepath.Join(dir, workName), CLIConfig: config,
		Environment: w.engineEnvironment(config), types: found.types,
		cache: w.cache, name: filepath.Base(dir), lock: lock,
	}
	if _, err := os.Stat(filepath.Join(dir, embeddedFile)); err == nil && found.served() {
		prepared.Provider = filepath.Join(w.mirror, w.provider.fileName())
	}
	return prepared, nil
}
