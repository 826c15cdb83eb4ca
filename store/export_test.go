package store

import (
	"context"
	"database/sql"
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
