//go:build linux || darwin

package terraform

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lockShared waits for a shared lock on the file at path. Closing the file
// gives it back.
func lockShared(ctx context.Context, path string) (*os.File, error) {
	return openAndLock(ctx, path, unix.LOCK_SH)
}

func lockExclusive(ctx context.Context, path string) (*os.File, error) {
	return openAndLock(ctx, path, unix.LOCK_EX)
}

// tryLock returns nothing when somebody else holds a lock.
func tryLock(path string) (*os.File, error) {
	file, err := openAndTry(path, unix.LOCK_EX)
	if errors.Is(err, errLocked) {
		return nil, nil
	}
	return file, err
}

// openAndLock asks again and again rather than wait in the kernel, where ctx
// could not reach it.
func openAndLock(ctx context.Context, path string, how int) (*os.File, error) {
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		file, err := openAndTry(path, how)
		if !errors.Is(err, errLocked) {
			return file, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

var errLocked = errors.New("somebody else has the lock")

// openAndTry locks the file that is at path when it has the lock: who cleans
// the cache removes lock files that they hold.
func openAndTry(path string, how int) (*os.File, error) {
	for {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		err = unix.Flock(int(file.Fd()), how|unix.LOCK_NB)
		switch {
		case errors.Is(err, unix.EWOULDBLOCK), errors.Is(err, unix.EINTR):
			return nil, errors.Join(errLocked, file.Close())
		case err != nil:
			return nil, errors.Join(err, file.Close())
		case isAt(file, path):
			return file, nil
		}
		if err := file.Close(); err != nil {
			return nil, err
		}
	}
}

func isAt(file *os.File, path string) bool {
	ours, err := file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(ours, there)
}

// downgrade turns an exclusive lock into a shared one. It waits for nobody.
func downgrade(file *os.File) error { return unix.Flock(int(file.Fd()), unix.LOCK_SH) }

func groupLeader() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func killGroup(pid int) error { return unix.Kill(-pid, unix.SIGKILL) }

// FileMark changes when a file does, or when another one takes its path's
// place. Empty where there is none. A file that is read or run changes nothing.
func FileMark(path string) string {
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return ""
	}
	return fmt.Sprint(stat.Dev, " ", stat.Ino, " ", stat.Size, " ", stat.Mtim.Nano(), " ", stat.Ctim.Nano())
}

// fileID tells two names of one file from two files.
func fileID(info os.FileInfo) any {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return [2]uint64{uint64(stat.Dev), stat.Ino} //nolint:unconvert,gosec // Dev is signed on some systems
}
