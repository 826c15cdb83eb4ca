package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"

	"coder/client"
	"coder/store"
)

// usage is what a workspace counts with against allowances and budgets:
// credits a day, and whether it is one of the running ones. It is kept on the
// workspace, where the sums read it, and on each build.
//
// While a build goes on, a workspace counts with the larger of what stood
// before and what the build may make of it; when the build has ended, with
// what stands. Where nobody can say what stands, the larger goes on counting.
type usage struct {
	cost    int64
	running bool
}

// standingOf is what stood before the attempt that is current.
func standingOf(b store.WorkspaceBuild) usage { return usage{b.StandingCost, b.StandingRunning} }

// reservedBy is what a build counts with while it goes on.
func reservedBy(b store.WorkspaceBuild) usage {
	return usage{b.DailyCost, b.StandingRunning || b.Transition == client.TransitionStart}
}

// splits: the plan of a build of a version that costs something is decided on
// before its apply. A stop and a delete always pass, so nothing is decided about them.
func splits(priced bool, transition string) bool {
	return priced && transition == client.TransitionStart
}

// versionCost is what a version costs after a transition, by its import.
func versionCost(version store.TemplateVersion, transition string) int64 {
	switch transition {
	case client.TransitionStart:
		return version.StartCost
	case client.TransitionStop:
		return version.StopCost
	}
	return 0
}

// boundCost takes what a daemon says into what sums can hold.
func boundCost(cost int) int64 { return min(max(int64(cost), 0), math.MaxInt32) }

// resourceCost is what the resources cost a day.
func resourceCost(resources []client.ProvisionedResource) int64 {
	var cost int64
	for _, r := range resources {
		cost = min(cost+boundCost(r.DailyCost), math.MaxInt32)
	}
	return cost
}

// reserve decides over a build that is asked for, and returns what the
// workspace counts with until it has ended. Stops, deletes and what costs no
// more than what stands always pass.
func (a *api) reserve(ctx context.Context, tx *store.Store, w store.Workspace, p buildPlan) (usage, error) {
	asked := versionCost(p.version, p.transition)
	reserved := usage{max(w.DailyCost, asked), w.Running || p.transition == client.TransitionStart}
	if p.transition != client.TransitionStart {
		return reserved, nil
	}
	return reserved, a.admitUsage(ctx, tx, w, usage{w.DailyCost, w.Running}, reserved)
}

// admitUsage refuses what would take an allowance or a budget over its limit. It
// reads sums only where there is more than is held already, and a limit: they
// come from partial indexes that hold nothing but what counts.
func (a *api) admitUsage(ctx context.Context, tx *store.Store, w store.Workspace, held, wanted usage) error {
	more, starts := wanted.cost-held.cost, wanted.running && !held.running
	if more <= 0 && !starts {
		return nil
	}
	org, err := tx.GetOrganization(ctx, w.OrganizationID)
	if err != nil {
		return fmt.Errorf("read the organization's budget: %w", err)
	}
	if more > 0 {
		if err := admitCost(ctx, tx, org, w, more); err != nil {
			return err
		}
	}
	if !starts || org.MaxRunningWorkspaces == nil {
		return nil
	}
	running, err := tx.CountRunningWorkspaces(ctx, org.ID)
	if err != nil || running+1 <= *org.MaxRunningWorkspaces {
		return err
	}
	return errOverBudget(org, w, client.QuotaRefusal{Limit: client.QuotaMaxRunningWorkspaces, Budget: *org.MaxRunningWorkspaces, Consumed: running, Asked: 1})
}

func admitCost(ctx context.Context, tx *store.Store, org store.Organization, w store.Workspace, more int64) error {
	allowance, err := allowanceOf(ctx, tx, org.ID, w.OwnerID)
	if err != nil {
		return err
	}
	consumed, err := tx.SumWorkspaceCosts(ctx, store.SumWorkspaceCostsParams{OrganizationID: org.ID, OwnerID: w.OwnerID})
	if err != nil {
		return fmt.Errorf("add up the owner's costs: %w", err)
	}
	if consumed+more > allowance {
		return errOverBudget(org, w, client.QuotaRefusal{Limit: client.QuotaUserAllowance, Budget: allowance, Consumed: consumed, Asked: more})
	}
	if org.MaxDailyCost == nil {
		return nil
	}
	if consumed, err = tx.SumOrganizationCosts(ctx, org.ID); err != nil {
		return fmt.Errorf("add up the organization's costs: %w", err)
	}
	if consumed+more > *org.MaxDailyCost {
		return errOverBudget(org, w, client.QuotaRefusal{Limit: client.QuotaMaxDailyCost, Budget: *org.MaxDailyCost, Consumed: consumed, Asked: more})
	}
	return nil
}

// errOverBudget is the 403 with the figures.
func errOverBudget(org store.Organization, w store.Workspace, q client.QuotaRefusal) *client.Error {
	e := refuse(http.StatusForbidden, "", "")
	e.Quota = &q
	switch q.Limit {
	case client.QuotaUserAllowance:
		e.Message = fmt.Sprintf("This start asks for %d more credits a day; the workspaces of %s use %d of the %d that their groups in %s allow.", q.Asked, w.OwnerName, q.Consumed, q.Budget, org.Name)
		e.Detail = "Stop or delete other workspaces, or ask an administrator of the organization to raise the quota allowance of a group."
	case client.QuotaMaxDailyCost:
		e.Message = fmt.Sprintf("This start asks for %d more credits a day; the workspaces of %s use %d of the %d that the organization may spend.", q.Asked, org.Name, q.Consumed, q.Budget)
		e.Detail = "Wait until other workspaces have stopped, or ask an administrator of the organization to raise max_daily_cost: coder organizations quota."
	default:
		e.Message = fmt.Sprintf("%d of the %d workspaces that may run in %s at a time are running.", q.Consumed, q.Budget, org.Name)
		e.Detail = "Wait until another workspace has stopped, or ask an administrator of the organization to raise max_running_workspaces: coder organizations quota."
	}
	return e
}

// overBudget is the refusal of a limit in err's chain, else nil.
func overBudget(err error) *client.Error {
	var e *client.Error
	if errors.As(err, &e) && e.Quota != nil {
		return e
	}
	return nil
}

// refusalSentence is a refusal for a log or a job's error.
func refusalSentence(e *client.Error) string { return e.Message + " " + e.Detail }

// usageAfter is what a workspace counts with when a build has ended.
func (a *api) usageAfter(ctx context.Context, tx *store.Store, job store.ProvisionerJob, build store.WorkspaceBuild, result *jobResult) (usage, error) {
	if job.Status == client.JobSucceeded {
		after := usage{reservedBy(build).cost, build.Transition == client.TransitionStart}
		if result.build != nil {
			after.cost = max(boundCost(result.build.DailyCost), resourceCost(result.build.Resources))
		}
		if build.Transition == client.TransitionDelete {
			after = usage{}
		}
		return after, nil
	}
	return a.usageLeft(ctx, tx, job, build, result.standing)
}

// usageLeft is what an attempt that did not succeed has left: what stood
// before where it can have changed nothing, what the daemon read from state
// and plan where it could, and else the larger of both.
func (a *api) usageLeft(ctx context.Context, tx *store.Store, job store.ProvisionerJob, build store.WorkspaceBuild, standing *client.Standing) (usage, error) {
	changed, err := a.mayHaveChanged(ctx, tx, job, build)
	switch {
	case err != nil || !changed || (standing != nil && standing.Untouched):
		return standingOf(build), err
	case standing == nil:
		return reservedBy(build), nil
	case standing.Empty:
		return usage{boundCost(standing.DailyCost), false}, nil
	}
	return usage{boundCost(standing.DailyCost), reservedBy(build).running}, nil
}

// mayHaveChanged: the current attempt has started an engine, and that was let
// go on to apply where plan and apply are apart.
func (a *api) mayHaveChanged(ctx context.Context, tx *store.Store, job store.ProvisionerJob, build store.WorkspaceBuild) (bool, error) {
	if job.AttemptID == nil {
		return false, nil
	}
	attempt, err := tx.GetAttemptOfCall(ctx, *job.AttemptID)
	if err != nil {
		return false, fmt.Errorf("read the attempt of build %s: %w", build.ID, err)
	}
	if attempt.EngineStartedAt.IsZero() {
		return false, nil
	}
	version, err := versionOfBuild(ctx, tx, build)
	if err != nil {
		return false, fmt.Errorf("read the version of build %s: %w", build.ID, err)
	}
	granted := attempt.PlanCost != nil && attempt.Refusal == ""
	return granted || !splits(version.Priced, build.Transition), nil
}

// setUsage writes what a workspace counts with, and what stands, on the
// build and on the workspace.
func (a *api) setUsage(ctx context.Context, tx *store.Store, build store.WorkspaceBuild, counts, stands usage) error {
	err := tx.SetWorkspaceBuildCost(ctx, store.SetWorkspaceBuildCostParams{
		OrganizationID: build.OrganizationID, ID: build.ID, DailyCost: counts.cost, StandingCost: stands.cost, StandingRunning: stands.running, UpdatedAt: store.At(a.now()),
	})
	if err != nil {
		return fmt.Errorf("set the cost of build %s: %w", build.ID, err)
	}
	err = tx.SetWorkspaceUsage(ctx, store.SetWorkspaceUsageParams{
		OrganizationID: build.OrganizationID, ID: build.WorkspaceID, LatestBuildID: build.ID, DailyCost: counts.cost, Running: counts.running,
	})
	if err != nil {
		return fmt.Errorf("set the cost of workspace %s: %w", build.WorkspaceID, err)
	}
	return nil
}

// keepStanding notes what an attempt has left that is tried again: the next
// one may fail before it changes anything, and this is then what stands.
func (a *api) keepStanding(ctx context.Context, tx *store.Store, job store.ProvisionerJob, standing *client.Standing) error {
	if job.WorkspaceBuildID == nil {
		return nil
	}
	build, err := buildOfJob(ctx, tx, job)
	if err != nil {
		return err
	}
	left, err := a.usageLeft(ctx, tx, job, build, standing)
	if err != nil {
		return err
	}
	counts := usage{max(build.DailyCost, left.cost), reservedBy(build).running}
	return a.setUsage(ctx, tx, build, counts, left)
}
