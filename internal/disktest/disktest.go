//go:build linux

// Package disktest gives tests small file systems, which can be full.
package disktest

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// filler takes what is left of a file system.
const filler = "filler"

// Mount makes an empty file system of so many MiB, which goes when the test
// ends. It skips the test where this process may not: only root may.
func Mount(t testing.TB, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, fmt.Sprintf("size=%dm,mode=0700", size)); err != nil {
		t.Skipf("only root may mount a file system: %v", err)
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return dir
}

// Take takes so many bytes, and Free gives them back.
func Take(t testing.TB, dir string, bytes int) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, filler), make([]byte, bytes), 0o600))
}

// Fill takes all room that is left, and Free gives it back.
func Fill(t testing.TB, dir string) {
	t.Helper()
	file, err := os.OpenFile(filepath.Join(dir, filler), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	require.NoError(t, err)
	defer file.Close()
	for _, size := range []int{64 << 10, 1} {
		for err == nil {
			_, err = file.Write(make([]byte, size))
		}
		require.ErrorIs(t, err, syscall.ENOSPC)
		err = nil
	}
}

// Free makes room again.
func Free(t testing.TB, dir string) {
	t.Helper()
	require.NoError(t, os.Remove(filepath.Join(dir, filler)))
}
