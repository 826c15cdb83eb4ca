package server_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"coder/client"
	"coder/server"
	"coder/server/servertest"
	"coder/store"
	"coder/store/storetest"
)

// Clocks of the model. What is silent for less than a limit must be left alone,
// what is silent for modelSlack longer must be dealt with; in between, renewals
// may be on their way from one replica to another, and the model lets time go
// on until nobody is in between.
const (
	modelStep    = 2 * time.Second
	modelSlack   = 10 * time.Second
	modelConfirm = 5 * time.Second
	modelLease   = 24 * time.Second
	modelHorizon = time.Minute
)

// modelChecks is how many sequences of calls are tried by `go test`; `make
// model` asks for more.
const modelChecks = 6

// TestJobsFollowTheModel calls the server as daemons, people and clocks do, in
// random orders, and compares after each call what people see with what a
// small model of docs/jobs.md says that they must see.
func TestJobsFollowTheModel(t *testing.T) {
	t.Parallel()
	limit := modelChecks
	if text := os.Getenv("CODER_MODEL_CHECKS"); text != "" {
		var err error
		limit, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		t.Parallel()
		w := newModelWorld(t, o)
		runs, failed := 0, false
		rapid.Check(t, func(rt *rapid.T) {
			if runs >= limit && !failed {
				return
			}
			good := false
			defer func() { failed = failed || !good }()
			m := newModel(t, rt, w)
			rt.Repeat(m.actions())
			m.finish(rt)
			runs, good = runs+1, true
		})
	})
}

// modelWorld is a deployment that all sequences share: on PostgreSQL two
// replicas with a store of their own, on SQLite one server.
type modelWorld struct {
	*servertest.Server
	clock    *servertest.Clock
	replicas []*modelReplica
	outsider servertest.Person
}

// modelReplica is a server that can be stopped and started again.
type modelReplica struct {
	url     string
	store   *store.Store
	live    atomic.Pointer[server.Server]
	owner   *client.Client
	options server.Options
	// stopped: its process does not run, and nobody can reach it.
	stopped bool
}

func (r *modelReplica) start(t require.TestingT, clock *servertest.Clock) {
	srv, err := server.New(context.Background(), r.options)
	require.NoError(t, err)
	srv.LeaseClock(clock.Now)
	srv.AcquireWait(0)
	r.live.Store(srv)
}

func newModelWorld(t *testing.T, o store.Options) *modelWorld {
	w := &modelWorld{clock: servertest.NewClock()}
	quiet := slog.New(slog.DiscardHandler)
	lasting := func(so *server.Options) {
		so.Horizon, so.Logger = modelHorizon, quiet
		so.SessionDuration, so.DefaultTokenLifetime, so.MaxTokenLifetime = forever, forever, forever
	}
	stores := []*store.Store{storetest.Open(t, o)}
	if o.PostgresURL != "" {
		stores = append(stores, storetest.Open(t, o))
	}
	w.Server = servertest.New(t, servertest.WithStore(stores[0]), servertest.WithClock(w.clock), servertest.WithoutLoops(), servertest.WithOptions(lasting))
	w.outsider = w.Outsider(t)
	for _, s := range stores {
		r := &modelReplica{store: s, options: server.Options{Store: s, Now: w.clock.Now, Version: servertest.Version, DisableRateLimits: true, PasswordMemory: 64}}
		lasting(&r.options)
		listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { r.live.Load().Handler().ServeHTTP(w, req) }))
		t.Cleanup(listener.Close)
		r.url = listener.URL
		var err error
		r.options.AccessURL, err = url.Parse(r.url)
		require.NoError(t, err)
		r.start(t, w.clock)
		r.owner = r.client(t, client.Options{Token: w.Token})
		w.replicas = append(w.replicas, r)
	}
	return w
}

func (r *modelReplica) client(t require.TestingT, o client.Options) *client.Client {
	c, err := client.New(r.url, o)
	require.NoError(t, err)
	return c
}

// model is one organization, and what its people must see.
type model struct {
	*modelWorld
	org      client.Organization
	spaces   []*modelSpace
	daemons  []*modelDaemon
	attempts []*modelAttempt
	serial   int
}

type modelSpace struct {
	id      uuid.UUID
	builds  []*modelBuild
	fence   int64
	deleted bool
	// state is the current one: the largest (fence, n) that was accepted.
	state modelState
	// salvage is what was kept since the last hand-out.
	salvage map[client.StateRef]int64
}

type modelState struct {
	fence, n int64
	content  []byte
}

type modelBuild struct {
	space            *modelSpace
	id, job          uuid.UUID
	transition       string
	status           string
	cancel           string
	attempts, starts int
	held             *modelAttempt
	tries            []*modelAttempt
	lines, late      []string
	retries, lost    int
	doubts           []string
}

func (b *modelBuild) ended() bool {
	return slices.Contains([]string{client.JobSucceeded, client.JobFailed, client.JobCanceled}, b.status)
}

type modelDaemon struct {
	joined  client.RegisteredDaemon
	options client.Options
	key     string // of a user when it is empty
	user    uuid.UUID
	alive   bool // it renews
	gone    bool // what it joined with is
}

type modelAttempt struct {
	daemon  *modelDaemon
	build   *modelBuild
	request uuid.UUID
	job     *client.AcquiredJob

	confirmed, started, current, revoked bool
	outcome                              string // "" while it has not ended
	// lost: its silence was told, and it has not renewed since.
	lost, everLost bool

	// renewed is when it renewed last, quiet for how long each replica has not
	// heard of it, early how much longer one of them may believe that it is.
	renewed time.Time
	quiet   []time.Duration
	early   time.Duration

	offset  int64
	intents map[string]bool
	// wanted are the creations that its plan wants and that have not begun; told
	// that these are all.
	wanted  map[string]bool
	told    bool
	stateN  int64
	states  map[int64][]byte
	lastN   int64
	plan    *client.PlanDecision
	cost    int
	settle  func(*client.Attempt) (client.SettledJob, error)
	settled client.SettledJob
}

func newModel(t *testing.T, rt *rapid.T, w *modelWorld) *model {
	m := &model{modelWorld: w}
	for _, r := range w.replicas {
		r.stopped = false
	}
	ctx, owner := t.Context(), w.Client
	var err error
	m.org, err = owner.CreateOrganization(ctx, client.CreateOrganizationRequest{Name: "m-" + uuid.NewString()[:12]})
	require.NoError(rt, err)
	m.join(rt, false)
	m.join(rt, false)
	admin := w.Person(t, m.org, client.RoleOrgAdmin)
	m.daemons = append(m.daemons, m.register(rt, client.Options{Token: admin.Token}, "", admin.User.ID))

	file, err := owner.Upload(ctx, client.ContentTypeTar, strings.NewReader(string(source(t, "# "+uuid.NewString()))))
	require.NoError(rt, err)
	v, err := owner.CreateTemplateVersion(ctx, m.org.Name, client.CreateTemplateVersionRequest{StorageMethod: client.StorageFile, FileID: &file.ID, Provisioner: client.ProvisionerTerraform})
	require.NoError(rt, err)
	d := m.daemons[0]
	caller := m.replicas[0].client(rt, d.options)
	job, err := caller.AcquireJob(ctx, d.joined.ID, client.AcquireJobRequest{RequestID: uuid.New()})
	require.NoError(rt, err)
	require.NotNil(rt, job)
	_, err = caller.Attempt(job.AttemptID, job.Secret).Complete(ctx, client.CompleteJobRequest{Import: &client.ImportResult{Graph: []byte(modelGraph)}})
	require.NoError(rt, err)
	template, err := owner.CreateTemplate(ctx, m.org.Name, client.CreateTemplateRequest{Name: "t", VersionID: v.ID})
	require.NoError(rt, err)
	for _, name := range []string{"one", "two"} {
		created, err := owner.CreateWorkspace(ctx, m.org.Name, client.Me, client.CreateWorkspaceRequest{TemplateID: &template.ID, Name: name + m.org.Name[1:]})
		require.NoError(rt, err)
		s := &modelSpace{id: created.ID, salvage: map[client.StateRef]int64{}}
		m.spaces = append(m.spaces, s)
		s.add(created.LatestBuild)
	}
	return m
}

func (s *modelSpace) add(b client.WorkspaceBuild) {
	s.builds = append(s.builds, &modelBuild{space: s, id: b.ID, job: b.Job.ID, transition: b.Transition, status: client.JobPending})
}

func (s *modelSpace) latest() *modelBuild { return s.builds[len(s.builds)-1] }

// join adds a daemon with a key of its own.
func (m *model) join(rt *rapid.T, alive bool) *modelDaemon {
	name := "key-" + uuid.NewString()[:8]
	key, err := m.Client.CreateProvisionerKey(context.Background(), m.org.Name, client.CreateProvisionerKeyRequest{Name: name})
	require.NoError(rt, err)
	d := m.register(rt, client.Options{Header: http.Header{client.HeaderDaemonKey: {key.Key}}}, name, uuid.Nil)
	d.alive = alive
	m.daemons = append(m.daemons, d)
	return d
}

func (m *model) register(rt *rapid.T, o client.Options, key string, user uuid.UUID) *modelDaemon {
	joined, err := m.replicas[0].client(rt, o).RegisterDaemon(context.Background(), client.RegisterDaemonRequest{
		Organization: m.org.Name, Name: "d-" + uuid.NewString()[:8], Provisioners: []string{client.ProvisionerTerraform}, Version: "v0", APIVersion: "1.0", HostID: "h",
	})
	require.NoError(rt, err)
	return &modelDaemon{joined: joined, options: o, key: key, user: user}
}

// running are the replicas that can be reached; one always can.
func (m *model) running() []*modelReplica {
	return slices.DeleteFunc(slices.Clone(m.replicas), func(r *modelReplica) bool { return r.stopped })
}

// end is what the end of an attempt makes of its job.
func (a *modelAttempt) end(outcome, status string) {
	a.current, a.outcome = false, outcome
	a.build.held, a.build.status = nil, status
}

// requeue puts the job back, unless it was canceled.
func (a *modelAttempt) requeue(outcome string) {
	if a.build.cancel != "" {
		a.end(outcome, client.JobCanceled)
		return
	}
	a.build.retries++
	a.end(outcome, client.JobPending)
}

// modelGraph says that the template has two resources.
const modelGraph = `{"version":1,"nodes":["terraform_data.one","terraform_data.two"],"edges":[]}`

// unknown is what the attempt may have made when nobody tells: the creations
// that were begun, or that its plan wants, and that no state has. While the plan
// is not told in full, it is anything that the template has.
func (a *modelAttempt) unknown() []string {
	var names []string
	add := func(set map[string]bool) {
		for name := range set {
			if !strings.Contains(string(a.build.space.state.content), `"`+name+`"`) {
				names = append(names, name)
			}
		}
	}
	add(a.intents)
	switch {
	case a.told:
		add(a.wanted)
	case a.build.transition != client.TransitionDelete:
		names = append(names, "one[*]", "two[*]")
	}
	return names
}

// check compares what people see with what the model says.
func (m *model) check(rt *rapid.T) {
	for i, s := range m.spaces {
		r := m.running()[i%len(m.running())]
		b, ctx := s.latest(), context.Background()
		w, err := r.owner.DeletedWorkspace(ctx, s.id)
		require.NoError(rt, err)
		require.Equal(rt, b.id, w.LatestBuild.ID)
		require.Equal(rt, b.status, w.LatestBuild.Job.Status, "status of the job")
		require.Equal(rt, modelWorkspaceStatus(b), w.LatestBuild.Status, "status of the workspace")
		require.Equal(rt, s.deleted, w.LatestBuild.Status == client.WorkspaceDeleted)
		for _, name := range b.doubts {
			require.Contains(rt, w.LatestBuild.Job.Error, "terraform_data."+name+" ")
		}
		m.checkState(rt, r, s)
		m.checkAttempts(rt, r, b)
		m.checkLog(rt, r, b)
	}
}

func modelWorkspaceStatus(b *modelBuild) string {
	switch b.status {
	case client.JobRunning:
		return map[string]string{client.TransitionStart: client.WorkspaceStarting, client.TransitionStop: client.WorkspaceStopping, client.TransitionDelete: client.WorkspaceDeleting}[b.transition]
	case client.JobSucceeded:
		return map[string]string{client.TransitionStart: client.WorkspaceRunning, client.TransitionStop: client.WorkspaceStopped, client.TransitionDelete: client.WorkspaceDeleted}[b.transition]
	}
	return b.status
}

func (m *model) checkState(rt *rapid.T, r *modelReplica, s *modelSpace) {
	ctx := context.Background()
	got, err := r.owner.WorkspaceBuildState(ctx, s.latest().id)
	require.NoError(rt, err)
	require.Equal(rt, string(s.state.content), string(got), "the current state")
	row, err := r.store.GetLatestWorkspaceState(ctx, store.GetLatestWorkspaceStateParams{OrganizationID: m.org.ID, WorkspaceID: s.id})
	if s.state.fence == 0 {
		require.True(rt, store.IsNotFound(err), "nobody has written a state")
	} else {
		require.NoError(rt, err)
		require.Equal(rt, [2]int64{s.state.fence, s.state.n}, [2]int64{row.Fence, row.N}, "the current state is the largest (fence, n)")
	}
	kept, err := r.store.ListUnmergedSalvage(ctx, store.ListUnmergedSalvageParams{OrganizationID: m.org.ID, WorkspaceID: s.id})
	require.NoError(rt, err)
	require.Len(rt, kept, len(s.salvage), "what is kept as salvage")
	for ref, fence := range s.salvage {
		info, err := r.store.GetWorkspaceStateInfo(ctx, store.GetWorkspaceStateInfoParams{OrganizationID: m.org.ID, WorkspaceID: s.id, Fence: fence, N: ref.N})
		require.NoError(rt, err, "salvage is kept")
		require.True(rt, info.Salvage)
		require.Equal(rt, ref.SHA256, info.Sha256)
	}
	w, err := r.store.GetWorkspace(ctx, s.id)
	require.NoError(rt, err)
	require.Equal(rt, s.fence, w.Fence, "the fence of the workspace")
	require.Equal(rt, modelWorkspaceStatus(s.latest()), w.LatestStatus, "the status that lists filter by")
}

func (m *model) checkAttempts(rt *rapid.T, r *modelReplica, b *modelBuild) {
	got, err := r.owner.ExplainProvisionerJob(context.Background(), m.org.Name, b.job)
	require.NoError(rt, err)
	var doubts []string
	for _, d := range got.InDoubt {
		doubts = append(doubts, strings.TrimPrefix(d.Address, "terraform_data."))
	}
	require.ElementsMatch(rt, b.doubts, doubts, "what is in doubt, and no more")
	outcomes := map[uuid.UUID]string{}
	for _, a := range got.Attempts {
		outcomes[a.ID] = a.Outcome
	}
	require.Len(rt, outcomes, len(b.tries))
	for _, a := range b.tries {
		want := a.outcome
		if want == "" {
			want = client.OutcomeRunning
			if a.lost || a.everLost && outcomes[a.job.AttemptID] == client.OutcomeLost {
				want = client.OutcomeLost // until the renewal is written
			}
		}
		require.Equal(rt, want, outcomes[a.job.AttemptID], "attempt %d", a.job.Number)
	}
}

func (m *model) checkLog(rt *rapid.T, r *modelReplica, b *modelBuild) {
	logs, err := r.owner.WorkspaceBuildLogs(context.Background(), b.id, 0)
	require.NoError(rt, err)
	var lines, late []string
	stages := map[string]int{}
	for i, l := range logs {
		require.Equal(rt, int64(i+1), l.ID, "ids of a log have no gap")
		if l.Source == "provisioner" {
			lines = append(lines, l.Output)
			continue
		}
		stages[l.Stage]++
		if l.Stage == "Reported late" && strings.HasPrefix(l.Output, "terraform_data.doubt") { // else of a deleted workspace's salvage
			late = append(late, strings.Fields(l.Output)[0])
		}
	}
	require.Equal(rt, b.lines, lines, "every line once, in its order")
	require.Equal(rt, b.late, late, "what was named late")
	require.Equal(rt, b.retries, stages["Retry"], "people are told of each retry")
	require.LessOrEqual(rt, stages["Waiting for the provisioner"], b.lost)
	require.Equal(rt, b.lost > 0, stages["Waiting for the provisioner"] > 0, "people are told that a provisioner is silent")
}

// finish lets all daemons fall silent, and another one do what is left: every
// job that was accepted ends.
func (m *model) finish(rt *rapid.T) {
	for _, r := range m.replicas {
		m.resume(rt, r)
	}
	for _, d := range m.daemons {
		d.alive = false
	}
	m.advance(rt, modelHorizon+3*modelSlack)
	for _, a := range m.attempts {
		require.NotEmpty(rt, a.outcome, "every attempt has ended")
	}
	last := m.join(rt, false)
	for range 2 * len(m.spaces) * 3 {
		a := m.acquireFor(rt, last, m.replicas[0])
		if a == nil {
			break
		}
		m.confirm(rt, a)
		m.engine(rt, a)
		m.putState(rt, a, a.lastN+1, m.content(a, nil))
		m.complete(rt, a, new(refOf(a, a.lastN)), a.offset)
		m.check(rt)
	}
	for _, s := range m.spaces {
		for _, b := range s.builds {
			require.True(rt, b.ended(), "every accepted job ends")
			got, err := m.replicas[0].owner.WorkspaceBuild(context.Background(), b.id)
			require.NoError(rt, err)
			require.Equal(rt, b.status, got.Job.Status, "an end is final")
		}
		_, err := m.outsider.Client.Workspace(context.Background(), s.id)
		require.Equal(rt, http.StatusNotFound, client.StatusCode(err))
	}
	m.checkFences(rt)
}

// checkFences: numbers never fall, and each hand-out has a secret of its own.
func (m *model) checkFences(rt *rapid.T) {
	secrets, fences := map[string]bool{}, map[*modelSpace]int64{}
	for _, a := range m.attempts {
		require.False(rt, secrets[a.job.Secret])
		secrets[a.job.Secret] = true
		require.Greater(rt, a.job.Fence, fences[a.build.space], "the fence rises with each hand-out")
		fences[a.build.space] = a.job.Fence
		clocks := a.job.Clocks
		require.Less(rt, clocks.InterruptAt, clocks.KillAt)
		require.Less(rt, clocks.KillAt, clocks.Horizon, "the engine is dead before anybody takes over")
		require.Equal(rt, modelHorizon.Milliseconds(), clocks.Horizon)
	}
}

// namesIn are the resources of a state.
func namesIn(rt *rapid.T, content []byte) []string {
	if len(content) == 0 {
		return nil
	}
	var parsed struct {
		Resources []struct{ Name string }
	}
	require.NoError(rt, json.Unmarshal(content, &parsed))
	names := map[string]bool{}
	for _, r := range parsed.Resources {
		names[r.Name] = true
	}
	return slices.Sorted(maps.Keys(names))
}
