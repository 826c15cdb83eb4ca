package chaos

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// diskFull is the fault that needs a file system of its own.
const diskFull = "disk-full"

// filler takes all that is left of a spool's file system.
const filler = "filler"

// canMount tells whether this process may make a file system for a spool.
func canMount(dir string) bool {
	probe := filepath.Join(dir, "probe")
	return os.Mkdir(probe, 0o700) == nil && mountSmall(probe) == nil && unmount(probe) == nil
}

func fillDisk(_ context.Context, l *lane) (err error) {
	file, err := os.OpenFile(filepath.Join(l.spool, filler), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("fill the disk: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	for _, size := range []int{64 << 10, 1} {
		for err == nil {
			_, err = file.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			return fmt.Errorf("fill the disk: %w", err)
		}
		err = nil
	}
	return nil
}

func freeDisk(_ context.Context, l *lane) error {
	return os.Remove(filepath.Join(l.spool, filler))
}

// saveSpool copies the spool to the disk before its file system goes.
func (h *host) saveSpool() error {
	kept := h.spool + ".kept"
	return filepath.WalkDir(h.spool, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(h.spool, path)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		target := filepath.Join(kept, rel)
		return errors.Join(os.MkdirAll(filepath.Dir(target), 0o700), os.WriteFile(target, content, 0o600))
	})
}
