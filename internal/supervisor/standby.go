//go:build linux || darwin

package supervisor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"coder/internal/supervisor/child"
)

// Standby keeps one supervisor started that waits for an attempt: starting
// one takes longer than all else that comes before the engine.
// Several daemons of a process may share one.
type Standby struct {
	binary string

	mu      sync.Mutex
	waiting *idle
	closed  bool
}

// idle is a supervisor without an attempt. It ends with its input.
type idle struct {
	process *os.Process
	input   *os.File
}

// NewStandby starts nothing yet; binary is this program's own, see OwnImage.
func NewStandby(binary string) *Standby { return &Standby{binary: binary} }

// Prepare starts a supervisor unless one waits already.
func (s *Standby) Prepare() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting != nil || s.closed {
		return nil
	}
	var err error
	s.waiting, err = startIdle(s.binary)
	return err
}

// Close ends the supervisor that waits, if one does. Launch goes on working.
func (s *Standby) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.waiting == nil {
		return nil
	}
	waiting := s.waiting
	s.waiting = nil
	return waiting.end()
}

// Launch gives an attempt's folder, which must be absolute, to the supervisor
// that waits, or to a new one, before it is known what to run. The caller
// calls Begin or Abandon.
func (s *Standby) Launch(folder string) (*Pending, error) {
	if err := syscall.Mkfifo(filepath.Join(folder, child.ControlFile), 0o600); err != nil && !errors.Is(err, syscall.EEXIST) {
		return nil, fmt.Errorf("start the supervisor: make the control pipe: %w", err)
	}
	lock, err := TryLock(folder)
	if err != nil {
		return nil, fmt.Errorf("start the supervisor: %w", err)
	}
	if lock == nil {
		return nil, errors.New("start the supervisor: an engine of this attempt lives already")
	}
	defer lock.Close()
	log, err := os.OpenFile(filepath.Join(folder, child.LogFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start the supervisor: %w", err)
	}
	defer log.Close()
	supervisor, err := s.assign(lock, log)
	if err != nil {
		return nil, fmt.Errorf("start the supervisor: %w", err)
	}
	return &Pending{folder: folder, idle: supervisor}, nil
}

// assign hands an attempt's files to the supervisor that waits; one that died
// while it waited is replaced.
func (s *Standby) assign(lock, log *os.File) (*idle, error) {
	s.mu.Lock()
	waiting := s.waiting
	s.waiting = nil
	s.mu.Unlock()
	if waiting != nil {
		if waiting.receive(lock, log) == nil {
			return waiting, nil
		}
		_ = waiting.end() // how it ended is of no use to anybody
	}
	started, err := startIdle(s.binary)
	if err != nil {
		return nil, err
	}
	if err := started.receive(lock, log); err != nil {
		return nil, errors.Join(err, started.end())
	}
	return started, nil
}

func startIdle(binary string) (*idle, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	nowhere, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	defer nowhere.Close()
	process, err := os.StartProcess(binary, []string{"coder", child.Command}, &os.ProcAttr{
		Dir: "/", Env: []string{}, Files: []*os.File{theirs, nowhere, nowhere}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	return &idle{process: process, input: ours}, nil
}

func socketPair() (ours, theirs *os.File, err error) {
	// Between the two calls no other process may be started, which would
	// keep the sockets open.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	syscall.CloseOnExec(pair[0])
	syscall.CloseOnExec(pair[1])
	return os.NewFile(uintptr(pair[0]), "supervisor"), os.NewFile(uintptr(pair[1]), "supervisor"), nil
}

// receive sends the files with a byte, which is what carries them. From here
// on the supervisor holds the lock.
func (i *idle) receive(lock, log *os.File) error {
	return syscall.Sendmsg(int(i.input.Fd()), []byte{0}, syscall.UnixRights(int(lock.Fd()), int(log.Fd())), nil, 0)
}

// end closes the input, which ends a supervisor that has no run, and reaps it.
func (i *idle) end() error {
	err := i.input.Close()
	_, waited := i.process.Wait()
	return errors.Join(err, waited)
}
