package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"coder/internal/seal"
	"coder/store"
	"coder/store/storetest"
)

func TestOpenTakesTheDirectoryForItself(t *testing.T) {
	o := storetest.SQLiteOptions(t)
	s := storetest.Open(t, o)
	_, err := store.Open(t.Context(), o)
	require.ErrorIs(t, err, store.ErrLocked)
	require.ErrorContains(t, err, o.Dir)
	require.ErrorContains(t, err, "--data-dir")
	require.NoError(t, s.Close())
	storetest.Open(t, o)
}

// A second server must not take the room that the first holds for states.
func TestOpenLeavesTheReserveOfAnother(t *testing.T) {
	o := storetest.SQLiteOptions(t)
	o.Reserve = filepath.Join(o.Dir, "reserve")
	s := storetest.Open(t, o)
	require.NoError(t, os.WriteFile(o.Reserve, nil, 0o600))
	_, err := store.Open(t.Context(), o)
	require.ErrorIs(t, err, store.ErrLocked)
	require.FileExists(t, o.Reserve)
	require.NoError(t, s.Close())
	storetest.Open(t, o)
	require.NoFileExists(t, o.Reserve, "its room may be what the start needs")
}

func TestOpenLeavesANewerDatabaseAlone(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		s := storetest.Open(t, o)
		_, err := s.Raw().ExecContext(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, $1)", true)
		require.NoError(t, err)
		require.NoError(t, s.Close())
		before := readDir(t, o.Dir)

		_, err = store.Open(t.Context(), o)
		require.ErrorIs(t, err, store.ErrNewerDatabase)
		require.ErrorContains(t, err, "schema 99999")
		require.Equal(t, before, readDir(t, o.Dir))
	})
}

// readDir gives the contents of the files in a directory.
func readDir(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	if dir == "" {
		return files
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		files[e.Name()] = string(data)
	}
	return files
}

func TestOpenKeepsTheDatabasePrivate(t *testing.T) {
	o := storetest.SQLiteOptions(t)
	o.Dir = filepath.Join(o.Dir, "deep", "data")
	storetest.Open(t, o)
	for name, want := range map[string]os.FileMode{"": 0o700, "coder.db": 0o600, "coder.db-wal": 0o600, "coder.db-shm": 0o600} {
		info, err := os.Stat(filepath.Join(o.Dir, name))
		require.NoError(t, err)
		require.Equal(t, want, info.Mode().Perm(), name)
	}
}

func TestOpenSaysWhatIsWrongWithTheDirectory(t *testing.T) {
	t.Run("no directory", func(t *testing.T) {
		o := storetest.SQLiteOptions(t)
		file := filepath.Join(o.Dir, "file")
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		o.Dir = file
		_, err := store.Open(t.Context(), o)
		require.ErrorContains(t, err, file)
		require.ErrorContains(t, err, "--data-dir")
	})
	// Root may write anywhere, so files that cannot be opened stand for it.
	for _, name := range []string{"server.lock", "coder.db"} {
		t.Run("unwritable "+name, func(t *testing.T) {
			o := storetest.SQLiteOptions(t)
			require.NoError(t, os.Mkdir(filepath.Join(o.Dir, name), 0o700))
			_, err := store.Open(t.Context(), o)
			require.ErrorContains(t, err, filepath.Join(o.Dir, name))
			require.ErrorContains(t, err, "--data-dir")
		})
	}
	t.Run("no database", func(t *testing.T) {
		o := storetest.SQLiteOptions(t)
		path := filepath.Join(o.Dir, "coder.db")
		require.NoError(t, os.WriteFile(path, []byte("something that is no database, long enough to look like one"), 0o600))
		_, err := store.Open(t.Context(), o)
		require.ErrorContains(t, err, path)
	})
}

func TestOpenTakesAnyPath(t *testing.T) {
	o := storetest.SQLiteOptions(t)
	o.Dir = filepath.Join(o.Dir, "a b?c=d#e%41é'\"")
	s := storetest.Open(t, o)
	require.NoError(t, s.Ping(t.Context()))
	require.FileExists(t, filepath.Join(o.Dir, "coder.db"))
}

func TestCloseFoldsTheLogIntoTheDatabase(t *testing.T) {
	o := storetest.SQLiteOptions(t)
	s := storetest.Open(t, o)
	seedOrganization(t, s, "a")
	_, err := s.ListUsers(t.Context(), store.ListUsersParams{})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	require.NoFileExists(t, filepath.Join(o.Dir, "coder.db-wal"))
	require.FileExists(t, filepath.Join(o.Dir, "coder.db"))
}

func TestReplicasStartTogether(t *testing.T) {
	if !storetest.Installed() && os.Getenv("CODER_TEST_POSTGRES") == "" {
		t.Skip("only PostgreSQL has replicas, and it is not installed")
	}
	o := store.Options{PostgresURL: storetest.EmptyPostgresURL(t), DeploymentKeys: []seal.Key{storetest.Key()}}
	var g errgroup.Group
	ids := make([]string, 4)
	for i := range ids {
		g.Go(func() error {
			s, err := store.Open(t.Context(), o)
			if err != nil {
				return err
			}
			ids[i], err = s.DeploymentID(t.Context())
			return errors.Join(err, s.Close())
		})
	}
	require.NoError(t, g.Wait())
	for _, id := range ids {
		require.Equal(t, ids[0], id)
	}
}

func TestPostgreSQLMayRestart(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		if s.Dialect() != store.PostgreSQL {
			return
		}
		require.NoError(t, s.Ping(t.Context()))
		_, _ = s.Raw().ExecContext(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()")
		require.Eventually(t, func() bool { return s.Ping(t.Context()) == nil }, 10*time.Second, 10*time.Millisecond)
		require.NoError(t, s.InTx(t.Context(), func(tx *store.Store) error { return tx.Ping(t.Context()) }))
	})
}

func TestOpenHidesThePasswordOfPostgreSQL(t *testing.T) {
	o := storetest.SQLiteOptions(t)
	for _, url := range []string{"postgres://coder:hunter2@127.0.0.1:1/coder", "postgres://coder:hunter2@127.0.0.1:port/coder", "postgres://coder:hunter2%zz@/"} {
		o.PostgresURL = url
		_, err := store.Open(t.Context(), o)
		require.ErrorContains(t, err, "PostgreSQL")
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func BenchmarkOpen(b *testing.B) {
	b.Run("empty", func(b *testing.B) {
		for b.Loop() {
			s, err := store.Open(b.Context(), storetest.SQLiteOptions(b))
			require.NoError(b, err)
			require.NoError(b, s.Close())
		}
	})
	b.Run("migrated", func(b *testing.B) {
		o := storetest.SQLiteOptions(b)
		require.NoError(b, storetest.Open(b, o).Close())
		for b.Loop() {
			s, err := store.Open(b.Context(), o)
			require.NoError(b, err)
			require.NoError(b, s.Close())
		}
	})
}
