package chaos

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// filler takes all that is left of a file system.
const filler = "filler"

// spoolSize is that of the file system of a spool, in MiB.
const spoolSize = 32

// canMount tells whether this process may make file systems.
func canMount(dir string) bool {
	probe := filepath.Join(dir, "probe")
	return os.Mkdir(probe, 0o700) == nil && mountSmall(probe, spoolSize) == nil && unmount(probe) == nil
}

func fillSpool(_ context.Context, l *lane) error { return fillDisk(l.spool) }
func freeSpool(_ context.Context, l *lane) error { return freeDisk(l.spool) }
func fillData(_ context.Context, l *lane) error  { return fillDisk(l.data()) }
func freeData(_ context.Context, l *lane) error  { return freeDisk(l.data()) }

func fillDisk(dir string) (err error) {
	file, err := os.OpenFile(filepath.Join(dir, filler), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
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

func freeDisk(dir string) error { return os.Remove(filepath.Join(dir, filler)) }

// loseSpool removes all that is in a spool, whatever writes there meanwhile.
func loseSpool(ctx context.Context, l *lane) error {
	var last error
	err := poll(ctx, time.Minute, "the spool to be empty", func() (bool, error) {
		entries, err := os.ReadDir(l.spool)
		for _, entry := range entries {
			err = errors.Join(err, os.RemoveAll(filepath.Join(l.spool, entry.Name())))
		}
		last = err
		return err == nil && len(entries) == 0, nil
	})
	return errors.Join(err, last)
}

// saveTree copies a directory to the disk before its file system goes.
func saveTree(dir string) error {
	kept := dir + ".kept"
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() || entry.Name() == filler {
			return err
		}
		rel, err := filepath.Rel(dir, path)
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
