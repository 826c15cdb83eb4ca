package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"coder/client"
	"coder/internal/memlisten"
	"coder/internal/provisioner"
	"coder/internal/seal"
	"coder/internal/supervisor"
	"coder/store"
)

// Time-outs of the HTTP server. Bodies and replies have their own per route.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	closeTimeout  = 5 * time.Second
)

// Run starts the server and returns when ctx ends and everything is closed.
// Built-in daemons may finish their jobs for ShutdownGrace.
// Errors before the first request say what to do.
func Run(ctx context.Context, c Config) (err error) {
	keys, err := deploymentKeys(c)
	if err != nil {
		return err
	}
	listeners, err := listen(ctx, c)
	if err != nil {
		return err
	}
	reserve := reserveFile(c) // its room may be what the start needs; New holds it again
	db, err := store.Open(ctx, store.Options{Dir: c.DataDir, Reserve: reserve, PostgresURL: c.PostgresURL, MaxOpen: c.PostgresMaxOpen, DeploymentKeys: keys, Logger: c.Logger})
	if err != nil {
		return errors.Join(err, listeners.close())
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	o := c.API
	o.Store, o.Logger, o.Version, o.DeploymentKeyFile, o.ReserveFile = db, c.Logger, c.Version, ownKeyFile(c), reserve
	if c.PostgresURL == "" {
		o.WitnessFile = filepath.Join(c.DataDir, "witness.json")
	}
	if o.AccessURL, err = accessURL(c, listeners); err != nil {
		return errors.Join(err, listeners.close())
	}
	srv, err := New(ctx, o)
	if err != nil {
		return errors.Join(err, listeners.close())
	}
	return srv.serve(ctx, c, listeners)
}

// reserveFile holds room beside a database that is on a disk of ours.
func reserveFile(c Config) string {
	if c.PostgresURL != "" {
		return ""
	}
	return filepath.Join(c.DataDir, "reserve")
}

// ownKeyFile holds the deployment keys that the server makes itself; there is
// none where they are given, and with PostgreSQL.
func ownKeyFile(c Config) string {
	if c.DeploymentKey != "" || c.DeploymentKeyFile != "" || c.PostgresURL != "" {
		return ""
	}
	return filepath.Join(c.DataDir, "deployment.key")
}

// deploymentKeys are those given, else, for SQLite, those of the data directory.
func deploymentKeys(c Config) ([]seal.Key, error) {
	switch {
	case c.DeploymentKey != "" && c.DeploymentKeyFile != "":
		return nil, errors.New("give the deployment key either itself or in a file, not both: --deployment-key (CODER_DEPLOYMENT_KEY) or --deployment-key-file (CODER_DEPLOYMENT_KEY_FILE)")
	case c.DeploymentKey != "":
		return seal.ParseKeys(c.DeploymentKey)
	case c.DeploymentKeyFile != "":
		return seal.Load(c.DeploymentKeyFile)
	case c.PostgresURL != "":
		return nil, errors.New("with PostgreSQL the deployment key must be given, the same to every replica: set CODER_DEPLOYMENT_KEY, or the first line of the file in CODER_DEPLOYMENT_KEY_FILE, to 64 hexadecimal digits (openssl rand -hex 32) and keep it; without it Terraform states cannot be read")
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w; choose another with --data-dir", err)
	}
	return seal.LoadOrCreate(ownKeyFile(c))
}

// listeners are the open ports of the server, and the one within the process.
type listeners struct {
	http, tls, metrics, profiles net.Listener
	memory                       *memlisten.Listener
}

func listen(ctx context.Context, c Config) (*listeners, error) {
	l := &listeners{memory: memlisten.New()}
	for _, port := range []struct {
		open          *net.Listener
		address, flag string
	}{
		{&l.http, c.HTTPAddress, "--http-address"},
		{&l.metrics, c.PrometheusAddress, "--prometheus-address"},
		{&l.profiles, c.PprofAddress, "--pprof-address"},
	} {
		if port.address == "" {
			continue
		}
		open, err := listenOn(ctx, port.address, port.flag)
		if err != nil {
			return nil, errors.Join(err, l.close())
		}
		*port.open = open
	}
	if c.TLSAddress != "" {
		open, err := listenTLS(ctx, c)
		if err != nil {
			return nil, errors.Join(err, l.close())
		}
		l.tls = open
	}
	if l.http == nil && l.tls == nil {
		return nil, errors.New("the server listens nowhere: give --http-address, or --tls-enable with --tls-address")
	}
	return l, nil
}

func listenOn(ctx context.Context, address, flag string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen on %s: the port is in use; stop the other program or choose another port with %s", address, flag)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s (%s): %w", address, flag, err)
	}
	return l, nil
}

func (l *listeners) close() error {
	err := l.memory.Close()
	for _, open := range []net.Listener{l.http, l.tls, l.metrics, l.profiles} {
		if open != nil {
			// Shutdown has closed those that served.
			err = errors.Join(err, ignoreClosed(open.Close()))
		}
	}
	return err
}

// accessURL is the one given, else where the server listens, as far as that
// is an address that can be dialled.
func accessURL(c Config, l *listeners) (*url.URL, error) {
	if c.AccessURL != "" {
		u, err := url.Parse(c.AccessURL)
		if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			return nil, fmt.Errorf("the access URL %q is not of the form https://coder.example.com", c.AccessURL)
		}
		return u, nil
	}
	scheme, open := "http", l.http
	if open == nil {
		scheme, open = "https", l.tls
	}
	address := open.Addr().(*net.TCPAddr)
	host := address.IP.String()
	if address.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return &url.URL{Scheme: scheme, Host: net.JoinHostPort(host, strconv.Itoa(address.Port))}, nil
}

// serve runs everything until ctx ends: requests, loops, daemons, metrics.
// Daemons go first, so that what they hand in is still taken.
func (s *Server) serve(ctx context.Context, c Config, l *listeners) error {
	web := &http.Server{Handler: s.handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, ErrorLog: quietLog(c.Logger)}
	group, groupCtx := errgroup.WithContext(context.WithoutCancel(ctx))
	for _, open := range []net.Listener{l.http, l.tls, l.memory} {
		if open != nil {
			group.Go(func() error { return ignoreClosed(web.Serve(open)) })
		}
	}
	side := s.sideServers(l)
	for _, s := range side {
		group.Go(s.run)
	}
	loops, stopLoops := context.WithCancel(groupCtx)
	defer stopLoops()
	group.Go(func() error { return s.Run(loops) })
	group.Go(func() error { return s.api.relay(loops) })
	s.announce(c, l)

	daemonsDone := s.startDaemons(ctx, groupCtx, c, l.memory)
	select {
	case <-ctx.Done():
	case <-groupCtx.Done(): // a listener failed
	}
	<-daemonsDone
	stopLoops()
	close(s.api.closing)
	closeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if err := web.Shutdown(closeCtx); err != nil {
		err = web.Close() // long polls and followers are cut; they come again
		c.Logger.DebugContext(ctx, "open connections were cut", "error", err)
	}
	for _, s := range side {
		_ = s.Close() // who reads metrics or a profile comes again
	}
	return errors.Join(group.Wait(), l.close())
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// announce prints where the server is, once it answers.
func (s *Server) announce(c Config, l *listeners) {
	fmt.Fprintf(c.Stdout, "coder %s: organizations, templates and workspaces in one binary\n", c.Version)
	if l.http != nil {
		fmt.Fprintf(c.Stdout, "Started HTTP listener at http://%s\n", l.http.Addr())
	}
	if l.tls != nil {
		fmt.Fprintf(c.Stdout, "Started TLS/HTTPS listener at https://%s\n", l.tls.Addr())
	}
	if c.PostgresURL != "" {
		fmt.Fprintln(c.Stdout, "Using PostgreSQL")
	} else {
		fmt.Fprintf(c.Stdout, "Using SQLite in %s\n", c.DataDir)
	}
	fmt.Fprintf(c.Stdout, "\nView the Web UI: %s\n", s.api.accessURL)
	if host := s.api.accessURL.Hostname(); host == "localhost" || net.ParseIP(host).IsLoopback() {
		c.Logger.Warn("the access URL is a loopback address: workspaces and provisioners on other hosts cannot reach it; set --access-url", "access_url", s.api.accessURL.String())
	}
}

// startDaemons runs the built-in provisioner daemons. They serve the default
// organization and no other. The channel closes when all have ended.
func (s *Server) startDaemons(ctx, background context.Context, c Config, memory *memlisten.Listener) <-chan struct{} {
	done := make(chan struct{})
	if c.ProvisionerDaemons == 0 {
		close(done)
		return done
	}
	var group errgroup.Group
	host, _ := os.Hostname()
	binary, err := supervisor.OwnImage()
	if err != nil {
		c.Logger.ErrorContext(ctx, "start the built-in provisioner daemons", "error", err)
		close(done)
		return done
	}
	standby := supervisor.NewStandby(binary)
	for i := range c.ProvisionerDaemons {
		group.Go(func() error {
			name := fmt.Sprintf("%s-built-in-%d", daemonHost(host), i+1)
			if err := s.runDaemon(ctx, background, c, memory, standby, name); err != nil && !errors.Is(err, context.Canceled) {
				c.Logger.ErrorContext(ctx, "built-in provisioner daemon ended", "name", name, "error", err)
			}
			return nil
		})
	}
	go func() {
		defer close(done)
		_ = group.Wait() // its functions log what they return
	}()
	return done
}

func (s *Server) runDaemon(ctx, background context.Context, c Config, memory *memlisten.Listener, standby *supervisor.Standby, name string) error {
	api, err := client.New("http://built-in", client.Options{
		HTTPClient: memory.HTTPClient(), Header: http.Header{client.HeaderDaemonPSK: {s.api.daemonSecret}},
	})
	if err != nil {
		return err
	}
	spool := filepath.Join(c.DataDir, "spool")
	if c.PostgresURL != "" && c.DataDir == "" {
		spool = filepath.Join(c.CacheDir, "spool")
	}
	daemon, err := provisioner.New(provisioner.Options{
		Client: api, Name: name, CacheDir: c.CacheDir, SpoolDir: spool, TerraformPath: c.TerraformPath, Version: c.Version, Logger: c.Logger.With("daemon", name),
		FetchEngine: c.FetchEngine, FetchedEngine: c.FetchedEngine, Standby: standby, Metrics: s.daemonMetrics,
	})
	if err != nil {
		return err
	}
	return runDrained(ctx, background, daemon, c.ShutdownGrace)
}

// runDrained lets a daemon finish its job once ctx ends, for the grace time;
// then it is interrupted and hands in what it has.
func runDrained(ctx, background context.Context, daemon *provisioner.Daemon, grace time.Duration) error {
	work, interrupt := context.WithCancel(background)
	defer interrupt()
	ended := make(chan error, 1)
	go func() { ended <- daemon.Run(work) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	daemon.Drain()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case err := <-ended:
		return err
	case <-timer.C:
		interrupt()
		return <-ended
	}
}

// daemonHost keeps of a host name what a daemon's name may hold.
func daemonHost(host string) string {
	var out []rune
	for _, r := range host {
		if r == '.' || len(out) == 40 {
			break
		}
		if (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') || (r >= '0' && r <= '9') {
			out = append(out, r)
		}
	}
	if len(out) == 0 {
		return "coder"
	}
	return string(out)
}

// sideServer is an HTTP server beside the API, for metrics and profiles.
type sideServer struct {
	*http.Server
	open net.Listener
}

func (s sideServer) run() error { return ignoreClosed(s.Serve(s.open)) }

func (s *Server) sideServers(l *listeners) []sideServer {
	var servers []sideServer
	if l.metrics != nil {
		registry := prometheus.NewRegistry()
		registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), s.api.metrics, queueMetrics{s.api}, s.daemonMetrics)
		handler := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
		s.api.logger.Info("serving metrics", "address", l.metrics.Addr())
		servers = append(servers, sideServer{&http.Server{Handler: handler, ReadHeaderTimeout: headerTimeout}, l.metrics})
	}
	if l.profiles != nil {
		mux := http.NewServeMux()
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
		servers = append(servers, sideServer{&http.Server{Handler: mux, ReadHeaderTimeout: headerTimeout}, l.profiles})
	}
	return servers
}
