package provisioner

import (
	"context"
	"errors"
	"time"

	"coder/client"
	"coder/internal/supervisor"
)

// Causes for which a job's context ends.
var (
	errCanceledGently = errors.New("the job was canceled")
	errCanceledHard   = errors.New("the job was canceled at once")
	errNotCurrent     = errors.New("another attempt holds the job")
	errRevoked        = errors.New("the daemon's credential was revoked")
	errStopped        = errors.New("the provisioner daemon was stopped")
	errForgotten      = errors.New("the server does not know this attempt any more")
)

// renew keeps the lease and acts on what the server says, until ctx ends.
func (a *attempt) renew(ctx context.Context) {
	wait := newBackoff()
	seen := int64(0)
	for ctx.Err() == nil {
		sent := supervisor.Clock()
		reply, err := a.renewOnce(ctx, seen)
		switch {
		case ctx.Err() != nil:
			return
		case isForgotten(err):
			if !a.liveOn(ctx, sent) {
				return
			}
			continue
		case isOver(err):
			// The secret is of no use any more: the job has ended without us.
			a.logger.Warn("the server does not take this attempt's renewals", "error", err)
			a.end(errNotCurrent)
			return
		case err != nil:
			a.logger.Warn("renew the lease: no success, trying again", "error", err)
			wait.sleep(ctx)
			continue
		}
		wait = newBackoff()
		a.renewed(sent, reply)
		a.heedRecovery(ctx, reply.Recovery)
		if reply.Sequence == seen {
			a.pace(ctx, sent)
		}
		seen = reply.Sequence
	}
}

// renewed acts on the server's answer. One that says that another holds the job
// renews nothing: how long the engine was unheard of must stay to be seen.
func (a *attempt) renewed(sent time.Duration, reply client.RenewResponse) {
	if reply.Current {
		if err := a.noteLease(sent); err != nil {
			a.logger.Error("renew the lease", "error", err)
		}
	}
	a.obey(reply)
}

// liveOn keeps an engine going that the server does not know, because its
// database was restored, as long as that holds the workspace for it. It waits
// for the next renewal; false ends the job.
func (a *attempt) liveOn(ctx context.Context, sent time.Duration) bool {
	held, err := a.outlives(ctx)
	switch {
	case ctx.Err() != nil:
		return false
	case err == nil && !held, isFinal(err) && !client.IsNotFound(err):
		a.logger.Warn("the server does not take this attempt's renewals", "error", err)
		a.end(errForgotten)
		return false
	case err != nil:
		a.logger.Warn("ask the server to hold the workspace: no success, trying again", "error", err)
	default:
		a.logger.Warn("the server's database was restored from an older copy; the engine goes on, and its state is handed in when it has ended")
		if err := a.noteLease(sent); err != nil {
			a.logger.Error("renew the lease", "error", err)
		}
	}
	pause(ctx, a.interval())
	return ctx.Err() == nil
}

// pace waits when an answer without news came too soon, as a server that is
// stopping gives it.
func (a *attempt) pace(ctx context.Context, sent time.Duration) {
	early := a.interval()/8 - (supervisor.Clock() - sent)
	if early <= 0 {
		return
	}
	timer := time.NewTimer(early)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func (a *attempt) interval() time.Duration {
	return time.Duration(a.job.Clocks.Renew) * time.Millisecond
}

// noteLease counts from the sending of the renewal, because the server cannot
// have counted from earlier.
func (a *attempt) noteLease(sent time.Duration) error {
	a.leaseMu.Lock()
	defer a.leaseMu.Unlock()
	a.leaseSent = sent
	err := supervisor.Lease(a.folder.dir, sent)
	if err != nil && a.short(err) {
		err = supervisor.Lease(a.folder.dir, sent)
	}
	return err
}

func (a *attempt) lease() time.Duration {
	a.leaseMu.Lock()
	defer a.leaseMu.Unlock()
	return a.leaseSent
}

func (a *attempt) renewOnce(ctx context.Context, seen int64) (client.RenewResponse, error) {
	interval := a.interval()
	call, cancel := context.WithTimeout(ctx, interval+10*time.Second)
	defer cancel()
	return a.renewer.Renew(call, client.RenewRequest{
		Seen: seen, WaitMS: interval.Milliseconds(), Witness: a.daemon.spool.witness(a.job.OrganizationID), Recovery: new(a.toldOf),
	})
}

// obey does what the server says of the attempt. A revocation is of the
// credential that it was taken with, which need not be the daemon's own: that
// one's end the daemon learns when it asks for a job.
func (a *attempt) obey(reply client.RenewResponse) {
	if reply.Drain {
		a.daemon.Drain()
	}
	switch {
	case !reply.Current:
		a.end(errNotCurrent)
	case reply.Cancel == client.CancelHard:
		a.end(errCanceledHard)
	case reply.Cancel == client.CancelGentle:
		a.end(errCanceledGently)
	case reply.Revoked:
		a.end(errRevoked)
	}
}

// end asks the job to end for a reason. Before the engine runs that ends the
// preparations; while it runs, the engine is interrupted, or killed where the
// reason leaves no time.
func (a *attempt) end(reason error) {
	a.cancelJob(reason)
	a.reasonMu.Lock()
	defer a.reasonMu.Unlock()
	harder := errors.Is(reason, errCanceledHard) || errors.Is(reason, errNotCurrent)
	if a.reason == nil || harder {
		a.reason = reason
	}
	select {
	case a.reasons <- reason:
	default:
	}
}

// endedFor is why the job was asked to end; nil when it was not.
func (a *attempt) endedFor() error {
	a.reasonMu.Lock()
	defer a.reasonMu.Unlock()
	return a.reason
}
