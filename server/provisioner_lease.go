package server

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"coder/client"
	"coder/store"
)

// How often leases are looked at, and how often renewals are written.
const (
	leaseTick  = time.Second
	leaseWrite = 5 * time.Second
)

// leaseGap is how much of the time between two looks counts as silence. A look
// reads the database, as a renewal does; where the next one comes later than
// that, this process was stopped, its machine was paused, or the database was
// away, and no renewal could have been accepted meanwhile.
const leaseGap = 2 * leaseTick

// leases knows when each attempt was last heard of, on a clock of its own: the
// time in which this process was up and able to accept renewals. A fresh
// process has heard of everybody just now, so a restart, a pause or a jump of
// the clock expires nobody.
type leases struct {
	mu        sync.Mutex
	clock     func() time.Time // monotonic
	looked    time.Time        // when the clock was last read for up
	up        time.Duration
	heard     map[uuid.UUID]time.Duration
	stored    map[uuid.UUID]store.Time // the renewal that the database showed last
	unwritten map[uuid.UUID]time.Time  // and when it was heard of, by the clock
	written   time.Duration
}

func newLeases() *leases {
	return &leases{
		clock: time.Now, looked: time.Now(), written: -leaseWrite,
		heard: map[uuid.UUID]time.Duration{}, stored: map[uuid.UUID]store.Time{}, unwritten: map[uuid.UUID]time.Time{},
	}
}

// look counts the time since the last look, after the database has answered.
func (l *leases) look() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock()
	l.up += min(now.Sub(l.looked), leaseGap)
	l.looked = now
}

// now is the time up to this moment. The lock is held.
func (l *leases) now() time.Duration { return l.up + min(l.clock().Sub(l.looked), leaseGap) }

func (l *leases) renewed(id uuid.UUID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard[id] = l.now()
	l.unwritten[id] = l.clock()
}

func (l *leases) forget(id uuid.UUID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.heard, id)
	delete(l.stored, id)
	delete(l.unwritten, id)
}

// silence is how long an attempt was not heard of, by this replica or,
// through the database, by another one.
func (l *leases) silence(id uuid.UUID, renewedAt store.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if stored, known := l.stored[id]; !known || stored != renewedAt {
		l.stored[id] = renewedAt
		if _, heard := l.heard[id]; !heard || known {
			l.heard[id] = l.now()
		}
	}
	return l.now() - l.heard[id]
}

// due takes the renewals that are to be written now. One that this process was
// stopped with is no news any more, and other replicas would take it for some.
func (l *leases) due() []uuid.UUID {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.unwritten) == 0 || l.now()-l.written < leaseWrite {
		return nil
	}
	maps.DeleteFunc(l.unwritten, func(_ uuid.UUID, at time.Time) bool { return l.clock().Sub(at) > leaseWrite+2*leaseGap })
	ids := slices.Collect(maps.Keys(l.unwritten))
	clear(l.unwritten)
	l.written = l.now()
	return ids
}

// wrote notes what this replica itself has written, which is no news.
func (l *leases) wrote(ids []uuid.UUID, at store.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		l.stored[id] = at
	}
}

// watchLeases writes renewals, revokes what lost its credential, and acts on
// silence: docs/jobs.md, "When something dies". One attempt that cannot be
// dealt with does not hold up those of other workspaces and organizations.
func (a *api) watchLeases(ctx context.Context) error {
	return every(ctx, leaseTick, a.lookAtLeases)
}

func (a *api) lookAtLeases(ctx context.Context) error {
	attempts, err := a.store.ListCurrentAttempts(ctx)
	if err != nil {
		return fmt.Errorf("list attempts: %w", err)
	}
	a.leases.look()
	if err := a.writeRenewals(ctx, attempts); err != nil {
		return err
	}
	for _, attempt := range attempts {
		if err := a.watchAttempt(ctx, attempt); err != nil && ctx.Err() == nil {
			a.logger.ErrorContext(ctx, "attempt not watched; it is tried again", "attempt", attempt.ID, "organization", attempt.OrganizationID, "error", err)
		}
	}
	return nil
}

func (a *api) writeRenewals(ctx context.Context, attempts []store.ListCurrentAttemptsRow) error {
	ids := a.leases.due()
	if len(ids) == 0 {
		return nil
	}
	var daemons []uuid.UUID
	at := store.At(a.now())
	for i := range attempts {
		if slices.Contains(ids, attempts[i].ID) {
			daemons = append(daemons, attempts[i].DaemonID)
			attempts[i].RenewedAt = at
		}
	}
	if err := a.store.RenewAttempts(ctx, store.RenewAttemptsParams{RenewedAt: at, Ids: store.IDs(ids)}); err != nil {
		return fmt.Errorf("write renewals: %w", err)
	}
	a.leases.wrote(ids, at)
	return a.store.TouchProvisionerDaemons(ctx, store.TouchProvisionerDaemonsParams{LastSeenAt: at, Ids: store.IDs(daemons)})
}

func (a *api) watchAttempt(ctx context.Context, attempt store.ListCurrentAttemptsRow) error {
	if err := a.revokeIfGone(ctx, attempt); err != nil {
		return err
	}
	var clocks client.JobClocks
	if err := json.Unmarshal([]byte(attempt.Clocks), &clocks); err != nil {
		return fmt.Errorf("read its clocks: %w", err)
	}
	a.leases.look() // many attempts take long, and the database has answered for this one
	silence := a.leases.silence(attempt.ID, attempt.RenewedAt)
	lease, horizon := time.Duration(clocks.Lease)*time.Millisecond, time.Duration(clocks.Horizon)*time.Millisecond
	switch {
	case attempt.ConfirmedAt.IsZero() && silence >= confirmTime:
		return a.takeBack(ctx, attempt, silence, "The provisioner did not confirm that it has the job.", false)
	case silence < lease:
		return nil
	case attempt.EngineStartedAt.IsZero():
		return a.takeBack(ctx, attempt, silence, fmt.Sprintf("The provisioner was not heard of for %s, before it had begun.", lease), true)
	case horizon > 0 && silence >= horizon:
		return a.takeOver(ctx, attempt, silence)
	case attempt.LostAt.IsZero():
		return a.markLost(ctx, attempt, lease, horizon)
	}
	return nil
}

// revokeIfGone interrupts an attempt whose key was deleted, whose user was
// suspended or removed, or whose organization is gone. It may still hand in
// what it has.
func (a *api) revokeIfGone(ctx context.Context, attempt store.ListCurrentAttemptsRow) error {
	if attempt.Revoked {
		return nil
	}
	good, err := a.credentialHolds(ctx, attempt)
	if err != nil || good {
		return err
	}
	if _, err := a.store.RevokeAttempt(ctx, store.RevokeAttemptParams{OrganizationID: attempt.OrganizationID, ID: attempt.ID}); err != nil {
		return err
	}
	a.bus.Publish(attemptTopic(attempt.ID))
	return nil
}

func (a *api) credentialHolds(ctx context.Context, attempt store.ListCurrentAttemptsRow) (bool, error) {
	if _, err := a.store.GetOrganization(ctx, attempt.OrganizationID); err != nil {
		return false, ignoreNotFound(err)
	}
	switch attempt.KeyID {
	case client.ProvisionerKeyBuiltInID:
		return true, nil
	case client.ProvisionerKeyUserAuthID:
		return a.sessionServes(ctx, attempt)
	}
	key, err := a.store.GetProvisionerKey(ctx, store.GetProvisionerKeyParams{OrganizationID: attempt.OrganizationID, ID: attempt.KeyID})
	if err != nil {
		return false, ignoreNotFound(err)
	}
	return !a.hasPassed(key.ExpiresAt), nil
}

// sessionServes asks the same of the session that an attempt was taken with
// as its next call for a job would be asked. Only that it has ended by itself,
// with time, does not interrupt what runs.
func (a *api) sessionServes(ctx context.Context, attempt store.ListCurrentAttemptsRow) (bool, error) {
	row, err := a.store.GetAPIKeyWithUser(ctx, attempt.ApiKeyID)
	if err != nil {
		return false, ignoreNotFound(err)
	}
	if row.User.Status == client.UserSuspended || endedByHand(row.ApiKey) {
		return false, nil
	}
	d, err := a.store.GetProvisionerDaemon(ctx, attempt.DaemonID)
	if err != nil {
		return false, ignoreNotFound(err)
	}
	subject, err := a.subject(ctx, row.User)
	if err != nil {
		return false, err
	}
	subject.Allow, subject.AllowIDs = tokenLimits(row.ApiKey)
	cred := daemonCredential{keyID: attempt.KeyID, subject: subject, user: &row.User}
	return cred.serves(d) == nil, nil
}

// endedByHand: the end of such a key was set to the moment in which it was
// set; the end that a key is made with, or moved to, lies after that moment.
func endedByHand(k store.ApiKey) bool { return !k.ExpiresAt.After(k.UpdatedAt.Time) }

func ignoreNotFound(err error) error {
	if store.IsNotFound(err) {
		return nil
	}
	return err
}

// takeBack ends an attempt that started no engine and queues its job again.
func (a *api) takeBack(ctx context.Context, attempt store.ListCurrentAttemptsRow, silence time.Duration, why string, counts bool) error {
	return a.endSilent(ctx, attempt, silence, func(tx *store.Store, job store.ProvisionerJob) error {
		if !counts {
			job.Attempts--
		}
		if !counts || triesLeft(job) {
			if done, _, err := a.retry(ctx, tx, job, why); done || err != nil {
				return err
			}
		}
		status, text := client.JobFailed, why+" It was tried "+plural(job.Attempts, "time")+"."
		if !job.CanceledAt.IsZero() {
			status, text = client.JobCanceled, ""
		}
		_, err := a.endJob(ctx, tx, job, store.FinishProvisionerJobParams{Status: status, Error: text, InDoubt: "[]", Timings: "[]"}, nil)
		return err
	})
}

// takeOver ends the job of a daemon that was silent for the whole horizon. Its
// engine is dead by its own supervisor's clock; what it may have made and did
// not report is named, and the state that was handed in stays the current one.
func (a *api) takeOver(ctx context.Context, attempt store.ListCurrentAttemptsRow, silence time.Duration) error {
	return a.endSilent(ctx, attempt, silence, func(tx *store.Store, job store.ProvisionerJob) error {
		refusal, err := planRefusal(ctx, tx, job)
		if err != nil {
			return err
		}
		if refusal != "" {
			_, err = a.endJob(ctx, tx, job, store.FinishProvisionerJobParams{Status: client.JobFailed, Error: refusal, ErrorCode: client.JobErrorInsufficientQuota, InDoubt: "[]", Timings: "[]"}, nil)
			return err
		}
		doubt, err := a.inDoubt(ctx, tx, job)
		if err != nil {
			return err
		}
		text := failure(job, client.FailJobRequest{InDoubt: doubt, Error: takenOverText(job.Type, silence)})
		_, err = a.endJob(ctx, tx, job, store.FinishProvisionerJobParams{Status: client.JobFailed, Error: text, InDoubt: store.JSON(doubt), Timings: "[]"}, nil)
		return err
	})
}

func takenOverText(jobType string, silence time.Duration) string {
	text := fmt.Sprintf("The provisioner was not heard of for %s, after the engine had started.", silence.Round(time.Second))
	if jobType != client.JobWorkspaceBuild {
		return text + " Nothing was made: ask for it again."
	}
	return text + " The last state that it handed in is kept; what it did after that is handed in when it comes back."
}

// endSilent ends an attempt from the server's side, if nobody else did and
// nobody has heard of it since it was found silent: this process may have been
// stopped in between.
func (a *api) endSilent(ctx context.Context, attempt store.ListCurrentAttemptsRow, silence time.Duration, then func(*store.Store, store.ProvisionerJob) error) error {
	var job store.ProvisionerJob
	ended := false
	err := a.store.InTx(ctx, func(tx *store.Store) error {
		ended = false
		if a.leases.silence(attempt.ID, attempt.RenewedAt) < silence {
			return nil
		}
		now := a.now()
		rows, err := tx.EndAttempt(ctx, store.EndAttemptParams{
			OrganizationID: attempt.OrganizationID, ID: attempt.ID, RenewedAt: attempt.RenewedAt, EndedAt: store.At(now), ExpiresAt: store.At(now.Add(secretKept)), Reply: []byte{},
		})
		if err != nil {
			return err
		}
		if ended = rows > 0; !ended {
			return nil
		}
		job, err = tx.LockProvisionerJob(ctx, store.LockProvisionerJobParams{ID: attempt.JobID, UpdatedAt: store.At(now)})
		if err != nil {
			return err
		}
		return then(tx, job)
	})
	if err != nil || !ended {
		return err
	}
	a.logger.WarnContext(ctx, "attempt ended by the server", "job", attempt.JobID, "attempt", attempt.ID)
	a.leases.forget(attempt.ID)
	a.bus.Publish(attemptTopic(attempt.ID))
	a.jobPosted(job)
	if job, err = a.store.GetProvisionerJob(ctx, job.ID); err == nil {
		a.jobSettled(ctx, job, client.SettledJob{JobID: job.ID, Status: job.Status, Retry: job.Status == client.JobPending})
	}
	return ignoreNotFound(err)
}

func lostText(jobType string, lease, horizon time.Duration) string {
	text := fmt.Sprintf("The provisioner has not been heard of for %s. Its engine may still be running", lease)
	if jobType == client.JobWorkspaceBuild {
		text += "; nothing else touches the workspace meanwhile"
	}
	text += "."
	if horizon > 0 {
		text += fmt.Sprintf(" Unless it comes back, the job ends after %s of silence.", horizon)
	}
	return text
}

// markLost tells people, once, that a daemon is silent while its engine may live.
func (a *api) markLost(ctx context.Context, attempt store.ListCurrentAttemptsRow, lease, horizon time.Duration) error {
	err := a.store.InTx(ctx, func(tx *store.Store) error {
		rows, err := tx.MarkAttemptLost(ctx, store.MarkAttemptLostParams{OrganizationID: attempt.OrganizationID, ID: attempt.ID, LostAt: store.At(a.now())})
		if err != nil || rows == 0 {
			return err
		}
		job, err := tx.LockProvisionerJob(ctx, store.LockProvisionerJobParams{ID: attempt.JobID, UpdatedAt: store.At(a.now())})
		if err != nil {
			return err
		}
		return a.serverLog(ctx, tx, job, "warn", client.StageLost, lostText(job.Type, lease, horizon))
	})
	if err == nil {
		a.metrics.jobs.lost.WithLabelValues(a.organizationLabel(ctx, attempt.OrganizationID)).Inc()
		a.bus.Publish(jobTopic(attempt.JobID))
	}
	return err
}
