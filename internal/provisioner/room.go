package provisioner

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"coder/client"
	"coder/internal/supervisor"
)

// errNoRoom: the disk of the spool takes no more.
var errNoRoom = errors.New(supervisor.ReasonFull)

// errGone: the folder of an attempt can be read no more.
var errGone = errors.New(supervisor.ReasonGone)

// slot is the room that a daemon holds in the spool for its next job. It is
// handed to that job's folder, and made again before another one is asked for.
type slot struct {
	path string
	lock *os.File
}

// newSlot takes the first that no other daemon of the host has; what a killed
// one has left is used again.
func (s *spool) newSlot() (*slot, error) {
	for number := 0; ; number++ {
		path := filepath.Join(s.dir, fmt.Sprintf("%s.%d", supervisor.ReserveFile, number))
		lock, err := supervisor.FileLock(path + ".lock")
		if err != nil {
			return nil, fmt.Errorf("hold room in the spool: %w", err)
		}
		if lock != nil {
			return &slot{path: path, lock: lock}, nil
		}
	}
}

func (s *slot) close() error {
	return errors.Join(os.RemoveAll(s.path), s.lock.Close())
}

// holdRoom makes sure that a job which the daemon takes has room for what it
// must not lose. The result says what is wrong when there is none, to whoever
// waits for a job: where the spool is only the host's own log tells.
func (d *Daemon) holdRoom() (trouble string) {
	if d.spool.gone() {
		return "its spool is gone, or was replaced: bring it back, or start the provisioner again, which makes a new one"
	}
	err := error(nil)
	if d.slot == nil {
		d.slot, err = d.spool.newSlot()
	}
	if err == nil {
		err = supervisor.Reserve(d.slot.path, d.room)
	}
	if err == nil {
		return ""
	}
	return fmt.Sprintf("its spool has no room for the %d MiB that a job must be able to write (%s)", d.room>>20, causeOf(err))
}

// causeOf is an error without the path, which changes nothing.
func causeOf(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}

func (d *Daemon) releaseRoom() error {
	if d.slot == nil {
		return nil
	}
	defer func() { d.slot = nil }()
	return d.slot.close()
}

// reserve gives the attempt the room that the daemon has held, and more where
// the job's state is large. A job that is too large for the spool goes back,
// and none is asked for before there is room for such a one.
func (d *Daemon) reserve(f *folder, job client.AcquiredJob) error {
	if job.Type != client.JobWorkspaceBuild {
		return nil
	}
	if d.slot != nil {
		if err := os.Rename(d.slot.path, f.path(supervisor.ReserveFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("reserve room for the job: %w", err)
		}
	}
	room := supervisor.Room(int64(len(job.State)))
	if err := supervisor.Reserve(f.path(supervisor.ReserveFile), room); err != nil {
		d.room = max(d.room, room)
		return fmt.Errorf("reserve %d MiB for a job with a state of %d bytes: %w", room>>20, len(job.State), err)
	}
	return nil
}

// short gives the attempt's reserve back when a write fails for want of room,
// and has the engine interrupted. It tells whether to write again.
func (a *attempt) short(err error) bool {
	if !isDiskFull(err) || os.Remove(a.folder.path(supervisor.ReserveFile)) != nil {
		return false
	}
	a.logger.Error("the spool's disk is full: the reserve is given back, and the engine is interrupted", "error", a.daemon.explained(err))
	a.end(errNoRoom)
	return true
}

// dumpMark is in the line of an engine that could write its state nowhere.
const dumpMark = "Emergency state dump"

// dumpedState is the last state that an engine has printed because it could
// not write it; nil when there is none.
func dumpedState(path string) []byte {
	file, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer file.Close()
	var found []byte
	reader := bufio.NewReaderSize(file, 64<<10)
	for {
		line, err := reader.ReadBytes('\n')
		if bytes.Contains(line[:min(len(line), 4096)], []byte(dumpMark)) {
			event := struct {
				Message string          `json:"@message"`
				State   json.RawMessage `json:"state"`
			}{}
			if json.Unmarshal(line, &event) == nil && event.Message == dumpMark && len(event.State) > 0 {
				found = event.State
			}
		}
		if err != nil {
			return found
		}
	}
}
