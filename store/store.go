// Package store keeps everything that the server must not forget, in SQLite
// by default and in PostgreSQL for several replicas, with one set of queries.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // registers the SQLite driver

	"coder/internal/seal"
)

// connectTimeout bounds a connection attempt where the URL says nothing.
const connectTimeout = 10 * time.Second

// Options say which database to open.
type Options struct {
	// Dir is the data directory of SQLite; unused with PostgresURL.
	Dir string
	// Reserve is a file of room that opening SQLite may need: it is removed
	// once the data directory is this process's. Empty is none.
	Reserve string
	// PostgresURL is a connection URL; empty for SQLite.
	PostgresURL string
	// MaxOpen bounds PostgreSQL's connections; 0 is 10.
	MaxOpen int
	// DeploymentKeys wrap every organization's sealing key. The database says
	// which of them does so now; a new one takes the first.
	DeploymentKeys []seal.Key
	Logger         *slog.Logger
}

// Store is the open database. All methods of Queries run outside of a
// transaction; use InTx for several that belong together.
type Store struct {
	*Queries
	db      DBTX
	texts   *texts
	pools   *pools
	dialect Dialect
	keys    *keyring
	lock    *os.File
	tx      bool
	// changed collects, in a transaction, what is noted once it is committed.
	changed *[]changedJob
}

// Open opens or creates the database and migrates it. On SQLite it takes the
// data directory for this process alone and copies the database before a
// migration. Its errors say what to do: ErrLocked, ErrNewerDatabase,
// ErrDeploymentKey, or that of the directory or the server.
func Open(ctx context.Context, o Options) (*Store, error) {
	if len(o.DeploymentKeys) == 0 || slices.Contains(o.DeploymentKeys, seal.Key{}) {
		return nil, fmt.Errorf("%w: none was given; make one with: openssl rand -hex 32", ErrDeploymentKey)
	}
	s, err := connect(ctx, o)
	if err != nil {
		return nil, err
	}
	s.Queries = New(s.db)
	s.keys = newKeyring(o.DeploymentKeys)
	if err := s.openDeploymentKey(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.openAuditKey(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.openFileKey(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.openHistoryKey(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func connect(ctx context.Context, o Options) (*Store, error) {
	if o.PostgresURL != "" {
		return connectPostgres(ctx, o)
	}
	return connectSQLite(ctx, o)
}

func connectPostgres(ctx context.Context, o Options) (*Store, error) {
	config, err := pgx.ParseConfig(o.PostgresURL)
	if err != nil {
		return nil, errors.New("read the PostgreSQL URL: it must look like postgres://user:password@host:5432/database?sslmode=disable")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	db := stdlib.OpenDB(*config)
	if o.MaxOpen == 0 {
		o.MaxOpen = 10
	}
	db.SetMaxOpenConns(o.MaxOpen)
	db.SetMaxIdleConns(o.MaxOpen)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("reach PostgreSQL at %s: %w; check the URL, the password and that the server runs", config.Host, err), db.Close())
	}
	if err := migrate(ctx, db, PostgreSQL, migrations, nil); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	t := &texts{dialect: PostgreSQL}
	return &Store{db: portable{db, t}, texts: t, pools: &pools{writer: db, reader: db}, dialect: PostgreSQL}, nil
}

func connectSQLite(ctx context.Context, o Options) (*Store, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w; choose another with --data-dir", err)
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	if o.Reserve != "" {
		_ = os.Remove(o.Reserve) // there may be none
	}
	p, err := openPools(ctx, filepath.Join(o.Dir, "coder.db"))
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	t := &texts{dialect: SQLite}
	return &Store{db: portable{p, t}, texts: t, pools: p, dialect: SQLite, lock: lock}, nil
}

func openPools(ctx context.Context, path string) (*pools, error) {
	if err := createPrivate(path); err != nil {
		return nil, err
	}
	writer, err := openSQLite(path, "rw", 1)
	if err != nil {
		return nil, err
	}
	err = migrate(ctx, writer, SQLite, migrations, func(version int64) error { return copyBefore(ctx, writer, path, version) })
	if IsFull(err) {
		err = fmt.Errorf("%w; the disk is full or cannot be written: make room on it and start again, nothing is lost", err)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), writer.Close())
	}
	reader, err := openSQLite(path, "ro", max(2, runtime.NumCPU()))
	if err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	return &pools{writer: writer, reader: reader}, nil
}

// createPrivate makes an empty database that only its owner may read; what
// SQLite puts beside it takes over the permissions.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("make the database: %w; make the file writable or choose another directory with --data-dir", err)
	}
	return f.Close()
}

// openSQLite opens one pool. Writes are synced, because promises rest on them;
// what is overwritten is gone from its page, keys of deleted organizations above
// all; transactions lock at once, because one that reads first and writes later
// would otherwise fail under load.
func openSQLite(path, mode string, conns int) (*sql.DB, error) {
	q := url.Values{}
	for _, pragma := range []string{"journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(ON)", "busy_timeout(10000)", "cache_size(-4000)", "temp_store(MEMORY)", "journal_size_limit(16777216)", "secure_delete(FAST)"} {
		q.Add("_pragma", pragma)
	}
	if mode == "ro" {
		q.Add("_pragma", "query_only(ON)")
	}
	q.Set("_txlock", "immediate")
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+q.Encode())
	if err != nil {
		return nil, fmt.Errorf("open SQLite: %w", err)
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// Dialect tells which database this is.
func (s *Store) Dialect() Dialect { return s.dialect }

// ParallelReads is how many queries the database answers at a time; those
// beyond wait for one another, in no order.
func (s *Store) ParallelReads() int64 { return int64(s.pools.reader.Stats().MaxOpenConnections) }

// PostgresConn gives fn a raw connection for LISTEN, for as long as fn runs.
// Only PostgreSQL has one.
func (s *Store) PostgresConn(ctx context.Context, fn func(*pgx.Conn) error) error {
	conn, err := s.pools.writer.Conn(ctx)
	if err != nil {
		return fmt.Errorf("take a connection: %w", err)
	}
	defer conn.Close()
	return conn.Raw(func(raw any) error { return fn(raw.(*stdlib.Conn).Conn()) })
}

// Notify publishes on a PostgreSQL channel, inside the transaction if there is one.
func (s *Store) Notify(ctx context.Context, channel, payload string) error {
	_, err := s.db.ExecContext(ctx, "SELECT pg_notify($1, $2)", channel, payload)
	return err
}

// Ping asks the database whether it answers.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.GetSetting(ctx, settingDeploymentID)
	if IsNotFound(err) {
		return nil
	}
	return err
}

// Close releases the database and the data directory. The writer goes last,
// so that it folds SQLite's log into the database.
func (s *Store) Close() error {
	err := errors.Join(s.pools.reader.Close(), s.pools.writer.Close())
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}

// DeploymentID names this deployment for ever; it is made on first use.
func (s *Store) DeploymentID(ctx context.Context) (string, error) {
	id, err := s.GetSetting(ctx, settingDeploymentID)
	if IsNotFound(err) {
		return s.PutSettingOnce(ctx, PutSettingOnceParams{Name: settingDeploymentID, Value: uuid.NewString()})
	}
	return id, err
}
