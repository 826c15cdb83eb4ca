package terraform

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"coder/internal/atomicfile"
)

const manifestFile = "manifest.json"

// manifest is what a directory in the cache was made of. Paths are below the
// directory and have slashes.
type manifest struct {
	// Files have the SHA-256 of their content.
	Files map[string]string `json:"files"`
	// Links have their target.
	Links map[string]string `json:"links"`
}

// DamageError says that something in the cache is not what was put there.
type DamageError struct{ Name, Why string }

func (e *DamageError) Error() string { return e.Name + " in the cache is damaged: " + e.Why }

// bookkeeping are the files that a directory in the cache has beside what its
// manifest names.
func bookkeeping(rel string) bool {
	return rel == manifestFile || rel == completeFile || rel == syncedFile
}

// takeManifest reads all that is below dir.
func takeManifest(ctx context.Context, dir string) (*manifest, error) {
	m := &manifest{Files: map[string]string{}, Links: map[string]string{}}
	err := walkContent(dir, func(rel, path string, entry os.DirEntry) (err error) {
		if entry.Type()&os.ModeSymlink != 0 {
			m.Links[rel], err = os.Readlink(path)
			return err
		}
		m.Files[rel], err = fileHash(ctx, path)
		return err
	})
	return m, err
}

// walkContent calls visit for each file and link below dir.
func walkContent(dir string, visit func(rel, path string, entry os.DirEntry) error) error {
	return filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if bookkeeping(rel) || !(entry.Type().IsRegular() || entry.Type()&os.ModeSymlink != 0) {
			return nil
		}
		return visit(rel, path, entry)
	})
}

// check compares all that is below dir with the manifest. What is wrong is a
// DamageError; the end of ctx is its cause.
func (m *manifest) check(ctx context.Context, name, dir string) error {
	have, err := takeManifest(ctx, dir)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return &DamageError{name, err.Error()}
	}
	for _, rel := range slices.Sorted(maps.Keys(m.Files)) {
		if err := m.checkFile(name, rel, have.Files[rel]); err != nil {
			return err
		}
	}
	for _, rel := range slices.Sorted(maps.Keys(m.Links)) {
		if err := m.checkLink(name, rel, have.Links[rel]); err != nil {
			return err
		}
	}
	return m.checkCount(name, len(have.Files)+len(have.Links), len(m.Files)+len(m.Links))
}

// checkFile holds a file's sum, empty where there is none, against the manifest.
func (m *manifest) checkFile(name, rel, sum string) error {
	switch want := m.Files[rel]; {
	case want == sum:
		return nil
	case want == "":
		return &DamageError{name, rel + " is not of it"}
	case sum == "":
		return &DamageError{name, rel + " is missing"}
	}
	return &DamageError{name, "the bytes of " + rel + " have changed"}
}

func (m *manifest) checkLink(name, rel, target string) error {
	if target == "" || m.Links[rel] != target {
		return &DamageError{name, "the link " + rel + " has changed"}
	}
	return nil
}

func (m *manifest) checkCount(name string, have, want int) error {
	if have != want {
		return &DamageError{name, fmt.Sprintf("it has %d files, not %d", have, want)}
	}
	return nil
}

func (m *manifest) write(path string) error {
	content, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return atomicfile.Replace(path, 0o600, false, func(out *os.File) error {
		_, err := out.Write(content)
		return err
	})
}

// readManifest returns nil where there is none that can be read: what it
// stands beside is not trusted then.
func readManifest(path string) *manifest {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	m := &manifest{}
	if err := json.Unmarshal(content, m); err != nil || len(m.Files)+len(m.Links) == 0 {
		return nil
	}
	return m
}

// fileHash is the hex SHA-256 of a file. It ends with ctx.
func fileHash(ctx context.Context, path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, &interruptible{ctx: ctx, from: file}); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// interruptible is a reader that ends with ctx.
type interruptible struct {
	ctx  context.Context
	from io.Reader
}

func (r *interruptible) Read(into []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.from.Read(into)
}
