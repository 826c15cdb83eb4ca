//go:build linux || darwin

package terraform

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lockShared waits for a shared lock on the file at path. Closing the file
// gives it back.
func lockShared(path string) (*os.File, error) {
	return openAndLock(context.Background(), path, unix.LOCK_SH)
}

func lockExclusive(ctx context.Context, path string) (*os.File, error) {
	return openAndLock(ctx, path, unix.LOCK_EX)
}

// tryLock returns nothing when somebody else holds a lock.
func tryLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		file.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, nil
		}
		return nil, err
	}
	return file, nil
}

// openAndLock asks again and again rather than wait in the kernel, where ctx
// could not reach it.
func openAndLock(ctx context.Context, path string, how int) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		err := unix.Flock(int(file.Fd()), how|unix.LOCK_NB)
		if err == nil {
			return file, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(err, file.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), file.Close())
		case <-time.After(wait):
		}
	}
}

// downgrade turns an exclusive lock into a shared one. It waits for nobody.
func downgrade(file *os.File) error { return unix.Flock(int(file.Fd()), unix.LOCK_SH) }

func groupLeader() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func killGroup(pid int) error { return unix.Kill(-pid, unix.SIGKILL) }
