package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"coder/client"
)

// logStream yields the rows of a log as they come.
type logStream = iter.Seq2[client.ProvisionerJobLog, error]

// watchedJob is a job that a command waits for.
type watchedJob struct {
	// what the job is, in sentences: "build of dev1/box".
	what string
	// fetch reads the job; the counts of daemons may be nil.
	fetch func(context.Context) (client.ProvisionerJob, *client.MatchedProvisioners, error)
	// follow yields the log until the job is over; logs reads a part of it.
	follow func(ctx context.Context, after int64) logStream
	logs   func(ctx context.Context, after int64) ([]client.ProvisionerJobLog, error)
	// interrupted decides what Ctrl-C means; true goes on waiting.
	interrupted func(ctx context.Context) (bool, error)
	// quiet shows the log only when the job fails.
	quiet bool
}

// watch shows a job's progress until it is over and returns it, however it
// ended. The job does not depend on being watched.
func (e *Env) watch(ctx context.Context, w watchedJob) (client.ProvisionerJob, error) {
	// Requests must outlive Ctrl-C: what it means is asked or done first.
	detached, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	p := &progress{env: e, quiet: w.quiet, what: w.what, live: e.isTTY(e.Stderr)}
	defer p.clear()
	rows, ended := w.stream(detached)
	poll, tick := time.NewTimer(0), time.NewTicker(time.Second)
	defer poll.Stop()
	defer tick.Stop()
	wait, interrupt := 50*time.Millisecond, ctx.Done()
	for {
		select {
		case row, open := <-rows:
			if !open {
				return p.finish(detached, w, <-ended)
			}
			if !p.started {
				if job, matched, err := w.fetch(detached); err == nil {
					p.show(job, matched)
				}
			}
			p.row(row)
		case <-poll.C:
			job, matched, err := w.fetch(detached)
			if err == nil {
				p.show(job, matched)
			}
			if !p.started || err != nil {
				poll.Reset(wait)
				wait = min(wait*2, time.Second)
			}
		case <-tick.C:
			p.tick()
		case <-interrupt:
			interrupt = nil
			p.clear()
			goOn, err := w.interrupted(detached)
			if err != nil || !goOn {
				return client.ProvisionerJob{}, errors.Join(err, errSilent)
			}
		}
	}
}

// stream reads the log in the background; rows is closed at its end, and
// ended then has the error, if any. Where no live stream can be had, it is
// read a piece at a time.
func (w watchedJob) stream(ctx context.Context) (<-chan client.ProvisionerJobLog, <-chan error) {
	rows, ended := make(chan client.ProvisionerJobLog), make(chan error, 1)
	go func() {
		defer close(rows)
		after := int64(0)
		send := func(row client.ProvisionerJobLog) bool {
			select {
			case rows <- row:
				after = row.ID
				return true
			case <-ctx.Done():
				return false
			}
		}
		for row, err := range w.follow(ctx, 0) {
			if err != nil {
				ended <- w.readByPieces(ctx, err, &after, send)
				return
			}
			if !send(row) {
				break
			}
		}
		ended <- ctx.Err()
	}()
	return rows, ended
}

// readByPieces takes over from a live stream that failed with cause.
func (w watchedJob) readByPieces(ctx context.Context, cause error, after *int64, send func(client.ProvisionerJobLog) bool) error {
	const period = time.Second
	for failures := 0; ; {
		job, _, err := w.fetch(ctx)
		if err == nil {
			var rows []client.ProvisionerJobLog
			rows, err = w.logs(ctx, *after)
			for _, row := range rows {
				if !send(row) {
					return ctx.Err()
				}
			}
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && job.Ended():
			return nil
		case err != nil:
			if failures++; failures == 30 || client.StatusCode(err) != 0 {
				return fmt.Errorf("read the log: %w", errors.Join(cause, err))
			}
		default:
			failures = 0
		}
		if !sleep(ctx, period) {
			return ctx.Err()
		}
	}
}

// sleep waits, and is false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// progress prints the stages and log lines of one job on standard error.
type progress struct {
	env     *Env
	what    string
	quiet   bool
	held    []client.ProvisionerJobLog
	queued  bool
	started bool
	stage   string
	since   time.Time
	waiting string
	polls   int
	// failed: the stage had an error; broken: one of the stages had.
	failed, broken bool
	// live keeps a line at the bottom that counts the seconds of the stage.
	live bool
	line bool
	tock int
}

// printf prints above the live line.
func (p *progress) printf(format string, args ...any) {
	p.clear()
	p.env.errf(format, args...)
}

// tick renews the live line, on a terminal.
func (p *progress) tick() {
	if !p.live || p.stage == "" {
		return
	}
	p.clear()
	p.tock++
	p.env.errf("%s", p.env.paint(p.env.Stderr, dim, fmt.Sprintf("⧗ %s %ds", printable(p.stage), p.tock)))
	p.line = true
}

func (p *progress) clear() {
	if p.line {
		p.env.errf("\r\x1b[2K")
		p.line = false
	}
}

// show takes note of where the job stands before its log begins.
func (p *progress) show(job client.ProvisionerJob, matched *client.MatchedProvisioners) {
	if !p.queued {
		p.queued = true
		p.begin("Queued", job.CreatedAt)
	}
	if job.StartedAt != nil && !p.started {
		p.started = true
		p.begin("Running", *job.StartedAt)
	}
	if job.Status == client.JobPending {
		p.polls++
		p.explain(job, matched)
	}
}

// explain says why a job waits, once for every reason. A job that has just
// been queued gets a moment first.
func (p *progress) explain(job client.ProvisionerJob, matched *client.MatchedProvisioners) {
	reason := job.WaitReason
	switch {
	case reason != "" || matched == nil:
	case matched.Count == 0:
		reason = "No provisioner of the organization takes jobs with these tags: start one, or change the tags."
	case matched.Available == 0:
		reason = "The provisioners that take such jobs are not connected: start one of them again."
		if matched.MostRecentlySeen != nil {
			reason += " The last one was seen at " + timeCell(*matched.MostRecentlySeen) + "."
		}
	}
	if reason == "" && job.QueuePosition > 1 {
		reason = "Other jobs are in front of it."
	}
	if reason == "" || reason == p.waiting || p.polls < 4 {
		return
	}
	p.waiting = reason
	tags, _ := json.Marshal(job.Tags)
	p.printf("%s the %s waits for a provisioner.\n  Job:    %s\n  Tags:   %s\n  Reason: %s\n",
		p.env.paint(p.env.Stderr, yellow, "WARN:"), p.what, job.ID, printable(string(tags)), printable(reason))
	if job.QueuePosition > 1 {
		p.printf("  Queue:  number %d of %d\n", job.QueuePosition, job.QueueSize)
	}
}

func (p *progress) row(row client.ProvisionerJobLog) {
	if row.Stage != "" && row.Stage != p.stage {
		p.begin(row.Stage, row.CreatedAt)
	}
	p.failed = p.failed || row.Level == "error"
	if p.quiet {
		p.held = append(p.held, row)
		return
	}
	p.log(row)
}

// begin ends the stage before and starts another.
func (p *progress) begin(stage string, at time.Time) {
	p.end(at)
	p.stage, p.since, p.tock, p.failed = stage, at, 0, false
	if !p.quiet {
		p.printf("==> ⧗ %s\n", printable(stage))
	}
}

// end marks the stage as done, or as the one that failed.
func (p *progress) end(at time.Time) {
	if p.stage == "" || p.quiet {
		return
	}
	mark, c := "✔", green
	if p.failed {
		mark, c, p.broken = "✘", red, true
	}
	took := max(at.Sub(p.since), 0).Milliseconds()
	p.printf("%s\n", p.env.paint(p.env.Stderr, c, fmt.Sprintf("=== %s %s [%dms]", mark, printable(p.stage), took)))
}

// finish reads the job once more when its log is over, and says how it ended.
func (p *progress) finish(ctx context.Context, w watchedJob, failed error) (client.ProvisionerJob, error) {
	if failed != nil {
		return client.ProvisionerJob{}, failed
	}
	for wait := 10 * time.Millisecond; ; wait = min(wait*2, time.Second) {
		job, matched, err := w.fetch(ctx)
		if err != nil {
			return job, err
		}
		if job.Ended() {
			p.show(job, matched)
			p.close(job)
			return job, nil
		}
		if !sleep(ctx, wait) {
			return job, ctx.Err()
		}
	}
}

func (p *progress) close(job client.ProvisionerJob) {
	at := p.since
	if job.CompletedAt != nil {
		at = *job.CompletedAt
	}
	succeeded := job.Status == client.JobSucceeded
	for _, row := range p.held {
		if !succeeded {
			p.log(row)
		}
	}
	p.failed = !succeeded && (p.failed || !p.broken)
	p.end(at)
	p.env.warnOfOverflow(job)
}

// warnOfOverflow says that a log is not whole.
func (e *Env) warnOfOverflow(job client.ProvisionerJob) {
	if job.LogsOverflowed {
		e.warnf("the log was longer than %d MiB: what came after that is not kept", client.MaxJobLog>>20)
	}
}

func (p *progress) log(row client.ProvisionerJobLog) {
	if line, shown := p.env.logLine(row); shown {
		p.printf("%s\n", p.env.paintLevel(row.Level, line))
	}
}

// logLine is a line of a job's log; debug lines are for the verbose, and lines
// that only begin a stage are for nobody.
func (e *Env) logLine(row client.ProvisionerJobLog) (string, bool) {
	debug := row.Level == "debug" || row.Level == "trace"
	if (debug && !e.global.verbose) || strings.TrimSpace(row.Output) == "" {
		return "", false
	}
	at := row.CreatedAt.Local().Format("2006-01-02 15:04:05.000Z07:00")
	return at + " " + printable(strings.TrimRight(row.Output, "\r\n")), true
}

func (e *Env) paintLevel(level, line string) string {
	switch level {
	case "error":
		return e.paint(e.Stderr, red, line)
	case "warn":
		return e.paint(e.Stderr, yellow, line)
	}
	return line
}

// jobError is the error of a job that did not succeed.
func jobError(what string, job client.ProvisionerJob) error {
	switch job.Status {
	case client.JobSucceeded:
		return nil
	case client.JobCanceled:
		return fmt.Errorf("the %s was canceled", what)
	}
	if job.Error == "" {
		return fmt.Errorf("the %s ended as %s", what, job.Status)
	}
	return fmt.Errorf("the %s failed: %s", what, job.Error)
}

// cancelOnInterrupt makes Ctrl-C ask for a gentle end, and waits for it.
func (e *Env) cancelOnInterrupt(what string, cancel func(context.Context) error) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		e.errf("\nGracefully canceling the %s… press Ctrl-C again to leave at once.\n", what)
		return true, cancel(ctx)
	}
}
