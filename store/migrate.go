package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"os"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

//go:embed migrations
var migrations embed.FS

// migrate brings the schema to this binary's version. beforeChange runs when
// there is something to change in a database that already holds data.
func migrate(ctx context.Context, db *sql.DB, dialect Dialect, beforeChange func() error) error {
	dir, err := fs.Sub(migrations, "migrations/"+string(dialect))
	if err != nil {
		return err
	}
	kind := database.DialectSQLite3
	if dialect == PostgreSQL {
		kind = database.DialectPostgres
	}
	provider, err := goose.NewProvider(kind, db, dir, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read the database's version: %w", err)
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
		if err := beforeChange(); err != nil {
			return err
		}
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate the database from schema %d to %d: %w", have, want, err)
	}
	return nil
}

// copyBefore writes a whole copy of a SQLite database beside it.
func copyBefore(ctx context.Context, db *sql.DB, path string) error {
	copyPath := path + ".before-migration"
	if err := os.Remove(copyPath); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("remove the older copy of the database: %w", err)
	}
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", copyPath); err != nil {
		return fmt.Errorf("copy the database before migrating it: %w", err)
	}
	return nil
}
