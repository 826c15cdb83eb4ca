package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"coder/internal/seal"
)

// later is the schema of a future version: one table more, or a mistake.
func later(t *testing.T, statement string) fs.FS {
	t.Helper()
	files := fstest.MapFS{"migrations/sqlite/99999_later.sql": {Data: []byte("-- +goose Up\n" + statement)}}
	require.NoError(t, fs.WalkDir(migrations, "migrations/sqlite", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(migrations, path)
		files[path] = &fstest.MapFile{Data: data}
		return err
	}))
	return files
}

func TestMigrationCopiesTheDatabaseFirst(t *testing.T) {
	o := Options{Dir: t.TempDir(), DeploymentKeys: []seal.Key{{1}}}
	path := filepath.Join(o.Dir, "coder.db")
	s, err := Open(t.Context(), o)
	require.NoError(t, err)
	require.NoError(t, s.PutSetting(t.Context(), PutSettingParams{Name: "kept", Value: "1"}))
	have := version(t, s)
	upgrade := func(statement string) error {
		return migrate(t.Context(), s.pools.writer, SQLite, later(t, statement), func(version int64) error {
			return copyBefore(context.WithoutCancel(t.Context()), s.pools.writer, path, version)
		})
	}
	require.ErrorContains(t, upgrade("CREATE TABLE broken ("), "99999")
	require.Equal(t, have, version(t, s), "a migration that fails changes nothing")
	require.NoError(t, upgrade("CREATE TABLE later (id TEXT) STRICT;"))
	require.EqualValues(t, 99999, version(t, s))
	require.NoError(t, s.Close())

	_, err = Open(t.Context(), o)
	require.ErrorIs(t, err, ErrNewerDatabase)

	copies, err := filepath.Glob(path + ".schema-*")
	require.NoError(t, err)
	require.Len(t, copies, 1)
	info, err := os.Stat(copies[0])
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())
	require.NoError(t, os.Rename(copies[0], path))
	back, err := Open(t.Context(), o)
	require.NoError(t, err)
	defer back.Close()
	got, err := back.GetSetting(t.Context(), "kept")
	require.NoError(t, err)
	require.Equal(t, "1", got)
}

func TestMigrationDoesNotStartWithoutItsCopy(t *testing.T) {
	s, err := Open(t.Context(), Options{Dir: t.TempDir(), DeploymentKeys: []seal.Key{{1}}})
	require.NoError(t, err)
	defer s.Close()
	have := version(t, s)
	err = migrate(t.Context(), s.pools.writer, SQLite, later(t, "CREATE TABLE later (id TEXT) STRICT;"), func(version int64) error {
		return copyBefore(t.Context(), s.pools.writer, filepath.Join(t.TempDir(), "missing", "coder.db"), version)
	})
	require.ErrorContains(t, err, "nothing was changed")
	require.Equal(t, have, version(t, s))
}

func version(t *testing.T, s *Store) (v int64) {
	t.Helper()
	require.NoError(t, s.pools.writer.QueryRowContext(t.Context(), "SELECT max(version_id) FROM goose_db_version").Scan(&v))
	return v
}

// A migration that ran on somebody's database is never changed: what it lacks
// is a migration of its own. Add the sum of each one that has been released.
func TestReleasedMigrationsStayAsTheyWere(t *testing.T) {
	for path, want := range map[string]string{
		"migrations/sqlite/00001_initial.sql":             "478643fb17fca419c9ba427db8f18273daa259beaccbb1dd79a466b9aa004866",
		"migrations/sqlite/00002_workspace_states.sql":    "a8fda3255435d47637b4ad70da0db70641c9a187b5701d8079c96d6bb747f84f",
		"migrations/sqlite/00003_attempt_state_n.sql":     "bd152e8500109a5ddb06b07a2e11bac15ea8d6b03f0310161b71da153c2ae337",
		"migrations/sqlite/00004_daemon_trouble.sql":      "17e34df416bebaeda78d7f911bae7197995b9e81fca64cbf24db02fed6980e11",
		"migrations/sqlite/00006_workspace_counts.sql":    "ac09a75b48e6801a96707b02665918dfabd47e91535cde51ba70cdffe7dd6c3f",
		"migrations/sqlite/00007_recovery.sql":            "518a29c2f45a40f0b0647659c63a000228018073cfc139a6a3f965ee8682efc1",
		"migrations/sqlite/00008_queue.sql":               "d572eb4020446aff087a88dd5203ab585b9b67104fe4c363d0f80747a54239e0",
		"migrations/sqlite/00009_attempt_plan_told.sql":   "1ad0f907928a700c2d0482e64e26feb536e6a7c445aec8ab57d9a7bc08e19688",
		"migrations/postgres/00001_initial.sql":           "94af4d4d0ef69faf2bd1d13e421f04c7db1717839d6dc3a745c6f8c5b10666cb",
		"migrations/postgres/00002_workspace_states.sql":  "d7c527e9a96b1aeb350610000cf659418f14b1a612287f4d7e75192996735ac9",
		"migrations/postgres/00003_attempt_state_n.sql":   "0f414ff81734017ad19cb716baafd48b7533ed2d4a7870a25db2da4b75608a5d",
		"migrations/postgres/00004_daemon_trouble.sql":    "3d0dbc3d8f7205d057d9609bc76fd858890c040f498ebd8f6e1c882735b88a9e",
		"migrations/postgres/00006_workspace_counts.sql":  "b969a9a5049b9d9162876287b5608f675107f5ff00ad4cb06a34fe7d1d7c4535",
		"migrations/postgres/00007_recovery.sql":          "eac71dc594e2dd1d9022557621517ab7ce59686cdb6e080b79b63f5d2c11afad",
		"migrations/postgres/00008_queue.sql":             "d572eb4020446aff087a88dd5203ab585b9b67104fe4c363d0f80747a54239e0",
		"migrations/postgres/00009_attempt_plan_told.sql": "2f3db60f392196c7d7996f102cb49f5fde83a94a3b0457efd4967ddb2edb0881",
	} {
		content, err := fs.ReadFile(migrations, path)
		require.NoError(t, err)
		require.Equal(t, want, fmt.Sprintf("%x", sha256.Sum256(content)), path)
	}
}
