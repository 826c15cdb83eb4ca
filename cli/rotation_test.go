package cli_test

import (
	"bytes"
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// manyRotations is how many keys a server has moved to before it is killed
// among them.
const manyRotations = 5

// cutRotation is the command `cut-rotation before|after|many dir`: it kills the
// newest server, whose data is in the directory, while it moves to a new
// deployment key: before the database has moved, when it just has, or
// somewhere among many rotations.
func cutRotation(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: cut-rotation before|after|many dir")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	db, err := sql.Open("sqlite", filepath.Join(ts.MkAbs(args[1]), "coder.db")+"?_pragma=busy_timeout(30000)")
	ts.Check(err)
	defer db.Close() //nolint:errcheck // it was read
	lines := func() int {
		keys, err := os.ReadFile(filepath.Join(ts.MkAbs(args[1]), "deployment.key"))
		ts.Check(err)
		return bytes.Count(bytes.TrimSpace(keys), []byte("\n"))
	}
	sealed := func() (check string) {
		ts.Check(db.QueryRowContext(ctx, "SELECT hex(value) FROM settings WHERE name = 'deployment_key_check'").Scan(&check))
		return check
	}
	had, opened := lines(), sealed()
	due := map[string]func() bool{
		"before": func() bool { return lines() > had },
		"after":  func() bool { return sealed() != opened },
		"many":   func() bool { return lines() > had+manyRotations },
	}[args[0]]
	if args[0] == "before" {
		// Nobody writes while this holds on, so the server gets no further than its file.
		conn, err := db.Conn(ctx)
		ts.Check(err)
		defer conn.Close() //nolint:errcheck // it was rolled back
		_, err = conn.ExecContext(ctx, "BEGIN IMMEDIATE")
		ts.Check(err)
		defer conn.ExecContext(ctx, "ROLLBACK") //nolint:errcheck // so it is with the connection too
	}
	rotating := make(chan error, 1)
	go func() {
		for {
			if err := command(ts, "server", "rotate-key", "--yes").Run(); err != nil {
				rotating <- err
				return
			}
		}
	}()
	for !due() {
		select {
		case err := <-rotating:
			ts.Fatalf("the rotation failed before it was cut: %v", err)
		case <-ctx.Done():
			ts.Fatalf("the rotation never came so far")
		case <-time.After(time.Millisecond):
		}
	}
	_ = newest(ts).end(syscall.SIGKILL) // by its signal, of course
	<-rotating
	coverageOf(ts).add([]string{"server", "rotate-key"})
}
