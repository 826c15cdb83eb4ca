package cli_test

import (
	"os/exec"
	"slices"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// limitServer is the command `limit [word] bytes|none`: from now on the newest
// server, or the command in the background that has the word among its
// arguments, can write no file beyond that size, as on a disk that is full.
// What it has started already is not limited.
func limitServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: limit [word] bytes|none")
	}
	limit := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if size := args[len(args)-1]; size != "none" {
		n, err := strconv.ParseUint(size, 10, 64)
		ts.Check(err)
		limit.Cur = n
	}
	process := 0
	if len(args) == 1 {
		process = newest(ts).cmd.Process.Pid
	} else {
		process = background(ts, args[0]).Process.Pid
	}
	ts.Check(unix.Prlimit(process, unix.RLIMIT_FSIZE, &limit, nil))
}

// freeze is the command `freeze word`: it stops the command in the background
// that has the word among its arguments, until the story thaws it.
func freeze(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: freeze word")
	}
	ts.Check(background(ts, args[0]).Process.Signal(unix.SIGSTOP))
}

// thaw is the command `thaw word`.
func thaw(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: thaw word")
	}
	ts.Check(background(ts, args[0]).Process.Signal(unix.SIGCONT))
}

// background is the newest command in the background with a word among its
// arguments.
func background(ts *testscript.TestScript, word string) *exec.Cmd {
	for _, cmd := range slices.Backward(ts.BackgroundCmds()) {
		if slices.Contains(cmd.Args, word) {
			return cmd
		}
	}
	ts.Fatalf("no command in the background has the argument %q", word)
	return nil
}
