// Package tofu fetches a verified OpenTofu release for hosts that have neither
// terraform nor tofu.
package tofu

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/opentofu/tofudl"
	"golang.org/x/sys/unix"

	"coder/internal/executable"
)

// Version is the release that is fetched.
const Version = "1.12.6"

// Options say where the release comes from. The zero value means the
// project's own release of Version.
type Options struct {
	// Version is another release than the constant.
	Version string
	// MirrorURL is the base of a mirror: the files of a release are expected
	// at MirrorURL/v<version>/<file>.
	MirrorURL string
	// SigningKey is the ASCII-armored public key of releases, where it is not
	// the project's.
	SigningKey string
	// HTTPClient replaces the default, which uses the proxy of the environment.
	HTTPClient *http.Client
}

const projectURL = "https://github.com/opentofu/opentofu/releases/download"

func (o Options) version() string {
	if o.Version == "" {
		return Version
	}
	return o.Version
}

func (o Options) mirrorURL() string {
	if o.MirrorURL == "" {
		return projectURL
	}
	return strings.TrimRight(o.MirrorURL, "/")
}

// Path is where Ensure puts the binary.
func Path(cacheDir string) string { return filepath.Join(cacheDir, "opentofu", Version, "tofu") }

// Ensure returns the path of a tofu binary in the cache directory, fetching it
// where it is missing or damaged. Any number of processes may call it at once:
// one of them fetches. A download is installed only when its signature and its
// checksum are right, and whole or not at all.
func Ensure(ctx context.Context, cacheDir string, options Options) (string, error) {
	path, err := ensure(ctx, cacheDir, options)
	if err != nil {
		return "", fmt.Errorf("OpenTofu %s could not be fetched from %s: %w. "+
			"Install Terraform or OpenTofu (https://opentofu.org/docs/intro/install/) on PATH, or name the binary with --terraform-path",
			options.version(), options.mirrorURL(), err)
	}
	return path, nil
}

func ensure(ctx context.Context, cacheDir string, options Options) (string, error) {
	dir, err := filepath.Abs(filepath.Join(cacheDir, "opentofu", options.version()))
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close() // and with it the lock
	if err := flock(ctx, lock); err != nil {
		return "", err
	}
	c := cached{path: filepath.Join(dir, "tofu"), sum: filepath.Join(dir, "tofu.sha256")}
	if c.intact() {
		return c.path, nil
	}
	if err := c.clean(); err != nil {
		return "", err
	}
	binary, err := fetch(ctx, options)
	if err != nil {
		return "", err
	}
	return c.path, c.install(binary)
}

// flock waits for the lock until ctx ends. It asks again and again, because a
// system call that waits could not be ended.
func flock(ctx context.Context, lock *os.File) error {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil || !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return err
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return fmt.Errorf("another process is fetching it: %w", ctx.Err())
		}
	}
}

// cached is the binary in the cache, and the file with its SHA-256.
type cached struct {
	path, sum string
}

func (c cached) intact() bool {
	want, err := os.ReadFile(c.sum)
	if err != nil {
		return false
	}
	file, err := os.Open(c.path)
	if err != nil {
		return false
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return false
	}
	return hex.EncodeToString(hash.Sum(nil)) == strings.TrimSpace(string(want))
}

// clean removes what a crash left of a binary; the lock is held.
func (c cached) clean() error {
	halves, err := filepath.Glob(filepath.Join(filepath.Dir(c.path), ".tofu.*"))
	for _, half := range halves {
		err = errors.Join(err, os.Remove(half))
	}
	return err
}

// install writes both files so that a crash at any point leaves either the old
// or the new, or a pair that intact refuses.
func (c cached) install(binary []byte) error {
	sum := sha256.Sum256(binary)
	if err := os.WriteFile(c.sum, []byte(hex.EncodeToString(sum[:])+"\n"), 0o644); err != nil {
		return err
	}
	return executable.Write(c.path, bytes.NewReader(binary), 0o755)
}

func fetch(ctx context.Context, options Options) ([]byte, error) {
	configuration := []tofudl.ConfigOpt{
		tofudl.ConfigHTTPClient(options.client()),
		tofudl.ConfigDownloadMirrorURLTemplate(strings.ReplaceAll(options.mirrorURL(), "{{", "") + "/v{{ .Version }}/{{ .Artifact }}"),
	}
	if options.SigningKey != "" {
		configuration = append(configuration, tofudl.ConfigGPGKey(options.SigningKey))
	}
	downloader, err := tofudl.New(configuration...)
	if err != nil {
		return nil, err
	}
	return release{downloader, options.version()}.binary(ctx)
}

// release is one version. Its file names are known, so the project's list of
// versions, on another host, is not asked.
type release struct {
	downloader tofudl.Downloader
	version    string
}

func (r release) binary(ctx context.Context) ([]byte, error) {
	prefix := "tofu_" + r.version + "_"
	archive := prefix + runtime.GOOS + "_" + runtime.GOARCH + ".tar.gz"
	var content [3][]byte
	for i, name := range []string{prefix + "SHA256SUMS", prefix + "SHA256SUMS.gpgsig", archive} {
		version := tofudl.VersionWithArtifacts{ID: tofudl.Version(r.version), Files: []string{name}}
		var err error
		if content[i], err = r.downloader.DownloadArtifact(ctx, version, name); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := r.downloader.VerifyArtifact(archive, content[2], content[0], content[1]); err != nil {
		return nil, fmt.Errorf("%s is not what the project signed: %w", archive, err)
	}
	return unpack(content[2])
}
