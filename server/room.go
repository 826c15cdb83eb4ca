package server

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"coder/client"
	"coder/internal/supervisor"
	"coder/store"
)

const (
	// reserveSize is what the server holds of its disk for what must not be lost.
	reserveSize = 16 << 20
	// roomInterval is how often a server whose disk was full looks for room.
	roomInterval = 2 * time.Second
	// settingRoom is written to see whether the database takes writes.
	settingRoom = "room"
)

// room is the space that the server holds free on the disk of its database,
// and whether it is short of it: then states and the ends of jobs have what was
// held, and everything else waits.
type room struct {
	// path of the reserve; empty where the database is not on a disk of ours.
	path   string
	logger *slog.Logger

	mu     sync.Mutex
	since  time.Time // the disk is full since then; zero when it is not
	looked time.Time
	// told are the jobs whose logs say that lines are dropped.
	told map[uuid.UUID]bool
}

func newRoom(path string, logger *slog.Logger) *room {
	return &room{path: path, logger: logger, told: map[uuid.UUID]bool{}}
}

// shortSince is zero while there is room.
func (r *room) shortSince() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.since
}

func (r *room) isShort() bool { return !r.shortSince().IsZero() }

// pressed notes that a write has failed for want of room, and gives the
// reserve back, once.
func (r *room) pressed(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.since.IsZero() {
		return
	}
	r.since, r.looked = time.Now(), time.Now()
	clear(r.told)
	r.logger.Error("the server's disk is full: only states and the ends of jobs are taken, lines of logs are dropped, and no job is handed out; make room", "error", err)
	if r.path != "" {
		_ = os.Remove(r.path) // it is gone, or there is nothing to give
	}
}

// first tells, once, that a job's log does not say yet that lines are dropped.
func (r *room) first(job uuid.UUID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := !r.told[job]
	r.told[job] = true
	return first
}

// hold makes the reserve, for the first time or again.
func (r *room) hold(ctx context.Context, db *store.Store) error {
	if r.path != "" {
		if err := supervisor.Reserve(r.path, reserveSize); err != nil {
			return err
		}
	}
	return db.PutSetting(ctx, store.PutSettingParams{Name: settingRoom, Value: time.Now().UTC().Format(time.RFC3339)})
}

// lookForRoom ends the shortage when the reserve can be held again. It looks
// no more than once in a moment.
func (a *api) lookForRoom(ctx context.Context) {
	r := a.room
	r.mu.Lock()
	if r.since.IsZero() || time.Since(r.looked) < roomInterval/4 {
		r.mu.Unlock()
		return
	}
	r.looked = time.Now()
	r.mu.Unlock()
	if err := r.hold(ctx, a.store); err != nil {
		if r.path != "" {
			_ = os.Remove(r.path) // half of it is of no use
		}
		return
	}
	r.mu.Lock()
	r.logger.Info("the server's disk has room again", "short_for", time.Since(r.since).Round(time.Second))
	r.since = time.Time{}
	r.mu.Unlock()
}

// watchRoom is the loop that looks for room while there is none.
func (a *api) watchRoom(ctx context.Context) error {
	return every(ctx, roomInterval, func(ctx context.Context) error {
		a.lookForRoom(ctx)
		return nil
	})
}

// mustWrite does what must not be lost: where the disk is full, with the room
// that was held for it.
func (a *api) mustWrite(write func() error) error {
	err := write()
	if store.IsFull(err) {
		a.room.pressed(err)
		err = write()
	}
	return err
}

// mustTx is a transaction that must not be lost.
func (a *api) mustTx(ctx context.Context, fn func(tx *store.Store) error) error {
	return a.mustWrite(func() error { return a.store.InTx(ctx, fn) })
}

// errNoRoom refuses what would take the room that is left.
func errNoRoom() *client.Error {
	return refuse(http.StatusInsufficientStorage, "The server's disk is full or cannot be written; nothing was changed.", "Make room on the server and try again.")
}

// admitWrite refuses what writes while the disk is full, except what daemons
// hand in, operations that are marked evenFull, and all that DELETE deletes.
func (a *api) admitWrite(ctx context.Context, op *huma.Operation, p permission) error {
	if !a.room.isShort() || p.scope == scopeAttempt || p.scope == scopeDaemon {
		return nil
	}
	switch op.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
	default:
		return nil
	}
	if op.Metadata[takenWhenFull] != nil {
		return nil
	}
	if a.lookForRoom(ctx); a.room.isShort() {
		return errNoRoom()
	}
	return nil
}

// admitJobs refuses to begin anything while the disk is full: a job would have
// nowhere to put its state.
func (a *api) admitJobs() error {
	if a.room.isShort() {
		return refuse(http.StatusInsufficientStorage, "The server's disk is full: no job is handed out, and no engine starts.", "Make room on the server; provisioners ask again by themselves.")
	}
	return nil
}

// shedLogs leaves the lines out, and keeps what they say of the engine's work.
// The log says so, once.
func (a *api) shedLogs(attempt store.Attempt, req client.AppendLogsRequest) client.AppendLogsRequest {
	req.Entries = nil
	if a.room.first(attempt.JobID) {
		req.Entries, req.Overflowed = []client.JobLogEntry{{
			Offset: attempt.LogOffset, CreatedAt: a.now(), Source: "provisioner_daemon", Level: "warn", Stage: stageDropped,
			Output: "Lines of this log are dropped from here on, because the server's disk is full. The build goes on.",
		}}, true
	}
	return req
}

// stageDropped is the stage of the line about lines that are dropped.
const stageDropped = "Waiting for room on the server"
