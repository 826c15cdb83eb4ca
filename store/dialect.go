package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
)

// Dialect names the database behind a Store.
type Dialect string

// The two databases that every query runs on.
const (
	SQLite     Dialect = "sqlite"
	PostgreSQL Dialect = "postgres"
)

// rewrite is the whole difference between the two in the text of a query:
// SQLite's json_each does what our json_list does on PostgreSQL.
func (d Dialect) rewrite(query string) string {
	if d == PostgreSQL {
		return query
	}
	return strings.ReplaceAll(query, "json_list(", "json_each(")
}

// isRead tells a SELECT from everything that changes rows, RETURNING included.
func isRead(query string) bool {
	for line := range strings.Lines(query) {
		if !strings.HasPrefix(line, "--") && strings.TrimSpace(line) != "" {
			return strings.HasPrefix(line, "SELECT")
		}
	}
	return false
}

// pools sends reads to the readers and everything else to the writer, each as
// a statement that is prepared once. On PostgreSQL both are the same pool.
type pools struct {
	dialect    Dialect
	writer     *sql.DB
	reader     *sql.DB
	statements sync.Map // query text → *prepared
}

type prepared struct {
	once sync.Once
	stmt *sql.Stmt
	err  error
}

func (p *pools) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	entry, _ := p.statements.LoadOrStore(query, &prepared{})
	e := entry.(*prepared)
	e.once.Do(func() {
		db := p.writer
		if isRead(query) {
			db = p.reader
		}
		e.stmt, e.err = db.PrepareContext(context.WithoutCancel(ctx), p.dialect.rewrite(query))
	})
	if e.err != nil {
		p.statements.Delete(query)
		return nil, fmt.Errorf("prepare query: %w", e.err)
	}
	return e.stmt, nil
}

func (p *pools) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	stmt, err := p.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(ctx, args...)
}

func (p *pools) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	return p.prepare(ctx, query)
}

func (p *pools) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := p.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

// QueryRowContext cannot return an error, so a query that does not prepare is
// run unprepared and its row brings the error.
func (p *pools) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	stmt, err := p.prepare(ctx, query)
	if err != nil {
		return p.writer.QueryRowContext(ctx, p.dialect.rewrite(query), args...)
	}
	return stmt.QueryRowContext(ctx, args...)
}

// transaction runs the pools' prepared statements inside one sql.Tx.
type transaction struct {
	pools *pools
	tx    *sql.Tx
}

func (t *transaction) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return t.tx.ExecContext(ctx, t.pools.dialect.rewrite(query), args...)
}

func (t *transaction) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	return t.tx.PrepareContext(ctx, t.pools.dialect.rewrite(query))
}

func (t *transaction) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.tx.QueryContext(ctx, t.pools.dialect.rewrite(query), args...)
}

func (t *transaction) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return t.tx.QueryRowContext(ctx, t.pools.dialect.rewrite(query), args...)
}

// filtered adds conditions and an order to a query that marks the places with
// /* filter */ and /* order */. Parameters of the conditions follow the
// query's own.
type filtered struct {
	DBTX
	filter Filter
}

func (f filtered) text(query string, args []any) (string, []any) {
	where, extra := f.filter.sql(len(args))
	query = strings.Replace(query, "/* filter */", where, 1)
	if f.filter.order != "" {
		query = strings.Replace(query, "/* order */", f.filter.order+",", 1)
	}
	if f.filter.limit > 0 {
		query += fmt.Sprintf("LIMIT %d OFFSET %d", f.filter.limit, f.filter.offset)
	} else if f.filter.offset > 0 {
		query += fmt.Sprintf("LIMIT %d OFFSET %d", maxRows, f.filter.offset)
	}
	return query, append(args, extra...)
}

func (f filtered) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	query, args = f.text(query, args)
	return f.DBTX.QueryContext(ctx, query, args...)
}

func (f filtered) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	query, args = f.text(query, args)
	return f.DBTX.QueryRowContext(ctx, query, args...)
}
