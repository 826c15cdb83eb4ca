package server

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/fairness"
	"coder/store"
)

// queueKept is how long what was read of an organization's queue serves other
// requests, so it is what replicas learn late of each other.
const queueKept = 250 * time.Millisecond

// queue is an organization's pending jobs in the order in which they will be
// handed out, with its daemons and what these do now. All that is said about
// why a job waits comes from it: provisioner_verdict.go. It is never changed,
// because several requests read one.
type queue struct {
	fleet
	jobs      []*store.PendingJob
	work      []store.ListAttemptsUnderWayRow
	online    func(last, stopped store.Time) bool
	hasPassed func(store.Time) bool
	// full tells whether the disk of this server is, now.
	full func() bool
	// recovery is what builds wait for after a restore; nil outside of one.
	recovery *client.Recovery
}

// fleet is what jobs do not change in a queue.
type fleet struct {
	organization string
	daemons      []store.ListProvisionerDaemonsRow
	// strangers are engines that the database does not know and that may live.
	strangers []store.ListRunningReportsRow
}

// queues are what this replica knows of the organizations' queues. Whoever
// changes a job or a daemon says so once that is committed.
type queues struct {
	store *store.Store

	mu    sync.Mutex
	lines map[uuid.UUID]*line
	// handed are the jobs that are being handed out, until the channel is closed.
	handed map[uuid.UUID]chan struct{}
}

// line is what is known of one organization's queue.
type line struct {
	queue kept[*queue]
	fleet kept[fleet]
	turns [turns]chan struct{} // each holds one while somebody has the turn
}

// What is done one at a time in an organization: turn.
const (
	turnHandOut = iota
	turnNewWorkspace
	turns
)

// kept is something that was read. It counts changes, so that what was read
// while it changed serves nobody else.
type kept[V any] struct {
	value   V
	until   time.Time
	changes int
}

func (k *kept[V]) isYoung() bool { return time.Now().Before(k.until) }

func (k *kept[V]) forget() { k.until, k.changes = time.Time{}, k.changes+1 }

func newQueues(s *store.Store) *queues {
	return &queues{store: s, lines: map[uuid.UUID]*line{}, handed: map[uuid.UUID]chan struct{}{}}
}

// jobChanged: a job has come, gone, or is another one now.
func (q *queues) jobChanged(organizationID uuid.UUID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.line(organizationID).queue.forget()
}

// fleetChanged: a daemon has come, gone or is another one now, or builds began
// or ceased to wait for the end of a recovery.
func (q *queues) fleetChanged(organizationID uuid.UUID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.line(organizationID)
	l.queue.forget()
	l.fleet.forget()
}

// handingOut enters a job that is about to be handed out, until over is called.
// Where another daemon is at it, it gives what is closed once that one is done:
// daemons that ask at once must not all try for the same job.
func (q *queues) handingOut(job uuid.UUID) (over func(), other <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if other, ok := q.handed[job]; ok {
		return nil, other
	}
	done := make(chan struct{})
	q.handed[job] = done
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		delete(q.handed, job)
		close(done)
	}, nil
}

// turnWait is how long anybody waits for a turn. Most take milliseconds.
const turnWait = 2 * time.Second

// turn waits until nobody else does the same in the organization on this
// replica, and lets the next one begin when it is over. On PostgreSQL those who
// do it at once undo each other: each reads what the others write.
func (q *queues) turn(ctx context.Context, organizationID uuid.UUID, what int) (over func(), err error) {
	if q.store.Dialect() == store.SQLite { // where one writes at a time, and those who wait share a commit
		return func() {}, nil
	}
	q.mu.Lock()
	turn := q.line(organizationID).turns[what]
	q.mu.Unlock()
	late := time.NewTimer(turnWait)
	defer late.Stop()
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-late.C: // it is no lock, and the connection of whose turn it is may hang
		return func() {}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// line is called under the lock.
func (q *queues) line(organizationID uuid.UUID) *line {
	l := q.lines[organizationID]
	if l == nil {
		l = &line{}
		for i := range l.turns {
			l.turns[i] = make(chan struct{}, 1)
		}
		q.lines[organizationID] = l
	}
	return l
}

// once is one part of a line as it is kept, or as it is read.
func once[V any](q *queues, organizationID uuid.UUID, part func(*line) *kept[V], read func() (V, error)) (V, error) {
	q.mu.Lock()
	k := part(q.line(organizationID))
	value, changes, young := k.value, k.changes, k.isYoung()
	q.mu.Unlock()
	if young {
		return value, nil
	}
	value, err := read()
	if err != nil {
		return value, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if k.changes == changes {
		k.value, k.until = value, time.Now().Add(queueKept)
	}
	return value, nil
}

// rankedJobs are the pending jobs in the order in which they are handed out.
func (q *queues) rankedJobs(ctx context.Context, organizationID uuid.UUID, now time.Time, exactly bool) ([]*store.PendingJob, error) {
	jobs, err := q.store.PendingJobs(ctx, organizationID, exactly)
	if err != nil || inOrder(jobs) {
		return jobs, err
	}
	waiting := make([]fairness.Job[uuid.UUID], len(jobs))
	usage := map[uuid.UUID]fairness.Usage{}
	for i, j := range jobs {
		waiting[i] = fairness.Job[uuid.UUID]{Owner: j.InitiatorID, Automated: j.Automated, Created: j.CreatedAt.Time}
		usage[j.InitiatorID] = fairness.Usage{}
	}
	if err := q.readUsage(ctx, organizationID, usage); err != nil {
		return nil, err
	}
	ranked := make([]*store.PendingJob, len(jobs))
	for place, i := range fairness.Rank(waiting, usage, now) {
		ranked[place] = jobs[i]
	}
	return ranked, nil
}

// inOrder: jobs that one person waits for are handed out as they came, whatever
// the person has had.
func inOrder(jobs []*store.PendingJob) bool {
	return !slices.ContainsFunc(jobs, func(j *store.PendingJob) bool { return j.Automated || j.InitiatorID != jobs[0].InitiatorID }) || len(jobs) < 2
}

// readUsage fills in what the initiators have had.
func (q *queues) readUsage(ctx context.Context, organizationID uuid.UUID, usage map[uuid.UUID]fairness.Usage) error {
	rows, err := q.store.ListUsageOfInitiators(ctx, store.ListUsageOfInitiatorsParams{
		OrganizationID: organizationID, InitiatorIds: store.IDs(slices.Collect(maps.Keys(usage))),
	})
	if err != nil {
		return err
	}
	for _, r := range rows {
		id, err := uuid.Parse(r.InitiatorID)
		if err != nil {
			return fmt.Errorf("read the usage of an initiator: %w", err)
		}
		usage[id] = fairness.Usage{Running: int(r.Running), LastStarted: time.UnixMicro(r.LastStarted)}
	}
	return nil
}

// queueOf reads an organization's queue, or takes the one that was read a
// moment ago: a list that shows many waiting jobs must not read it for each
// request. What happens to a job or a daemon on this replica forgets it at once.
func (a *api) queueOf(ctx context.Context, organizationID uuid.UUID) (*queue, error) {
	return once(a.queues, organizationID, func(l *line) *kept[*queue] { return &l.queue }, func() (*queue, error) {
		return a.readQueue(ctx, organizationID)
	})
}

func (a *api) readQueue(ctx context.Context, organizationID uuid.UUID) (_ *queue, err error) {
	q := &queue{online: a.isOnline, hasPassed: a.hasPassed, full: a.room.isShort}
	q.fleet, err = once(a.queues, organizationID, func(l *line) *kept[fleet] { return &l.fleet }, func() (fleet, error) {
		return a.readFleet(ctx, organizationID)
	})
	if err != nil {
		return nil, err
	}
	if q.jobs, err = a.queues.rankedJobs(ctx, organizationID, a.now(), false); err != nil {
		return nil, err
	}
	if q.work, err = a.store.ListAttemptsUnderWay(ctx, organizationID); err != nil {
		return nil, err
	}
	history, err := a.historyOf(ctx, organizationID)
	if err != nil || history.RecoveryID == uuid.Nil {
		return q, err
	}
	recovery, err := a.recoveryResponse(ctx, organizationID, math.MaxInt, 0)
	q.recovery = &recovery
	return q, err
}

func (a *api) readFleet(ctx context.Context, organizationID uuid.UUID) (fleet, error) {
	org, err := a.store.GetOrganization(ctx, organizationID)
	if err != nil {
		return fleet{}, err
	}
	daemons, err := a.store.ListProvisionerDaemons(ctx, organizationID)
	if err != nil {
		return fleet{}, err
	}
	strangers, err := a.runningReports(ctx, organizationID)
	return fleet{org.Name, daemons, strangers}, err
}

// place is the rank among the pending jobs that share a daemon with this one;
// 0 when it is none of them.
func (q *queue) place(job store.ProvisionerJob) (position, size int) {
	for other := range q.competitors(job) {
		if size++; other.ID == job.ID {
			position = size
		}
	}
	return position, size
}

// ahead are the jobs that are handed out before this one to daemons that
// could run it too.
func (q *queue) ahead(job store.ProvisionerJob) []*store.PendingJob {
	var ahead []*store.PendingJob
	for other := range q.competitors(job) {
		if other.ID == job.ID {
			break
		}
		ahead = append(ahead, other)
	}
	return ahead
}

// competitors are the pending jobs that share a daemon with this one, in their
// order, itself included.
func (q *queue) competitors(job store.ProvisionerJob) iter.Seq[*store.PendingJob] {
	return func(yield func(*store.PendingJob) bool) {
		competes, tags, compete := map[string]bool{}, "", false
		for _, other := range q.jobs {
			if other.TagSet != tags { // most have the tags of the one before
				tags = other.TagSet
				known := false
				if compete, known = competes[tags]; !known {
					compete = q.compete(job.Tags, other.Tags)
					competes[tags] = compete
				}
			}
			if (compete || other.ID == job.ID) && !yield(other) {
				return
			}
		}
	}
}

func (q *queue) compete(x, y store.StringMap) bool {
	return slices.ContainsFunc(q.daemons, func(d store.ListProvisionerDaemonsRow) bool {
		return tagsMatch(x, d.Tags) && tagsMatch(y, d.Tags)
	})
}

// availableWorkers are the daemons that are there and could take a job, now
// or after the one that they have.
func (q *queue) availableWorkers(job store.ProvisionerJob) []uuid.UUID {
	ids := []uuid.UUID{}
	for _, d := range q.daemons {
		if v := q.judge(job, d); v == client.VerdictWouldTake || v == client.VerdictBusy {
			ids = append(ids, d.ID)
		}
	}
	return ids
}
