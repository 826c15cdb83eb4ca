package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/internal/parameter"
	"coder/internal/schedule"
	"coder/store"
)

func (a *api) workspaceScheduleRoutes(r *router) {
	handle(r, put, "/workspaces/{workspace}/autostart", "Schedule the automatic start", onObject(authz.Update, authz.Workspace), a.updateAutostart, noContent)
	handle(r, put, "/workspaces/{workspace}/ttl", "Set the time to the automatic stop", onObject(authz.Update, authz.Workspace), a.updateTTL, noContent)
	handle(r, put, "/workspaces/{workspace}/schedule", "Set the automatic start and the automatic stop, both or neither", onObject(authz.Update, authz.Workspace), a.updateSchedule, noContent)
	handle(r, put, "/workspaces/{workspace}/extend", "Move the deadline of the running build", onObject(authz.Update, authz.Workspace), a.extendWorkspace)
	handle(r, put, "/workspaces/{workspace}/dormant", "Put a workspace to sleep or wake it", onObject(authz.Update, authz.Workspace), a.updateDormancy)
	handle(r, put, "/workspaces/{workspace}/autoupdates", "Follow the active version or not", onObject(authz.Update, authz.Workspace), a.updateAutomaticUpdates, noContent)
	handle(r, get, "/workspaces/{workspace}/resolve-autostart", "Tell whether an automatic update would go through", onObject(authz.Read, authz.Workspace), a.resolveAutostart)
}

type updateAutostartInput struct {
	WorkspacePath
	Body client.UpdateWorkspaceAutostartRequest
}

type updateTTLInput struct {
	WorkspacePath
	Body client.UpdateWorkspaceTTLRequest
}

type updateScheduleInput struct {
	WorkspacePath
	Body client.UpdateWorkspaceScheduleRequest
}

type extendInput struct {
	WorkspacePath
	Body client.ExtendWorkspaceRequest
}

type updateDormancyInput struct {
	WorkspacePath
	Body client.UpdateWorkspaceDormancyRequest
}

type updateAutomaticUpdatesInput struct {
	WorkspacePath
	Body client.UpdateWorkspaceAutomaticUpdatesRequest
}

// usageInput is a report without a body, or of one app of one agent.
type usageInput struct {
	WorkspacePath
	Body *struct {
		AgentID uuid.UUID `json:"agent_id,omitempty" format:"uuid"`
		AppName string    `json:"app_name,omitempty"`
	} `required:"false"`
}

// workspaceTemplate loads a live workspace with its template, whose rules
// hold whether or not the caller may read it.
func (a *api) workspaceTemplate(ctx context.Context, action authz.Action, id uuid.UUID) (store.Workspace, store.Template, error) {
	w, err := a.liveWorkspace(ctx, action, id)
	if err != nil {
		return w, store.Template{}, err
	}
	template, err := templateOf(ctx, a.store, w)
	return w, template, err
}

func (a *api) updateAutostart(ctx context.Context, in *updateAutostartInput) (*empty, error) {
	w, template, err := a.workspaceTemplate(ctx, authz.Update, in.Workspace)
	if err != nil {
		return nil, err
	}
	text, err := checkAutostart(in.Body.Schedule, template)
	if err != nil {
		return nil, err
	}
	next := nextStart(text, template, a.now())
	if !w.DormantAt.IsZero() {
		next = store.Time{}
	}
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		err := tx.SetWorkspaceAutostart(ctx, store.SetWorkspaceAutostartParams{
			OrganizationID: w.OrganizationID, ID: w.ID, AutostartSchedule: text, NextStartAt: next, UpdatedAt: store.At(a.now()),
		})
		if err != nil {
			return err
		}
		after := w
		after.AutostartSchedule = text
		return a.audit(ctx, tx, workspaceChanged(client.AuditWrite, &w, &after))
	})
	if err != nil {
		return nil, fmt.Errorf("set autostart: %w", err)
	}
	a.workspaceChanged(w.ID)
	return &empty{}, nil
}

// updateSchedule changes both parts in one transaction. A part that stays as it
// is needs no permission of the template.
func (a *api) updateSchedule(ctx context.Context, in *updateScheduleInput) (*empty, error) {
	w, template, err := a.workspaceTemplate(ctx, authz.Update, in.Workspace)
	if err != nil {
		return nil, err
	}
	after, err := a.rescheduled(w, template, in.Body)
	if err != nil {
		return nil, err
	}
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		err := tx.SetWorkspaceAutostart(ctx, store.SetWorkspaceAutostartParams{
			OrganizationID: w.OrganizationID, ID: w.ID, AutostartSchedule: after.AutostartSchedule, NextStartAt: after.NextStartAt, UpdatedAt: after.UpdatedAt,
		})
		if err != nil {
			return err
		}
		err = tx.SetWorkspaceTTL(ctx, store.SetWorkspaceTTLParams{OrganizationID: w.OrganizationID, ID: w.ID, TTLMs: after.TTLMs, UpdatedAt: after.UpdatedAt})
		if err == nil && after.TTLMs == nil && w.TTLMs != nil {
			err = clearDeadline(ctx, tx, w, after.UpdatedAt)
		}
		if err != nil {
			return err
		}
		return a.audit(ctx, tx, workspaceChanged(client.AuditWrite, &w, &after))
	})
	if err != nil {
		return nil, fmt.Errorf("set schedule: %w", err)
	}
	a.workspaceChanged(w.ID)
	return &empty{}, nil
}

// rescheduled is the workspace with another schedule, which is checked where it differs.
func (a *api) rescheduled(w store.Workspace, template store.Template, req client.UpdateWorkspaceScheduleRequest) (store.Workspace, error) {
	after, faults := w, error(nil)
	after.UpdatedAt = store.At(a.now())
	if wanted := value(req.Schedule); wanted != w.AutostartSchedule {
		after.AutostartSchedule, faults = checkAutostart(req.Schedule, template)
		after.NextStartAt = nextStart(after.AutostartSchedule, template, a.now())
		if !w.DormantAt.IsZero() {
			after.NextStartAt = store.Time{}
		}
	}
	if value(req.TTLMillis) == value(w.TTLMs) {
		return after, faults
	}
	ttl, err := checkTTL(req.TTLMillis, template)
	after.TTLMs = ttl
	return after, cmp.Or(faults, err)
}

// value is what a pointer points to, or nothing's.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// checkAutostart reads a schedule that a person gave; nil and empty clear it.
func checkAutostart(text *string, template store.Template) (string, error) {
	if text == nil || *text == "" {
		return "", nil
	}
	if !template.AllowUserAutostart {
		return "", invalid("schedule", "The template %q does not let workspaces start by themselves.", template.Name)
	}
	if _, err := schedule.ParseAutostart(*text); err != nil {
		return "", invalid("schedule", "%s", err.Error())
	}
	return *text, nil
}

// nextStart is when a schedule starts a workspace next, on the days that its
// template allows; zero is never. What was stored has been checked before.
func nextStart(text string, template store.Template, after time.Time) store.Time {
	autostart, err := schedule.ParseAutostart(text)
	if err != nil || autostart.IsZero() || !template.AllowUserAutostart {
		return store.Time{}
	}
	next, ok := autostart.Next(after, allowedDays(template))
	if !ok {
		return store.Time{}
	}
	return store.At(next)
}

// allowedDays are the template's days for automatic starts; none named are all.
func allowedDays(template store.Template) schedule.Weekdays {
	days, err := schedule.ParseWeekdays(template.AutostartDays)
	if err != nil || days == 0 {
		return schedule.EveryDay
	}
	return days
}

func (a *api) updateTTL(ctx context.Context, in *updateTTLInput) (*empty, error) {
	w, template, err := a.workspaceTemplate(ctx, authz.Update, in.Workspace)
	if err != nil {
		return nil, err
	}
	ttl, err := checkTTL(in.Body.TTLMillis, template)
	if err != nil {
		return nil, err
	}
	now := store.At(a.now())
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		err := tx.SetWorkspaceTTL(ctx, store.SetWorkspaceTTLParams{OrganizationID: w.OrganizationID, ID: w.ID, TTLMs: ttl, UpdatedAt: now})
		if err == nil && ttl == nil {
			err = clearDeadline(ctx, tx, w, now)
		}
		if err != nil {
			return err
		}
		after := w
		after.TTLMs = ttl
		return a.audit(ctx, tx, workspaceChanged(client.AuditWrite, &w, &after))
	})
	if err != nil {
		return nil, fmt.Errorf("set time to live: %w", err)
	}
	a.workspaceChanged(w.ID)
	return &empty{}, nil
}

// clearDeadline ends the countdown of the running build, except for what the
// template requires. A new time to live counts from the next start only.
func clearDeadline(ctx context.Context, tx *store.Store, w store.Workspace, now store.Time) error {
	build, err := latestBuildOf(ctx, tx, w)
	if err != nil || build.DeadlineAt.IsZero() {
		return err
	}
	_, err = tx.SetWorkspaceBuildDeadline(ctx, store.SetWorkspaceBuildDeadlineParams{
		OrganizationID: build.OrganizationID, ID: build.ID, DeadlineAt: build.MaxDeadlineAt, MaxDeadlineAt: build.MaxDeadlineAt, UpdatedAt: now,
	})
	return err
}

// checkTTL reads a time to live that a person gave; nil is to stop by hand.
func checkTTL(ms *int64, template store.Template) (*int64, error) {
	if ms == nil || *ms == 0 {
		ms = nil
	}
	if !template.AllowUserAutostop {
		return nil, invalid("ttl_ms", "The template %q decides when its workspaces stop.", template.Name)
	}
	if ms == nil {
		return nil, nil
	}
	ttl, err := schedule.ParseTTL(*ms)
	if err != nil {
		return nil, invalid("ttl_ms", "%s", err.Error())
	}
	whole := ttl.Milliseconds()
	return &whole, nil
}

// firstTTL is the time to live of a new workspace: the one asked for, else the template's.
func firstTTL(ms *int64, template store.Template) (*int64, error) {
	if ms != nil {
		return checkTTL(ms, template)
	}
	if template.DefaultTTLMs > 0 {
		return &template.DefaultTTLMs, nil
	}
	return nil, nil
}

// deadlines are when a workspace stops that has started at a moment, and when
// it must, in the quiet hours of its owner. Zero is never.
func deadlines(w store.Workspace, template store.Template, quiet schedule.QuietHours, started time.Time) (deadline, maximum store.Time) {
	days, err := schedule.ParseWeekdays(template.AutostopDays)
	if err != nil {
		days = 0
	}
	required := schedule.Requirement{Days: days, Weeks: int(template.AutostopWeeks)}.MaxDeadline(started, quiet)
	var ttl time.Duration
	switch {
	case !template.AllowUserAutostop:
		ttl = milliseconds(template.DefaultTTLMs)
	case w.TTLMs != nil:
		ttl = milliseconds(*w.TTLMs)
	}
	return store.At(schedule.Deadline(started, ttl, required)), store.At(required)
}

// milliseconds is a duration of a column; what no duration can hold is the
// longest there is.
func milliseconds(ms int64) time.Duration {
	return time.Duration(min(ms, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
}

// running is what decides over the deadline of a build.
func running(build store.WorkspaceBuild, job store.ProvisionerJob) schedule.Running {
	return schedule.Running{
		Started:     build.Transition == client.TransitionStart && job.Status == client.JobSucceeded,
		CompletedAt: job.CompletedAt.Time, Deadline: build.DeadlineAt.Time, MaxDeadline: build.MaxDeadlineAt.Time,
	}
}

func (a *api) extendWorkspace(ctx context.Context, in *extendInput) (*output[message], error) {
	w, err := a.liveWorkspace(ctx, authz.Update, in.Workspace)
	if err != nil {
		return nil, err
	}
	err = a.moveDeadline(ctx, w, func(r schedule.Running) (time.Time, error) {
		err := schedule.Extend(a.now(), r, in.Body.Deadline)
		if errors.Is(err, schedule.ErrNoDeadline) {
			return time.Time{}, refuse(http.StatusConflict, "The deadline cannot be moved.", err.Error())
		}
		if err != nil {
			return time.Time{}, invalid("deadline", "%s", err.Error())
		}
		return in.Body.Deadline, nil
	})
	if err != nil {
		return nil, err
	}
	return said("The workspace now stops at " + in.Body.Deadline.UTC().Format(time.RFC3339) + "."), nil
}

// moveDeadline changes the deadline of the newest build under the lock of its
// workspace; a zero time changes nothing.
func (a *api) moveDeadline(ctx context.Context, w store.Workspace, decide func(schedule.Running) (time.Time, error)) error {
	now := store.At(a.now())
	err := a.store.InTx(ctx, func(tx *store.Store) error {
		locked, err := tx.LockWorkspace(ctx, store.LockWorkspaceParams{OrganizationID: w.OrganizationID, ID: w.ID, UpdatedAt: now})
		if err != nil {
			return err
		}
		build, err := latestBuildOf(ctx, tx, locked)
		if err != nil {
			return err
		}
		job, err := tx.GetProvisionerJob(ctx, build.JobID)
		if err != nil {
			return err
		}
		deadline, err := decide(running(build, job))
		if err != nil || deadline.IsZero() {
			return err
		}
		_, err = tx.SetWorkspaceBuildDeadline(ctx, store.SetWorkspaceBuildDeadlineParams{
			OrganizationID: build.OrganizationID, ID: build.ID, DeadlineAt: store.At(deadline), MaxDeadlineAt: build.MaxDeadlineAt, UpdatedAt: now,
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("move the deadline: %w", err)
	}
	a.workspaceChanged(w.ID)
	return nil
}

// useWorkspace notes that somebody works in it, and moves its deadline when
// less time is left than the template grants to activity.
func (a *api) useWorkspace(ctx context.Context, in *usageInput) (*empty, error) {
	w, template, err := a.workspaceTemplate(ctx, authz.Update, in.Workspace)
	if client.StatusCode(err) == http.StatusForbidden { // who may only enter it, uses it too
		w, template, err = a.workspaceTemplate(ctx, authz.SSH, in.Workspace)
	}
	if err != nil {
		return nil, err
	}
	if in.Body != nil && (in.Body.AgentID != uuid.Nil || in.Body.AppName != "") {
		if err := a.checkUsage(ctx, w, in.Body.AgentID, in.Body.AppName); err != nil {
			return nil, err
		}
	}
	now := a.now()
	err = a.store.TouchWorkspace(ctx, store.TouchWorkspaceParams{OrganizationID: w.OrganizationID, ID: w.ID, LastUsedAt: store.At(now)})
	if err != nil {
		return nil, fmt.Errorf("note the use: %w", err)
	}
	err = a.moveDeadline(ctx, w, func(r schedule.Running) (time.Time, error) {
		deadline, moved := schedule.Bump(now, r, milliseconds(template.ActivityBumpMs))
		if !moved {
			return time.Time{}, nil
		}
		return deadline, nil
	})
	if err != nil {
		return nil, err
	}
	return &empty{}, nil
}

// checkUsage wants a known kind of app and an agent of the newest build.
func (a *api) checkUsage(ctx context.Context, w store.Workspace, agentID uuid.UUID, app string) error {
	if !slices.Contains([]string{"vscode", "jetbrains", "reconnecting-pty", "ssh"}, app) {
		return invalid("app_name", "%q is not one of vscode, jetbrains, reconnecting-pty, ssh.", app)
	}
	build, err := latestBuildOf(ctx, a.store, w)
	if err != nil {
		return err
	}
	agent, err := a.store.GetWorkspaceAgent(ctx, agentID)
	if store.IsNotFound(err) || (err == nil && agent.JobID != build.JobID) {
		return invalid("agent_id", "The workspace has no such agent.")
	}
	return err
}

// updateDormancy answers 304 when nothing changes. Putting a workspace to
// sleep stops nothing by itself: the life cycle stops what still runs.
func (a *api) updateDormancy(ctx context.Context, in *updateDormancyInput) (*statusOutput[client.Workspace], error) {
	w, template, err := a.workspaceTemplate(ctx, authz.Update, in.Workspace)
	if err != nil {
		return nil, err
	}
	if in.Body.Dormant == !w.DormantAt.IsZero() {
		return &statusOutput[client.Workspace]{Status: http.StatusNotModified}, nil
	}
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		return a.setDormant(ctx, tx, w, template, in.Body.Dormant)
	})
	if err != nil {
		return nil, fmt.Errorf("set dormancy: %w", err)
	}
	a.workspaceChanged(w.ID)
	body, err := a.workspaceResponse(ctx, w.ID)
	return &statusOutput[client.Workspace]{Status: http.StatusOK, Body: body}, err
}

// setDormant also decides when the workspace is deleted, and whether it
// starts by itself: a dormant one does not.
func (a *api) setDormant(ctx context.Context, tx *store.Store, w store.Workspace, template store.Template, dormant bool) error {
	now := a.now()
	p := store.SetWorkspaceDormantParams{OrganizationID: w.OrganizationID, ID: w.ID, LastUsedAt: w.LastUsedAt, UpdatedAt: store.At(now)}
	next := store.Time{}
	if dormant {
		p.DormantAt = store.At(now)
		p.DeletingAt = store.At(schedule.After(now, milliseconds(template.TimeTilDormantAutodeleteMs)))
	} else {
		p.LastUsedAt = store.At(now)
		next = nextStart(w.AutostartSchedule, template, now)
	}
	if _, err := tx.SetWorkspaceDormant(ctx, p); err != nil {
		return err
	}
	err := tx.SetWorkspaceNextStart(ctx, store.SetWorkspaceNextStartParams{OrganizationID: w.OrganizationID, ID: w.ID, NextStartAt: next})
	if err != nil {
		return err
	}
	after := w
	after.DormantAt, after.DeletingAt = p.DormantAt, p.DeletingAt
	return a.audit(ctx, tx, workspaceChanged(client.AuditWrite, &w, &after))
}

func (a *api) updateAutomaticUpdates(ctx context.Context, in *updateAutomaticUpdatesInput) (*empty, error) {
	w, err := a.liveWorkspace(ctx, authz.Update, in.Workspace)
	if err != nil {
		return nil, err
	}
	updates := in.Body.AutomaticUpdates
	if err := checkAutomaticUpdates(updates); err != nil {
		return nil, err
	}
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		err := tx.SetWorkspaceAutomaticUpdates(ctx, store.SetWorkspaceAutomaticUpdatesParams{
			OrganizationID: w.OrganizationID, ID: w.ID, AutomaticUpdates: updates, UpdatedAt: store.At(a.now()),
		})
		if err != nil {
			return err
		}
		after := w
		after.AutomaticUpdates = updates
		return a.audit(ctx, tx, workspaceChanged(client.AuditWrite, &w, &after))
	})
	if err != nil {
		return nil, fmt.Errorf("set automatic updates: %w", err)
	}
	a.workspaceChanged(w.ID)
	return &empty{}, nil
}

func checkAutomaticUpdates(updates string) error {
	if updates != client.AutomaticUpdatesAlways && updates != client.AutomaticUpdatesNever {
		return invalid("automatic_updates", "%q is neither always nor never.", updates)
	}
	return nil
}

// followsActive: its starts move to the template's active version.
func followsActive(w store.Workspace, template store.Template) bool {
	return w.AutomaticUpdates == client.AutomaticUpdatesAlways || template.RequireActiveVersion
}

// resolveAutostart tries the parameters of an automatic start that moves to
// the active version, where nobody is there to give new ones.
func (a *api) resolveAutostart(ctx context.Context, in *WorkspacePath) (*output[client.ResolveAutostartResponse], error) {
	w, template, err := a.workspaceTemplate(ctx, authz.Read, in.Workspace)
	if err != nil {
		return nil, err
	}
	build, err := latestBuildOf(ctx, a.store, w)
	if err != nil {
		return nil, err
	}
	out := client.ResolveAutostartResponse{}
	if !followsActive(w, template) || build.TemplateVersionID == template.ActiveVersionID {
		return reply(out), nil
	}
	version, err := versionOf(ctx, a.store, template, template.ActiveVersionID)
	if err != nil {
		return nil, err
	}
	declared, err := decode[[]client.TemplateVersionParameter](version.Parameters, "parameters of the version")
	if err != nil {
		return nil, err
	}
	previous, err := decode[[]client.BuildParameter](build.Parameters, "build parameters")
	if err != nil {
		return nil, err
	}
	_, wrong := parameter.Resolve(declared, nil, previous, nil, false)
	out.ParameterMismatch = len(wrong) > 0
	return reply(out), nil
}
