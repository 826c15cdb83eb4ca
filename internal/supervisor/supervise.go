//go:build linux || darwin

package supervisor

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// Running the supervisor from here is what makes it start in a few
// milliseconds; see the package comment.
var _ = superviseIfAsked()

func superviseIfAsked() struct{} {
	if len(os.Args) == 3 && os.Args[1] == Command {
		os.Exit(supervise(os.Args[2]))
	}
	return struct{}{}
}

// state of one supervisor. One goroutine owns it; others send to it.
type state struct {
	folder string
	run    Run
	exit   Exit
	words  chan string
	lock   *os.File

	engine      *os.Process
	interrupted bool
	killed      bool
	proceed     bool
}

// supervise is the whole life of a supervisor; the result is its exit status.
func supervise(folder string) int {
	syscall.CloseOnExec(lockFD)
	lock := os.NewFile(lockFD, lockName)
	defer lock.Close()
	becomeSubreaper()
	// Whoever stops the daemon's whole group means the daemon: the engine's
	// one gentle signal comes from here or from nowhere.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	s := &state{folder: folder, lock: lock, words: make(chan string, 16), exit: Exit{Steps: []StepExit{}}}
	if err := s.open(); err != nil {
		fmt.Fprintln(os.Stderr, "supervise engine:", err)
		return 1
	}
	for _, step := range s.run.Steps {
		if !s.pass(step) || s.runStep(step).Failed() {
			break
		}
	}
	s.exit.Finished = true
	if err := s.record(); err != nil {
		fmt.Fprintln(os.Stderr, "supervise engine: record the end:", err)
		return 1
	}
	return 0
}

func (s *state) open() error {
	content, err := os.ReadFile(filepath.Join(s.folder, runFile))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, &s.run); err != nil {
		return err
	}
	// Open for both, so that it neither waits for a writer nor ever ends.
	pipe, err := os.OpenFile(filepath.Join(s.folder, controlFile), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	go func() {
		scanner := bufio.NewScanner(pipe)
		for scanner.Scan() {
			s.words <- scanner.Text()
		}
	}()
	return nil
}

// pass waits at a step's gate, and tells whether the step may start.
func (s *state) pass(step Step) bool {
	ticker := time.NewTicker(s.tick())
	defer ticker.Stop()
	for step.Gate && !s.proceed && !s.interrupted && !s.killed {
		select {
		case word := <-s.words:
			s.obey(word)
		case <-ticker.C:
			s.checkLease()
		}
	}
	for len(s.words) > 0 {
		s.obey(<-s.words)
	}
	return !s.interrupted && !s.killed
}

func (s *state) runStep(step Step) StepExit {
	result := StepExit{Name: step.Name, StartedAt: time.Now().UTC(), Code: -1}
	ended, err := s.start(step)
	if err != nil {
		result.Error = err.Error()
	} else {
		status := s.attend(ended)
		result.Code = status.ExitStatus()
		if status.Signaled() {
			result.Signal = status.Signal().String()
		}
		s.clear()
	}
	result.EndedAt = time.Now().UTC()
	result.Interrupted, result.Killed = s.interrupted, s.killed
	s.exit.Steps = append(s.exit.Steps, result)
	if err := s.record(); err != nil {
		fmt.Fprintln(os.Stderr, "supervise engine: record the end of", step.Name+":", err)
	}
	return result
}

// start runs the engine in a process group of its own, with the lock at the
// same number as here.
func (s *state) start(step Step) (<-chan syscall.WaitStatus, error) {
	files := make([]*os.File, lockFD+1)
	files[lockFD] = s.lock
	var err error
	if files[0], err = os.Open(os.DevNull); err != nil {
		return nil, err
	}
	defer files[0].Close()
	for fd, name := range map[int]string{1: step.Stdout, 2: step.Stderr} {
		if files[fd], err = os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
			return nil, err
		}
		defer files[fd].Close()
	}
	process, err := os.StartProcess(step.Argv[0], step.Argv, &os.ProcAttr{
		Dir: step.Dir, Env: step.Env, Files: files, Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return nil, err
	}
	s.engine = process
	ended := make(chan syscall.WaitStatus, 1)
	go func() { ended <- waitFor(process.Pid) }()
	return ended, nil
}

// attend obeys and watches the lease until the engine has ended.
func (s *state) attend(ended <-chan syscall.WaitStatus) syscall.WaitStatus {
	defer func() { s.engine = nil }()
	ticker := time.NewTicker(s.tick())
	defer ticker.Stop()
	for {
		select {
		case status := <-ended:
			return status
		case word := <-s.words:
			s.obey(word)
		case <-ticker.C:
			s.checkLease()
		}
	}
}

func (s *state) obey(word string) {
	switch word {
	case "interrupt":
		s.interrupt()
	case "kill":
		s.kill()
	case "proceed":
		s.proceed = true
	}
}

// interrupt signals the engine's own process once: a second signal would cut
// off what it is creating.
func (s *state) interrupt() {
	if s.interrupted || s.killed {
		return
	}
	s.interrupted = true
	if s.engine != nil {
		_ = s.engine.Signal(syscall.SIGINT)
	}
}

func (s *state) kill() {
	s.killed = true
	if s.engine != nil {
		_ = syscall.Kill(-s.engine.Pid, syscall.SIGKILL)
	}
	killChildren()
}

// checkLease ends an engine whose daemon hears nothing from the server. After
// a suspend more than one deadline may be over: the latest one counts.
func (s *state) checkLease() {
	sent, err := readLease(s.folder)
	if err != nil {
		return
	}
	silent := Clock() - sent
	over := func(limit time.Duration) bool { return limit > 0 && silent >= limit }
	switch {
	case over(s.run.KillAfter):
		if s.killed {
			return
		}
		s.exit.Reason = fmt.Sprintf("nothing was heard from the server for %s", silent.Round(time.Second))
		if over(s.run.Horizon) {
			s.exit.Reason = ReasonFence
		}
		s.kill()
	case over(s.run.InterruptAfter) && !s.interrupted:
		s.exit.Reason = fmt.Sprintf("nothing was heard from the server for %s", silent.Round(time.Second))
		s.interrupt()
	}
}

// tick is short against every deadline, and no longer than a second, because
// the timer does not run while the host sleeps.
func (s *state) tick() time.Duration {
	tick := time.Second
	for _, limit := range []time.Duration{s.run.InterruptAfter, s.run.KillAfter} {
		if limit > 0 {
			tick = min(tick, limit/8)
		}
	}
	return max(tick, 5*time.Millisecond)
}

// clear waits for what the engine left behind, and kills it when it was
// killed itself or when they linger: the lock must not outlive the step.
func (s *state) clear() {
	deadline := Clock() + s.run.Linger
	for wait := time.Millisecond; reapChildren(); wait = min(2*wait, 50*time.Millisecond) {
		if s.killed || Clock() >= deadline {
			s.exit.Stragglers = max(s.exit.Stragglers, killChildren())
		}
		select {
		case word := <-s.words:
			s.obey(word)
		case <-time.After(wait):
		}
	}
}

func (s *state) record() error {
	content, err := json.Marshal(s.exit)
	if err != nil {
		return err
	}
	return replace(filepath.Join(s.folder, exitFile), content, true)
}

// waitFor reaps one child, whatever else the process has for children.
func waitFor(pid int) syscall.WaitStatus {
	var status syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(pid, &status, 0, nil); err != syscall.EINTR {
			return status
		}
	}
}

// reapChildren tells whether any child is left.
func reapChildren() bool {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		switch {
		case err == syscall.EINTR || pid > 0:
		case err != nil:
			return false
		default:
			return true
		}
	}
}
