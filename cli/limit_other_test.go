//go:build !linux

package cli_test

import "github.com/rogpeppe/go-internal/testscript"

// limitServer needs a system that limits what runs already.
func limitServer(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Fatalf("limit works on Linux only: begin the story with [!linux] skip")
}
