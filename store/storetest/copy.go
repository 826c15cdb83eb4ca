package storetest

import (
	"bytes"
	"context"
	"database/sql"
	"net/url"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"coder/store"
)

// Copy is a backup of a database that is in use: what Open opens with the
// result knows nothing that came later. It goes when the test ends.
func Copy(t testing.TB, o store.Options) store.Options {
	t.Helper()
	if o.PostgresURL == "" {
		from := filepath.Join(o.Dir, "coder.db")
		o.Dir = t.TempDir()
		db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: from}).EscapedPath())
		require.NoError(t, err)
		defer db.Close()
		_, err = db.ExecContext(t.Context(), "VACUUM INTO '"+filepath.Join(o.Dir, "coder.db")+"'")
		require.NoError(t, err)
		return o
	}
	to := PostgresURL(t)
	require.NoError(t, copyRows(t.Context(), o.PostgresURL, to))
	o.PostgresURL = to
	return o
}

// copyRows copies all rows of a database into one with the same tables, as of
// one moment.
func copyRows(ctx context.Context, from, to string) error {
	source, err := pgx.Connect(ctx, from)
	if err != nil {
		return err
	}
	defer source.Close(context.WithoutCancel(ctx))
	target, err := pgx.Connect(ctx, to)
	if err != nil {
		return err
	}
	defer target.Close(context.WithoutCancel(ctx))
	if _, err := source.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ"); err != nil {
		return err
	}
	if _, err := target.Exec(ctx, "SET session_replication_role = replica"); err != nil {
		return err // neither triggers nor references meanwhile
	}
	rows, err := source.Query(ctx, "SELECT quote_ident(table_name) FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND table_name <> 'goose_db_version'")
	if err != nil {
		return err
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, table := range tables {
		var content bytes.Buffer
		if _, err := source.PgConn().CopyTo(ctx, &content, "COPY "+table+" TO STDOUT"); err != nil {
			return err
		}
		if _, err := target.Exec(ctx, "DELETE FROM "+table); err != nil {
			return err
		}
		if _, err := target.PgConn().CopyFrom(ctx, &content, "COPY "+table+" FROM STDIN"); err != nil {
			return err
		}
	}
	return nil
}
