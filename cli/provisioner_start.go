package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"

	"coder/client"
	"coder/internal/chaos"
	"coder/internal/provisioner"
	"coder/internal/tofu"
)

type provisionerStartOptions struct {
	env               *Env
	key               string
	joinToken         string
	psk               string
	organization      string
	tags              []string
	tagsFromEnv       bool
	name              string
	cacheDir          string
	spoolDir          string
	terraformPath     string
	envAllow          []string
	maxJobs           int
	concurrency       int
	once              bool
	idleTimeout       time.Duration
	prometheus        bool
	prometheusAddress string
	logs              logOptions
}

func newProvisionerStart(env *Env) *cobra.Command {
	o := &provisionerStartOptions{env: env}
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Run a provisioner on this host, until it is stopped",
		Long: "Run a provisioner on this host. It takes the jobs of one organization, one at a time, and runs\n" +
			"Terraform or OpenTofu for them with the credentials of this host. Ctrl-C interrupts a running job\n" +
			"and saves its state; SIGTERM lets it finish. --concurrency N runs N of them in one process, named\n" +
			"NAME-1 to NAME-N.\n\n" +
			"A disposable one ends by itself, with status 0: --once after a job, --idle-timeout when there is\n" +
			"nothing to do. What a job made is with the server by then.",
		Example: "  CODER_PROVISIONER_DAEMON_KEY=<key> coder provisioner start --url https://coder.example.com\n" +
			"  CODER_PROVISIONER_DAEMON_KEY=<key> coder provisioner start --once --idle-timeout 10m",
		Annotations: map[string]string{ownSignals: "yes"},
		Args:        exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.tagsFromEnv = strings.HasPrefix(env.sources["tag"], "$")
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	host, _, _ := strings.Cut(hostname(), ".")
	var ignored time.Duration
	var experiments []string
	f.StringVar(&o.key, "key", "", "Provisioner key, which names organization and tags; the variable is safer")
	f.StringVar(&o.joinToken, "join-token", "", "Token to join with, once, instead of a key; the variable is safer")
	f.StringVar(&o.psk, "psk", "", "Deprecated: use --key")
	f.StringArrayVarP(&o.tags, "tag", "t", nil, "Tag of the provisioner, name=value; may be repeated; not beside a key")
	f.StringVar(&o.name, "name", "", "Name (default: that of the host)")
	f.StringVarP(&o.cacheDir, "cache-dir", "c", "", "Directory of what can be made again (default ~/.cache/coder)")
	f.StringVar(&o.spoolDir, "spool-dir", "", "Directory of running jobs and their states, which must survive a restart (default ~/.local/share/coder/provisioner)")
	f.StringVar(&o.terraformPath, "terraform-path", "", "Engine (default: terraform or tofu on PATH, else a download)")
	f.StringArrayVar(&o.envAllow, "env-allow", nil, "Variable of this host that jobs see, a name or NAME_*; may be repeated (default: all but CODER_*)")
	f.IntVar(&o.maxJobs, "max-jobs", 0, "End after this many jobs; 0 is never")
	f.BoolVar(&o.once, "once", false, "End after one job, as --max-jobs 1")
	f.IntVar(&o.concurrency, "concurrency", 1, "How many provisioners to run in this process, 1 to 100; --max-jobs and --idle-timeout count for all of them together")
	f.DurationVar(&o.idleTimeout, "idle-timeout", 0, "End when no job has come for so long, such as 10m; 0 is never")
	f.BoolVar(&o.logs.verbose, "verbose", false, "Log debug lines")
	o.logs.addFlags(f, "CODER_PROVISIONER_DAEMON_LOGGING_HUMAN", "CODER_PROVISIONER_DAEMON_LOGGING_JSON",
		"CODER_PROVISIONER_DAEMON_LOGGING_STACKDRIVER", "CODER_PROVISIONER_DAEMON_LOG_FILTER")
	f.BoolVar(&o.prometheus, "prometheus-enable", false, "Serve metrics")
	f.StringVar(&o.prometheusAddress, "prometheus-address", "127.0.0.1:2112", "Address of the metrics")
	f.StringArrayVar(&experiments, "experiments", nil, "Accepted for compatibility")
	f.DurationVar(&ignored, "poll-interval", time.Second, "Accepted for compatibility")
	f.DurationVar(&ignored, "poll-jitter", 100*time.Millisecond, "Accepted for compatibility")
	for name, variable := range map[string]string{
		"key": "CODER_PROVISIONER_DAEMON_KEY", "join-token": "CODER_PROVISIONER_DAEMON_JOIN_TOKEN", "psk": "CODER_PROVISIONER_DAEMON_PSK", "tag": "CODER_PROVISIONERD_TAGS",
		"name": "CODER_PROVISIONER_DAEMON_NAME", "cache-dir": "CODER_CACHE_DIRECTORY", "spool-dir": "CODER_PROVISIONER_SPOOL_DIR",
		"terraform-path": "CODER_TERRAFORM_PATH", "env-allow": "CODER_PROVISIONER_ENV_ALLOW", "max-jobs": "CODER_PROVISIONER_MAX_JOBS",
		"once": "CODER_PROVISIONER_ONCE", "concurrency": "CODER_PROVISIONER_CONCURRENCY", "idle-timeout": "CODER_PROVISIONER_IDLE_TIMEOUT",
		"verbose": "CODER_PROVISIONER_DAEMON_VERBOSE", "prometheus-enable": "CODER_PROMETHEUS_ENABLE",
		"prometheus-address": "CODER_PROMETHEUS_ADDRESS", "experiments": "CODER_EXPERIMENTS",
		"poll-interval": "CODER_PROVISIONERD_POLL_INTERVAL", "poll-jitter": "CODER_PROVISIONERD_POLL_JITTER",
	} {
		fromEnv(f, name, variable)
	}
	for _, hidden := range []string{"psk", "experiments", "poll-interval", "poll-jitter"} {
		_ = f.MarkHidden(hidden)
	}
	addOrganization(f, &o.organization)
	o.name = host
	return cmd
}

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

func (o *provisionerStartOptions) run(ctx context.Context) error {
	tags, err := o.check()
	if err != nil {
		return err
	}
	logger, closeLogs, err := o.logs.open(o.env)
	if err != nil {
		return err
	}
	defer closeLogs() //nolint:errcheck // nothing is left to tell it to
	opts := provisioner.Options{
		Name: o.name, Organization: o.organization, Tags: tags, CacheDir: o.cacheDir, SpoolDir: o.spoolDir,
		TerraformPath: o.terraformPath, FetchEngine: fetchEngine(o.cacheDir), FetchedEngine: tofu.Path(o.cacheDir), EnvAllow: o.envAllow, MaxJobs: o.maxJobs, IdleTimeout: o.idleTimeout, Logger: logger, Version: Version(), Metrics: provisioner.NewMetrics(),
		Registered: func(r client.RegisteredDaemon) {
			logger.Debug("connected", "organization", r.OrganizationName, "tags", tagList(r.Tags), "server", r.ServerVersion)
		},
	}
	if opts.Now, err = chaos.WallClock(o.env.Getenv); err != nil {
		return err
	}
	opts.LookForEngine(ctx)
	if err := o.connect(ctx, &opts); err != nil {
		return err
	}
	fleet, err := provisioner.NewFleet(opts, o.concurrency)
	if err != nil {
		return err
	}
	stopMetrics, err := o.serveMetrics(ctx, logger, opts.Metrics)
	if err != nil {
		return err
	}
	defer stopMetrics()
	logger.Info("starting provisioner daemon", "tags", tagList(opts.Tags), "name", o.name, "concurrency", o.concurrency)
	return o.runUntilStopped(ctx, fleet)
}

// hasKey tells whether it joins with a key, its own or that of a join token.
func (o *provisionerStartOptions) hasKey() bool { return o.key != "" || o.joinToken != "" }

// check refuses combinations that cannot be meant, before anything is asked
// of the server.
func (o *provisionerStartOptions) check() (map[string]string, error) {
	switch {
	case o.key != "" && o.psk != "":
		return nil, errors.New("a key and a PSK were given: leave out the PSK")
	case o.key != "" && o.joinToken != "":
		return nil, errors.New("a key and a join token were given: leave out one of them")
	case o.psk != "":
		return nil, errors.New("this release knows no PSK: make a key with `coder provisioner keys create <name>` and give it by --key or CODER_PROVISIONER_DAEMON_KEY")
	case o.hasKey() && len(o.tags) > 0 && o.tagsFromEnv:
		o.env.warnf("CODER_PROVISIONERD_TAGS is not used: the key names the tags")
		o.tags = nil
	case o.hasKey() && len(o.tags) > 0:
		return nil, errors.New("a key names its own tags: leave out --tag, or make another key with these tags")
	case o.once && o.maxJobs > 1:
		return nil, fmt.Errorf("--once is --max-jobs 1, and --max-jobs is %d: leave out one of them", o.maxJobs)
	case o.maxJobs < 0:
		return nil, fmt.Errorf("--max-jobs is %d: give the number of jobs, or 0 to go on until stopped", o.maxJobs)
	case o.idleTimeout < 0:
		return nil, fmt.Errorf("--idle-timeout is %s: give a time such as 10m, or 0 to wait for ever", o.idleTimeout)
	}
	if err := o.checkFleet(); err != nil {
		return nil, err
	}
	var err error
	if o.cacheDir, err = o.env.cacheDir(o.cacheDir); err != nil {
		return nil, err
	}
	if o.spoolDir == "" {
		data, err := o.env.dataDir()
		if err != nil {
			return nil, err
		}
		o.spoolDir = filepath.Join(data, "provisioner")
	}
	return parseTags(o.tags)
}

// checkFleet refuses numbers of provisioners that cannot be meant.
func (o *provisionerStartOptions) checkFleet() error {
	switch n := o.concurrency; {
	case n < 1 || n > provisioner.MaxFleet:
		return fmt.Errorf("--concurrency is %d: give a number from 1 to %d", n, provisioner.MaxFleet)
	case o.once && n > 1:
		return fmt.Errorf("--once ends after one job of all provisioners together, and --concurrency is %d: leave out one of them", n)
	case o.maxJobs > 0 && o.maxJobs < n:
		return fmt.Errorf("--max-jobs is %d for all provisioners together, and --concurrency is %d: some would never have a job; give at least %d, or a lower concurrency", o.maxJobs, n, n)
	}
	if o.once {
		o.maxJobs = 1
	}
	for _, name := range provisioner.FleetNames(o.name, o.concurrency) {
		if err := client.CheckName(client.NameDaemon, name); err != nil {
			return fmt.Errorf("%w; give one with --name", err)
		}
	}
	return nil
}

// connect makes the clients of the daemons, and finds out what it will be.
func (o *provisionerStartOptions) connect(ctx context.Context, opts *provisioner.Options) error {
	deployment, err := o.env.deploymentURL()
	if err != nil {
		return err
	}
	token, extra := "", http.Header{}
	if o.joinToken != "" {
		if o.key, err = o.joinedKey(ctx, opts.Logger); err != nil {
			return err
		}
	}
	if o.key != "" {
		extra.Set(client.HeaderDaemonKey, o.key)
	} else if token, err = o.env.sessionToken(deployment); err != nil {
		return err
	}
	if opts.Client, err = o.env.clientFor(deployment, token, extra); err != nil {
		return err
	}
	if opts.Renewals, err = o.env.clientFor(deployment, token, extra); err != nil {
		return err
	}
	if o.key != "" {
		return o.describeKey(ctx, opts)
	}
	org, err := o.env.organization(ctx, opts.Client, o.organization)
	if client.StatusCode(err) == http.StatusUnauthorized {
		return fmt.Errorf("give a provisioner key by --key or CODER_PROVISIONER_DAEMON_KEY, or sign in first: %w", err)
	}
	opts.Organization = org.ID.String()
	return err
}

// describeKey shows what the key stands for. A server that is not there yet, or
// in trouble, is waited for by the daemon itself; one that refuses the key ends us here.
func (o *provisionerStartOptions) describeKey(ctx context.Context, opts *provisioner.Options) error {
	key, err := opts.Client.PresentedProvisionerKey(ctx)
	switch {
	case isAway(err):
		opts.Logger.Warn("the server cannot be reached yet", "error", err)
		return nil
	case client.StatusCode(err) == http.StatusUnauthorized:
		return fmt.Errorf("the server does not accept the provisioner key: %w", err)
	case err != nil:
		return fmt.Errorf("read the provisioner key: %w", err)
	}
	opts.Logger.Info("provisioner key accepted", "key", key.Name, "organization", key.Organization, "tags", tagList(key.Tags))
	if len(key.Tags) == 0 {
		opts.Logger.Info("the key has no tags: this provisioner runs untagged jobs only")
	}
	return nil
}

// isAway: the server cannot be reached, or cannot answer now, as when its
// database is away.
func isAway(err error) bool {
	var gone *client.ConnectionError
	return errors.As(err, &gone) || client.StatusCode(err) >= http.StatusInternalServerError
}

func (o *provisionerStartOptions) serveMetrics(ctx context.Context, logger *slog.Logger, jobs *provisioner.Metrics) (stop func(), err error) {
	if !o.prometheus {
		return func() {}, nil
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), jobs)
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", o.prometheusAddress)
	if err != nil {
		return nil, fmt.Errorf("serve metrics (--prometheus-address): %w", err)
	}
	logger.Info("serving metrics", "address", l.Addr())
	web := &http.Server{Handler: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = web.Serve(l) // ends when closed
	}()
	return func() { _ = web.Close(); <-done }, nil
}

// runUntilStopped runs the daemons. SIGTERM lets them finish their jobs,
// SIGINT interrupts them; the states are handed in either way. A second SIGINT
// ends the process, and the next one on this host takes over what it left.
func (o *provisionerStartOptions) runUntilStopped(ctx context.Context, fleet *provisioner.Fleet) error {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	ctx, interrupt := context.WithCancel(ctx)
	defer interrupt()
	ended := make(chan error, 1)
	go func() { ended <- fleet.Run(ctx) }()
	for {
		select {
		case err := <-ended:
			return err
		case s := <-signals:
			if s == os.Interrupt {
				o.env.outf("Stopping: a running job is interrupted and its state saved. Press Ctrl-C again to end at once.\n")
				signal.Reset(os.Interrupt)
				interrupt()
			} else {
				o.env.outf("Stopping: a running job may finish first. Press Ctrl-C to interrupt it.\n")
				fleet.Drain()
			}
		}
	}
}
