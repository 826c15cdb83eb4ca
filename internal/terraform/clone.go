package terraform

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Clone makes a job's own directory of an initialised one. Providers are
// linked to, because nothing writes there; everything else is copied, because
// templates write next to their files.
func (p *Prepared) Clone(to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return fmt.Errorf("make the job's directory: %w", err)
	}
	if err := cloneTree(p.Dir, to); err != nil {
		return fmt.Errorf("make the job's directory: %w", err)
	}
	providers := filepath.Join(p.Dir, ".terraform", "providers")
	if _, err := os.Stat(providers); err != nil {
		return nil
	}
	if err := os.Symlink(providers, filepath.Join(to, ".terraform", "providers")); err != nil {
		return fmt.Errorf("make the job's directory: %w", err)
	}
	return nil
}

func cloneTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case rel == filepath.Join(".terraform", "providers"):
			return filepath.SkipDir
		case entry.IsDir():
			return os.MkdirAll(target, 0o700)
		case entry.Type()&os.ModeSymlink != 0:
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(link, target)
		case !entry.Type().IsRegular():
			return nil
		}
		return copyFile(path, target)
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, info.Mode().Perm())
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
