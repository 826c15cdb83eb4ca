package terraform

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// copyBuffer is how much is in memory while files are copied.
const copyBuffer = 256 << 10

// providersDir holds the providers of an initialised directory.
var providersDir = filepath.Join(".terraform", "providers")

// Clone makes a job's own directory of an initialised one. Providers are
// linked to, because nothing writes there; everything else is copied, because
// templates write next to their files. What is copied is compared with what
// was put into the cache, which costs next to nothing while it is in memory;
// what has changed is a DamageError, after which the caller heals.
func (p *Prepared) Clone(to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return fmt.Errorf("make the job's directory: %w", err)
	}
	err := p.checkConfig()
	if err == nil {
		err = p.cloneTree(to)
	}
	if damage := (*DamageError)(nil); errors.As(err, &damage) {
		return err
	}
	if err != nil {
		return fmt.Errorf("make the job's directory: %w", err)
	}
	providers := filepath.Join(p.Dir, providersDir)
	if _, err := os.Stat(providers); err != nil {
		return nil
	}
	if err := os.Symlink(providers, filepath.Join(to, providersDir)); err != nil {
		return fmt.Errorf("make the job's directory: %w", err)
	}
	return nil
}

// checkConfig: the engine reads its configuration in the cache itself.
func (p *Prepared) checkConfig() error {
	sum, err := fileHash(context.Background(), p.CLIConfig)
	if err != nil {
		return &DamageError{p.title(), err.Error()}
	}
	return p.manifest.checkFile(p.title(), filepath.Base(p.CLIConfig), sum)
}

func (p *Prepared) title() string { return Item{Kind: KindDirectory}.Title() }

// Retire gives up a directory that was found damaged. The next Prepare makes
// another one; jobs in clones of this one are not disturbed.
func (p *Prepared) Retire() error { return p.cache.retire(p.name) }

func (p *Prepared) cloneTree(to string) error {
	copied, buffer := 0, make([]byte, copyBuffer)
	err := filepath.WalkDir(p.Dir, func(from string, entry os.DirEntry, err error) error {
		if err != nil {
			return &DamageError{p.title(), err.Error()}
		}
		rel, err := filepath.Rel(p.Dir, from)
		if err != nil {
			return err
		}
		target, known := filepath.Join(to, rel), path.Join(workName, filepath.ToSlash(rel))
		switch {
		case rel == providersDir:
			return filepath.SkipDir
		case entry.IsDir():
			return os.MkdirAll(target, 0o700)
		case entry.Type()&os.ModeSymlink != 0:
			copied++
			return p.cloneLink(from, target, known)
		case !entry.Type().IsRegular():
			return nil
		}
		copied++
		sum, err := copyFile(from, target, buffer)
		if unreadable := (*readError)(nil); errors.As(err, &unreadable) {
			return &DamageError{p.title(), err.Error()}
		}
		if err != nil {
			return err
		}
		return p.manifest.checkFile(p.title(), known, sum)
	})
	if err != nil {
		return err
	}
	return p.manifest.checkCount(p.title(), copied, p.manifest.copied())
}

// copied is how many files and links a clone has.
func (m *manifest) copied() int {
	n := 0
	for _, paths := range []map[string]string{m.Files, m.Links} {
		for rel := range paths {
			if below, ok := strings.CutPrefix(rel, workName+"/"); ok && !strings.HasPrefix(below, filepath.ToSlash(providersDir)+"/") {
				n++
			}
		}
	}
	return n
}

func (p *Prepared) cloneLink(from, target, known string) error {
	link, err := os.Readlink(from)
	if err != nil {
		return &DamageError{p.title(), err.Error()}
	}
	if err := p.manifest.checkLink(p.title(), known, link); err != nil {
		return err
	}
	return os.Symlink(link, target)
}

// readError is the fault of what is copied from.
type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// copyFile returns the SHA-256 of what it copied.
func copyFile(from, to string, buffer []byte) (string, error) {
	in, err := os.Open(from)
	if err != nil {
		return "", &readError{err}
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return "", &readError{err}
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return "", err
	}
	sum, err := copySummed(out, in, buffer)
	return sum, errors.Join(err, out.Close())
}

func copySummed(to io.Writer, from io.Reader, buffer []byte) (string, error) {
	sum := sha256.New()
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			sum.Write(buffer[:n])
			if _, failed := to.Write(buffer[:n]); failed != nil {
				return "", failed
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return hex.EncodeToString(sum.Sum(nil)), nil
		case err != nil:
			return "", &readError{err}
		}
	}
}
