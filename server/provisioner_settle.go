package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"coder/client"
	"coder/internal/terraform"
	"coder/store"
)

// How often a job is tried: before any engine ran, and once one did.
const (
	maxAttempts     = 3
	maxEngineStarts = 2
)

// secretKept is how long an attempt's secret outlives its end.
const secretKept = 7 * 24 * time.Hour

type completeInput struct {
	AttemptPath
	Body client.CompleteJobRequest
}

type failInput struct {
	AttemptPath
	Body client.FailJobRequest
}

// completeAttempt ends the job: everything in one transaction, once.
func (a *api) completeAttempt(ctx context.Context, in *completeInput) (*output[client.SettledJob], error) {
	if err := a.nameLate(ctx, requestFrom(ctx).attempt, lateWord{pastFence: in.Body.PastFence, dead: true, state: in.Body.State}); err != nil {
		return nil, err
	}
	var build *store.WorkspaceBuild
	call := settlement{in.Body.State, in.Body.Logs, store.JSON(in.Body), client.JobSucceeded, namesNewest(in.Body.State)}
	settled, err := a.settle(ctx, call, func(tx *store.Store, job store.ProvisionerJob) (_ client.SettledJob, err error) {
		if build, err = buildToEnd(ctx, tx, job); err != nil {
			return client.SettledJob{}, err
		}
		salvaged, more, err := a.deleteLeaves(ctx, tx, job, build)
		if err != nil {
			return client.SettledJob{}, err
		}
		if len(salvaged) > 0 {
			return a.deleteAgain(ctx, tx, job, salvaged, more, in.Body.Timings)
		}
		status := client.JobSucceeded
		if !job.CanceledAt.IsZero() && job.Type != client.JobWorkspaceBuild {
			status = client.JobCanceled
		}
		end := store.FinishProvisionerJobParams{Status: status, InDoubt: "[]", Timings: store.JSON(in.Body.Timings)}
		return a.endJob(ctx, tx, job, end, &jobResult{of: build, imported: in.Body.Import, dryRun: in.Body.DryRun, build: in.Body.Build})
	})
	if err == nil && build != nil {
		a.followAtOnce(ctx, *build)
	}
	return settled, err
}

// buildToEnd is the build of a job; nil for one of another kind.
func buildToEnd(ctx context.Context, tx *store.Store, job store.ProvisionerJob) (*store.WorkspaceBuild, error) {
	if job.WorkspaceBuildID == nil {
		return nil, nil
	}
	build, err := buildOfJob(ctx, tx, job)
	return &build, err
}

// namesNewest refuses an end that is not bound to the newest state that the
// attempt has handed in.
func namesNewest(named *client.StateRef) func(store.Attempt) error {
	return func(attempt store.Attempt) error {
		if attempt.StateN == 0 || named != nil && named.N >= attempt.StateN {
			return nil
		}
		return badRequest(fmt.Sprintf("A build is complete only with the newest state that was handed in, which is number %d.", attempt.StateN))
	}
}

// attestsDead refuses the end of a build whose engine may live: other engines
// would be let at its workspace. Without the word that it is dead, only the
// horizon ends it.
func attestsDead(dead bool) func(store.Attempt) error {
	return func(attempt store.Attempt) error {
		if dead || attempt.EngineStartedAt.IsZero() || attempt.WorkspaceID == nil {
			return nil
		}
		return badRequest("A build whose engine has started fails only when no process of it lives any more.",
			client.ValidationError{Field: "engine_dead", Detail: "Wait until the engine has ended, and say so; or fall silent, and the horizon ends the job."})
	}
}

// deleteLeaves refuses to call a delete done while the state that the call
// names still holds resources, whatever the daemon says. What only salvage
// knows, because it came in since, is told.
func (a *api) deleteLeaves(ctx context.Context, tx *store.Store, job store.ProvisionerJob, build *store.WorkspaceBuild) (salvaged []string, more bool, err error) {
	if build == nil || build.Transition != client.TransitionDelete || build.Orphan {
		return nil, false, nil
	}
	raw := []byte(nil)
	row, err := tx.GetLatestWorkspaceState(ctx, store.GetLatestWorkspaceStateParams{OrganizationID: job.OrganizationID, WorkspaceID: build.WorkspaceID})
	if err == nil {
		raw, err = tx.UnsealState(ctx, job.OrganizationID, row.Data)
	}
	if ignoreNotFound(err) != nil {
		return nil, false, err
	}
	state, err := terraform.ParseState(raw)
	if err != nil {
		return nil, false, err
	}
	if !state.Empty() {
		return nil, false, badRequest("A delete is complete only when the state holds no managed resource.")
	}
	return leftInSalvage(ctx, tx, *build, raw)
}

// deleteAgain goes on with a delete of which salvage knows more: with another
// attempt where its base would have it, else the build fails and names it.
func (a *api) deleteAgain(ctx context.Context, tx *store.Store, job store.ProvisionerJob, salvaged []string, more bool, timings []client.StageTiming) (client.SettledJob, error) {
	text := "What salvage holds is not deleted yet:\n  " + strings.Join(salvaged, "\n  ")
	if more && triesLeft(job) {
		if done, settled, err := a.retry(ctx, tx, job, text); done || err != nil {
			return settled, err
		}
	}
	end := store.FinishProvisionerJobParams{Status: client.JobFailed, Error: text + "\nDelete the workspace again. What cannot be merged is told in docs/operations.md.", InDoubt: "[]", Timings: store.JSON(timings)}
	return a.endJob(ctx, tx, job, end, &jobResult{})
}

// failAttempt ends the attempt, and the job unless it is tried again.
func (a *api) failAttempt(ctx context.Context, in *failInput) (*output[client.SettledJob], error) {
	req := in.Body
	if err := a.nameLate(ctx, requestFrom(ctx).attempt, lateWord{req.InDoubt, req.PastFence, req.EngineDead, req.State}); err != nil {
		return nil, err
	}
	call := settlement{req.State, req.Logs, store.JSON(req), client.JobFailed, attestsDead(req.EngineDead)}
	return a.settle(ctx, call, func(tx *store.Store, job store.ProvisionerJob) (client.SettledJob, error) {
		refusal, err := planRefusal(ctx, tx, job)
		if err != nil {
			return client.SettledJob{}, err
		}
		if refusal == "" && mayRetry(job, req) {
			if err := a.keepStanding(ctx, tx, job, req.Standing); err != nil {
				return client.SettledJob{}, err
			}
			if done, settled, err := a.retry(ctx, tx, job, "The attempt failed ("+req.Error+"); nothing is in doubt, so it is tried again."); done || err != nil {
				return settled, err
			}
		}
		end := store.FinishProvisionerJobParams{Status: client.JobFailed, Error: failure(job, req), ErrorCode: req.Code, InDoubt: store.JSON(nonNil(req.InDoubt)), Timings: store.JSON(req.Timings)}
		if req.Canceled && !job.CanceledAt.IsZero() && len(req.InDoubt) == 0 {
			end.Status, end.Error = client.JobCanceled, ""
		} else if refusal != "" {
			end.Error, end.ErrorCode = refusal, client.JobErrorInsufficientQuota
		}
		return a.endJob(ctx, tx, job, end, &jobResult{imported: req.Import, standing: req.Standing})
	})
}

// stageLate is the stage of what an attempt says that has lost its job, and
// lateRows how many rows of a log are looked through for it.
const (
	stageLate = "Reported late"
	lateRows  = 20_000
)

// lateWord is what an attempt says of its end that has lost its job: what it
// names in doubt, that its engine ran past its fence, that this is dead, and the
// last state, which it has handed in before.
type lateWord struct {
	doubts          []client.DoubtfulResource
	pastFence, dead bool
	state           *client.StateRef
}

// nameLate adds to the job's log what an attempt names in doubt that has lost
// its job, that its engine ran past its fence, and that nothing else is in doubt
// any more, each once: nobody else knows of it, and its own log is not taken.
func (a *api) nameLate(ctx context.Context, attempt *store.Attempt, word lateWord) error {
	if attempt.Current || attempt.Settled != "" || attempt.EngineStartedAt.IsZero() && len(word.doubts) == 0 && !word.pastFence {
		return nil
	}
	named := false
	err := a.store.InTx(ctx, func(tx *store.Store) error {
		job, err := tx.LockProvisionerJob(ctx, store.LockProvisionerJobParams{ID: attempt.JobID, UpdatedAt: store.At(a.now())})
		if err != nil {
			return err
		}
		rows, err := tx.ListJobLogs(ctx, store.ListJobLogsParams{OrganizationID: job.OrganizationID, JobID: job.ID, After: job.LogRows - lateRows, MaxRows: lateRows})
		if err != nil {
			return err
		}
		said := map[string]bool{}
		for _, row := range rows {
			said[row.Output] = said[row.Output] || row.Stage == stageLate
		}
		cleared, err := a.clears(ctx, tx, attempt, job, word)
		if err != nil {
			return err
		}
		fresh := slices.DeleteFunc(a.lateEntries(attempt, word, cleared), func(e client.JobLogEntry) bool { return said[e.Output] })
		if named = len(fresh) > 0; !named {
			return nil // the same call again, or there is nothing to say
		}
		return a.insertLogs(ctx, tx, job.OrganizationID, job.ID, nil, fresh, false)
	})
	if err != nil {
		return fmt.Errorf("record what is in doubt: %w", err)
	}
	if named {
		a.bus.Publish(jobTopic(attempt.JobID))
	}
	return nil
}

// clears tells whether the word of a lost attempt says more than its job knew
// when that ended: then something was in doubt because nobody knew how far the
// engine had come.
func (a *api) clears(ctx context.Context, tx *store.Store, attempt *store.Attempt, job store.ProvisionerJob, word lateWord) (bool, error) {
	doubt, err := doubtfulOf(job)
	if err != nil || !word.dead || job.AttemptID == nil || *job.AttemptID != attempt.ID || !slices.ContainsFunc(doubt, isGuessed) {
		return false, err
	}
	var missing *client.Error
	if err := a.handedIn(ctx, tx, *attempt, word.state, 0); errors.As(err, &missing) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return true, nil
}

// lateEntries are the lines of what nameLate says.
func (a *api) lateEntries(attempt *store.Attempt, word lateWord, cleared bool) []client.JobLogEntry {
	entries := []client.JobLogEntry{}
	say := func(level, text string) {
		entries = append(entries, client.JobLogEntry{CreatedAt: a.now(), Source: "provisioner_daemon", Level: level, Stage: stageLate, Output: cutLine(text)})
	}
	if word.pastFence {
		say("error", fmt.Sprintf("The engine of attempt %s of this build ran past its fence: it went on when the build had been taken from it, and may have worked beside a later one, as after its host was suspended. Look at what that build made; what this one made is kept and merged by the next.", attempt.ID))
	}
	for _, d := range word.doubts {
		say("error", strings.TrimSpace(fmt.Sprintf("%s (%s) %s", d.Address, d.Action, strings.TrimSpace(idText(d.ID)+" "+d.Planned)))+" was being made when a provisioner that had lost this build killed its engine: look whether it exists.")
	}
	if cleared {
		say("info", fmt.Sprintf("The provisioner came back and said how the engine of attempt %s ended. Of what this build names in doubt, only what is named here, as reported late, remains so: the rest was not made, or is in a state that was handed in.", attempt.ID))
	}
	return entries
}

// planRefusal is why the plan of the job's current attempt was refused: then
// that is how the job ends, whatever became of its daemon.
func planRefusal(ctx context.Context, tx *store.Store, job store.ProvisionerJob) (string, error) {
	if job.AttemptID == nil {
		return "", nil
	}
	attempt, err := tx.GetAttemptOfCall(ctx, *job.AttemptID)
	return attempt.Refusal, err
}

// mayRetry: only when the fault was not the template's, no engine lives,
// nothing is in doubt or newly tainted, and nobody asked for an end.
func mayRetry(job store.ProvisionerJob, req client.FailJobRequest) bool {
	return req.Retryable && req.EngineDead && !req.Canceled && job.CanceledAt.IsZero() && len(req.InDoubt) == 0 && len(req.Tainted) == 0 && triesLeft(job)
}

// triesLeft: an attempt whose engine has started makes room for one more, so a
// job has four at most, whatever breaks in which order.
func triesLeft(job store.ProvisionerJob) bool {
	return job.EngineStarts < maxEngineStarts && job.Attempts < maxAttempts+job.EngineStarts
}

// settlement is a call that ends an attempt: the state and the log that it
// names, its body, how the job will end in all likelihood, and what refuses it.
type settlement struct {
	state  *client.StateRef
	logs   int64
	body   string
	likely string
	admit  func(store.Attempt) error
}

// settle runs the end of an attempt once: a repeat of the same call gets the
// stored reply, another call a conflict, and nothing ends before the named
// state and log are stored, or where admit refuses.
func (a *api) settle(ctx context.Context, call settlement, end func(*store.Store, store.ProvisionerJob) (client.SettledJob, error)) (*output[client.SettledJob], error) {
	id, hash := requestFrom(ctx).attempt.ID, hashOf(call.body)
	var settled client.SettledJob
	var job store.ProvisionerJob
	err := a.mustTx(ctx, func(tx *store.Store) error {
		attempt, err := tx.GetAttemptOfCall(ctx, id)
		if err != nil {
			return err
		}
		if attempt.Settled != "" {
			return settledBefore(attempt, hash, &settled)
		}
		if !attempt.Current {
			return errNotCurrent()
		}
		if err := call.admit(attempt); err != nil {
			return err
		}
		if err := a.handedIn(ctx, tx, attempt, call.state, call.logs); err != nil {
			return err
		}
		if job, err = tx.GetProvisionerJob(ctx, attempt.JobID); err != nil {
			return err
		}
		now, likely := a.now(), store.JSON(client.SettledJob{JobID: job.ID, Status: call.likely})
		_, err = tx.SettleAttempt(ctx, store.SettleAttemptParams{
			OrganizationID: attempt.OrganizationID, ID: id, Settled: likely, SettledHash: hash, EndedAt: store.At(now), ExpiresAt: store.At(now.Add(secretKept)), Reply: []byte{},
		})
		if err != nil {
			return err
		}
		if settled, err = end(tx, job); err != nil || store.JSON(settled) == likely {
			return err
		}
		return tx.StoreSettledReply(ctx, store.StoreSettledReplyParams{OrganizationID: attempt.OrganizationID, ID: id, Settled: store.JSON(settled)})
	})
	if err != nil {
		return nil, err
	}
	if job.WorkspaceID == nil && job.ID != settled.JobID {
		return reply(settled), nil // a repeat: everybody was told then
	}
	a.leases.forget(id)
	a.jobSettled(ctx, job, settled)
	if settled.Retry {
		a.jobPosted(job)
	}
	a.jobChanged(job)
	return reply(settled), nil
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func settledBefore(attempt store.Attempt, hash string, into *client.SettledJob) error {
	if attempt.SettledHash != hash {
		return conflict("This attempt has ended with another result.")
	}
	if err := json.Unmarshal([]byte(attempt.Settled), into); err != nil {
		return fmt.Errorf("read the stored reply: %w", err)
	}
	return nil
}

// handedIn asks for the state and the log lines that the call names.
func (a *api) handedIn(ctx context.Context, tx *store.Store, attempt store.Attempt, state *client.StateRef, logs int64) error {
	if attempt.LogOffset < logs {
		return refuse(http.StatusPreconditionFailed, "The log is not complete yet.", fmt.Sprintf("It ends at %d, the call names %d.", attempt.LogOffset, logs))
	}
	if state == nil || attempt.WorkspaceID == nil {
		return nil
	}
	have, err := tx.GetWorkspaceStateInfo(ctx, store.GetWorkspaceStateInfoParams{
		OrganizationID: attempt.OrganizationID, WorkspaceID: *attempt.WorkspaceID, Fence: attempt.Fence, N: state.N,
	})
	if err != nil && !store.IsNotFound(err) {
		return err
	}
	if err != nil || have.Sha256 != state.SHA256 {
		return refuse(http.StatusPreconditionFailed, "The final state is not stored yet.", fmt.Sprintf("Hand in state %d first.", state.N))
	}
	return nil
}

// endJob writes the end and lets the job's subject know.
func (a *api) endJob(ctx context.Context, tx *store.Store, job store.ProvisionerJob, end store.FinishProvisionerJobParams, result *jobResult) (client.SettledJob, error) {
	end.OrganizationID, end.ID, end.CompletedAt = job.OrganizationID, job.ID, store.At(a.now())
	end.Error, end.ErrorCode = cutLine(end.Error), cutText(end.ErrorCode, maxStage)
	if err := tx.FinishProvisionerJob(ctx, end); err != nil {
		return client.SettledJob{}, err
	}
	finished := job
	finished.Status, finished.Error, finished.ErrorCode, finished.InDoubt, finished.Timings = end.Status, end.Error, end.ErrorCode, end.InDoubt, end.Timings
	finished.CompletedAt, finished.UpdatedAt = end.CompletedAt, end.CompletedAt
	if finished.Status == client.JobCanceled && result != nil {
		result = &jobResult{of: result.of, standing: result.standing}
	}
	if err := a.jobEnded(ctx, tx, finished, result); err != nil {
		return client.SettledJob{}, err
	}
	if err := a.pruneStates(ctx, tx, finished); err != nil {
		return client.SettledJob{}, err
	}
	return client.SettledJob{JobID: job.ID, Status: finished.Status}, nil
}

// retry puts the job back into the queue. Once a cancel is asked no attempt
// starts, so then it reports false.
func (a *api) retry(ctx context.Context, tx *store.Store, job store.ProvisionerJob, why string) (bool, client.SettledJob, error) {
	rows, err := tx.RequeueProvisionerJob(ctx, store.RequeueProvisionerJobParams{
		OrganizationID: job.OrganizationID, ID: job.ID, AttemptID: job.AttemptID, Attempts: job.Attempts, EngineStarts: job.EngineStarts, UpdatedAt: store.At(a.now()),
	})
	if err != nil || rows == 0 {
		return false, client.SettledJob{}, err
	}
	job.Status = client.JobPending
	if err := a.setWorkspaceStatus(ctx, tx, job); err != nil {
		return false, client.SettledJob{}, err
	}
	settled := client.SettledJob{JobID: job.ID, Status: client.JobPending, Retry: true}
	return true, settled, a.serverLog(ctx, tx, job, "warn", "Retry", why)
}
