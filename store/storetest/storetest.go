// Package storetest gives tests a fresh store: SQLite in the test's own
// directory, or PostgreSQL in a database of the test's own.
//
// CODER_TEST_POSTGRES chooses. Unset: New gives SQLite, and Each adds
// PostgreSQL where it is installed. 1: PostgreSQL is required, started for
// this test binary, and what New gives. A URL: the same with a running server
// whose user may create databases.
package storetest

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/internal/seal"
	"coder/store"
)

// Key is the deployment key of every store of this package.
func Key() seal.Key { return seal.Key{0: 1, 31: 2} }

// New gives an empty migrated store, closed when the test ends.
func New(t testing.TB) *store.Store {
	t.Helper()
	if required() {
		return Open(t, PostgresOptions(t))
	}
	return Open(t, SQLiteOptions(t))
}

// Each runs fn on an empty store of either database, as subtests "sqlite" and
// "postgres". Without PostgreSQL the log says so; with CODER_TEST_POSTGRES set
// that is a failure.
func Each(t *testing.T, fn func(t *testing.T, s *store.Store)) {
	t.Helper()
	EachOptions(t, func(t *testing.T, o store.Options) { fn(t, Open(t, o)) })
}

// EachOptions is Each for tests that open the store themselves.
func EachOptions(t *testing.T, fn func(t *testing.T, o store.Options)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { fn(t, SQLiteOptions(t)) })
	if !required() && !Installed() {
		t.Log("PostgreSQL is not installed: this ran on SQLite only")
		return
	}
	t.Run("postgres", func(t *testing.T) { fn(t, PostgresOptions(t)) })
}

// Both opens an empty store of SQLite and, under the rules of Each, one of
// PostgreSQL, for tests that compare them.
func Both(t *testing.T) []*store.Store {
	t.Helper()
	stores := []*store.Store{Open(t, SQLiteOptions(t))}
	if !required() && !Installed() {
		t.Log("PostgreSQL is not installed: this ran on SQLite only")
		return stores
	}
	return append(stores, Open(t, PostgresOptions(t)))
}

// SQLiteOptions name a directory that goes when the test ends.
func SQLiteOptions(t testing.TB) store.Options {
	t.Helper()
	return store.Options{Dir: t.TempDir(), DeploymentKeys: []seal.Key{Key()}, Logger: logger(t)}
}

// PostgresOptions name a database without rows that goes when the test ends.
func PostgresOptions(t testing.TB) store.Options {
	t.Helper()
	return store.Options{PostgresURL: PostgresURL(t), DeploymentKeys: []seal.Key{Key()}, Logger: logger(t)}
}

// Open opens a store that is closed when the test ends, unless the test
// closed it before.
func Open(t testing.TB, o store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(context.WithoutCancel(t.Context()), o)
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := s.Close(); !errors.Is(err, os.ErrClosed) {
			require.NoError(t, err)
		}
	})
	return s
}

func logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}
