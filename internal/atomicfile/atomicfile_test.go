package atomicfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/internal/atomicfile"
)

func TestAFileIsTheOldOneOrTheNewOne(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(string, []byte, fs.FileMode) error{"durable": atomicfile.Write, "soon": atomicfile.WriteSoon} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "file")
			require.NoError(t, write(path, []byte("old"), 0o600))
			require.NoError(t, write(path, []byte("newer"), 0o644))
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, "newer", string(content))
			info, err := os.Stat(path)
			require.NoError(t, err)
			require.Equal(t, fs.FileMode(0o644), info.Mode().Perm())
			requireAlone(t, dir)
			require.Error(t, write(filepath.Join(dir, "missing", "file"), nil, 0o600))
		})
	}
}

func TestAFailedWriteLeavesTheFileAsItWas(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	require.NoError(t, atomicfile.Write(path, []byte("old"), 0o600))
	failed := errors.New("the source ended early")
	err := atomicfile.Replace(path, 0o600, true, func(f *os.File) error {
		_, err := f.WriteString("half")
		return errors.Join(err, failed)
	})
	require.ErrorIs(t, err, failed)
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "old", string(content))
	requireAlone(t, dir)
}

func TestALinkIsReplacedAndNotFollowed(t *testing.T) {
	t.Parallel()
	elsewhere, dir := filepath.Join(t.TempDir(), "elsewhere"), t.TempDir()
	require.NoError(t, os.WriteFile(elsewhere, []byte("theirs"), 0o600))
	path := filepath.Join(dir, "file")
	require.NoError(t, os.Symlink(elsewhere, path))
	require.NoError(t, atomicfile.Write(path, []byte("ours"), 0o600))
	theirs, err := os.ReadFile(elsewhere)
	require.NoError(t, err)
	require.Equal(t, "theirs", string(theirs))
	info, err := os.Lstat(path)
	require.NoError(t, err)
	require.True(t, info.Mode().IsRegular())
}

// requireAlone fails when something was left beside the file.
func requireAlone(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}
