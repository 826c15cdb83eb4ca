package chaos

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"coder/internal/supervisor/child"
)

// running is a process of an attempt.
type running struct {
	pid  int
	args []string
	dir  string
}

func (r running) attempt() string { return attemptOf(r.dir + "/") }

func (r running) isSupervisor() bool { return len(r.args) == 2 && r.args[1] == child.Command }

// isEngine: the engine itself, not the providers that it has started.
func (r running) isEngine() bool {
	switch filepath.Base(r.args[0]) {
	case "terraform", "tofu":
		return true
	}
	return false
}

// isProvider: the process that makes the objects, which the engine has started.
func (r running) isProvider() bool { return len(r.args) == 3 && r.args[2] == objectsCommand }

// role is one that a fault may ask for.
type role func(running) bool

func anybody(running) bool { return true }

// send signals every process of a role below a directory, and says how many
// there were.
func send(dir string, is role, s syscall.Signal) (int, error) {
	found, err := runningBelow(dir)
	n := 0
	for _, r := range found {
		if is(r) {
			err = errors.Join(err, r.signal(s))
			n++
		}
	}
	return n, err
}

// killAll kills what runs below a directory until nothing does.
func killAll(ctx context.Context, dir string) error {
	return poll(ctx, time.Minute, "the processes in "+dir+" to end", func() (bool, error) {
		n, err := send(dir, anybody, killed)
		return n == 0, err
	})
}

// service is a process of the binary that is started again after a fault.
type service struct {
	name   string
	binary string
	args   []string
	env    []string
	log    string

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
	// expected: its end was asked for.
	expected bool
}

// start runs it; its words go to its log and, until it is ready, to ready.
func (s *service) start(ready func(line string) bool) error {
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("start the %s: %w", s.name, err)
	}
	defer log.Close()
	cmd := exec.Command(s.binary, s.args...) //nolint:noctx // it is ended by kill
	cmd.Env, cmd.Stderr, cmd.Dir = s.env, log, filepath.Dir(s.log)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start the %s: %w", s.name, err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the %s: %w", s.name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cmd, s.done, s.expected = cmd, make(chan struct{}), false
	saidReady := ready == nil || readUntil(out, ready)
	go func(done chan struct{}) {
		defer close(done)
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait() // how it ended is in its log
	}(s.done)
	if !saidReady {
		return fmt.Errorf("start the %s: it ended; see %s", s.name, s.log)
	}
	return nil
}

func readUntil(out io.Reader, ready func(string) bool) bool {
	for scanner := bufio.NewScanner(out); scanner.Scan(); {
		if ready(scanner.Text()) {
			return true
		}
	}
	return false
}

func (s *service) signal(to syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cmd == nil {
		return nil
	}
	if err := s.cmd.Process.Signal(to); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %s to the %s: %w", to, s.name, err)
	}
	return nil
}

// kill ends it at once and waits for that.
func (s *service) kill() error {
	s.mu.Lock()
	s.expected = true
	done := s.done
	s.mu.Unlock()
	if done == nil {
		return nil
	}
	if err := s.signal(killed); err != nil {
		return err
	}
	<-done
	return nil
}

// fell tells whether it has ended although nobody asked it to.
func (s *service) fell() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.done:
		return !s.expected
	default:
		return false
	}
}

// environment is this process's without what would steer the binary.
func environment(more ...string) []string {
	kept := []string{}
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "CODER_") {
			kept = append(kept, e)
		}
	}
	return append(kept, more...)
}

// poll asks every 50 ms until the answer is yes or patience is over.
func poll(ctx context.Context, patience time.Duration, what string, ask func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		yes, err := ask()
		if err != nil || yes {
			return err
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return &slowError{what: what, after: patience}
			}
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

// slowError says what did not come to be in time.
type slowError struct {
	what  string
	after time.Duration
}

func (e *slowError) Error() string { return fmt.Sprintf("waited %s for %s", e.after, e.what) }
