package provisioner

import (
	"context"
	"fmt"
	"os"
	"time"

	"coder/client"
	"coder/internal/supervisor"
	"coder/internal/terraform"
)

// errOverQuota is the server's refusal of a plan.
type errOverQuota struct{ message string }

func (e *errOverQuota) Error() string { return e.message }

// passGate asks the server what it decides about a plan that went well, and
// opens the gate before the apply or ends the job. The server keeps what it
// decided by the attempt: a lost reply, and a successor of a daemon that was
// killed anywhere in here, ask again and hear the same.
func (a *attempt) passGate(process *supervisor.Process, out *output, shipper *shipper, ended <-chan struct{}) {
	ctx, stop := context.WithCancel(a.jobCtx)
	defer stop()
	go func() {
		select {
		case <-ended:
			stop()
		case <-ctx.Done():
		}
	}()
	if !a.atGate(ctx, process) {
		return
	}
	// The plan's lines belong before the word about it, and the server must know
	// what the plan wants before anything is made.
	out.catchUp(ctx)
	shipper.reach(ctx, a.journal.end())
	decision, err := a.decidePlan(ctx)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		a.notLetOn(ctx, err)
		return
	case !decision.Granted:
		a.end(&errOverQuota{message: decision.Message})
		return
	}
	a.open(ctx, process)
}

// atGate waits until the plan and its reading have ended well, and tells
// whether the apply is still to begin.
func (a *attempt) atGate(ctx context.Context, process *supervisor.Process) bool {
	ticker := time.NewTicker(tailSoon)
	defer ticker.Stop()
	for {
		exit, err := process.Exit()
		if err == nil && exit != nil && len(exit.Steps) > 0 {
			if exit.Steps[len(exit.Steps)-1].Failed() {
				return false
			}
			if len(exit.Steps) == len(stepsOf(a.job))-1 {
				return !a.folder.has(stepApply + ".out")
			}
		}
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
	}
}

// decidePlan reports the plan's cost until the server answers.
func (a *attempt) decidePlan(ctx context.Context) (client.PlanDecision, error) {
	plan, err := os.ReadFile(a.folder.path(stepShow + ".out"))
	if err != nil {
		return client.PlanDecision{}, fmt.Errorf("read the plan: %w", err)
	}
	cost, _, err := terraform.Pricing(plan)
	if err != nil {
		return client.PlanDecision{}, err
	}
	var decision client.PlanDecision
	err = retry(ctx, a.logger, "ask whether the plan may be applied", func() error {
		var err error
		decision, err = a.client.DecidePlan(ctx, client.PlanRequest{DailyCost: cost})
		return err
	})
	if err == nil && a.journal.enterStage(stageQuota) {
		level := terraform.LevelInfo
		if !decision.Granted {
			level = terraform.LevelError
		}
		a.journal.say(level, "%s", decision.Message)
	}
	return decision, err
}

// notLetOn ends a job that may not go on. Where the server refused, its next
// word says why: a cancel, a revocation, another attempt.
func (a *attempt) notLetOn(ctx context.Context, err error) {
	if isFinal(err) {
		a.learn(ctx)
	}
	a.end(fmt.Errorf("the plan could not be decided on: %w", err))
}

// open lets the apply begin. A word that does not arrive is said again; one
// that arrives twice does nothing more.
func (a *attempt) open(ctx context.Context, process *supervisor.Process) {
	a.letOn.Store(true)
	ticker := time.NewTicker(tailSoon)
	defer ticker.Stop()
	for {
		err := process.Proceed()
		if err == nil {
			return
		}
		a.logger.Warn("go on from plan to apply", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
