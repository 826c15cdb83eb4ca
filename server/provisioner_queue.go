package server

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/fairness"
	"coder/store"
)

// queueKept is how long a queue that was read serves other requests.
const queueKept = 250 * time.Millisecond

// queues keeps the organizations' queues for a moment.
type queues struct {
	mu     sync.Mutex
	queues map[uuid.UUID]keptQueue
}

type keptQueue struct {
	queue *queue
	until time.Time
}

func newQueues() *queues { return &queues{queues: map[uuid.UUID]keptQueue{}} }

func (q *queues) get(organizationID uuid.UUID) *queue {
	q.mu.Lock()
	defer q.mu.Unlock()
	kept := q.queues[organizationID]
	if time.Now().After(kept.until) {
		return nil
	}
	return kept.queue
}

func (q *queues) put(organizationID uuid.UUID, read *queue) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queues[organizationID] = keptQueue{read, time.Now().Add(queueKept)}
}

func (q *queues) forget(organizationID uuid.UUID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.queues, organizationID)
}

// queue is an organization's pending jobs in the order in which they will be
// handed out, with its daemons and what these do now. All that is said about
// why a job waits comes from it: provisioner_verdict.go.
type queue struct {
	organization string
	jobs         []store.ProvisionerJob
	daemons      []store.ListProvisionerDaemonsRow
	work         []store.ListAttemptsUnderWayRow
	online       func(last, stopped store.Time) bool
	hasPassed    func(store.Time) bool
	// strangers are engines that the database does not know and that may live.
	strangers []store.ListRunningReportsRow
	// full tells whether the disk of this server is, now.
	full func() bool
	// recovery is what builds wait for after a restore; nil outside of one.
	recovery *client.Recovery
}

// queueOf reads an organization's queue, or takes the one that was read a
// moment ago: a list that shows many waiting jobs must not read it for each
// request. What happens to a job or a daemon on this replica forgets it at once.
func (a *api) queueOf(ctx context.Context, organizationID uuid.UUID) (*queue, error) {
	if q := a.queues.get(organizationID); q != nil {
		return q, nil
	}
	q, err := a.readQueue(ctx, organizationID)
	if err == nil {
		a.queues.put(organizationID, q)
	}
	return q, err
}

func (a *api) readQueue(ctx context.Context, organizationID uuid.UUID) (*queue, error) {
	org, err := a.store.GetOrganization(ctx, organizationID)
	if err != nil {
		return nil, err
	}
	q := &queue{organization: org.Name, online: a.isOnline, hasPassed: a.hasPassed, full: a.room.isShort}
	if q.jobs, err = a.rankedJobs(ctx, a.store, organizationID); err != nil {
		return nil, err
	}
	if q.daemons, err = a.store.ListProvisionerDaemons(ctx, organizationID); err != nil {
		return nil, err
	}
	if q.work, err = a.store.ListAttemptsUnderWay(ctx, organizationID); err != nil {
		return nil, err
	}
	if q.strangers, err = a.runningReports(ctx, a.store, organizationID); err != nil {
		return nil, err
	}
	history, err := a.historyOf(ctx, organizationID)
	if err != nil || history.RecoveryID == uuid.Nil {
		return q, err
	}
	recovery, err := a.recoveryResponse(ctx, organizationID)
	q.recovery = &recovery
	return q, err
}

// rankedJobs are the pending jobs in the order in which they are handed out.
func (a *api) rankedJobs(ctx context.Context, s *store.Store, organizationID uuid.UUID) ([]store.ProvisionerJob, error) {
	jobs, err := s.ListPendingJobs(ctx, organizationID)
	if err != nil || len(jobs) < 2 {
		return jobs, err
	}
	rows, err := s.ListUsageOfWaiting(ctx, organizationID)
	if err != nil {
		return nil, err
	}
	usage := map[uuid.UUID]fairness.Usage{}
	for _, r := range rows {
		usage[r.InitiatorID] = fairness.Usage{Running: int(r.Running), LastStarted: time.UnixMicro(r.LastStarted)}
	}
	waiting := make([]fairness.Job[uuid.UUID], len(jobs))
	for i, j := range jobs {
		waiting[i] = fairness.Job[uuid.UUID]{Owner: j.InitiatorID, Automated: j.Automated, Created: j.CreatedAt.Time}
	}
	ranked := make([]store.ProvisionerJob, len(jobs))
	for place, i := range fairness.Rank(waiting, usage, a.now()) {
		ranked[place] = jobs[i]
	}
	return ranked, nil
}

// place is the rank among the pending jobs that share a daemon with this one.
func (q *queue) place(job store.ProvisionerJob) (position, size int) {
	ahead, size := q.ahead(job)
	if !slices.ContainsFunc(q.jobs, func(other store.ProvisionerJob) bool { return other.ID == job.ID }) {
		return 0, size
	}
	return len(ahead) + 1, size
}

// ahead are the jobs that are handed out before this one to daemons that
// could run it too, and size is how many such jobs wait in all, itself included.
func (q *queue) ahead(job store.ProvisionerJob) (ahead []store.ProvisionerJob, size int) {
	passed := false
	for _, other := range q.jobs {
		passed = passed || other.ID == job.ID
		if !q.compete(job, other) {
			continue
		}
		size++
		if !passed {
			ahead = append(ahead, other)
		}
	}
	return ahead, size
}

func (q *queue) compete(x, y store.ProvisionerJob) bool {
	if x.ID == y.ID {
		return true
	}
	return slices.ContainsFunc(q.daemons, func(d store.ListProvisionerDaemonsRow) bool {
		return tagsMatch(x.Tags, d.Tags) && tagsMatch(y.Tags, d.Tags)
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
