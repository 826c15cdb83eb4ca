package server

import (
	"context"
	"fmt"
	"net/http"

	"coder/client"
	"coder/store"
)

type planInput struct {
	AttemptPath
	Body client.PlanRequest
}

// decidePlan decides once whether the plan of an attempt may be applied, and
// keeps what it decided: a repeat of the call hears the same.
func (a *api) decidePlan(ctx context.Context, in *planInput) (*output[client.PlanDecision], error) {
	id, cost := requestFrom(ctx).attempt.ID, boundCost(in.Body.DailyCost)
	var decision client.PlanDecision
	var job store.ProvisionerJob
	err := a.store.InTx(ctx, func(tx *store.Store) error {
		attempt, err := tx.GetAttemptOfCall(ctx, id)
		if err != nil {
			return err
		}
		if job, err = tx.GetProvisionerJob(ctx, attempt.JobID); err != nil {
			return err
		}
		switch {
		case job.WorkspaceBuildID == nil:
			return badRequest("Only a build of a workspace has a plan to decide on.")
		case !attempt.Current:
			return errNotCurrent()
		case attempt.PlanCost != nil:
			decision, err = decidedBefore(attempt, cost)
			return err
		case attempt.EngineStartedAt.IsZero() || attempt.Revoked || !job.CanceledAt.IsZero():
			return refuse(http.StatusConflict, "No plan may be applied for this job.", "It was canceled, its provisioner was revoked, or no engine has started.")
		}
		decision, err = a.chargePlan(ctx, tx, attempt, job, cost)
		return err
	})
	if err != nil {
		return nil, err
	}
	a.jobChanged(job)
	return reply(decision), nil
}

func decidedBefore(attempt store.Attempt, cost int64) (client.PlanDecision, error) {
	if *attempt.PlanCost != cost {
		return client.PlanDecision{}, conflict(fmt.Sprintf("The plan of this attempt was decided on with a daily cost of %d.", *attempt.PlanCost))
	}
	return planDecision(*attempt.PlanCost, attempt.Refusal), nil
}

func planDecision(cost int64, refusal string) client.PlanDecision {
	if refusal != "" {
		return client.PlanDecision{Message: refusal}
	}
	return client.PlanDecision{Granted: true, Message: fmt.Sprintf("The plan costs %d credits a day, which is admitted.", cost)}
}

// chargePlan puts the plan's figure in the place of the reservation. What is
// no more than was reserved was admitted when the build was asked for. After
// a refusal nothing is applied, so what stood before goes on counting.
func (a *api) chargePlan(ctx context.Context, tx *store.Store, attempt store.Attempt, job store.ProvisionerJob, cost int64) (client.PlanDecision, error) {
	build, err := buildOfJob(ctx, tx, job)
	if err != nil {
		return client.PlanDecision{}, err
	}
	w, err := workspaceOfLoop(ctx, tx, build.WorkspaceID)
	if err != nil {
		return client.PlanDecision{}, err
	}
	stands, held := standingOf(build), reservedBy(build)
	counts, refusal := usage{max(cost, stands.cost), held.running}, ""
	if build.Transition == client.TransitionStart {
		err = a.admitUsage(ctx, tx, w, held, counts)
	}
	if refused := overBudget(err); refused != nil {
		counts, refusal = stands, refusalSentence(refused)
	} else if err != nil {
		return client.PlanDecision{}, err
	}
	if err := a.setUsage(ctx, tx, build, counts, stands); err != nil {
		return client.PlanDecision{}, err
	}
	_, err = tx.SetAttemptPlan(ctx, store.SetAttemptPlanParams{OrganizationID: attempt.OrganizationID, ID: attempt.ID, PlanCost: &cost, Refusal: refusal})
	return planDecision(cost, refusal), err
}
