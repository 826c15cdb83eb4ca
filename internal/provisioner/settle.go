package provisioner

import (
	"context"
	"fmt"
	"net/http"

	"golang.org/x/sync/errgroup"

	"coder/client"
)

// verdict is how an attempt ended: well when failure is nil.
type verdict struct {
	complete client.CompleteJobRequest
	failure  *client.FailJobRequest
	// state to hand in; nil when the attempt has none.
	state []byte
	// unknown is why nobody can tell whether the engine is dead: then nothing
	// is reported.
	unknown error
}

// handIn brings up the final state and the rest of the log, and then the
// verdict. It tries until ctx ends.
func (a *attempt) handIn(ctx context.Context, v verdict) (client.SettledJob, error) {
	if err := a.bringUp(ctx, &v); err != nil {
		return client.SettledJob{}, err
	}
	settled := client.SettledJob{}
	err := retry(ctx, a.logger, "report the job's end", func() error {
		var err error
		settled, err = a.report(ctx, &v)
		if client.StatusCode(err) != http.StatusPreconditionFailed {
			return err
		}
		// The server lost what it acknowledged, or a replica lags behind.
		a.states.sent.Stored = false
		if missing := a.bringUp(ctx, &v); missing != nil {
			return missing
		}
		settled, err = a.report(ctx, &v)
		return err
	})
	return settled, err
}

func (a *attempt) report(ctx context.Context, v *verdict) (client.SettledJob, error) {
	v.complete.PastFence = a.pastFence.Load()
	if v.failure == nil {
		settled, err := a.client.Complete(ctx, v.complete)
		if !isRefusedResult(err) {
			return settled, err
		}
		a.logger.Warn("the server does not take the result of this job", "error", err)
		v.failure = a.failureOf(v.complete, err)
	}
	v.failure.PastFence = v.complete.PastFence
	return a.client.Fail(ctx, *v.failure)
}

// isRefusedResult tells whether the server will never take a result, which is
// too large or says what it finds wrong: the job would not end.
func isRefusedResult(err error) bool {
	return isFinal(err) && !isOver(err) && client.StatusCode(err) != http.StatusPreconditionFailed
}

// failureOf is the failure of a job whose result was refused. What the engine
// made stands, and the timings of its many resources may be what was too much.
func (a *attempt) failureOf(done client.CompleteJobRequest, refused error) *client.FailJobRequest {
	failure := a.failed(client.FailJobRequest{Error: fmt.Sprintf("The server does not take the result of this job: %v", refused), State: done.State, Logs: done.Logs}).failure
	failure.Timings = append([]client.StageTiming{}, a.timings...)
	if done.Build != nil {
		failure.Standing = &client.Standing{Empty: done.Build.Empty, DailyCost: done.Build.DailyCost}
	}
	return failure
}

// bringUp makes sure that the server has the state and the log that the
// verdict names.
func (a *attempt) bringUp(ctx context.Context, v *verdict) error {
	group, both := errgroup.WithContext(ctx)
	var ref *client.StateRef
	logs := int64(0)
	if len(v.state) > 0 {
		group.Go(func() error {
			err := retry(both, a.logger, "upload the final state", func() error { return a.states.upload(both, v.state) })
			if err != nil {
				return fmt.Errorf("upload the final state: %w", err)
			}
			ref = new(a.states.ref())
			return nil
		})
	}
	group.Go(func() error {
		var err error
		if logs, err = a.shipLogs(both); err != nil {
			return fmt.Errorf("send the job's log: %w", err)
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return err
	}
	v.complete.State, v.complete.Logs = ref, logs
	if v.failure != nil {
		v.failure.State, v.failure.Logs = ref, logs
	}
	return nil
}

// shipLogs waits until the log is sent to its end, which it returns.
func (a *attempt) shipLogs(ctx context.Context) (int64, error) {
	shipper := a.shipper
	a.shipper = nil
	if shipper == nil {
		// A second time: from where the server wants it.
		var err error
		if shipper, err = newShipper(a.client, a.journal, a.folder.path(journalFile), a.logger); err != nil {
			return 0, err
		}
		go shipper.run(ctx)
	}
	if err := shipper.finish(ctx); err != nil {
		return 0, err
	}
	return a.journal.end(), nil
}
