package cli_test

import (
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// limitServer is the command `limit bytes|none`: from now on the newest
// server can write no file beyond that size, as on a disk that is full. What
// it has started already is not limited.
func limitServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: limit bytes|none")
	}
	limit := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if args[0] != "none" {
		n, err := strconv.ParseUint(args[0], 10, 64)
		ts.Check(err)
		limit.Cur = n
	}
	ts.Check(unix.Prlimit(newest(ts).cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil))
}
