//go:build linux || darwin

// Package supervisor runs the engine of one attempt in a small process of its
// own, which outlives the daemon. It alone signals the engine, records how it
// ended, and holds the attempt's lock until nothing of the attempt lives. The
// process itself is package child.
package supervisor

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"coder/internal/supervisor/child"
)

// Supported says whether this system can run engines under a supervisor.
const Supported = true

// Process is a supervisor that this process started, or found running.
type Process struct {
	folder string
	own    *os.Process
	// lock is the attempt's lock, open but not held: it tells what lives also
	// when the folder is gone. nil when it could not be opened.
	lock *os.File
}

// Pending is a supervisor that waits to be told what to run. It holds the
// attempt's lock already. It ends when this process does.
type Pending struct {
	folder string
	idle   *idle
}

// Begin gives the supervisor its run. The lease counts from leaseSent, see
// Lease. From here on the folder has a RunFile.
func (p *Pending) Begin(run Run, leaseSent time.Duration) (*Process, error) {
	run.Folder = p.folder
	err := Lease(p.folder, leaseSent)
	if err == nil {
		err = child.Replace(filepath.Join(p.folder, child.RunFile), nil, false)
	}
	if err == nil {
		_, err = p.idle.input.Write(run.Encode())
	}
	if err = errors.Join(err, p.idle.input.Close()); err != nil {
		return nil, fmt.Errorf("tell the supervisor what to run: %w", err)
	}
	process := Find(p.folder)
	process.own = p.idle.process
	return process, nil
}

// Abandon ends a supervisor that is not needed.
func (p *Pending) Abandon() error { return p.idle.end() }

// Start launches and begins in one.
func Start(binary, folder string, run Run, leaseSent time.Duration) (*Process, error) {
	pending, err := NewStandby(binary).Launch(folder)
	if err != nil {
		return nil, err
	}
	return pending.Begin(run, leaseSent)
}

// Find returns the supervisor of a folder whose lock is held.
func Find(folder string) *Process {
	lock, err := os.OpenFile(filepath.Join(folder, child.LockFile), os.O_RDWR, 0)
	if err != nil {
		lock = nil // Wait meets the same error
	}
	return &Process{folder: folder, lock: lock}
}

// Wait returns when nothing of the attempt lives any more, or when stop is
// closed; the result is false then. A process that this one started is
// reaped at once; any other is asked for every poll. An error says that
// nobody can tell. It is called once.
func (p *Process) Wait(stop <-chan struct{}, poll time.Duration) (bool, error) {
	if p.lock != nil {
		defer p.lock.Close()
	}
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
		free, err := p.free()
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

// free tells whether nothing of the attempt lives.
func (p *Process) free() (bool, error) {
	if p.lock == nil {
		return Free(p.folder)
	}
	held, err := flock(p.lock)
	if err != nil || !held {
		return false, err
	}
	return true, syscall.Flock(int(p.lock.Fd()), syscall.LOCK_UN)
}

// Interrupt asks for the one gentle signal; further asks do nothing.
func (p *Process) Interrupt() error { return p.tell(child.WordInterrupt) }

// Kill ends the engine and all that it started, at once. Where the supervisor
// is dead, or its folder is gone, whoever still holds the attempt's lock is killed.
func (p *Process) Kill() error {
	err := p.tell(child.WordKill)
	if errors.Is(err, syscall.ENXIO) || errors.Is(err, os.ErrNotExist) {
		return killHolders(filepath.Join(p.folder, child.LockFile))
	}
	return err
}

// Alive tells whether the supervisor is there to listen.
func (p *Process) Alive() bool {
	pipe, err := os.OpenFile(filepath.Join(p.folder, child.ControlFile), os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	return pipe.Close() == nil
}

// EngineLives tells whether an engine of the attempt may live, as opposed to
// what one has left behind: providers, and programs that they started.
func (p *Process) EngineLives() (bool, error) {
	return engineHolds(filepath.Join(p.folder, child.LockFile))
}

// Full tells that the disk with the attempt's folder takes no more: the
// reserve is given back, and the engine is interrupted as by Interrupt.
func (p *Process) Full() error { return p.tell(child.WordFull) }

// Proceed opens the gate before the next step.
func (p *Process) Proceed() error { return p.tell(child.WordProceed) }

func (p *Process) tell(word string) error {
	pipe, err := os.OpenFile(filepath.Join(p.folder, child.ControlFile), os.O_WRONLY|syscall.O_NONBLOCK, 0)
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

// Clock reads the clock that leases are counted on: it starts with the host
// and runs while it sleeps.
func Clock() time.Duration { return child.Clock() }

// Lease tells the supervisor when the last acknowledged renewal was sent, as
// a reading of Clock.
func Lease(folder string, sent time.Duration) error {
	content, path := strconv.FormatInt(int64(sent), 10), filepath.Join(folder, child.LeaseFile)
	err := child.Replace(path, []byte(content), false)
	if child.IsFull(err) {
		err = overwrite(path, content)
	}
	if err != nil {
		return fmt.Errorf("record the lease: %w", err)
	}
	return nil
}

// LeaseSent is what Lease has recorded last; 0 when it has recorded nothing.
func LeaseSent(folder string) (time.Duration, error) {
	sent, err := child.ReadLease(folder)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the lease: %w", err)
	}
	return sent, nil
}

// overwrite changes a file in place, which takes no room; it must not become
// longer.
func overwrite(path, content string) error {
	file, err := os.OpenFile(path, os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && info.Size() != int64(len(content)) {
		err = fmt.Errorf("%s has another length: %w", path, syscall.ENOSPC)
	}
	if err == nil {
		_, err = file.WriteAt([]byte(content), 0)
	}
	return errors.Join(err, file.Close())
}

// TryLock takes the lock of an attempt's folder: nil when something of the
// attempt lives. Closing the file gives the lock back.
func TryLock(folder string) (*os.File, error) {
	return FileLock(filepath.Join(folder, child.LockFile))
}

// FileLock takes the exclusive lock of a file, which it makes: nil when
// another holds it.
func FileLock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	held, err := flock(file)
	if held {
		return file, nil
	}
	return nil, errors.Join(err, file.Close())
}

// flock takes a file's exclusive lock, unless another holds it.
func flock(file *os.File) (held bool, err error) {
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	return true, nil
}

// Free tells whether nothing of the attempt lives.
func Free(folder string) (bool, error) {
	lock, err := TryLock(folder)
	if err != nil || lock == nil {
		return false, err
	}
	return true, lock.Close()
}

// Reserve makes a file that really takes that much of the disk; its error
// tells when that leaves no room for anything else.
func Reserve(path string, size int64) error { return child.Reserve(path, size) }

// Room is what a run holds whose state has a size: for its output, and for
// its states.
func Room(state int64) int64 { return child.LineRoom(state) + child.StateRoom(state) }

// IsFull tells whether a write failed for want of room; a quota or a limit of
// the process counts too.
func IsFull(err error) bool { return child.IsFull(err) }
