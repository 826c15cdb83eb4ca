package store

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// Dialect names the database behind a Store.
type Dialect string

// The two databases that every query runs on.
const (
	SQLite     Dialect = "sqlite"
	PostgreSQL Dialect = "postgres"
)

// loweredParameter is lower() of a parameter. SQLite's lower() knows ASCII
// only; PostgreSQL's follows the database's locale unless told otherwise, and
// a Turkish one would no longer find "WIN" by "win". Columns are COLLATE "C".
var loweredParameter = regexp.MustCompile(`\blower\((\$\d+)\)`)

// limited is a bound of a page that is a parameter. SQLite plans a query anew
// whenever such a parameter is bound, as its value might make another plan
// better; behind a sum it does not look at it.
var limited = regexp.MustCompile(`\b(LIMIT|OFFSET) (\$\d+)`)

// rewrite is the whole difference between the two in the text of a query:
// SQLite's json_each does what our json_list does on PostgreSQL.
func (d Dialect) rewrite(query string) string {
	if d == PostgreSQL {
		return loweredParameter.ReplaceAllString(query, `lower($1 COLLATE "C")`)
	}
	return strings.ReplaceAll(limited.ReplaceAllString(query, "$1 0 + $2"), "json_list(", "json_each(")
}

// maxKnown bounds what is kept by a query's text: filters make many texts.
const maxKnown = 1000

// texts keeps every query as its database wants it.
type texts struct {
	dialect Dialect
	known   sync.Map // query → rewritten query
	count   atomic.Int64
}

func (t *texts) of(query string) string {
	if known, ok := t.known.Load(query); ok {
		return known.(string)
	}
	text := t.dialect.rewrite(query)
	if t.count.Add(1) <= maxKnown {
		t.known.Store(query, text)
	}
	return text
}

// portable makes two databases take the same queries and arguments.
type portable struct {
	DBTX
	texts *texts
}

func (p portable) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return p.DBTX.ExecContext(ctx, p.texts.of(query), portableArgs(args)...)
}

func (p portable) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	return p.DBTX.PrepareContext(ctx, p.texts.of(query))
}

func (p portable) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return p.DBTX.QueryContext(ctx, p.texts.of(query), portableArgs(args)...)
}

func (p portable) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return p.DBTX.QueryRowContext(ctx, p.texts.of(query), portableArgs(args)...)
}

// portableArgs replaces what PostgreSQL refuses in a text, NUL and bytes that
// are no UTF-8, by the replacement character. Terraform's output has both.
func portableArgs(args []any) []any {
	for i, arg := range args {
		if text, ok := arg.(string); ok && (strings.IndexByte(text, 0) >= 0 || !utf8.ValidString(text)) {
			args[i] = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
		}
	}
	return args
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

// pools of SQLite: reads go to the readers and everything else to the writer,
// each as a statement that is prepared once.
type pools struct {
	writer     *sql.DB
	reader     *sql.DB
	line       line // of transactions, for the writer
	pending    pendingJobs
	statements sync.Map // statementKey → *sql.Stmt
	count      atomic.Int64
}

type statementKey struct {
	pool  *sql.DB
	query string
}

// prepare gives nil when so many are kept that this one is to run unprepared.
func (p *pools) prepare(ctx context.Context, pool *sql.DB, query string) (*sql.Stmt, error) {
	key := statementKey{pool, query}
	if known, ok := p.statements.Load(key); ok {
		return known.(*sql.Stmt), nil
	}
	if p.count.Load() >= maxKnown {
		return nil, nil
	}
	stmt, err := pool.PrepareContext(ctx, query)
	if err != nil {
		return nil, fmt.Errorf("prepare query: %w", err)
	}
	if known, lost := p.statements.LoadOrStore(key, stmt); lost {
		return known.(*sql.Stmt), stmt.Close()
	}
	p.count.Add(1)
	return stmt, nil
}

func (p *pools) pool(query string) *sql.DB {
	if isRead(query) {
		return p.reader
	}
	return p.writer
}

func (p *pools) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	pool := p.pool(query)
	stmt, err := p.prepare(ctx, pool, query)
	if err != nil {
		return nil, err
	}
	if stmt == nil {
		return pool.ExecContext(ctx, query, args...)
	}
	return stmt.ExecContext(ctx, args...)
}

func (p *pools) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	return p.pool(query).PrepareContext(ctx, query)
}

func (p *pools) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	pool := p.pool(query)
	stmt, err := p.prepare(ctx, pool, query)
	if err != nil {
		return nil, err
	}
	if stmt == nil {
		return pool.QueryContext(ctx, query, args...)
	}
	return stmt.QueryContext(ctx, args...)
}

// QueryRowContext cannot return an error, so a query that does not prepare is
// run unprepared and its row brings the error. A read comes to its end although
// nobody waits any more: to watch for that takes as long as most rows do.
func (p *pools) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	pool := p.pool(query)
	if pool != p.writer { // for which one may wait long
		ctx = whole(ctx)
	}
	stmt, err := p.prepare(ctx, pool, query)
	if err != nil || stmt == nil {
		return pool.QueryRowContext(ctx, query, args...)
	}
	return stmt.QueryRowContext(ctx, args...)
}

// transaction runs the writer's prepared statements inside one sql.Tx of
// SQLite. A new query is prepared for the pool when the transaction is over,
// because until then it holds the only connection.
type transaction struct {
	pools *pools
	tx    *sql.Tx
	fresh []string
	err   error
}

// whole makes a statement that has begun come to its end: SQLite gives up the
// whole transaction when one that writes is interrupted, and others share it.
func whole(ctx context.Context) context.Context {
	if ctx.Err() != nil {
		return ctx
	}
	return context.WithoutCancel(ctx)
}

func (t *transaction) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	if known, ok := t.pools.statements.Load(statementKey{t.pools.writer, query}); ok {
		return t.tx.StmtContext(ctx, known.(*sql.Stmt)), nil
	}
	t.fresh = append(t.fresh, query)
	return t.tx.PrepareContext(ctx, query)
}

func (t *transaction) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	ctx = whole(ctx)
	stmt, err := t.PrepareContext(ctx, query)
	if err != nil {
		return nil, t.note(err)
	}
	result, err := stmt.ExecContext(ctx, args...)
	return result, t.note(err)
}

func (t *transaction) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	ctx = whole(ctx)
	stmt, err := t.PrepareContext(ctx, query)
	if err != nil {
		return nil, t.note(err)
	}
	rows, err := stmt.QueryContext(ctx, args...)
	return rows, t.note(err)
}

func (t *transaction) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	ctx = whole(ctx)
	stmt, err := t.PrepareContext(ctx, query)
	if err != nil {
		return t.tx.QueryRowContext(ctx, query, args...)
	}
	row := stmt.QueryRowContext(ctx, args...)
	_ = t.note(row.Err())
	return row
}

// note remembers the first error. After one, PostgreSQL runs nothing more in
// a transaction and does not commit it; see group.call for the same on SQLite.
func (t *transaction) note(err error) error {
	if t.err == nil {
		t.err = err
	}
	return err
}

// prepareFresh makes the next transaction find what this one met first. It
// only saves time, so it takes none: while others hold the writer it gives
// up, and an error is left to whoever runs the query next.
func (t *transaction) prepareFresh(ctx context.Context) {
	if len(t.fresh) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Millisecond)
	defer cancel()
	for _, query := range t.fresh {
		if _, err := t.pools.prepare(ctx, t.pools.writer, query); err != nil {
			return
		}
	}
}

// filterMark is the place in a query for conditions.
const filterMark = "/* filter */"

// filtered adds conditions to a query that marks the place for them. Their
// parameters follow the query's own.
type filtered struct {
	DBTX
	filter Filter
}

func (f filtered) text(query string, args []any) (string, []any) {
	if !strings.Contains(query, filterMark) {
		panic("store: this query has no place for a filter: " + query)
	}
	where, extra := f.filter.sql(len(args))
	return strings.Replace(query, filterMark, where, 1), append(slices.Clip(args), extra...)
}

func (f filtered) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	query, args = f.text(query, args)
	return f.DBTX.QueryContext(ctx, query, args...)
}

func (f filtered) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	query, args = f.text(query, args)
	return f.DBTX.QueryRowContext(ctx, query, args...)
}
