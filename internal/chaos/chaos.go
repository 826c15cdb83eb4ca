// Package chaos hurts a throwaway deployment of this binary while it builds,
// and compares what then exists with what the deployment knows of.
// docs/jobs.md says what it proves.
package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Options of a proof.
type Options struct {
	// Binary is the program whose server and daemons are hurt.
	Binary string
	// Runs is how many builds meet a fault.
	Runs int
	// Seed says which faults these are, when they strike and how long they last.
	Seed uint64
	// Workspaces build at once, each on a host of its own.
	Workspaces int
	// Faults by name; none are all.
	Faults []string
	// PostgresURL names an empty database; empty is SQLite.
	PostgresURL string
	// Horizon is after how long of silence the server takes a build from its
	// daemon; more than the 24 s after which a daemon counts as lost.
	Horizon time.Duration
	// Keep the deployment's directory, which is kept after problems anyway.
	Keep bool
	// Progress, when set, is told of each run. Calls do not overlap.
	Progress func(string)
}

// Run does the whole proof. An error says that it could not be done; broken
// promises are in the report.
func Run(ctx context.Context, opts Options) (*Report, error) {
	chosen, err := selectFaults(opts.Faults)
	if err != nil {
		return nil, err
	}
	if !Supported {
		return nil, errors.New("this proof runs on Linux only, where /proc shows what engines have started")
	}
	dir, err := os.MkdirTemp("", "coder-chaos-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the throwaway deployment: %w", err)
	}
	// Processes are told by their directory, which has no links in it.
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, err
	}
	begun := time.Now()
	p := &proof{opts: opts, dir: dir, faults: chosen}
	if err := p.leaveOut(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	err = p.run(ctx)
	report := newReport(opts, p.results)
	report.LeftOut = p.leftOut
	report.Took = time.Since(begun).Seconds()
	if opts.Keep || err != nil || len(report.Problems) > 0 {
		report.Kept = dir
		if err != nil {
			err = fmt.Errorf("%w (the logs are kept in %s)", err, filepath.Join(dir, "logs"))
		}
		return report, err
	}
	if err := os.RemoveAll(dir); err != nil {
		return report, fmt.Errorf("remove the throwaway deployment: %w", err)
	}
	return report, nil
}

// proof is one call of Run.
type proof struct {
	opts   Options
	dir    string
	faults []fault
	// leftOut says what this host cannot do.
	leftOut []string
	// mounts: spools have file systems of their own, which can be full.
	mounts bool

	mu      sync.Mutex
	next    int // the life that is lived next
	results []*result
}

// leaveOut takes away what this host, or the database, cannot do.
func (p *proof) leaveOut() error {
	mounts := func(f fault) bool { return f.mounts }
	sqlite := func(f fault) bool { return f.sqlite }
	p.leftOut = []string{}
	if p.opts.PostgresURL != "" && slices.ContainsFunc(p.faults, sqlite) {
		p.leftOut = append(p.leftOut, "the full disk of the server, whose database is elsewhere")
		p.faults = slices.DeleteFunc(p.faults, sqlite)
	}
	if p.mounts = slices.ContainsFunc(p.faults, mounts) && canMount(p.dir); !p.mounts && slices.ContainsFunc(p.faults, mounts) {
		p.leftOut = append(p.leftOut, "full disks, which need the right to mount a file system: run it as root")
		p.faults = slices.DeleteFunc(p.faults, mounts)
	}
	if len(p.faults) == 0 {
		return fmt.Errorf("no fault is left: left out are %s", strings.Join(p.leftOut, "; "))
	}
	return nil
}

func (p *proof) run(ctx context.Context) (err error) {
	d, err := deploy(ctx, p.opts, p.dir, p.mounts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	lanes, err := p.openLanes(ctx, d)
	defer func() {
		for _, l := range lanes {
			err = errors.Join(err, l.close(context.WithoutCancel(ctx)))
		}
	}()
	if err != nil {
		return err
	}
	group, living := errgroup.WithContext(ctx)
	for _, l := range lanes {
		group.Go(func() error { return p.live(living, l) })
	}
	return group.Wait()
}

// openLanes has all lanes ready before the first fault, which may take the
// server away. With an error it returns those that are to be closed.
func (p *proof) openLanes(ctx context.Context, d *deployment) ([]*lane, error) {
	lanes := []*lane{}
	for number := range p.opts.Workspaces {
		l, err := d.newLane(ctx, number, p.mounts)
		if err != nil {
			return lanes, err
		}
		lanes = append(lanes, l)
	}
	group, importing := errgroup.WithContext(ctx)
	for _, l := range lanes {
		group.Go(func() error { return l.importTemplate(importing) })
	}
	return lanes, group.Wait()
}

// live lives one life after the other on a lane, while runs are left.
func (p *proof) live(ctx context.Context, l *lane) error {
	for {
		first := p.take()
		if first >= p.opts.Runs {
			return nil
		}
		if err := p.oneLife(ctx, l, first); err != nil {
			return err
		}
	}
}

// take returns the number of the first run of a life.
func (p *proof) take() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := p.next * len(life())
	p.next++
	return first
}

// oneLife runs the builds of one workspace, until it is deleted or a build
// has not ended, which would spoil the next.
func (p *proof) oneLife(ctx context.Context, l *lane, first int) error {
	w := l.newWorkspace(first / len(life()))
	last := &result{}
	for i, op := range life() {
		if first+i >= p.opts.Runs {
			if err := w.bury(ctx, last); err != nil {
				return err
			}
			break
		}
		r, err := w.run(ctx, planOf(p.opts.Seed, first+i, p.faults, p.opts.Horizon), op)
		if err != nil {
			return fmt.Errorf("run %d (%s of %s, %s): %w", r.Run, r.Operation, r.Workspace, r.Fault, err)
		}
		p.note(r)
		if last = r; r.has(notEnded) || r.has(unusable) {
			return nil
		}
	}
	return w.leftOver(last)
}

func (p *proof) note(r *result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.results = append(p.results, r)
	if p.opts.Progress != nil {
		p.opts.Progress(r.String())
	}
}
