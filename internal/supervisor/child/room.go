//go:build linux || darwin

package child

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// How much room a run holds, so that a disk that becomes full loses neither
// lines nor states: behind the end of a step's output, and in a reserve file.
const (
	lineRoom  = 2 << 20
	stateRoom = 4 << 20
	// dumpRoom is for what an engine says around a state that it prints.
	dumpRoom = 1 << 20
	// probe is how much more the disk must take for not to count as full.
	probe = 256 << 10
	// roomTick is how often that is looked at.
	roomTick = 500 * time.Millisecond
)

// LineRoom is what the lines of a step get whose state has a size: an engine
// that cannot write its state prints it.
func LineRoom(state int64) int64 { return max(lineRoom, 2*state+dumpRoom) }

// StateRoom is the size of the reserve for a state.
func StateRoom(state int64) int64 { return max(stateRoom, 2*state) }

// IsFull tells whether a write failed for want of room; a quota or a limit of
// the process counts too.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG)
}

// Reserve makes a file that really takes that much of the disk, and tells by
// its error when that leaves no room for anything else.
func Reserve(path string, size int64) error { return reserve(path, size, os.O_CREATE) }

// reserve makes or changes the file; without O_CREATE it must be there.
func reserve(path string, size int64, create int) error {
	file, err := os.OpenFile(path, create|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	err = allocate(file, 0, size+probe, false)
	if unsupported(err) {
		err = fill(file, size)
	}
	if err == nil {
		err = file.Truncate(size)
	}
	return errors.Join(err, file.Close())
}

// unsupported: some file systems give no room ahead.
func unsupported(err error) bool {
	return errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EINVAL)
}

// fill writes what allocate would have given, where that is not there yet.
func fill(file *os.File, size int64) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	zeros := make([]byte, 64<<10)
	for at := info.Size(); at < size; at += int64(len(zeros)) {
		if _, err := file.WriteAt(zeros, at); err != nil {
			return err
		}
	}
	return nil
}

// keepRoom makes sure of the room of a step that must lose nothing, which
// grows with its output and its state.
func (s *state) keepRoom(step Step, create int) error {
	if step.State == "" || s.full {
		return nil
	}
	size := sizeOf(step.State)
	if err := reserve(s.folder+"/"+ReserveFile, StateRoom(size), create); err != nil {
		return err
	}
	written, room := sizeOf(step.Stdout), LineRoom(size)
	if s.roomUpTo >= written+room/2 {
		return nil
	}
	file, err := os.OpenFile(step.Stdout, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = allocate(file, written, room, true)
	if unsupported(err) {
		err = nil // the reserve must do
	}
	if err == nil {
		s.roomUpTo = written + room
	}
	return errors.Join(err, file.Close())
}

func sizeOf(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// watchRoom interrupts the engine when the disk is full: what it has begun
// comes to its end in the room that is held.
func (s *state) watchRoom(step Step) {
	err := s.keepRoom(step, 0)
	// The daemon takes the reserve away when it has met a full disk; with all
	// else there, it is that.
	_, gone := os.Stat(s.folder + "/" + LeaseFile)
	if IsFull(err) || errors.Is(err, os.ErrNotExist) && gone == nil {
		s.runFull()
	}
}

// runFull gives the reserve back and interrupts the engine, once.
func (s *state) runFull() {
	if s.full {
		return
	}
	s.full = true
	_ = os.Remove(s.folder + "/" + ReserveFile)
	if s.exit.reason == "" && !s.interrupted && !s.killed {
		s.exit.reason = ReasonFull
	}
	s.interrupt()
}

// giveRoomBack leaves of a step's files what they hold.
func (s *state) giveRoomBack(step Step) {
	if step.State != "" && s.roomUpTo > 0 {
		_ = os.Truncate(step.Stdout, sizeOf(step.Stdout))
		s.roomUpTo = 0
	}
}
