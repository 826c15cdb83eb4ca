package store

import (
	"context"
	"database/sql"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

const (
	// pendingKept is how long pending jobs that were read serve those who need
	// them not exactly, where there are other servers.
	pendingKept = 250 * time.Millisecond
	// pendingFollowed is how long they are followed, change by change, where
	// there are none, before they are read anew in any case.
	pendingFollowed = 30 * time.Second
)

// PendingJob is a job that waits. Those with the same TagSet have the same tags.
type PendingJob struct {
	ListPendingJobsRow
	TagSet string
	// Given is set by who has handed it out, for those who hold the same list.
	// When it waits again it is another PendingJob.
	Given atomic.Bool
}

func newPendingJob(row ListPendingJobsRow) *PendingJob {
	return &PendingJob{ListPendingJobsRow: row, TagSet: JSON(row.Tags)}
}

func (j *PendingJob) compare(other *PendingJob) int {
	if order := j.CreatedAt.Compare(other.CreatedAt.Time); order != 0 {
		return order
	}
	return slices.Compare(j.ID[:], other.ID[:])
}

// pendingJobs are those of each organization as they were last read.
type pendingJobs struct {
	mu            sync.Mutex
	organizations map[uuid.UUID]*organizationJobs
}

type organizationJobs struct {
	// reading is held while the database is asked for jobs, which are in the
	// order of their creation and replaced by others when something changes.
	reading sync.Mutex
	jobs    []*PendingJob
	read    time.Time
	// changed are those that did since, under pendingJobs.mu.
	changed []uuid.UUID
}

// changedJob is one that was written.
type changedJob struct{ organization, id uuid.UUID }

func (p *pendingJobs) of(organization uuid.UUID) *organizationJobs {
	o := p.organizations[organization]
	if o == nil {
		o = &organizationJobs{}
		if p.organizations == nil {
			p.organizations = map[uuid.UUID]*organizationJobs{}
		}
		p.organizations[organization] = o
	}
	return o
}

func (p *pendingJobs) note(changes []changedJob) {
	if len(changes) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range changes {
		if o := p.of(c.organization); !slices.Contains(o.changed, c.id) {
			o.changed = append(o.changed, c.id)
		}
	}
}

func (p *pendingJobs) take(organization uuid.UUID) (o *organizationJobs, changed func() []uuid.UUID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o = p.of(organization)
	return o, func() []uuid.UUID {
		p.mu.Lock()
		defer p.mu.Unlock()
		changed := o.changed
		o.changed = nil
		return changed
	}
}

// PendingJobs are an organization's jobs that wait, in the order of their
// creation; nobody may change what it returns. With SQLite it asks only for
// those that this store has written since, as nobody else does, so that a long
// queue is not read with each job that comes or goes. With PostgreSQL they are
// what they were within the last 250 ms, or read exactly.
func (s *Store) PendingJobs(ctx context.Context, organizationID uuid.UUID, exactly bool) ([]*PendingJob, error) {
	o, changed := s.pools.pending.take(organizationID)
	o.reading.Lock()
	defer o.reading.Unlock()
	err := s.followJobs(ctx, organizationID, o, changed(), exactly)
	if err != nil {
		o.read = time.Time{}
	}
	return o.jobs, err
}

func (s *Store) followJobs(ctx context.Context, organizationID uuid.UUID, o *organizationJobs, changed []uuid.UUID, exactly bool) error {
	now := time.Now()
	age, alone := now.Sub(o.read), s.dialect == SQLite
	if alone && age > pendingFollowed || !alone && (exactly || age > pendingKept) {
		rows, err := s.ListPendingJobs(ctx, organizationID)
		if err != nil {
			return err
		}
		o.jobs, o.read = make([]*PendingJob, len(rows)), now
		for i, row := range rows {
			o.jobs[i] = newPendingJob(row)
		}
		slices.SortFunc(o.jobs, (*PendingJob).compare)
		return nil
	}
	if len(changed) == 0 {
		return nil
	}
	rows, err := s.ListPendingJobsByIDs(ctx, ListPendingJobsByIDsParams{OrganizationID: organizationID, Ids: IDs(changed)})
	if err != nil {
		return err
	}
	o.jobs = slices.DeleteFunc(slices.Clone(o.jobs), func(j *PendingJob) bool { return slices.Contains(changed, j.ID) })
	for _, row := range rows {
		j := newPendingJob(ListPendingJobsRow(row))
		at, _ := slices.BinarySearchFunc(o.jobs, j, (*PendingJob).compare)
		o.jobs = slices.Insert(o.jobs, at, j)
	}
	return nil
}

// jobChanged notes a job that was written, once that is committed.
func (s *Store) jobChanged(organizationID, id uuid.UUID) {
	change := changedJob{organizationID, id}
	if s.changed != nil {
		*s.changed = append(*s.changed, change)
		return
	}
	s.pools.pending.note([]changedJob{change})
}

// InsertProvisionerJob adds a pending job, and returns it as it is stored.
func (s *Store) InsertProvisionerJob(ctx context.Context, p InsertProvisionerJobParams) (ProvisionerJob, error) {
	defer s.jobChanged(p.OrganizationID, p.ID)
	return ProvisionerJob{
		ID: p.ID, OrganizationID: p.OrganizationID, Type: p.Type, Provisioner: p.Provisioner, Status: "pending", Tags: orNoTags(p.Tags), FileID: p.FileID,
		InitiatorID: p.InitiatorID, Automated: p.Automated, TemplateVersionID: p.TemplateVersionID, WorkspaceID: p.WorkspaceID, WorkspaceBuildID: p.WorkspaceBuildID,
		Input: p.Input, SealedInput: p.SealedInput, InDoubt: "[]", Timings: "[]", CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt,
	}, s.Queries.InsertProvisionerJob(ctx, p)
}

func orNoTags(tags StringMap) StringMap {
	if tags == nil {
		return StringMap{}
	}
	return tags
}

// ClaimProvisionerJob gives a pending job to a daemon; sql.ErrNoRows where it
// is not pending any more.
func (s *Store) ClaimProvisionerJob(ctx context.Context, p ClaimProvisionerJobParams) (ProvisionerJob, error) {
	defer s.jobChanged(p.OrganizationID, p.ID)
	return s.Queries.ClaimProvisionerJob(ctx, p)
}

// RequeueProvisionerJob makes a job of an attempt that has ended pending again.
func (s *Store) RequeueProvisionerJob(ctx context.Context, p RequeueProvisionerJobParams) (int64, error) {
	defer s.jobChanged(p.OrganizationID, p.ID)
	return s.Queries.RequeueProvisionerJob(ctx, p)
}

// CancelProvisionerJob ends a job that waits, and asks for the end of one that runs.
func (s *Store) CancelProvisionerJob(ctx context.Context, p CancelProvisionerJobParams) (ProvisionerJob, error) {
	defer s.jobChanged(p.OrganizationID, p.ID)
	return s.Queries.CancelProvisionerJob(ctx, p)
}

// FinishProvisionerJob ends a job, also one that has never been handed out;
// sql.ErrNoRows where it has ended already.
func (s *Store) FinishProvisionerJob(ctx context.Context, p FinishProvisionerJobParams) error {
	defer s.jobChanged(p.OrganizationID, p.ID)
	rows, err := s.Queries.FinishProvisionerJob(ctx, p)
	if err == nil && rows == 0 {
		err = sql.ErrNoRows
	}
	return err
}
