package terraform

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"coder/internal/atomicfile"
	"coder/internal/executable"
)

// Provider is the binary that serves coder/coder when it runs under the
// provider's file name.
type Provider struct {
	// Binary is the path of the running binary's own image.
	Binary  string
	Version string
	// Hash is the SHA-256 of the binary; empty: it is read.
	Hash string
}

// fileName is what engines look for, and what the binary knows itself by.
func (p Provider) fileName() string { return "terraform-provider-coder_v" + p.Version }

// mirrorNameLength is how much of the binary's hash a mirror is named by.
const mirrorNameLength = 32

// mirrorProvider lays a copy of the provider in a filesystem mirror in the
// cache, for both registries. The mirror is keyed by the binary's hash:
// another build gets another one, and one that runs is never written to. As
// long as the lock is held the mirror stays.
func (c *Cache) mirrorProvider(ctx context.Context, provider Provider) (mirror string, lock *os.File, err error) {
	hash := provider.Hash
	if hash == "" {
		if hash, err = HashProvider(ctx, provider.Binary); err != nil {
			return "", nil, err
		}
	}
	mirror = c.mirrorDir(hash[:mirrorNameLength])
	if err := os.MkdirAll(filepath.Dir(mirror), 0o700); err != nil {
		return "", nil, fmt.Errorf("make the provider mirror: %w", err)
	}
	if lock, err = lockShared(ctx, mirror+".lock"); err != nil {
		return "", nil, fmt.Errorf("make the provider mirror: %w", err)
	}
	if err := c.ensureMirror(ctx, mirror, provider); err != nil {
		return "", nil, errors.Join(err, lock.Close())
	}
	return mirror, lock, nil
}

func (c *Cache) mirrorDir(name string) string { return filepath.Join(c.dir, "mirror", name) }

// ensureMirror makes a mirror that is not there, or was found damaged. Daemons
// that start together make it in turns, which is once: engines of the first one
// may look through it at once, and find no file that comes and goes. All its
// files come by renaming, so no program that runs is written to.
func (c *Cache) ensureMirror(ctx context.Context, mirror string, provider Provider) error {
	mark := filepath.Join(mirror, completeFile)
	if made, err := c.touchMirror(mark); made || err != nil {
		return err
	}
	turn, err := lockExclusive(ctx, filepath.Join(c.dir, "mirror.lock"))
	if err != nil {
		return fmt.Errorf("make the provider mirror: %w", err)
	}
	defer turn.Close()
	if made, err := c.touchMirror(mark); made || err != nil {
		return err
	}
	if err := c.makeMirror(mirror, provider); err != nil {
		return fmt.Errorf("make the provider mirror: %w", err)
	}
	if err := atomicfile.Write(mark, []byte("complete\n"), 0o600); err != nil {
		return fmt.Errorf("make the provider mirror: %w", err)
	}
	return nil
}

// touchMirror notes the use of a mirror that is there.
func (c *Cache) touchMirror(mark string) (made bool, err error) {
	if _, err := os.Stat(mark); err != nil {
		return false, nil //nolint:nilerr // then it is made
	}
	now := c.now()
	return true, os.Chtimes(mark, now, now)
}

func (c *Cache) makeMirror(mirror string, provider Provider) error {
	name := provider.fileName()
	binary := filepath.Join(mirror, name)
	if err := os.MkdirAll(mirror, 0o700); err != nil {
		return err
	}
	hash, err := copyProgram(provider.Binary, binary)
	if err != nil {
		return err
	}
	if hash[:mirrorNameLength] != filepath.Base(mirror) {
		return fmt.Errorf("%s is not the binary that was started: start this program again", provider.Binary)
	}
	for _, address := range CoderAddresses() {
		dir := filepath.Join(mirror, filepath.FromSlash(address), provider.Version, runtime.GOOS+"_"+runtime.GOARCH)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := c.relink(binary, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// relink puts a hard link in the place of what is at path.
func (c *Cache) relink(from, path string) error {
	temporary, err := c.aside()
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	link := filepath.Join(temporary, filepath.Base(path))
	if err := os.Link(from, link); err != nil {
		return err
	}
	return os.Rename(link, path)
}

// checkMirror holds each program of a mirror against the mirror's name, which
// is its hash. Links to the same file are read once.
func checkMirror(ctx context.Context, mirror string) error {
	title := "the embedded provider's mirror " + filepath.Base(mirror)
	paths, err := filepath.Glob(filepath.Join(mirror, "terraform-provider-coder_v*"))
	if err != nil {
		return err
	}
	for _, address := range CoderAddresses() {
		links, err := filepath.Glob(filepath.Join(mirror, filepath.FromSlash(address), "*", "*", "terraform-provider-coder_v*"))
		if err != nil {
			return err
		}
		paths = append(paths, links...)
	}
	if len(paths) != 1+len(CoderAddresses()) {
		return &DamageError{title, fmt.Sprintf("it has %d programs, not %d", len(paths), 1+len(CoderAddresses()))}
	}
	var last os.FileInfo
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return &DamageError{title, err.Error()}
		}
		if last != nil && os.SameFile(last, info) {
			continue
		}
		last = info
		hash, err := fileHash(ctx, path)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return &DamageError{title, err.Error()}
		case hash[:mirrorNameLength] != filepath.Base(mirror):
			return &DamageError{title, "the bytes of " + filepath.Base(path) + " have changed"}
		}
	}
	return nil
}

// copyProgram returns the SHA-256 of what it copied.
func copyProgram(from, to string) (string, error) {
	in, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer in.Close()
	sum := sha256.New()
	if err := executable.Write(to, io.TeeReader(in, sum), 0o700); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
