package server

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"coder/client"
	"coder/store"
)

// explainProvisionerJob says why a job is where it is, with all grounds.
func (a *api) explainProvisionerJob(ctx context.Context, in *JobPath) (*output[client.ProvisionerJobExplanation], error) {
	row, job, err := a.listedJob(ctx, in.Job)
	if err != nil {
		return nil, err
	}
	q, err := a.queueOf(ctx, row.OrganizationID)
	if err != nil {
		return nil, err
	}
	d := q.decide(row, job.QueuePosition)
	out := client.ProvisionerJobExplanation{Job: job, Code: d.code, Reason: d.reason, Action: d.action, Daemons: q.verdicts(row)}
	if out.JobsAhead, err = a.jobsAhead(ctx, q, row); err != nil {
		return nil, err
	}
	if out.Attempts, err = a.attemptsOf(ctx, row); err != nil {
		return nil, err
	}
	if row.CompletedAt.IsZero() {
		out.Reason, out.Action = withUnconfirmed(out.Reason, out.Action, out.Attempts)
	}
	if older := q.olderEngine(row); older != nil && row.Status == client.JobPending {
		out.OlderEngine = a.olderEngineResponse(q, *older)
	}
	if out.InDoubt, err = doubtfulOf(row); err != nil {
		return nil, err
	}
	return reply(out), nil
}

// withUnconfirmed adds to why a job is where it is that it was handed out
// already, to provisioners that did not take it.
func withUnconfirmed(reason, action string, attempts []client.ProvisionerJobAttempt) (string, string) {
	count, last := 0, client.ProvisionerJobAttempt{}
	for _, attempt := range attempts {
		if attempt.Outcome == client.OutcomeUnconfirmed {
			count++
		}
		if attempt.Outcome == client.OutcomeUnconfirmed && !attempt.HandedAt.Before(last.HandedAt) {
			last = attempt
		}
	}
	if count == 0 {
		return reason, action
	}
	return strings.TrimSpace(fmt.Sprintf("%s It was handed to %s at %s, which did not confirm it, and went back into the queue; %s in all.",
			reason, last.DaemonName, last.HandedAt.UTC().Format(time.RFC3339), plural(int64(count), "time"))),
		strings.TrimSpace(fmt.Sprintf("Look at the log of %s: its disk may be full, or its connection bad. %s", last.DaemonName, action))
}

// jobsAhead names the first of those that are handed out before a pending job.
func (a *api) jobsAhead(ctx context.Context, q *queue, job store.ProvisionerJob) ([]client.ProvisionerJobAhead, error) {
	out := []client.ProvisionerJobAhead{}
	ahead := q.ahead(job)
	if job.Status != client.JobPending || len(ahead) == 0 {
		return out, nil
	}
	ids := []uuid.UUID{}
	for _, other := range ahead[:min(len(ahead), client.MaxJobsAhead)] {
		ids = append(ids, other.ID)
	}
	rows, err := a.jobRowsByID(ctx, job.OrganizationID, ids)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(rows, func(x, y store.ListProvisionerJobsRow) int {
		return slices.Index(ids, x.ProvisionerJob.ID) - slices.Index(ids, y.ProvisionerJob.ID)
	})
	for _, row := range rows {
		j := row.ProvisionerJob
		out = append(out, client.ProvisionerJobAhead{
			ID: j.ID, CreatedAt: j.CreatedAt.Time, Type: j.Type, InitiatorID: j.InitiatorID, TemplateName: row.TemplateName, WorkspaceName: row.WorkspaceName,
		})
	}
	return out, nil
}

// closeness orders daemons by how little keeps them from a job.
var closeness = [...]string{client.VerdictWouldTake, client.VerdictBusy, client.VerdictTrouble, client.VerdictDraining, client.VerdictOffline, client.VerdictEngineUnsupported, client.VerdictTagsDiffer}

// verdicts are what each daemon would do with a job.
func (q *queue) verdicts(job store.ProvisionerJob) []client.ProvisionerVerdict {
	out := make([]client.ProvisionerVerdict, len(q.daemons))
	for i, d := range q.daemons {
		out[i] = client.ProvisionerVerdict{
			ID: d.ID, Name: d.Name, Verdict: q.judge(job, d), Tags: d.Tags, Provisioners: nonNil(d.Provisioners), LastSeenAt: d.LastSeenAt.Time,
			Online: q.online(d.LastSeenAt, d.StoppedAt), Draining: !d.DrainedAt.IsZero(), Trouble: d.Trouble, Differences: tagDifferences(job.Tags, d.Tags),
		}
		if w := q.workOf(d.ID); w != nil {
			out[i].CurrentJobID = &w.JobID
		}
	}
	slices.SortStableFunc(out, func(x, y client.ProvisionerVerdict) int {
		return slices.Index(closeness[:], x.Verdict) - slices.Index(closeness[:], y.Verdict)
	})
	return out
}

func (a *api) attemptsOf(ctx context.Context, job store.ProvisionerJob) ([]client.ProvisionerJobAttempt, error) {
	rows, err := a.store.ListAttemptsOfJob(ctx, store.ListAttemptsOfJobParams{OrganizationID: job.OrganizationID, JobID: job.ID})
	if err != nil {
		return nil, err
	}
	out := make([]client.ProvisionerJobAttempt, len(rows))
	for i, row := range rows {
		out[i] = client.ProvisionerJobAttempt{
			ID: row.ID, Number: int(row.Number), DaemonID: row.DaemonID, DaemonName: row.DaemonName, HandedAt: row.HandedAt.Time, ConfirmedAt: row.ConfirmedAt.Ptr(),
			EngineStartedAt: row.EngineStartedAt.Ptr(), LostAt: row.LostAt.Ptr(), EndedAt: row.EndedAt.Ptr(),
		}
		if out[i].Outcome, err = attemptOutcome(row); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// attemptOutcome is how an attempt ended: by its daemon's word, or without one.
func attemptOutcome(row store.ListAttemptsOfJobRow) (string, error) {
	switch {
	case row.EndedAt.IsZero() && !row.LostAt.IsZero():
		return client.OutcomeLost, nil
	case row.EndedAt.IsZero():
		return client.OutcomeRunning, nil
	case row.Settled == "" && !row.EngineStartedAt.IsZero():
		return client.OutcomeTakenOver, nil
	case row.Settled == "" && row.ConfirmedAt.IsZero():
		return client.OutcomeUnconfirmed, nil
	case row.Settled == "":
		return client.OutcomeTakenBack, nil
	}
	var settled client.SettledJob
	if err := json.Unmarshal([]byte(row.Settled), &settled); err != nil {
		return "", fmt.Errorf("read how attempt %s ended: %w", row.ID, err)
	}
	if settled.Retry {
		return client.OutcomeRetried, nil
	}
	return settled.Status, nil
}

func (a *api) olderEngineResponse(q *queue, w store.ListAttemptsUnderWayRow) *client.OlderEngine {
	out := &client.OlderEngine{JobID: w.JobID, AttemptID: w.ID, DaemonName: q.nameOf(w.DaemonID), StartedAt: w.EngineStartedAt.Time}
	if horizon := horizonOf(w.Clocks); horizon > 0 {
		until := a.now().Add(horizon - a.leases.silence(w.ID, w.RenewedAt)).Round(time.Second)
		out.Until = &until
	}
	return out
}
