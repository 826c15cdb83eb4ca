package store

import (
	"context"
	"database/sql"
	"errors"
	"strings"
)

// Raw is the writing pool, for tests that look at or spoil the tables.
func (s *Store) Raw() *sql.DB { return s.pools.writer }

// Prepared counts the statements that SQLite keeps.
func (s *Store) Prepared() (n int) {
	s.pools.statements.Range(func(any, any) bool { n++; return true })
	return n
}

// Waiting counts the transactions that wait for SQLite's writer.
func (s *Store) Waiting() int {
	s.pools.line.mu.Lock()
	defer s.pools.line.mu.Unlock()
	return len(s.pools.line.waiting)
}

// GiveUp makes SQLite drop the whole transaction, as a full disk can.
func (s *Store) GiveUp(ctx context.Context) error {
	_, err := s.db.ExecContext(ctx, "ROLLBACK")
	return err
}

// Meet ends the transaction as a collision with another one does.
func (s *Store) Meet(ctx context.Context) error {
	_, err := s.db.ExecContext(ctx, "DO $$ BEGIN RAISE SQLSTATE '40001'; END $$")
	return err
}

// Plans gives the plan of every query that use runs, by its text. The queries
// themselves do not run.
func (s *Store) Plans(use func(q *Queries)) map[string]string {
	e := &explainer{store: s, plans: map[string]string{}}
	use(New(e))
	return e.plans
}

// PlansFiltered is Plans of a filtered list.
func (s *Store) PlansFiltered(f Filter, use func(q *Queries)) map[string]string {
	e := &explainer{store: s, plans: map[string]string{}}
	use(New(filtered{DBTX: e, filter: f}))
	return e.plans
}

var errExplained = errors.New("explained only")

type explainer struct {
	DBTX
	store *Store
	plans map[string]string
}

func (e *explainer) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	e.explain(ctx, query, args)
	return nil, errExplained
}

func (e *explainer) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	e.explain(ctx, query, args)
	return e.store.db.QueryRowContext(ctx, "SELECT 1 WHERE 1 = 0")
}

func (e *explainer) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	e.explain(ctx, query, args)
	return nil, errExplained
}

func (e *explainer) explain(ctx context.Context, query string, args []any) {
	head := "EXPLAIN "
	if e.store.dialect == SQLite {
		head = "EXPLAIN QUERY PLAN "
	}
	text := strings.TrimSpace(query[strings.Index(query, "\n"):])
	rows, err := e.store.pools.writer.QueryContext(ctx, head+e.store.dialect.rewrite(text), args...)
	if err != nil {
		e.plans[query] = err.Error()
		return
	}
	defer rows.Close()
	var lines []string
	for rows.Next() {
		var line string
		into := []any{&line}
		if e.store.dialect == SQLite {
			into = []any{new(int), new(int), new(int), &line}
		}
		if err := rows.Scan(into...); err != nil {
			line = err.Error()
		}
		lines = append(lines, line)
	}
	e.plans[query] = strings.Join(lines, "\n")
}

// Underlying is where the store's own queries go, inside its transaction if it has
// one.
func (s *Store) Underlying() DBTX { return s.db }

// Pragma asks every connection of a pool.
func (s *Store) Pragma(ctx context.Context, pool, name string) (values []string) {
	db := s.pools.writer
	if pool == "reader" {
		db = s.pools.reader
	}
	for range db.Stats().MaxOpenConnections {
		conn, err := db.Conn(ctx) // held, so that the next one is another
		if err != nil {
			return append(values, err.Error())
		}
		defer conn.Close()
		var value string
		if err := conn.QueryRowContext(ctx, "PRAGMA "+name).Scan(&value); err != nil {
			value = err.Error()
		}
		values = append(values, value)
	}
	return values
}
