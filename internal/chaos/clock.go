package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"time"
	"unsafe"
)

// clockVariable names the file that says by how many seconds the wall clock of
// a process is wrong. Only this package sets it, for the processes it starts.
const clockVariable = "CODER_CHAOS_CLOCK"

// How far a clock jumps, forwards or backwards.
const (
	shortestJump = time.Minute
	longestJump  = 6 * time.Hour
)

// WallClock is the clock of a process whose environment names a file with an
// offset in seconds: as after a jump of the system's clock, the wall time is
// another one, and the monotonic reading beside it goes on. nil where no file
// is named.
func WallClock(getenv func(string) string) (func() time.Time, error) {
	path := getenv(clockVariable)
	if path == "" {
		return nil, nil
	}
	now := func() time.Time {
		content, err := os.ReadFile(path)
		if err != nil {
			return time.Now()
		}
		seconds, err := strconv.ParseInt(string(content), 10, 64)
		if err != nil {
			return time.Now() // it is being written
		}
		return shift(time.Now(), seconds)
	}
	// The layout of a time is no promise of Go's.
	at := time.Now()
	if moved := shift(at, 3600); moved.Sub(at) != 0 || moved.Round(0).Sub(at.Round(0)) != time.Hour {
		return nil, errors.New(clockVariable + " is of no use with this release of Go: times are laid out another way")
	}
	return now, nil
}

// shift changes the wall reading of a time alone. The first word of a time
// that has both readings holds its seconds above 30 bits of nanoseconds.
func shift(at time.Time, seconds int64) time.Time {
	word := (*uint64)(unsafe.Pointer(&at))
	*word += uint64(seconds) << 30
	return at
}

func setClock(path string, jump time.Duration) error {
	temporary := path + ".new"
	err := os.WriteFile(temporary, []byte(strconv.FormatInt(int64(jump/time.Second), 10)), 0o600)
	if err = errors.Join(err, os.Rename(temporary, path)); err != nil {
		return fmt.Errorf("set a clock: %w", err)
	}
	return nil
}

func (d *deployment) clock() string { return filepath.Join(d.dir, "server.clock") }

func (h *host) clock() string { return filepath.Join(filepath.Dir(h.spool), "clock") }

func jumpServer(_ context.Context, l *lane) error     { return setClock(l.deployment.clock(), l.jump) }
func jumpServerBack(_ context.Context, l *lane) error { return setClock(l.deployment.clock(), 0) }
func jumpDaemon(_ context.Context, l *lane) error     { return setClock(l.host.clock(), l.jump) }
func jumpDaemonBack(_ context.Context, l *lane) error { return setClock(l.host.clock(), 0) }

// jumpOf draws a jump: its logarithm is evenly spread, half go backwards.
func jumpOf(r *rand.Rand) time.Duration {
	jump := shortestJump
	for factor := float64(longestJump / shortestJump); factor > 1 && r.Float64() < 0.8; factor /= 2 {
		jump *= 2
	}
	jump = min(jump+time.Duration(r.Int64N(int64(jump))), longestJump).Truncate(time.Second)
	if r.IntN(2) == 0 {
		return -jump
	}
	return jump
}
