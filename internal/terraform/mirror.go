package terraform

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"coder/internal/executable"
)

// Provider is the binary that serves coder/coder when it runs under the
// provider's file name.
type Provider struct {
	// Binary is the path of the running binary's own image.
	Binary  string
	Version string
}

// fileName is what engines look for, and what the binary knows itself by.
func (p Provider) fileName() string { return "terraform-provider-coder_v" + p.Version }

// mirrorProvider lays a copy of the provider in a filesystem mirror below
// cacheDir, for both registries, and returns the mirror's path. The mirror is
// keyed by the binary's hash: another build gets another one, and one that
// runs is never written to.
func mirrorProvider(cacheDir string, provider Provider) (string, error) {
	hash, err := fileHash(provider.Binary)
	if err != nil {
		return "", fmt.Errorf("read our own binary: %w", err)
	}
	mirror := filepath.Join(cacheDir, "mirror", hash[:32])
	if _, err := os.Stat(filepath.Join(mirror, "complete")); err == nil {
		return mirror, nil
	}
	if err := os.MkdirAll(mirror, 0o700); err != nil {
		return "", fmt.Errorf("make the provider mirror: %w", err)
	}
	name := provider.fileName()
	binary := filepath.Join(mirror, name)
	if err := copyProgram(provider.Binary, binary); err != nil {
		return "", fmt.Errorf("make the provider mirror: %w", err)
	}
	for _, address := range CoderAddresses() {
		dir := filepath.Join(mirror, filepath.FromSlash(address), provider.Version, runtime.GOOS+"_"+runtime.GOARCH)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", fmt.Errorf("make the provider mirror: %w", err)
		}
		if err := os.Link(binary, filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrExist) {
			return "", fmt.Errorf("make the provider mirror: %w", err)
		}
	}
	if err := writeDurably(filepath.Join(mirror, "complete"), []byte("complete\n"), 0o600); err != nil {
		return "", fmt.Errorf("make the provider mirror: %w", err)
	}
	return mirror, nil
}

func fileHash(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func copyProgram(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	return executable.Write(to, in, 0o700)
}

func writeDurably(path string, content []byte, mode os.FileMode) error {
	return replaceFile(path, mode, true, func(out *os.File) error {
		_, err := out.Write(content)
		return err
	})
}

// replaceFile writes a file next to path and renames it over path, so that a
// reader never sees half of it.
func replaceFile(path string, mode os.FileMode, durable bool, write func(*os.File) error) error {
	out, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name())
	err = errors.Join(write(out), out.Chmod(mode))
	if err == nil && durable {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	if err := os.Rename(out.Name(), path); err != nil {
		return err
	}
	if !durable {
		return nil
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
