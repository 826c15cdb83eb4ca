package store

import (
	"context"
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"
)

// Raw is the writing pool, for tests that look at or spoil the tables.
func (s *Store) Raw() *sql.DB { return s.pools.writer }

// Prepared counts the statements that SQLite keeps.
func (s *Store) Prepared() (n int) {
	s.pools.statements.Range(func(any, any) bool { n++; return true })
	return n
}

// Meet ends the transaction as a collision with another one does.
func (s *Store) Meet(ctx context.Context) error {
	_, err := s.db.ExecContext(ctx, "DO $$ BEGIN RAISE SQLSTATE '40001'; END $$")
	return err
}

// Explain gives the plan of a query, with the time it took on PostgreSQL.
func (s *Store) Explain(t testing.TB, query string, args ...any) (plan []string) {
	t.Helper()
	explain := "EXPLAIN QUERY PLAN "
	if s.dialect == PostgreSQL {
		explain = "EXPLAIN (ANALYZE) "
	}
	rows, err := s.pools.writer.QueryContext(t.Context(), explain+s.dialect.rewrite(query), args...)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var line string
		into := []any{&line}
		if s.dialect == SQLite {
			into = []any{new(int), new(int), new(int), &line}
		}
		require.NoError(t, rows.Scan(into...))
		plan = append(plan, line)
	}
	require.NoError(t, rows.Err())
	return plan
}

// Underlying is where the store's own queries go, inside its transaction if it has
// one.
func (s *Store) Underlying() DBTX { return s.db }
