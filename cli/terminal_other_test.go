//go:build !linux

package cli_test

import "github.com/rogpeppe/go-internal/testscript"

// linuxCommands are limit, freeze, thaw, terminal, sees, types and ends, for which stories
// begin with [!linux] skip.
func linuxCommands() map[string]func(*testscript.TestScript, bool, []string) { return nil }

func linuxValues(*testscript.Env) {}
