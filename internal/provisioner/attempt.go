package provisioner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"coder/client"
	"coder/internal/supervisor"
	"coder/internal/terraform"
)

// How long things may take that a person or another process waits for.
const (
	confirmWithin  = 5 * time.Second
	lastWord       = 10 * time.Second
	reportPatience = 2 * time.Minute
	adoptedPoll    = 100 * time.Millisecond
	orphanPoll     = time.Second
	engineLinger   = 10 * time.Second
)

// attempt is one hand-out of a job, from the spool record to the last word.
type attempt struct {
	daemon *Daemon
	tools  *tools
	logger *slog.Logger
	folder *folder
	job    client.AcquiredJob
	client *client.Attempt
	// renewer is a client on connections of its own, so that no upload holds
	// up a renewal.
	renewer *client.Attempt

	journal *journal
	// mask hides the job's secrets in what is told of it.
	mask    *strings.Replacer
	shipper *shipper
	states  *stateKeeper
	work    *engineWork

	// jobCtx ends, with a cause, when the job is asked to end.
	jobCtx    context.Context
	cancelJob context.CancelCauseFunc
	reasonMu  sync.Mutex
	reason    error
	reasons   chan error

	leaseMu   sync.Mutex
	leaseSent time.Duration
	// pastFence: its engine has run on past the horizon, when another attempt
	// may have begun to work beside it.
	pastFence atomic.Bool
	// letOn: the gate before its apply was opened.
	letOn atomic.Bool

	// joined is the daemon's id at a restored server, which may not know the one
	// that it had.
	joined atomic.Value
	// toldOf is the recovery in which the daemon tells what it remembers. Only
	// the loop that renews uses it.
	toldOf string

	prepared *terraform.Prepared
	// facts are what an import read without the engine.
	facts   *client.ImportResult
	timings []client.StageTiming
	owned   sync.WaitGroup
	stop    context.CancelFunc
}

// perform runs one job that was just acquired to its end.
func (d *Daemon) perform(ctx context.Context, job client.AcquiredJob) {
	f, err := d.spool.add(job)
	if err != nil {
		// Not confirmed, the job goes back to the queue by itself.
		d.logger.Error("take a job: it goes back into the queue", "job", job.ID, "error", d.explained(err))
		return
	}
	a, err := d.newAttempt(ctx, f, job)
	if err != nil {
		d.logger.Error("take a job: it goes back into the queue", "job", job.ID, "error", d.explained(errors.Join(err, f.remove())))
		return
	}
	defer a.close()
	if err := d.reserve(f, job); err != nil {
		a.logger.Error("take a job: it goes back into the queue", "error", d.explained(errors.Join(err, f.remove())))
		return
	}
	a.logger.Info("job taken", "type", job.Type, "workspace", job.Metadata.WorkspaceName, "transition", job.Metadata.Transition)
	ended := d.opts.Metrics.begin(job.Type)
	v, err := a.runJob(ctx)
	if err != nil {
		a.logger.Warn("job given back", "error", d.explained(errors.Join(err, f.remove())))
		ended(outcomeGivenBack)
		return
	}
	ended(a.conclude(ctx, v))
}

func (d *Daemon) newAttempt(ctx context.Context, f *folder, job client.AcquiredJob) (*attempt, error) {
	logger := d.logger.With("job", job.ID, "attempt", job.AttemptID)
	mask := newMask(job)
	journal, err := openJournal(f.path(journalFile), job.LogLevel, mask, d.now)
	if err != nil {
		return nil, err
	}
	caller := d.opts.Client.Attempt(job.AttemptID, job.Secret)
	shipper, err := newShipper(caller, journal, f.path(journalFile), logger)
	if err != nil {
		return nil, errors.Join(err, journal.close())
	}
	states, err := newStateKeeper(caller, f, job, logger)
	if err != nil {
		return nil, errors.Join(err, journal.close())
	}
	a := &attempt{
		daemon: d, tools: d.tools.Load(), logger: logger, folder: f, job: job, client: caller, renewer: d.renewals.Attempt(job.AttemptID, job.Secret),
		journal: journal, mask: mask, shipper: shipper, states: states, work: newEngineWork(), reasons: make(chan error, 16),
	}
	if before, err := terraform.ParseState(job.State); err == nil {
		a.work.before = before
		states.stored = func(stored *terraform.State) { a.journal.addIntents(a.work.taken(stored)) }
	}
	journal.short, states.short = a.short, a.short
	a.jobCtx, a.cancelJob = context.WithCancelCause(context.WithoutCancel(ctx))
	return a, nil
}

// attend begins what goes on beside the job: renewing, sending the log, and
// watching for the daemon to be stopped. unattend ends it.
func (a *attempt) attend(ctx context.Context) {
	beside, stop := context.WithCancel(context.WithoutCancel(ctx))
	a.stop = stop
	shipper := a.shipper
	a.owned.Go(func() { a.renew(beside) })
	a.owned.Go(func() { shipper.run(beside) })
	a.owned.Go(func() {
		select {
		case <-ctx.Done():
			a.end(errStopped)
		case <-beside.Done():
		}
	})
}

// unattend ends what attend began, and waits until it has ended.
func (a *attempt) unattend() {
	if a.stop != nil {
		a.stop()
	}
	a.owned.Wait()
}

func (a *attempt) close() {
	a.cancelJob(nil)
	a.unattend()
	a.release()
	if err := a.journal.close(); err != nil {
		a.logger.Warn("close the job's log", "error", err)
	}
	a.folder.disown()
}

// runJob does the job. An error means that the attempt never was confirmed,
// and so is no attempt; everything else is a verdict.
func (a *attempt) runJob(ctx context.Context) (verdict, error) {
	a.journal.enterStage(stageSetUp)
	if len(a.tools.variables) > 0 {
		a.journal.say(terraform.LevelWarn, "Variables of the provisioner's host reach the engine: %s", strings.Join(a.tools.variables, ", "))
	}
	confirmed := make(chan struct{})
	var confirmErr error
	go func() {
		defer close(confirmed)
		if confirmErr = a.confirm(); confirmErr == nil {
			a.attend(ctx)
		} else {
			a.cancelJob(confirmErr)
		}
	}()
	guard := a.launch()
	defer guard.abandon(a.logger)
	run, err := a.prepare(confirmed)
	<-confirmed
	if confirmErr != nil {
		return verdict{}, confirmErr
	}
	if err != nil {
		return a.failedBefore(err), nil
	}
	if run == nil {
		return a.nothingToDo(), nil
	}
	out := newOutput(a.journal, a.work, a.follows())
	defer out.close()
	if err := out.create(); err != nil {
		return a.failedBefore(fmt.Errorf("make the files for the engine's output: %w", err)), nil
	}
	process, err := a.startEngine(guard, *run)
	if err != nil {
		return a.failedBefore(err), nil
	}
	return a.follow(process, out), nil
}

// guard is a supervisor that is starting beside the preparations.
type guard struct {
	ready   chan struct{}
	pending *supervisor.Pending
	err     error
}

func (a *attempt) launch() *guard {
	g := &guard{ready: make(chan struct{})}
	go func() {
		defer close(g.ready)
		g.pending, g.err = a.daemon.opts.Standby.Launch(a.folder.dir)
	}()
	return g
}

// begin hands the supervisor its run, which it then is busy with.
func (g *guard) begin(run supervisor.Run, leaseSent time.Duration) (*supervisor.Process, error) {
	<-g.ready
	if g.err != nil {
		return nil, g.err
	}
	pending := g.pending
	g.pending = nil
	return pending.Begin(run, leaseSent)
}

// abandon ends the supervisor if it was given nothing to run.
func (g *guard) abandon(logger *slog.Logger) {
	<-g.ready
	if g.pending == nil {
		return
	}
	if err := g.pending.Abandon(); err != nil {
		logger.Warn("end a supervisor that is not needed", "error", err)
	}
}

// confirm tells the server that the attempt is recorded, once it is.
func (a *attempt) confirm() error {
	ctx, cancel := context.WithTimeout(context.Background(), confirmWithin)
	defer cancel()
	if err := a.folder.sync(); err != nil {
		return err
	}
	return retry(ctx, a.logger, "confirm the job", func() error {
		sent := supervisor.Clock()
		err := a.client.Confirm(ctx)
		if err == nil {
			return a.noteLease(sent)
		}
		return err
	})
}

// prepare lays out the job's directory, and returns what the supervisor is to
// run there: nothing, when there is nothing to do.
func (a *attempt) prepare(confirmed <-chan struct{}) (*supervisor.Run, error) {
	before, err := terraform.ParseState(a.job.State)
	if err != nil {
		return nil, fmt.Errorf("read the workspace's state: %w", err)
	}
	if a.job.Type == client.JobWorkspaceBuild && a.job.Metadata.Transition == client.TransitionDelete && before.Empty() {
		return nil, nil
	}
	if err := a.layOut(confirmed); err != nil {
		return nil, err
	}
	return a.prepareRun(a.prepared)
}

func (a *attempt) prepareRun(prepared *terraform.Prepared) (*supervisor.Run, error) {
	work := a.folder.path(workDir)
	if err := a.inspectTemplate(work); err != nil {
		return nil, err
	}
	if len(a.job.State) > 0 {
		if err := os.WriteFile(filepath.Join(work, terraform.StateFile), a.job.State, 0o600); err != nil {
			return nil, fmt.Errorf("lay out the workspace's state: %w", err)
		}
	}
	variables := ""
	if len(a.job.Variables) > 0 {
		variables = a.folder.path(variablesFile)
		if err := prepared.WriteVariables(variables, a.job.Variables); err != nil {
			return nil, &terraform.SourceError{Err: err}
		}
	}
	clocks := a.job.Clocks
	run := &supervisor.Run{
		InterruptAfter: time.Duration(clocks.InterruptAt) * time.Millisecond,
		KillAfter:      time.Duration(clocks.KillAt) * time.Millisecond,
		Horizon:        time.Duration(clocks.Horizon) * time.Millisecond,
		Linger:         engineLinger,
	}
	if prepared.Provider != "" {
		run.Provider = supervisor.Provider{
			Argv: []string{prepared.Provider}, Addresses: terraform.CoderAddresses(), Log: a.folder.path("provider.log"),
		}
	}
	for _, s := range stepsOf(a.job) {
		engineStep, err := a.engineStep(s, prepared, variables)
		if err != nil {
			return nil, err
		}
		run.Steps = append(run.Steps, engineStep)
	}
	return run, nil
}

// release gives the initialised directory back to the cache, which makes it
// last only now that nobody waits for it.
func (a *attempt) release() {
	if a.prepared == nil {
		return
	}
	err := error(nil)
	if a.prepared.Fresh {
		err = a.prepared.Sync()
	}
	if err := errors.Join(err, a.prepared.Release()); err != nil {
		a.logger.Warn("keep the initialized directory", "error", err)
	}
}

// startEngine asks for leave, once, and lets the supervisor begin.
func (a *attempt) startEngine(guard *guard, run supervisor.Run) (*supervisor.Process, error) {
	start := client.EngineStart{}
	err := retry(a.jobCtx, a.logger, "mark the engine's start", func() (err error) {
		start, err = a.client.BeginEngine(a.jobCtx)
		return err
	})
	if err != nil {
		if client.StatusCode(err) == http.StatusConflict {
			a.end(errCanceledGently)
		}
		return nil, err
	}
	if a.jobCtx.Err() != nil {
		return nil, context.Cause(a.jobCtx)
	}
	if err := a.keepVoucher(start.Voucher); err != nil {
		return nil, fmt.Errorf("keep the voucher of the engine's start: %w", err)
	}
	return guard.begin(run, a.lease())
}

// follow stays with a running engine until nothing of it lives, and reads
// what came of it.
func (a *attempt) follow(process *supervisor.Process, out *output) verdict {
	ended := make(chan struct{})
	watchers := &sync.WaitGroup{}
	watchers.Go(func() {
		if err := out.run(ended); err != nil {
			a.logger.Error("read the engine's output", "error", err)
		}
	})
	if a.job.Type == client.JobWorkspaceBuild {
		uploads, stop := context.WithCancel(context.Background())
		defer stop()
		watchers.Go(func() { a.states.watch(uploads, ended) })
		watchers.Go(func() { <-ended; stop() })
	}
	watchers.Go(func() { a.control(process, ended) })
	if a.job.Split {
		shipper := a.shipper
		watchers.Go(func() { a.passGate(process, out, shipper, ended) })
	}
	_, err := process.Wait(nil, adoptedPoll)
	close(ended)
	// What is left to be written, for the room of which it was held.
	_ = os.Remove(a.folder.path(supervisor.ReserveFile))
	watchers.Wait()
	if err != nil {
		return verdict{unknown: fmt.Errorf("tell whether the engine lives: %w", err)}
	}
	a.watchFolder() // the engine may have ended before anybody looked
	if a.folder.gone() && a.letOn.Load() && out.unread(stepApply) {
		a.work.loseSight()
	}
	return a.judge()
}

// control passes on to the supervisor what the job is asked to do.
func (a *attempt) control(process *supervisor.Process, ended <-chan struct{}) {
	watch := time.NewTicker(orphanPoll)
	defer watch.Stop()
	orphan := &orphan{attempt: a, process: process}
	for {
		select {
		case <-ended:
			return
		case <-watch.C:
			a.watchFolder()
			orphan.watch()
		case reason := <-a.reasons:
			tell := process.Interrupt
			if errors.Is(reason, errNoRoom) {
				tell = process.Full
			}
			if errors.Is(reason, errCanceledHard) || errors.Is(reason, errNotCurrent) {
				tell = process.Kill
			}
			if err := tell(); err != nil && !errors.Is(reason, errGone) {
				a.logger.Warn("end the engine", "reason", reason, "error", err)
			}
		}
	}
}

// watchFolder says, once, that the attempt's folder is gone. The supervisor sees
// that too, and interrupts the engine, which nobody else can reach any more.
func (a *attempt) watchFolder() {
	if a.endedFor() != nil || !a.folder.gone() {
		return
	}
	a.logger.Error("the spool is gone while an engine runs: what the server has not acknowledged is in doubt", "folder", a.folder.dir)
	a.journal.say(terraform.LevelError, "The provisioner's spool is gone, so the state of this build can be kept no longer. The engine is interrupted; what is not in the state that the server holds is named in doubt.")
	a.end(errGone)
}

// orphan does for an engine whose supervisor was killed what that would have
// done at its end.
type orphan struct {
	attempt *attempt
	process *supervisor.Process
	// leftSince is since when no engine has lived, but something that it left.
	leftSince time.Duration
}

// watch kills an engine at its deadline, before which no other attempt may
// start one, and what an engine that has ended left behind: a provider that
// the supervisor served would hold the attempt's lock for ever.
func (o *orphan) watch() {
	if o.process.Alive() {
		return
	}
	clocks, silent := o.attempt.job.Clocks, supervisor.Clock()-o.attempt.lease()
	over := func(limit int64) bool { return limit > 0 && silent >= time.Duration(limit)*time.Millisecond }
	if over(clocks.Horizon) {
		o.attempt.pastFence.Store(true)
	}
	if !over(clocks.KillAt) && !o.lingers() {
		return
	}
	if err := o.process.Kill(); err != nil {
		o.attempt.logger.Warn("end an engine without a supervisor", "error", err)
	}
}

// lingers tells whether what an engine left has had its time.
func (o *orphan) lingers() bool {
	lives, err := o.process.EngineLives()
	switch {
	case err != nil:
		o.attempt.logger.Warn("look for an engine without a supervisor", "error", err)
		return false
	case lives:
		o.leftSince = 0
		return false
	case o.leftSince == 0:
		o.leftSince = supervisor.Clock()
	}
	return supervisor.Clock()-o.leftSince >= engineLinger
}

// conclude hands the verdict in. What cannot be handed in now stays in the
// spool, for this daemon's next look at it or for another's.
func (a *attempt) conclude(ctx context.Context, v verdict) (outcome string) {
	if v.unknown != nil {
		// The server waits for the horizon then.
		a.logger.Error("report the job's end: it stays in the spool", "error", v.unknown)
		return outcomeKept
	}
	a.journal.enterStage(stageCleanUp)
	report, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), reportPatience, errors.New("the server could not be reached for long"))
	defer cancel()
	stopHurry := context.AfterFunc(ctx, func() { time.AfterFunc(lastWord, cancel) })
	defer stopHurry()
	settled, err := a.handIn(report, v)
	switch {
	case err == nil:
		a.logger.Info("job ended", "status", settled.Status, "retry", settled.Retry)
		outcome = outcomeOf(settled)
	case isOver(err):
		a.logger.Warn("the server has ended this attempt without its report", "error", err)
		outcome = outcomeOver
	default:
		a.logger.Error("report the job's end: it stays in the spool and is handed in later", "error", err)
		return outcomeKept
	}
	// A renewal that is still under way notes its lease in the folder, which
	// settle moves.
	a.unattend()
	if err := a.folder.keepFinal(v.state); err != nil {
		a.logger.Warn("keep the last state", "error", err)
	}
	if err := a.daemon.spool.settle(a.folder, settled); err != nil {
		a.logger.Warn("record the job's end", "error", err)
	}
	return outcome
}
