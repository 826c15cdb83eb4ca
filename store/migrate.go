package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations
var migrations embed.FS

// Replicas that start together migrate one after the other.
const (
	migrationLockTries   = 300
	migrationLockSeconds = 1
)

// migrate brings the schema to the version of files. beforeChange runs when
// there is something to change in a database that already holds data, with
// the version it has.
func migrate(ctx context.Context, db *sql.DB, dialect Dialect, files fs.FS, beforeChange func(version int64) error) error {
	provider, err := newProvider(db, dialect, files)
	if err != nil {
		return fmt.Errorf("prepare the migrations: %w", err)
	}
	have, want, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the database's version: %w", err)
	}
	switch {
	case have == want:
		return nil
	case have > want:
		return fmt.Errorf("%w (schema %d, this binary knows %d): start the newer binary, or restore the copy that was taken before it migrated", ErrNewerDatabase, have, want)
	}
	if have > 0 && beforeChange != nil {
		if err := beforeChange(have); err != nil {
			return err
		}
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate the database from schema %d to %d: %w", have, want, err)
	}
	return nil
}

func newProvider(db *sql.DB, dialect Dialect, files fs.FS) (*goose.Provider, error) {
	dir, err := fs.Sub(files, "migrations/"+string(dialect))
	if err != nil {
		return nil, err
	}
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true)}
	if dialect == SQLite {
		return goose.NewProvider(database.DialectSQLite3, db, dir, options...)
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(migrationLockSeconds, migrationLockTries))
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(database.DialectPostgres, db, dir, append(options, goose.WithSessionLocker(locker))...)
}

// copyBefore writes a whole copy of a SQLite database beside it, named after
// its version, and durable before anything is changed.
func copyBefore(ctx context.Context, db *sql.DB, path string, version int64) error {
	whole := fmt.Sprintf("%s.schema-%d", path, version)
	part := whole + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove a copy of the database that was cut off: %w", err)
	}
	err := createPrivate(part)
	if err == nil {
		_, err = db.ExecContext(ctx, "VACUUM INTO ?", part)
	}
	if err == nil {
		err = syncFile(part)
	}
	if err == nil {
		err = os.Rename(part, whole)
	}
	if err == nil {
		err = syncFile(filepath.Dir(whole))
	}
	if err != nil {
		return fmt.Errorf("copy the database to %s before migrating it: %w; nothing was changed: make room there and start again", whole, err)
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
