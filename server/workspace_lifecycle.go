package server

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/schedule"
	"coder/store"
)

const (
	// lifecycleLease is the row that one replica holds at a time.
	lifecycleLease = "lifecycle"
	// lateStart is how late an automatic start may be: a server that was away
	// for longer, or whose clock has leapt, does not start everything at once at
	// a time that nobody has asked for.
	lateStart = time.Hour
	// farStart is further ahead than any schedule's next time: a clock was wrong
	// when it was stored.
	farStart = 16 * 24 * time.Hour
	// deleteRetry is how long a workspace rests after an automatic delete failed.
	deleteRetry = 24 * time.Hour
)

// runLifecycle acts on schedules, dormancy and failed builds. What it decides
// follows from stored times and the clock alone, so a restart changes
// nothing, and a build that another runner has made in between wins.
func (a *api) runLifecycle(ctx context.Context) error {
	var last time.Time
	return every(ctx, a.options.LifecycleInterval, func(ctx context.Context) error {
		now := a.now()
		far := now.Add(farStart)
		if now.Before(last) {
			far = now // the clock was set back: look at every next start again
		}
		last = now
		held, err := a.holdLifecycle(ctx)
		if err != nil || !held {
			return err
		}
		return a.keepSchedules(ctx, now, far)
	})
}

// holdLifecycle takes or keeps the lease among the replicas of a PostgreSQL
// deployment. One that ends far ahead was taken by a wrong clock.
func (a *api) holdLifecycle(ctx context.Context) (bool, error) {
	if a.store.Dialect() != store.PostgreSQL {
		return true, nil
	}
	now, length := a.now(), 3*a.options.LifecycleInterval
	_, err := a.store.AcquireLease(ctx, store.AcquireLeaseParams{
		Name: lifecycleLease, Holder: a.replica, ExpiresAt: store.At(now.Add(length)), NowAt: store.At(now), FarAt: store.At(now.Add(2 * length)),
	})
	if store.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// keepSchedules looks at the workspaces that something is due for. One that
// fails does not hold up the others. What starts after far is looked at too.
func (a *api) keepSchedules(ctx context.Context, now, far time.Time) error {
	due, err := a.store.ListWorkspacesForLifecycle(ctx, store.ListWorkspacesForLifecycleParams{NowAt: store.At(now), FarAt: store.At(far)})
	if err != nil {
		return fmt.Errorf("list workspaces that are due: %w", err)
	}
	for _, row := range due {
		err := a.keepSchedule(ctx, row.ID)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			a.logger.WarnContext(ctx, "schedule of a workspace not kept; it is tried again", "workspace", row.ID, "organization", row.OrganizationID, "error", err)
		}
	}
	return nil
}

// life is what decides over a workspace that nobody asks about.
type life struct {
	workspace store.Workspace
	template  store.Template
	build     store.WorkspaceBuild
	job       store.ProvisionerJob
	owner     store.User
}

func (a *api) readLife(ctx context.Context, id uuid.UUID) (life, error) {
	var l life
	var err error
	if l.workspace, err = workspaceOfLoop(ctx, a.store, id); err != nil {
		return l, err
	}
	if l.template, err = templateOf(ctx, a.store, l.workspace); err != nil {
		return l, err
	}
	if l.build, err = latestBuildOf(ctx, a.store, l.workspace); err != nil {
		return l, err
	}
	if l.job, err = a.store.GetProvisionerJob(ctx, l.build.JobID); err != nil {
		return l, err
	}
	l.owner, err = a.store.GetUserIncludingDeleted(ctx, l.workspace.OwnerID)
	return l, err
}

func (a *api) keepSchedule(ctx context.Context, id uuid.UUID) error {
	if err := a.repairTimes(ctx, id); err != nil {
		return fmt.Errorf("repair times: %w", err)
	}
	l, err := a.readLife(ctx, id)
	if err != nil || l.job.CompletedAt.IsZero() {
		return err
	}
	act := l.decide(a.now())
	switch {
	case act.transition != "":
		err = a.buildAutomatically(ctx, l, act)
	case act.follow:
		err = a.startAfterStop(ctx, l)
	case act.sleep:
		err = a.store.InTx(ctx, func(tx *store.Store) error { return a.setDormant(ctx, tx, l.workspace, l.template, true) })
	case act.passed:
		err = a.setNextStart(ctx, a.store, l)
	default:
		return nil
	}
	a.workspaceChanged(id)
	return err
}

// action is what is done to a workspace now; the zero action is nothing.
type action struct {
	transition string
	reason     string
	// sleep makes the workspace dormant, passed moves the next start on.
	sleep  bool
	passed bool
	// follow makes the start that was asked for together with the stop.
	follow bool
}

// decide is all the rules, the strongest first. One action at a time: what
// else is due comes when the build of the first has ended.
func (l life) decide(now time.Time) action {
	dormant := !l.workspace.DormantAt.IsZero()
	stop := action{transition: client.TransitionStop, reason: client.BuildReasonAutostop}
	switch {
	case l.stopped() && l.build.OnSuccess != "" && !l.rests(now):
		return action{follow: true}
	case l.running() && l.owner.Status == client.UserSuspended:
		return stop
	case l.running() && dormant:
		return action{transition: client.TransitionStop, reason: client.BuildReasonDormancy}
	case l.running() && due(l.build.DeadlineAt.Time, now):
		return stop
	case l.failedStart() && due(schedule.After(l.job.CompletedAt.Time, milliseconds(l.template.FailureTTLMs)), now):
		return stop
	case dormant && due(l.workspace.DeletingAt.Time, now) && l.mayDelete(now):
		return action{transition: client.TransitionDelete, reason: client.BuildReasonDormancy}
	case dormant:
		return action{}
	case due(schedule.After(l.workspace.LastUsedAt.Time, milliseconds(l.template.TimeTilDormantMs)), now):
		return l.fallAsleep()
	case due(l.workspace.NextStartAt.Time, now):
		return l.autostart(now)
	}
	return action{}
}

// due: the moment is set, and has come.
func due(moment, now time.Time) bool { return !moment.IsZero() && !moment.After(now) }

func (l life) running() bool {
	return l.build.Transition == client.TransitionStart && l.job.Status == client.JobSucceeded
}

func (l life) stopped() bool {
	return l.build.Transition == client.TransitionStop && l.job.Status == client.JobSucceeded
}

func (l life) failedStart() bool {
	return l.build.Transition == client.TransitionStart && l.job.Status == client.JobFailed
}

// mayDelete waits a while after a delete that did not succeed.
func (l life) mayDelete(now time.Time) bool {
	return l.build.Transition != client.TransitionDelete || due(l.job.CompletedAt.Add(deleteRetry), now)
}

func (l life) fallAsleep() action {
	if !l.running() {
		return action{sleep: true}
	}
	return action{transition: client.TransitionStop, reason: client.BuildReasonDormancy, sleep: true}
}

// autostart starts a stopped workspace. A start that was missed for longer
// than lateStart is not made up for: the next one comes at its own time.
func (l life) autostart(now time.Time) action {
	passed := action{passed: true}
	autostart, err := schedule.ParseAutostart(l.workspace.AutostartSchedule)
	if err != nil || autostart.IsZero() || !l.template.AllowUserAutostart || !l.stopped() || l.owner.Status == client.UserSuspended {
		return passed
	}
	if last, ok := autostart.Next(now.Add(-lateStart), allowedDays(l.template)); !ok || !due(last, now) {
		return passed
	}
	return action{transition: client.TransitionStart, reason: client.BuildReasonAutostart, passed: true}
}

// buildAutomatically makes the build and what goes with it in one
// transaction. A start that cannot be made is skipped until its next time.
func (a *api) buildAutomatically(ctx context.Context, l life, act action) error {
	plan, err := a.automaticPlan(ctx, l, act)
	if err == nil {
		err = a.preparePlan(ctx, &plan)
	}
	if err != nil {
		if act.passed && client.StatusCode(err) != 0 {
			a.logger.WarnContext(ctx, "automatic start skipped", "workspace", l.workspace.ID, "organization", l.workspace.OrganizationID, "error", err)
			return a.setNextStart(ctx, a.store, l)
		}
		return err
	}
	var made madeBuild
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		if err := stillDue(ctx, tx, l); act.passed && err != nil {
			return err
		}
		if made, err = a.commitPlan(ctx, tx, plan); err != nil {
			return err
		}
		if act.sleep {
			return a.setDormant(ctx, tx, l.workspace, l.template, true)
		}
		if act.passed {
			return a.setNextStart(ctx, tx, l)
		}
		return nil
	})
	if store.IsConflict(err) || client.StatusCode(err) == http.StatusConflict {
		return nil // somebody else has built it; what is due then is seen later
	}
	if refused := overBudget(err); refused != nil {
		_, _, err = a.noteRefusal(ctx, a.store, l, act.reason, refused)
		return err
	}
	if err != nil {
		return fmt.Errorf("%s automatically: %w", act.transition, err)
	}
	a.buildPosted(made)
	return nil
}

// automaticPlan builds in the owner's name, and starts move to the active
// version where the workspace or its template says so.
func (a *api) automaticPlan(ctx context.Context, l life, act action) (buildPlan, error) {
	versionID := l.build.TemplateVersionID
	if act.transition == client.TransitionStart && followsActive(l.workspace, l.template) {
		versionID = l.template.ActiveVersionID
	}
	version, err := versionOf(ctx, a.store, l.template, versionID)
	return buildPlan{
		workspace: l.workspace, template: l.template, version: version, previous: &l.build, transition: act.transition, reason: act.reason,
		initiator: l.workspace.OwnerID, automated: true, mayAnyVersion: true,
	}, err
}

func (a *api) setNextStart(ctx context.Context, s *store.Store, l life) error {
	next := nextStart(l.workspace.AutostartSchedule, l.template, a.now())
	if !l.workspace.DormantAt.IsZero() {
		next = store.Time{}
	}
	return s.SetWorkspaceNextStart(ctx, store.SetWorkspaceNextStartParams{OrganizationID: l.workspace.OrganizationID, ID: l.workspace.ID, NextStartAt: next})
}

// repairTimes moves what was stored while the clock stood ahead of now: the
// time that was left then is left from now on. Else a workspace would run,
// sleep or wait until the wrong date has come.
func (a *api) repairTimes(ctx context.Context, id uuid.UUID) error {
	return a.store.InTx(ctx, func(tx *store.Store) error {
		l, err := a.withStore(tx).readLife(ctx, id)
		if err != nil {
			return err
		}
		now, w := store.At(a.now()), l.workspace
		if completed := l.job.CompletedAt; l.running() && completed.After(now.Time) && l.build.DeadlineAt.After(completed.Time) {
			if err := shiftDeadlines(ctx, tx, l.build, now.Sub(completed.Time), now); err != nil {
				return err
			}
		}
		if w.LastUsedAt.After(now.Time) {
			if err := tx.SetWorkspaceLastUsed(ctx, store.SetWorkspaceLastUsedParams{OrganizationID: w.OrganizationID, ID: w.ID, LastUsedAt: now}); err != nil {
				return err
			}
		}
		if w.DormantAt.After(now.Time) {
			return a.setDormant(ctx, tx, w, l.template, true)
		}
		if !w.NextStartAt.IsZero() && w.NextStartAt.After(nextStart(w.AutostartSchedule, l.template, now.Time).Time) {
			return a.setNextStart(ctx, tx, l)
		}
		return nil
	})
}

func shiftDeadlines(ctx context.Context, tx *store.Store, build store.WorkspaceBuild, by time.Duration, now store.Time) error {
	p := store.SetWorkspaceBuildDeadlineParams{OrganizationID: build.OrganizationID, ID: build.ID, DeadlineAt: store.At(build.DeadlineAt.Add(by)), UpdatedAt: now}
	if !build.MaxDeadlineAt.IsZero() {
		p.MaxDeadlineAt = store.At(build.MaxDeadlineAt.Add(by))
	}
	_, err := tx.SetWorkspaceBuildDeadline(ctx, p)
	return err
}
