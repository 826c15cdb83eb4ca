package archive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// Extract writes a tar archive into dir, which must be empty or absent. Files
// get mode 0600, or 0700 where the archive has them executable, directories
// 0700. When it returns an error, dir is as empty as before. Errors about the
// archive are of type *Error.
func Extract(r io.Reader, dir string, limits Limits) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("extract archive: %w", err)
	}
	present, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("extract archive: %w", err)
	}
	if len(present) > 0 {
		return fmt.Errorf("extract archive: directory %s is not empty", dir)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("extract archive: %w", err)
	}
	defer root.Close()
	defer func() {
		if err != nil {
			empty(root)
		}
	}()
	return walkTar(r, limits, func(e Entry, content io.Reader) error {
		return write(root, e, content)
	})
}

func write(root *os.Root, e Entry, content io.Reader) error {
	if e.Dir {
		return root.MkdirAll(e.Name, 0o700)
	}
	if err := root.MkdirAll(path.Dir(e.Name), 0o700); err != nil {
		return err
	}
	file, err := root.OpenFile(e.Name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, e.mode())
	if err != nil {
		return err
	}
	if _, err := io.Copy(file, content); err != nil {
		return errors.Join(err, file.Close())
	}
	return file.Close()
}

// empty is best effort: the error that leads here is the one to report.
func empty(root *os.Root) {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return
	}
	for _, e := range entries {
		_ = root.RemoveAll(e.Name())
	}
}

// Overwrite extracts a tar archive over the content of dir: files of the
// archive replace those of the same path, all others stay. An archive that is
// refused changes nothing.
func Overwrite(r io.Reader, dir string, limits Limits) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("extract archive: %w", err)
	}
	staged, err := os.MkdirTemp(dir, ".extract-*")
	if err != nil {
		return fmt.Errorf("extract archive: %w", err)
	}
	defer func() { _ = os.RemoveAll(staged) }()
	if err := Extract(r, staged, limits); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("extract archive: %w", err)
	}
	defer root.Close()
	return fs.WalkDir(os.DirFS(staged), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return root.MkdirAll(name, 0o755)
		}
		return root.Rename(path.Join(filepath.Base(staged), name), name)
	})
}
