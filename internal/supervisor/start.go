//go:build linux || darwin

package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Supported says whether this system can run engines under a supervisor.
const Supported = true

// lockFD is where the supervisor and every process of the engine hold the
// attempt's lock. It is high, so that nothing puts a file of its own there.
const lockFD = 19

// Process is a supervisor that this process started, or found running.
type Process struct {
	folder string
	own    *os.Process
}

// Start begins a run in an attempt's folder, which must be absolute. The
// lease counts from leaseSent, see Lease. It returns as soon as the
// supervisor process exists; the attempt's lock is held from before that.
func Start(binary, folder string, run Run, leaseSent time.Duration) (*Process, error) {
	content, err := json.Marshal(run)
	if err != nil {
		return nil, fmt.Errorf("start the supervisor: %w", err)
	}
	if err := replace(filepath.Join(folder, runFile), content, false); err != nil {
		return nil, fmt.Errorf("start the supervisor: %w", err)
	}
	if err := Lease(folder, leaseSent); err != nil {
		return nil, fmt.Errorf("start the supervisor: %w", err)
	}
	if err := syscall.Mkfifo(filepath.Join(folder, controlFile), 0o600); err != nil && !errors.Is(err, syscall.EEXIST) {
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
	process, err := launch(binary, folder, lock)
	if err != nil {
		return nil, fmt.Errorf("start the supervisor: %w", err)
	}
	return &Process{folder: folder, own: process}, nil
}

// launch puts the lock at lockFD of the new process and nothing in between.
func launch(binary, folder string, lock *os.File) (*os.Process, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	log, err := os.OpenFile(filepath.Join(folder, logFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	files := make([]*os.File, lockFD+1)
	files[0], files[1], files[2], files[lockFD] = null, log, log, lock
	return os.StartProcess(binary, []string{"coder", Command, folder}, &os.ProcAttr{
		Dir: folder, Env: []string{}, Files: files, Sys: &syscall.SysProcAttr{Setsid: true},
	})
}

// Find returns the supervisor of a folder whose lock is held.
func Find(folder string) *Process { return &Process{folder: folder} }

// Wait returns when nothing of the attempt lives any more, or when stop is
// closed; the result is false then. A process that this one started is
// reaped at once; any other is asked for every poll.
func (p *Process) Wait(stop <-chan struct{}, poll time.Duration) (bool, error) {
	ended := make(chan struct{})
	if p.own != nil {
		go func() {
			defer close(ended)
			_, _ = p.own.Wait()
		}()
	}
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		free, err := Free(p.folder)
		if err != nil || free {
			return free, err
		}
		select {
		case <-stop:
			return false, nil
		case <-ticker.C:
		case <-ended:
			ended = nil
		}
	}
}

// Interrupt asks for the one gentle signal; further asks do nothing.
func (p *Process) Interrupt() error { return p.tell("interrupt") }

// Kill ends the engine and all that it started, at once.
func (p *Process) Kill() error { return p.tell("kill") }

// Proceed opens the gate before the next step.
func (p *Process) Proceed() error { return p.tell("proceed") }

func (p *Process) tell(word string) error {
	pipe, err := os.OpenFile(filepath.Join(p.folder, controlFile), os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err == nil {
		_, err = pipe.WriteString(word + "\n")
		err = errors.Join(err, pipe.Close())
	}
	if err != nil {
		return fmt.Errorf("tell the supervisor to %s: %w", word, err)
	}
	return nil
}

// Exit returns what is recorded so far; nil when nothing is.
func (p *Process) Exit() (*Exit, error) { return ReadExit(p.folder) }

// ReadExit returns what the supervisor of a folder recorded; nil when it
// recorded nothing.
func ReadExit(folder string) (*Exit, error) {
	exit, err := readExit(folder)
	if err != nil {
		return nil, fmt.Errorf("read the supervisor's record: %w", err)
	}
	return exit, nil
}

// Lease tells the supervisor when the last acknowledged renewal was sent, as
// a reading of Clock.
func Lease(folder string, sent time.Duration) error {
	content := strconv.FormatInt(int64(sent), 10)
	if err := replace(filepath.Join(folder, leaseFile), []byte(content), false); err != nil {
		return fmt.Errorf("record the lease: %w", err)
	}
	return nil
}

func readLease(folder string) (time.Duration, error) {
	content, err := os.ReadFile(filepath.Join(folder, leaseFile))
	if err != nil {
		return 0, err
	}
	nanoseconds, err := strconv.ParseInt(strings.TrimSpace(string(content)), 10, 64)
	return time.Duration(nanoseconds), err
}

// TryLock takes the lock of an attempt's folder: nil when something of the
// attempt lives. Closing the file gives the lock back.
func TryLock(folder string) (*os.File, error) {
	return FileLock(filepath.Join(folder, lockName))
}

// FileLock takes the exclusive lock of a file, which it makes: nil when
// another holds it.
func FileLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return file, nil
	}
	file.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, fmt.Errorf("lock %s: %w", path, err)
}

// Free tells whether nothing of the attempt lives.
func Free(folder string) (bool, error) {
	lock, err := TryLock(folder)
	if err != nil || lock == nil {
		return false, err
	}
	return true, lock.Close()
}
