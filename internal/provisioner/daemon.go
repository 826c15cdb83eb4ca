// Package provisioner is the provisioner daemon: it takes jobs from the
// server, runs Terraform or OpenTofu for them under a supervisor, and hands in
// what came of it. docs/jobs.md is the protocol that it keeps to.
package provisioner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"coder/client"
	"coder/internal/coderprovider"
	"coder/internal/supervisor"
	"coder/internal/terraform"
)

// APIVersion is the version of the job protocol that this daemon speaks.
const APIVersion = "1.0"

// Options configure a Daemon.
type Options struct {
	// Client carries the daemon's credential: a key, a token or the built-in secret.
	Client *client.Client
	// Renewals, when set, is the same on connections of its own, so that no
	// upload holds up a renewal; nil shares Client.
	Renewals *client.Client
	// Name, Organization and Tags are what the daemon registers with.
	Name         string
	Organization string
	Tags         map[string]string
	// CacheDir holds what can be made again: provider mirror, initialised
	// directories, downloads. Daemons of a host may share it.
	CacheDir string
	// SpoolDir holds what must survive: one folder per attempt. Daemons of a
	// host may share it, and must when one is to take over from another.
	SpoolDir string
	// TerraformPath names the engine; empty looks for one.
	TerraformPath string
	// FetchEngine downloads an engine where the host has none, to FetchedEngine;
	// nil does not.
	FetchEngine   func(ctx context.Context) (string, error)
	FetchedEngine string
	Logger        *slog.Logger
	Version       string
	// EnvAllow narrows the host's environment to these names and patterns.
	EnvAllow []string
	// MaxJobs ends Run after so many jobs; 0 never does.
	MaxJobs int
	// IdleTimeout ends Run when no job has come for so long; 0 never does.
	IdleTimeout time.Duration
	// Now is the wall clock; nil is time.Now.
	Now func() time.Time
	// Getenv and Environ read the host's environment; nil are those of os.
	Getenv  func(string) string
	Environ func() []string
	// Standby has a supervisor ready for the next job; nil is one of this
	// daemon's own. Run closes it.
	Standby *supervisor.Standby
	// Metrics count jobs; nil is some of this daemon's own.
	Metrics *Metrics
	// Registered, when set, is called with what the server said, each time
	// the daemon has joined.
	Registered func(client.RegisteredDaemon)

	// ahead waits for the engine that LookForEngine looks for.
	ahead func() (terraform.Engine, error)
}

// LookForEngine begins to ask the host's engine who it is, which takes longer
// than all else that a daemon does before it registers, unless an earlier start
// has found that out. Call it as soon as the options are there that this rests
// on, TerraformPath, EnvAllow and CacheDir. It fetches none.
func (o *Options) LookForEngine(ctx context.Context) {
	if binary, err := supervisor.OwnImage(); err == nil {
		if _, known := terraform.OpenCache(o.CacheDir, o.Now).Recall(o.findOptions(), binary); known {
			return
		}
	}
	var engine terraform.Engine
	var err error
	found, look := make(chan struct{}), *o
	look.FetchEngine = nil
	go func() {
		defer close(found)
		engine, err = look.findEngine(ctx)
	}()
	o.ahead = func() (terraform.Engine, error) {
		<-found
		return engine, err
	}
}

func (o *Options) findEngine(ctx context.Context) (terraform.Engine, error) {
	return terraform.Find(ctx, o.findOptions())
}

func (o *Options) findOptions() terraform.FindOptions {
	return terraform.FindOptions{Path: o.TerraformPath, Environment: o.hostEnvironment(), Fetched: o.FetchedEngine, Download: o.FetchEngine}
}

func (o *Options) hostEnvironment() []string {
	environ := os.Environ
	if o.Environ != nil {
		environ = o.Environ
	}
	return terraform.HostEnvironment(environ(), o.EnvAllow)
}

// Daemon takes one job at a time. Make it with New.
type Daemon struct {
	opts   Options
	logger *slog.Logger
	now    func() time.Time
	binary string
	spool  *spool
	// renewals is the client that leases are kept with.
	renewals *client.Client

	crew      *crew
	tools     atomic.Pointer[tools]
	drained   chan struct{}
	drainOnce sync.Once
	// claimed: it may take one more job. slot is the room that it holds for
	// that, of the size room. Only the loop that takes jobs uses them.
	claimed bool
	slot    *slot
	trouble string
	room    int64

	// confirmed waits until it is known that the tools are the right ones, and
	// is an error where they are not to be had.
	confirmed func() error
	// heard is closed when the daemon has asked the server for the first time.
	heard     chan struct{}
	heardOnce sync.Once
}

// New checks the options and opens the spool. It contacts nobody.
func New(opts Options) (*Daemon, error) {
	if !supervisor.Supported {
		return nil, fmt.Errorf("start a provisioner daemon: %s is not supported; run it on Linux or macOS", runtime.GOOS)
	}
	if opts.Client == nil || opts.CacheDir == "" || opts.SpoolDir == "" {
		return nil, errors.New("start a provisioner daemon: it needs a client, a cache directory and a spool directory")
	}
	if opts.Renewals == nil {
		opts.Renewals = opts.Client
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Metrics == nil {
		opts.Metrics = NewMetrics()
	}
	if opts.Getenv == nil {
		opts.Getenv = os.Getenv
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	binary, err := supervisor.OwnImage()
	if err != nil {
		return nil, fmt.Errorf("start a provisioner daemon: find our own binary: %w", err)
	}
	if opts.Standby == nil {
		opts.Standby = supervisor.NewStandby(binary)
	}
	opts.CacheDir, err = filepath.Abs(opts.CacheDir)
	if err != nil {
		return nil, fmt.Errorf("start a provisioner daemon: %w", err)
	}
	spool, err := openSpool(opts.SpoolDir)
	if err != nil {
		return nil, fmt.Errorf("start a provisioner daemon: %w", err)
	}
	return &Daemon{
		opts: opts, logger: opts.Logger, now: opts.Now, binary: binary, spool: spool, renewals: opts.Renewals,
		drained: make(chan struct{}), heard: make(chan struct{}), crew: newCrew(opts, 1), room: supervisor.Room(0),
	}, nil
}

// Drain lets the daemon finish its job and take no other; Run returns then.
func (d *Daemon) Drain() { d.drainOnce.Do(func() { close(d.drained) }) }

// Run registers and works until ctx ends, Drain is called or the server
// refuses the daemon, whose reason is the error. When ctx ends, a running
// engine is interrupted once and what it did is handed in before Run returns;
// Drain lets it finish.
func (d *Daemon) Run(ctx context.Context) error {
	defer d.leave()
	if err := d.readyTools(ctx); err != nil {
		return err
	}
	workCtx, stopWork := context.WithCancel(ctx)
	defer stopWork()
	go func() {
		select {
		case <-d.drained:
		case <-d.crew.idle:
		case <-workCtx.Done():
		}
		stopWork()
	}()
	group := &errgroup.Group{}
	adopted := d.recoverSpool(ctx, group)
	group.Go(func() error {
		err := d.settleDown(workCtx)
		if err != nil {
			stopWork()
			return err
		}
		return d.watchSpool(workCtx, ctx)
	})
	group.Go(func() error {
		defer stopWork()
		adopted.Wait()
		d.crew.rests()
		return d.work(ctx, workCtx)
	})
	err := group.Wait()
	if ctx.Err() != nil || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// leave ends what the daemons of a process share, if this is the last of them.
func (d *Daemon) leave() {
	if err := d.releaseRoom(); err != nil {
		d.logger.Warn("give the spool's room back", "error", err)
	}
	if !d.crew.leaves() {
		return
	}
	if err := d.opts.Standby.Close(); err != nil {
		d.logger.Warn("end the supervisor that waits", "error", err)
	}
}

// tools are what jobs are done with. They change when the engine's file is
// replaced; a job keeps those that it began with.
type tools struct {
	terraform.Known
	workshop *terraform.Workshop
	// file identifies the engine's file.
	file string
	// variables of the host's environment that change what engines do.
	variables []string
}

// readyTools goes by what an earlier start has found out, where it may: no job
// begins before that is confirmed, and there is none to go on with.
func (d *Daemon) readyTools(ctx context.Context) error {
	d.confirmed = func() error { return nil }
	known, recalled := terraform.OpenCache(d.opts.CacheDir, d.now).Recall(d.opts.findOptions(), d.binary)
	if folders, err := d.spool.folders(); !recalled || err != nil || len(folders) > 0 {
		return d.findEngine(ctx)
	}
	if err := d.layOut(ctx, known); err != nil {
		d.logger.Debug("what an earlier start has found out is of no use", "error", err)
		return d.findEngine(ctx)
	}
	d.confirmed = sync.OnceValue(func() error { return d.findEngine(ctx) })
	return nil
}

// settleDown does what can wait until the server has been asked for the first
// time, so that it takes no time of that.
func (d *Daemon) settleDown(workCtx context.Context) error {
	late := time.NewTimer(5 * time.Second)
	defer late.Stop()
	select {
	case <-d.heard:
	case <-late.C:
	case <-workCtx.Done():
		return nil
	}
	return d.confirmed()
}

// findEngine looks for the engine, and lays out its workshop.
func (d *Daemon) findEngine(ctx context.Context) error {
	known, err := d.crew.find(d.opts.ahead, func() (terraform.Engine, error) { return d.opts.findEngine(ctx) },
		func() (string, error) { return terraform.HashProvider(ctx, d.binary) })
	if err != nil {
		return err
	}
	if before := d.tools.Load(); before == nil || before.Known != known || before.file != terraform.FileMark(known.Engine.Path) {
		if err := d.layOut(ctx, known); err != nil {
			return d.explained(err)
		}
	}
	if err := d.tools.Load().workshop.Cache().Remember(known, d.binary); err != nil {
		d.logger.Warn("the next start will take longer", "error", err)
	}
	return nil
}

// layOut makes the workshop for what is known.
func (d *Daemon) layOut(ctx context.Context, known terraform.Known) error {
	host := d.opts.hostEnvironment()
	workshop, err := terraform.NewWorkshop(ctx, terraform.WorkshopOptions{
		CacheDir: d.opts.CacheDir, Engine: known.Engine, Environment: host,
		Operator: terraform.FindOperatorConfig(d.opts.Getenv, known.Engine.Product),
		Provider: terraform.Provider{Binary: d.binary, Version: coderprovider.Version, Hash: known.Provider}, Now: d.now,
	})
	if err != nil {
		return err
	}
	d.tools.Store(&tools{Known: known, workshop: workshop, file: terraform.FileMark(known.Engine.Path), variables: terraform.HostVariables(host)})
	d.logger.Debug("engine found", "engine", known.Engine.String(), "path", known.Engine.Path)
	return nil
}

// refreshEngine asks the engine anew who it is when its file was replaced.
func (d *Daemon) refreshEngine(ctx context.Context) {
	known := d.tools.Load()
	if terraform.FileMark(known.Engine.Path) == known.file {
		return
	}
	if err := d.findEngine(ctx); err != nil {
		d.logger.Error("the engine's file has changed", "path", known.Engine.Path, "error", err)
	}
}

// work registers and takes jobs until workCtx ends. A server that forgets its
// daemons was restored, or is another one behind the same address: as long as
// no registration has served, each waits longer than the one before.
func (d *Daemon) work(ctx, workCtx context.Context) error {
	wait := newBackoff()
	for {
		registered, err := d.register(workCtx)
		if err != nil {
			return err
		}
		served, err := d.takeJobs(ctx, workCtx, registered)
		if !client.IsNotFound(err) {
			d.deregister(ctx, registered.ID)
			return err
		}
		if served {
			wait = newBackoff()
		}
		again := wait.step()
		d.logger.Warn("the server does not know this daemon any more: it was restored from a backup, or another server answers at its address; registering again",
			"daemon", registered.ID, "in", again.Round(time.Millisecond), "error", err)
		pause(workCtx, again)
	}
}

func (d *Daemon) register(ctx context.Context) (client.RegisteredDaemon, error) {
	registered := client.RegisteredDaemon{}
	err := retry(ctx, d.logger, "register", func() (err error) {
		defer d.heardOnce.Do(func() { close(d.heard) })
		registered, err = d.joins(ctx)
		if client.IsNotFound(err) {
			return fmt.Errorf("the organization does not exist or this credential may not see it, or something else answers at the server's address: %w", err)
		}
		return err
	})
	if err != nil {
		return client.RegisteredDaemon{}, fmt.Errorf("register the provisioner daemon: %w", err)
	}
	d.logger.Info("provisioner daemon registered", "name", registered.Name,
		"organization", registered.OrganizationName, "tags", registered.Tags, "engine", d.tools.Load().Engine.String())
	if d.opts.Registered != nil {
		d.opts.Registered(registered)
	}
	return registered, nil
}

// joins makes the call that registers.
func (d *Daemon) joins(ctx context.Context) (client.RegisteredDaemon, error) {
	return d.opts.Client.RegisterDaemon(ctx, client.RegisterDaemonRequest{
		Organization: d.opts.Organization, Name: d.opts.Name, Tags: d.opts.Tags,
		Provisioners: []string{"terraform"}, Version: d.opts.Version, APIVersion: APIVersion,
		HostID: d.spool.hostID, Witnesses: d.spool.witnesses(),
	})
}

// deregister shows the daemon offline at once; where that does not reach the
// server, the daemon goes stale by itself.
func (d *Daemon) deregister(ctx context.Context, id uuid.UUID) {
	lastWord, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	if err := d.opts.Client.DeregisterDaemon(lastWord, id); err != nil {
		d.logger.Debug("deregister the provisioner daemon", "error", err)
	}
}

// troublePause is between two looks at what keeps a daemon from taking jobs.
const troublePause = 2 * time.Second

// noteTrouble says in the log what keeps the daemon from taking jobs, once.
func (d *Daemon) noteTrouble(trouble string) string {
	said := d.trouble
	d.trouble = trouble
	switch {
	case trouble != "" && said == "":
		if !d.spool.gone() {
			trouble += ". " + d.diskAdvice()
		}
		d.logger.Error("this daemon takes no jobs: "+trouble, "spool", d.opts.SpoolDir)
	case trouble == "" && said != "":
		d.logger.Info("this daemon takes jobs again: its spool is there and has room")
	}
	return d.trouble
}

// takeJobs tells also whether the server has known the daemon at least once.
func (d *Daemon) takeJobs(ctx, workCtx context.Context, as client.RegisteredDaemon) (served bool, err error) {
	request, told, telling := uuid.New(), "", newBackoff()
	wait := newBackoff()
	for workCtx.Err() == nil {
		if d.claimed = d.claimed || d.crew.claim(); !d.claimed {
			return served, nil
		}
		if err := d.opts.Standby.Prepare(); err != nil {
			d.logger.Warn("start a supervisor ahead of its job", "error", err)
		}
		trouble := d.noteTrouble(d.holdRoom())
		reply, err := d.opts.Client.AskForJob(workCtx, as.ID, client.AcquireJobRequest{
			RequestID: request, Trouble: trouble, Witness: d.spool.witness(as.OrganizationID), Recovery: &told,
		})
		job := reply.Job
		switch {
		case workCtx.Err() != nil && job == nil:
			return served, nil
		case isRefusal(err) || client.IsNotFound(err):
			return served, fmt.Errorf("take a job: %w", err)
		case err != nil:
			d.logger.Warn("take a job: no success, trying again", "error", err)
			if isFinal(err) {
				request = uuid.New()
			}
			wait.sleep(workCtx)
			continue
		}
		wait, request, served = newBackoff(), uuid.New(), true
		if err := d.spool.keepWitness(reply.Witness); err != nil {
			d.logger.Warn("keep what the server says of its builds", "error", err)
		}
		if reply.Recovery != "" && job == nil {
			if told, err = d.reportHistory(workCtx, as.ID, as.OrganizationID); err != nil {
				d.logger.Warn("tell the restored server what it lacks: no success, trying again", "error", err)
				telling.sleep(workCtx)
				continue
			}
			telling = newBackoff()
		}
		if job == nil && trouble != "" {
			pause(workCtx, troublePause)
		}
		if job == nil {
			continue
		}
		if err := d.confirmed(); err != nil {
			return served, err // the job goes to another one
		}
		d.claimed = false
		d.crew.works()
		d.refreshEngine(ctx)
		d.perform(ctx, *job)
		told = "" // there is more to tell now
		d.crew.rests()
	}
	return served, nil
}
