// Package atomicfile writes files that are the old or the new ones, whole,
// whoever reads them and whenever the process ends.
package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// Write makes path a file with that content and exactly these permissions. It
// outlives a crash of the host once Write has returned. With an error the file
// is as it was. A link at path is replaced, and what it leads to is left alone.
func Write(path string, content []byte, mode fs.FileMode) error {
	return replace(path, content, mode, true)
}

// WriteSoon is Write for what may be lost, but not be half there, when the host
// crashes: it waits for no disk.
func WriteSoon(path string, content []byte, mode fs.FileMode) error {
	return replace(path, content, mode, false)
}

func replace(path string, content []byte, mode fs.FileMode, durable bool) error {
	return Replace(path, mode, durable, func(file *os.File) error {
		_, err := file.Write(content)
		return err
	})
}

// Replace is Write for content that a function writes; durable tells Write
// from WriteSoon.
func Replace(path string, mode fs.FileMode, durable bool, write func(*os.File) error) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	err = errors.Join(write(file), file.Chmod(mode))
	if err == nil && durable {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if !durable {
		return os.Rename(file.Name(), path)
	}
	return Move(file.Name(), path)
}

// Move gives a synced file its name durably. Both names are in one directory.
func Move(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(to))
}

// SyncDir makes the names in a directory durable. Windows and some file systems
// have no way to.
func SyncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	err := SyncFile(path)
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

// SyncFile makes durable what was written to a file that is closed.
func SyncFile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
