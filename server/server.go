// Package server is the control plane: the v2 HTTP API, its gate, and the
// loops that keep promises while nobody asks.
package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/httprate"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"coder/client"
	"coder/internal/password"
	"coder/internal/provisioner"
	"coder/internal/pubsub"
	"coder/internal/schedule"
	"coder/store"
)

// Options are what a server is made of. Store, Logger and AccessURL are required.
type Options struct {
	Store  *store.Store
	Logger *slog.Logger
	// Now is the clock that decisions about dates are made by; nil is time.Now.
	Now func() time.Time
	// AccessURL is where people, workspaces and daemons reach the server.
	AccessURL *url.URL
	// Version is reported by buildinfo.
	Version string

	// SessionDuration is the lifetime of a login, DefaultTokenLifetime that of
	// a token which names none, the other two the longest that may be asked.
	SessionDuration       time.Duration
	DefaultTokenLifetime  time.Duration
	MaxTokenLifetime      time.Duration
	MaxAdminTokenLifetime time.Duration

	// DeploymentKeyFile is where a rotation adds a new deployment key; empty
	// when keys are given to the server, which then moves to a given one.
	DeploymentKeyFile string
	// ReserveFile holds room on the disk of the database; empty holds none.
	ReserveFile string
	// WitnessFile keeps beside the database how far the builds have come, so that
	// an older copy in its place is noticed at the start; empty keeps it nowhere.
	WitnessFile string

	// PasswordMemory is what hashing a password takes, in KiB; 0 is the
	// recommended cost, and only tests take less.
	PasswordMemory uint32

	DisableSessionExpiryRefresh bool
	DisablePasswordAuth         bool
	DisableRateLimits           bool
	// DisableWorkspaceSharing forbids to share workspaces in every organization,
	// and makes what was shared before count for nothing.
	DisableWorkspaceSharing bool
	// APIRateLimit is requests a minute and user; negative is none, 0 is 512.
	APIRateLimit int
	// SecureCookie sends the session cookie over TLS only; so does an access
	// URL of https, unless PlainCookie.
	SecureCookie bool
	PlainCookie  bool
	SameSiteNone bool
	// TransportSecurity tells browsers for how many seconds to come by TLS
	// only; 0 tells them nothing. Its options are includeSubDomains and preload.
	TransportSecurity        int
	TransportSecurityOptions []string
	// TrustedHeaders name the client of a connection that comes from one of the
	// networks of TrustedOrigins.
	TrustedHeaders []string
	TrustedOrigins []string

	// Horizon is when another attempt may take over from a silent daemon whose
	// engine had started; 0 is 5 minutes, negative is never.
	Horizon time.Duration
	// StatesKept is how many state versions of a workspace are kept; 0 is 30.
	StatesKept int
	// LifecycleInterval is how often schedules are looked at; 0 is 30 s.
	LifecycleInterval time.Duration
	// DefaultQuietHours is when required stops of workspaces may come, as a
	// daily schedule; empty is midnight UTC. Users choose their own unless
	// DisableCustomQuietHours.
	DefaultQuietHours       string
	DisableCustomQuietHours bool
	// Advertised are server settings that GET /deployment/config shows, by flag name.
	Advertised map[string]string
}

func (o *Options) setDefaults() {
	setDefault(&o.SessionDuration, 24*time.Hour)
	setDefault(&o.DefaultTokenLifetime, 168*time.Hour)
	setDefault(&o.MaxTokenLifetime, 876600*time.Hour)
	setDefault(&o.MaxAdminTokenLifetime, 168*time.Hour)
	setDefault(&o.Horizon, 5*time.Minute)
	setDefault(&o.LifecycleInterval, 30*time.Second)
	setDefault(&o.APIRateLimit, 512)
	setDefault(&o.StatesKept, 30)
	setDefault(&o.DefaultQuietHours, "CRON_TZ=UTC 0 0 * * *")
	if o.Now == nil {
		o.Now = time.Now
	}
}

func (o *Options) hasher() *password.Hasher {
	if o.PasswordMemory == 0 {
		return password.NewHasher()
	}
	return password.NewHasherOf(o.PasswordMemory)
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// api holds what handlers need. It is made once and never changes.
type api struct {
	options      Options
	store        *store.Store
	logger       *slog.Logger
	now          func() time.Time
	accessURL    *url.URL
	version      string
	deploymentID string
	// daemonSecret lets the server's own daemons in; it lives only in memory.
	daemonSecret string
	origins      *http.CrossOriginProtection
	limits       limits
	proxies      proxies
	passwords    *password.Hasher
	bus          *pubsub.Bus
	dispatch     *dispatcher
	room         *room
	histories    *histories
	// replica tells this process from others on the same database.
	replica string
	metrics *metrics
	// closing makes long polls end, so that a stop need not wait for them.
	closing chan struct{}
	leases  *leases
	// acquireWait is how long a daemon's question for a job stays open.
	acquireWait time.Duration
	queues      *queues
	buildTimes  *buildTimes
	resources   *resourceCache
	subjects    *subjectCache
	idle        *idle
	refusals    *refusals
	// listing lets in as many lists of workspaces at a time as the database works
	// on, in the order in which they came.
	listing *semaphore.Weighted
	// rotating lets one rotation of the deployment key run at a time.
	rotating *sync.Mutex
}

// newOfflineAPI is enough of the API for commands that work on the store
// while no server runs.
func newOfflineAPI(s *store.Store) *api {
	return &api{store: s, now: time.Now, passwords: password.NewHasher(), room: newRoom("", slog.New(slog.DiscardHandler))}
}

// Server is the API with its background loops.
type Server struct {
	api     *api
	router  *router
	handler http.Handler
	// daemonMetrics are of the daemons built into the server.
	daemonMetrics *provisioner.Metrics
}

// New builds the server; Run must be called for anything to happen on its own.
func New(ctx context.Context, o Options) (*Server, error) {
	o.setDefaults()
	if _, err := schedule.ParseQuietHours(o.DefaultQuietHours); err != nil {
		return nil, fmt.Errorf("default quiet hours: %w", err)
	}
	proxies, err := newProxies(o.TrustedHeaders, o.TrustedOrigins)
	if err != nil {
		return nil, err
	}
	deploymentID, err := o.Store.DeploymentID(ctx)
	if err != nil {
		return nil, err
	}
	a := &api{
		options: o, store: o.Store, logger: o.Logger, now: o.Now, accessURL: o.AccessURL, version: o.Version,
		deploymentID: deploymentID, daemonSecret: newSecret(32), origins: http.NewCrossOriginProtection(),
		limits: newLimits(o.APIRateLimit), proxies: proxies, bus: pubsub.New(), passwords: o.hasher(), replica: newSecret(12), metrics: newMetrics(), closing: make(chan struct{}),
	}
	a.room = newRoom(o.ReserveFile, o.Logger)
	a.dispatch = newDispatcher()
	a.leases = newLeases()
	a.acquireWait = acquireWait
	a.queues = newQueues(a.store)
	a.idle = newIdle()
	a.buildTimes = newBuildTimes()
	a.resources = newResourceCache()
	a.subjects = newSubjectCache()
	a.listing = semaphore.NewWeighted(o.Store.ParallelReads())
	a.refusals = newRefusals()
	a.rotating = &sync.Mutex{}
	a.histories = newHistories(o.WitnessFile)
	if err := a.ensureDefaultOrganization(ctx); err != nil {
		return nil, err
	}
	if err := a.room.hold(ctx, a.store); err != nil {
		a.room.pressed(err)
	}
	if err := a.readWitnesses(ctx); err != nil {
		return nil, err
	}
	if err := a.announceKeys(ctx); err != nil {
		return nil, err
	}
	r := newRouter(a)
	a.routes(r)
	if err := a.rootRoutes(r); err != nil {
		return nil, err
	}
	s := &Server{api: a, router: r, daemonMetrics: provisioner.NewMetrics()}
	s.handler = a.wrap(r.mux)
	return s, nil
}

// Handler serves the API.
func (s *Server) Handler() http.Handler { return s.handler }

// DaemonSecret is the credential of the server's own daemons.
func (s *Server) DaemonSecret() string { return s.api.daemonSecret }

// Run keeps the background loops going until ctx ends: leases, schedules,
// clean-up. It returns nil after an orderly end.
func (s *Server) Run(ctx context.Context) error {
	loops := map[string]func(context.Context) error{
		"leases":    s.api.watchLeases,
		"lifecycle": s.api.runLifecycle,
		"clean-up":  s.api.cleanUp,
		"keys":      s.api.keepKeys,
		"room":      s.api.watchRoom,
	}
	group, ctx := errgroup.WithContext(ctx)
	for name, loop := range loops {
		group.Go(func() error {
			s.api.supervise(ctx, name, loop)
			return nil
		})
	}
	return group.Wait()
}

// supervise restarts a loop that fails, with growing pauses.
func (a *api) supervise(ctx context.Context, name string, loop func(context.Context) error) {
	for pause := time.Second; ctx.Err() == nil; pause = min(2*pause, time.Minute) {
		err := loop(ctx)
		if ctx.Err() != nil {
			return
		}
		if store.IsFull(err) {
			a.room.pressed(err)
		}
		a.logger.ErrorContext(ctx, "background loop failed and is started again", "loop", name, "error", err, "pause", pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// every calls fn at once and then at the interval, until ctx ends or fn fails.
func every(ctx context.Context, interval time.Duration, fn func(context.Context) error) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if err := fn(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// wrap adds what every reply has: a request id, the version, safe headers,
// and a 500 instead of a dropped connection when a handler panics.
func (a *api) wrap(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req := &request{id: newRequestID(), started: a.now(), path: r.URL.Path, ip: a.proxies.clientIP(r), agent: r.UserAgent(), method: r.Method}
		req.page, _ = r.Context().Value(requestKey{}).(*request)
		ctx := withRequest(r.Context(), req)
		a.setHeaders(w.Header(), r)
		w.Header().Set("X-Request-Id", req.id)
		defer func() {
			if p := recover(); p != nil {
				a.logger.ErrorContext(ctx, "handler panicked", "panic", p, "request_id", req.id, "path", r.URL.Path, "stack", string(debug.Stack()))
				writeJSON(w, http.StatusInternalServerError, refuse(http.StatusInternalServerError, "Something went wrong on the server.", "Tell your administrator this request id: "+req.id))
			}
		}()
		counted := &statusWriter{ResponseWriter: w}
		inner := r.WithContext(ctx)
		inner.RemoteAddr = net.JoinHostPort(req.ip, "0") // whom pages call the API for
		body := newRequestBody(w, r)
		inner.Body = body
		mux.ServeHTTP(counted, inner)
		if counted.status >= http.StatusMultipleChoices {
			body.drain(r)
		}
		a.metrics.requests.WithLabelValues(methodLabel(r.Method), strconv.Itoa(counted.class())+"xx").Observe(a.now().Sub(req.started).Seconds())
		a.logger.DebugContext(ctx, "request", "method", r.Method, "path", r.URL.Path, "request_id", req.id, "took", a.now().Sub(req.started))
	})
}

// setHeaders sets what every reply has, unless its handler knows better:
// nobody frames, sniffs or keeps it, and nothing in it runs.
func (a *api) setHeaders(h http.Header, r *http.Request) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	if strings.HasPrefix(r.URL.Path, apiPrefix) {
		h.Set("Cache-Control", "no-store")
	}
	if a.options.TransportSecurity > 0 && (r.TLS != nil || a.accessURL.Scheme == "https") {
		h.Set("Strict-Transport-Security", strings.Join(append([]string{fmt.Sprintf("max-age=%d", a.options.TransportSecurity)}, a.options.TransportSecurityOptions...), "; "))
	}
	h.Set(client.HeaderBuildVersion, a.version)
}

// methodLabel keeps made-up methods from becoming a time series each.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

// limits are the rate limiters of the reference: requests a minute, by user or address.
type limits struct{ api, login, files *httprate.RateLimiter }

func newLimits(perMinute int) limits {
	l := limits{login: httprate.NewRateLimiter(60, time.Minute), files: httprate.NewRateLimiter(12, time.Minute)}
	if perMinute > 0 {
		l.api = httprate.NewRateLimiter(perMinute, time.Minute)
	}
	return l
}

// of picks the limiter of a path.
func (l limits) of(path string) *httprate.RateLimiter {
	switch path {
	case apiPrefix + "/users/login", apiPrefix + "/users/otp/request", apiPrefix + "/users/otp/change-password",
		apiPrefix + "/users/validate-password", apiPrefix + "/users/{user}/password":
		return l.login
	case apiPrefix + "/files":
		return l.files
	}
	return l.api
}

// statusWriter remembers the status for the metrics.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach what is below.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *statusWriter) class() int {
	if w.status == 0 {
		return 2
	}
	return w.status / 100
}
