package storetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"coder/internal/seal"
	"coder/store"
)

const (
	variable     = "CODER_TEST_POSTGRES"
	startTimeout = time.Minute
)

// locale sorts unlike bytes and lowers "I" to a letter outside of ASCII, so a
// query that leans on the database's collation differs from SQLite here.
const locale = "LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR' LC_COLLATE 'C' LC_CTYPE 'C'"

// Options of CREATE DATABASE.
const (
	template      = "coder_template"
	emptyTemplate = "template0 ENCODING 'UTF8' " + locale
	emptyDatabase = "TEMPLATE " + emptyTemplate
)

// instance is a running PostgreSQL; hold is the pipe that keeps it running.
type instance struct {
	url  *url.URL
	hold *os.File
}

// server is the PostgreSQL that all tests of this binary share, and migrated
// the name of a database to copy. Making them once needs package variables;
// nothing writes to them.
var (
	server   = sync.OnceValues(findServer)
	migrated = sync.OnceValues(migrateTemplate)
)

// required: a missing PostgreSQL is a failure.
func required() bool { return os.Getenv(variable) != "" }

// Installed tells whether PostgreSQL's programs are on this machine.
func Installed() bool {
	_, err := programs()
	return err == nil
}

// PostgresURL makes a database, migrated and without a row, that goes when
// the test ends. It fails the test where PostgreSQL is missing.
func PostgresURL(t testing.TB) string {
	t.Helper()
	template, err := migrated()
	require.NoError(t, err, "start PostgreSQL for the tests")
	return createDatabase(t, "TEMPLATE "+template)
}

// EmptyPostgresURL is PostgresURL without the migrations.
func EmptyPostgresURL(t testing.TB) string {
	t.Helper()
	return createDatabase(t, emptyDatabase)
}

func createDatabase(t testing.TB, like string) string {
	t.Helper()
	shared, err := server()
	require.NoError(t, err, "start PostgreSQL for the tests")
	name := "coder_test_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	require.NoError(t, run(shared.database("postgres"), "CREATE DATABASE "+name+" "+like))
	t.Cleanup(func() { require.NoError(t, run(shared.database("postgres"), "DROP DATABASE "+name+" WITH (FORCE)")) })
	return shared.database(name)
}

// database is the URL of one database of the server.
func (i *instance) database(name string) string {
	own := *i.url
	own.Path = "/" + name
	return own.String()
}

// migrateTemplate makes what PostgresURL copies: copying costs less than
// migrating. A server given by URL is left without leftovers.
func migrateTemplate() (name string, err error) {
	shared, err := server()
	if err != nil || shared.hold == nil {
		return emptyTemplate, err
	}
	if err := run(shared.database("postgres"), "CREATE DATABASE "+template+" "+emptyDatabase); err != nil {
		return "", err
	}
	s, err := store.Open(context.Background(), store.Options{PostgresURL: shared.database(template), DeploymentKeys: []seal.Key{Key()}})
	if err != nil {
		return "", err
	}
	// The deployment key of a test may be another one.
	return template, errors.Join(s.Close(), run(shared.database(template), "DELETE FROM settings"))
}

func run(url, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

func findServer() (*instance, error) {
	if given := os.Getenv(variable); strings.Contains(given, "://") {
		u, err := url.Parse(given)
		return &instance{url: u}, err
	}
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	return startServer(bin)
}

// programs finds the directory of initdb and postgres.
func programs() (string, error) {
	dirs := filepath.SplitList(os.Getenv("PATH"))
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	installed, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	slices.Reverse(installed)
	for _, dir := range append(dirs, installed...) {
		if isProgram(filepath.Join(dir, "initdb")) && isProgram(filepath.Join(dir, "postgres")) {
			return dir, nil
		}
	}
	return "", errors.New("PostgreSQL is not installed: neither PATH, pg_config nor /usr/lib/postgresql has initdb and postgres; install it (apt-get install postgresql) or set " + variable + " to the URL of a running server")
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// keeper runs PostgreSQL until its standard input closes, which it does when
// the test binary ends, however it ends; then it removes the directory.
const keeper = `set -e
dir=$1 bin=$2 port=$3
"$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C --no-sync
"$bin/postgres" -D "$dir/data" -p "$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories="$dir" \
	-c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200 -c shared_buffers=32MB &
pid=$!
read -r _ || true
kill -QUIT $pid
wait $pid || true
rm -rf "$dir"
`

func startServer(bin string) (*instance, error) {
	dir, err := os.MkdirTemp("", "coder-postgres-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for PostgreSQL: %w", err)
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, fmt.Errorf("make PostgreSQL's log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command("sh", "-c", keeper, "sh", dir, bin, port)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	if err := detach(cmd, dir); err != nil {
		return nil, err
	}
	hold, err := startTied(cmd)
	if err != nil {
		return nil, err
	}
	u := &url.URL{Scheme: "postgres", User: url.User("postgres"), Host: net.JoinHostPort("127.0.0.1", port), Path: "/postgres", RawQuery: "sslmode=disable"}
	if err := awaitServer(u); err != nil {
		text, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("start PostgreSQL in %s: %w\n%s", dir, err, text)
	}
	return &instance{url: u, hold: hold}, nil
}

// startTied starts the keeper with a pipe that only this process holds open.
func startTied(cmd *exec.Cmd) (hold *os.File, err error) {
	read, hold, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe to PostgreSQL's keeper: %w", err)
	}
	defer read.Close()
	cmd.Stdin = read
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start PostgreSQL's keeper: %w", err), hold.Close())
	}
	return hold, nil
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

func awaitServer(u *url.URL) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, u.String())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}
