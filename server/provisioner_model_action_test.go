package server_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"coder/client"
	"coder/store"
)

// actions are what people, daemons, processes and time may do.
func (m *model) actions() map[string]func(*rapid.T) {
	actions := map[string]func(*rapid.T){
		"":             m.check,
		"ask":          m.ask,
		"cancel":       m.cancel,
		"push a state": m.push,
		"delete a key": m.deleteKey,
		"wake or hush": func(rt *rapid.T) { d := m.daemon(rt); d.alive = !d.alive },
		"acquire":      func(rt *rapid.T) { m.acquireFor(rt, m.daemon(rt), m.replica(rt)) },
		"begin":        m.begin,
		"acquire again": func(rt *rapid.T) {
			m.acquireAgain(rt, m.attempt(rt))
		},
		"confirm":       func(rt *rapid.T) { m.confirm(rt, m.attempt(rt)) },
		"engine":        func(rt *rapid.T) { m.engine(rt, m.attempt(rt)) },
		"renew":         func(rt *rapid.T) { m.renew(rt, m.attempt(rt), m.replica(rt)) },
		"logs":          m.logs,
		"state":         m.state,
		"state again":   m.stateAgain,
		"broken state":  m.brokenState,
		"plan":          m.decide,
		"complete":      m.end,
		"fail":          m.fail,
		"settle again":  m.settleAgain,
		"broken host":   m.brokenHost,
		"late word":     m.lateWord,
		"revoked early": m.revokedBetween,
		"time": func(rt *rapid.T) {
			m.advance(rt, time.Duration(rapid.SampledFrom([]int{2, 4, 12, 20, 40}).Draw(rt, "seconds"))*time.Second)
		},
		"horizon":   func(rt *rapid.T) { m.advance(rt, modelHorizon) },
		"pause all": m.pauseAll,
		"pause one": m.pauseOne,
		"restart":   func(rt *rapid.T) { m.restart(rt, rapid.IntRange(0, len(m.replicas)-1).Draw(rt, "replica")) },
	}
	for _, often := range []string{"begin", "state", "logs", "ask", "complete", "engine", "cancel", "fail"} {
		actions[often+" more"] = actions[often]
	}
	return actions
}

func (m *model) replica(rt *rapid.T) *modelReplica {
	running := m.running()
	return running[rapid.IntRange(0, len(running)-1).Draw(rt, "replica")]
}

func (m *model) daemon(rt *rapid.T) *modelDaemon {
	return rapid.SampledFrom(m.daemons).Draw(rt, "daemon")
}

func (m *model) space(rt *rapid.T) *modelSpace {
	return rapid.SampledFrom(m.spaces).Draw(rt, "workspace")
}

// attempt is most often one that holds its job, else one of the newest: those
// of long ago are as good as the last of them.
func (m *model) attempt(rt *rapid.T) *modelAttempt {
	if len(m.attempts) == 0 {
		rt.Skip("nothing was handed out")
	}
	current := slices.DeleteFunc(slices.Clone(m.attempts), func(a *modelAttempt) bool { return !a.current })
	if len(current) > 0 && rapid.IntRange(0, 2).Draw(rt, "of any") > 0 {
		return rapid.SampledFrom(current).Draw(rt, "current attempt")
	}
	return m.attempts[len(m.attempts)-1-rapid.IntRange(0, min(3, len(m.attempts)-1)).Draw(rt, "attempt")]
}

// answer is what a call said, as far as a repeat must say the same.
type answer struct {
	status int
	body   any
}

func answerOf(body any, err error) answer {
	if err != nil {
		return answer{client.StatusCode(err), err.Error()}
	}
	return answer{http.StatusOK, body}
}

// call makes a call of an attempt at some replica, and now and then once more,
// elsewhere: it must change nothing and get the same answer.
func (m *model) call(rt *rapid.T, a *modelAttempt, fn func(*client.Attempt) (any, error)) int {
	ask := func() answer {
		body, err := fn(m.replica(rt).client(rt, client.Options{}).Attempt(a.job.AttemptID, a.job.Secret))
		return answerOf(body, err)
	}
	first := ask()
	if rapid.IntRange(0, 2).Draw(rt, "repeated") == 0 {
		require.Equal(rt, first, ask(), "a repeat gets the same answer")
	}
	return first.status
}

func (m *model) ask(rt *rapid.T) {
	s := m.space(rt)
	if s.deleted {
		rt.Skip("it is deleted")
	}
	transition := rapid.SampledFrom([]string{client.TransitionStart, client.TransitionStart, client.TransitionStop, client.TransitionDelete}).Draw(rt, "transition")
	b, err := m.replica(rt).owner.CreateWorkspaceBuild(context.Background(), s.id, client.CreateWorkspaceBuildRequest{Transition: transition})
	if !s.latest().ended() {
		require.Equal(rt, http.StatusConflict, client.StatusCode(err), "one build at a time")
		return
	}
	require.NoError(rt, err)
	s.add(b)
}

func (m *model) cancel(rt *rapid.T) {
	b := m.space(rt).latest()
	err := m.replica(rt).owner.CancelWorkspaceBuild(context.Background(), b.id)
	if b.ended() || b.cancel == client.CancelHard {
		require.Equal(rt, http.StatusBadRequest, client.StatusCode(err))
		return
	}
	require.NoError(rt, err)
	if b.cancel == client.CancelNone {
		b.cancel = client.CancelGentle
	} else {
		b.cancel = client.CancelHard
	}
	b.status = client.JobCanceling
	if b.held == nil {
		b.status = client.JobCanceled
	}
}

// push is a person who replaces the state.
func (m *model) push(rt *rapid.T) {
	s := m.space(rt)
	if s.deleted {
		rt.Skip("it is deleted")
	}
	content := []byte{}
	if rapid.Bool().Draw(rt, "with resources") {
		content = m.newState("pushed")
	}
	err := m.replica(rt).owner.UpdateWorkspaceBuildState(context.Background(), s.latest().id, client.UpdateWorkspaceBuildStateRequest{State: content})
	if !s.latest().ended() {
		require.Equal(rt, http.StatusConflict, client.StatusCode(err), "the state has one writer")
		return
	}
	require.NoError(rt, err)
	s.fence++
	s.state = modelState{fence: s.fence, n: 1, content: content}
}

// deleteKey takes from a daemon what it joined with; another one comes.
func (m *model) deleteKey(rt *rapid.T) {
	d := m.daemon(rt)
	if len(m.attempts) > 0 && rapid.IntRange(0, 2).Draw(rt, "of any") > 0 {
		d = m.attempt(rt).daemon
	}
	if d.gone {
		rt.Skip("it is gone")
	}
	m.revoke(rt, d)
	if rapid.Bool().Draw(rt, "a replica looks") {
		m.look(rt, m.replica(rt))
	}
}

func (m *model) revoke(rt *rapid.T, d *modelDaemon) {
	d.gone = true
	if d.key == "" {
		_, err := m.Client.SuspendUser(context.Background(), d.user.String())
		require.NoError(rt, err)
	} else {
		require.NoError(rt, m.Client.DeleteProvisionerKey(context.Background(), m.org.Name, d.key))
	}
	m.join(rt, rapid.Bool().Draw(rt, "the next one is alive"))
}

// acquireFor asks for a job, once, and hears the same when it asks again.
func (m *model) acquireFor(rt *rapid.T, d *modelDaemon, r *modelReplica) *modelAttempt {
	var waiting []*modelBuild
	for _, s := range m.spaces {
		if b := s.latest(); b.status == client.JobPending {
			waiting = append(waiting, b)
		}
	}
	request := uuid.New()
	job, err := r.client(rt, d.options).AcquireJob(context.Background(), d.joined.ID, client.AcquireJobRequest{RequestID: request})
	if d.gone {
		require.Contains(rt, []int{http.StatusUnauthorized, http.StatusForbidden}, client.StatusCode(err), "a credential that is gone gets nothing")
		return nil
	}
	require.NoError(rt, err)
	if len(waiting) == 0 {
		require.Nil(rt, job, "nothing is to be handed out")
		return nil
	}
	require.NotNil(rt, job, "a job waits")
	i := slices.IndexFunc(waiting, func(b *modelBuild) bool { return b.job == job.ID })
	require.NotEqual(rt, -1, i, "what is handed out was waiting")
	b := waiting[i]
	b.attempts++
	b.space.fence++
	a := &modelAttempt{daemon: d, build: b, request: request, job: job, current: true, intents: map[string]bool{}, wanted: map[string]bool{}, states: map[int64][]byte{}, quiet: make([]time.Duration, len(m.replicas))}
	b.status, b.held, b.tries = client.JobRunning, a, append(b.tries, a)
	m.attempts = append(m.attempts, a)
	require.Equal(rt, []int64{int64(b.attempts), b.space.fence}, []int64{int64(job.Number), job.Fence})
	m.checkBase(rt, r, a)
	return a
}

// checkBase: an attempt starts from everything that was acknowledged before,
// and from what salvage knows.
func (m *model) checkBase(rt *rapid.T, r *modelReplica, a *modelAttempt) {
	s := a.build.space
	if len(s.salvage) == 0 {
		require.Equal(rt, string(s.state.content), string(a.job.State), "the state that it starts from")
		return
	}
	require.Subset(rt, namesIn(rt, a.job.State), namesIn(rt, s.state.content))
	row, err := r.store.GetLatestWorkspaceState(context.Background(), store.GetLatestWorkspaceStateParams{OrganizationID: m.org.ID, WorkspaceID: s.id})
	if err == nil && row.Fence == s.fence {
		s.state = modelState{fence: row.Fence, n: row.N, content: a.job.State}
	}
	clear(s.salvage)
}

func (m *model) acquireAgain(rt *rapid.T, a *modelAttempt) {
	job, err := m.replica(rt).client(rt, a.daemon.options).AcquireJob(context.Background(), a.daemon.joined.ID, client.AcquireJobRequest{RequestID: a.request})
	switch {
	case a.daemon.gone:
		require.Contains(rt, []int{http.StatusUnauthorized, http.StatusForbidden}, client.StatusCode(err))
	case !a.current:
		require.Equal(rt, http.StatusGone, client.StatusCode(err))
	default:
		require.NoError(rt, err)
		require.Equal(rt, a.job, job, "the same job and secret")
	}
}

// begin is a daemon that does as it should, and may not come to its engine.
func (m *model) begin(rt *rapid.T) {
	a := m.acquireFor(rt, m.daemon(rt), m.replica(rt))
	if a == nil {
		return
	}
	m.confirm(rt, a)
	if rapid.IntRange(0, 2).Draw(rt, "the engine waits") > 0 {
		m.engine(rt, a)
	}
}

func (m *model) confirm(rt *rapid.T, a *modelAttempt) {
	status := m.call(rt, a, func(c *client.Attempt) (any, error) { return nil, c.Confirm(context.Background()) })
	if !a.current {
		require.Equal(rt, http.StatusConflict, status)
		return
	}
	require.Equal(rt, http.StatusOK, status)
	a.confirmed = true
	m.heard(a)
}

func (m *model) engine(rt *rapid.T, a *modelAttempt) {
	status := m.call(rt, a, func(c *client.Attempt) (any, error) { return nil, c.StartEngine(context.Background()) })
	if !a.current || !a.started && (!a.confirmed || a.revoked || a.build.cancel != "") {
		require.Equal(rt, http.StatusConflict, status, "no engine may start")
		return
	}
	require.Equal(rt, http.StatusOK, status)
	if !a.started {
		a.started = true
		a.build.starts++
		m.heard(a)
	}
}

func (m *model) renew(rt *rapid.T, a *modelAttempt, r *modelReplica) {
	word, err := r.client(rt, client.Options{}).Attempt(a.job.AttemptID, a.job.Secret).Renew(context.Background(), client.RenewRequest{})
	require.NoError(rt, err)
	require.Equal(rt, a.current, word.Current)
	require.Equal(rt, a.revoked, word.Revoked)
	require.Equal(rt, a.build.cancel, word.Cancel)
	if a.current && a.confirmed {
		m.heard(a)
	}
}

// logs sends the next lines, some of the last ones again, or lines behind a gap.
func (m *model) logs(rt *rapid.T) {
	a := m.attempt(rt)
	kind := rapid.SampledFrom([]string{"next", "next", "overlap", "gap", "only intents"}).Draw(rt, "lines")
	text := fmt.Sprintf("line %d of %d", a.offset, a.job.Fence)
	req := lines(a.offset, text)
	switch kind {
	case "overlap":
		if a.offset > 0 {
			req.Offset = 0
			req.Entries = append(lines(0, "seen before").Entries, req.Entries...)
		}
	case "gap":
		req = lines(a.offset+5, text)
	case "only intents":
		req = client.AppendLogsRequest{Offset: a.offset, Next: a.offset, Entries: []client.JobLogEntry{}}
	}
	if kind != "gap" && rapid.Bool().Draw(rt, "with an intent") {
		name := fmt.Sprintf("r%d", rapid.IntRange(0, 3).Draw(rt, "resource")+10*int(a.job.Fence))
		done := rapid.IntRange(0, 3).Draw(rt, "done") == 0
		req.Intents = []client.Intent{{Address: "terraform_data." + name, Action: "create", Done: done}}
		if a.current {
			a.intents[name] = true
			if done {
				delete(a.intents, name)
			}
			delete(a.wanted, name)
		}
	}
	if kind != "gap" && rapid.IntRange(0, 2).Draw(rt, "with a plan") == 0 {
		m.plans(rt, a, &req)
	}
	var got client.AppendLogsResponse
	require.Equal(rt, http.StatusOK, m.call(rt, a, func(c *client.Attempt) (any, error) {
		reply, err := c.AppendLogs(context.Background(), req)
		got = reply
		return reply, err
	}))
	switch {
	case !a.current:
		require.Equal(rt, req.Next, got.Expected, "what a lost attempt says is swallowed")
	case kind == "gap":
		require.Equal(rt, a.offset, got.Expected, "a gap")
	default:
		if req.Next > a.offset {
			a.build.lines = append(a.build.lines, text)
		}
		a.offset = req.Next
		require.Equal(rt, a.offset, got.Expected)
	}
}

// plans adds to lines what the plan wants; an engine plans before it begins.
func (m *model) plans(rt *rapid.T, a *modelAttempt, req *client.AppendLogsRequest) {
	if len(a.intents) > 0 || a.told || len(req.Intents) > 0 {
		return
	}
	for i := range rapid.IntRange(0, 3).Draw(rt, "resources wanted") {
		name := fmt.Sprintf("r%d", i+10*int(a.job.Fence))
		action := rapid.SampledFrom([]string{"create", "replace", "update"}).Draw(rt, "action")
		req.Intents = append(req.Intents, client.Intent{Address: "terraform_data." + name, Action: action, Wanted: true})
		if a.current && action != "update" {
			a.wanted[name] = true
		}
	}
	req.PlanTold = rapid.Bool().Draw(rt, "the whole plan")
	a.told = a.told || a.current && req.PlanTold
}

// newState is a state that nobody has written before.
func (m *model) newState(names ...string) []byte {
	m.serial++
	return state(m.serial, names...)
}

// content is what an engine has made of the state it started from: its own
// resources beside those, or nothing where all is destroyed.
func (m *model) content(a *modelAttempt, more []string) []byte {
	if a.build.transition == client.TransitionDelete && more == nil {
		return m.newState()
	}
	return m.newState(append(slices.Clone(more), fmt.Sprintf("base%d", a.job.Fence))...)
}

func refOf(a *modelAttempt, n int64) client.StateRef { return ref(n, a.states[n]) }

func (m *model) state(rt *rapid.T) {
	a := m.attempt(rt)
	n := a.lastN + 1
	if a.lastN > 2 && rapid.IntRange(0, 3).Draw(rt, "older") == 0 {
		n = rapid.Int64Range(1, a.lastN).Draw(rt, "n")
	} else {
		n += rapid.Int64Range(0, 1).Draw(rt, "skipped")
	}
	var more []string
	for i := range rapid.IntRange(0, 2).Draw(rt, "resources") {
		more = append(more, fmt.Sprintf("r%d", i+10*int(a.job.Fence)))
	}
	m.putState(rt, a, n, m.content(a, more))
}

// putState hands a version in, and says what the server must make of it.
func (m *model) putState(rt *rapid.T, a *modelAttempt, n int64, content []byte) {
	sum := sha256.Sum256(content)
	named := client.StateRef{N: n, SHA256: hex.EncodeToString(sum[:])}
	status := m.call(rt, a, func(c *client.Attempt) (any, error) { return nil, c.PutState(context.Background(), named, content) })
	s := a.build.space
	known, handed := a.states[n]
	switch {
	case handed && string(known) != string(content) && !a.current:
		require.Contains(rt, []int{http.StatusConflict, http.StatusOK}, status, "it may have been pruned since")
		return
	case handed && string(known) != string(content):
		require.Equal(rt, http.StatusConflict, status, "the same number with another content")
		return
	}
	require.Equal(rt, http.StatusOK, status)
	switch {
	case handed, !a.current && n <= a.stateN:
		return
	case !a.current:
		s.salvage[named] = a.job.Fence
	case a.job.Fence > s.state.fence || n > s.state.n:
		s.state = modelState{fence: a.job.Fence, n: n, content: content}
	}
	a.states[n] = content
	a.stateN, a.lastN = max(a.stateN, n), max(a.lastN, n)
}

// stateAgain is a copy of an earlier upload that comes late, or another
// content under its number.
func (m *model) stateAgain(rt *rapid.T) {
	a := m.attempt(rt)
	if len(a.states) == 0 {
		rt.Skip("it has handed in none")
	}
	n := rapid.Int64Range(1, a.lastN).Draw(rt, "n")
	content, handed := a.states[n]
	if !handed || rapid.IntRange(0, 2).Draw(rt, "changed") == 0 {
		content = m.content(a, []string{"changed"})
	}
	m.putState(rt, a, n, content)
}

func (m *model) brokenState(rt *rapid.T) {
	a := m.attempt(rt)
	whole := m.content(a, nil)
	content := rapid.SampledFrom([][]byte{{}, whole[:len(whole)/2], []byte("null"), []byte("[]")}).Draw(rt, "content")
	require.Equal(rt, http.StatusBadRequest, m.call(rt, a, func(c *client.Attempt) (any, error) {
		return nil, c.PutState(context.Background(), ref(a.lastN+1, content), content)
	}))
}

// decide is the gate between plan and apply.
func (m *model) decide(rt *rapid.T) {
	a := m.attempt(rt)
	cost := rapid.SampledFrom([]int{0, 0, 7}).Draw(rt, "cost")
	var got client.PlanDecision
	status := m.call(rt, a, func(c *client.Attempt) (any, error) {
		reply, err := c.DecidePlan(context.Background(), client.PlanRequest{DailyCost: cost})
		got = reply
		return reply, err
	})
	switch {
	case !a.current, a.plan != nil && a.cost != cost, a.plan == nil && (!a.started || a.revoked || a.build.cancel != ""):
		require.Equal(rt, http.StatusConflict, status)
		return
	}
	require.Equal(rt, http.StatusOK, status)
	if a.plan != nil {
		require.Equal(rt, *a.plan, got, "a decision stands")
		return
	}
	require.True(rt, got.Granted || cost > 0 && a.build.transition == client.TransitionStart)
	a.plan, a.cost = &got, cost
}

func (m *model) end(rt *rapid.T) {
	a := m.attempt(rt)
	var named *client.StateRef
	switch rapid.SampledFrom([]string{"newest", "newest", "newest", "older", "none", "not stored"}).Draw(rt, "state") {
	case "newest":
		if a.stateN > 0 {
			named = new(refOf(a, a.stateN))
		}
	case "older":
		for n := range a.states {
			if n < a.stateN && (named == nil || n < named.N) {
				named = new(refOf(a, n))
			}
		}
	case "not stored":
		named = new(ref(a.stateN+1, m.content(a, nil)))
	}
	m.complete(rt, a, named, a.offset+rapid.SampledFrom([]int64{0, 0, 0, 3}).Draw(rt, "lines too many"))
}

func (m *model) complete(rt *rapid.T, a *modelAttempt, named *client.StateRef, logs int64) {
	req := client.CompleteJobRequest{State: named, Logs: logs, Build: &client.BuildResult{}, Timings: []client.StageTiming{{Stage: "apply", Resource: uuid.NewString()}}}
	var got client.SettledJob
	settle := func(c *client.Attempt) (client.SettledJob, error) { return c.Complete(context.Background(), req) }
	status := m.settleWith(rt, a, settle, &got)
	s, b := a.build.space, a.build
	switch {
	case !a.current:
		require.Equal(rt, http.StatusConflict, status)
	case a.stateN > 0 && (named == nil || named.N < a.stateN):
		require.Equal(rt, http.StatusBadRequest, status, "a build is bound to its newest state")
	case logs > a.offset, named != nil && string(a.states[named.N]) == "":
		require.Equal(rt, http.StatusPreconditionFailed, status, "nothing ends before it is stored")
	case b.transition == client.TransitionDelete && len(namesIn(rt, s.state.content)) > 0:
		require.Equal(rt, http.StatusBadRequest, status, "a delete that leaves resources")
	default:
		require.Equal(rt, http.StatusOK, status)
		a.settle, a.settled = settle, got
		if got.Retry || got.Status == client.JobFailed {
			require.True(rt, b.transition == client.TransitionDelete && len(s.salvage) > 0, "only what salvage holds keeps a delete from its end")
			a.leftover(got)
			return
		}
		require.Equal(rt, client.JobSucceeded, got.Status)
		s.deleted = b.transition == client.TransitionDelete
		a.end(client.JobSucceeded, client.JobSucceeded)
	}
}

// leftover is a delete of which salvage came to know more meanwhile.
func (a *modelAttempt) leftover(got client.SettledJob) {
	if got.Retry {
		a.requeue(client.OutcomeRetried)
		return
	}
	a.end(client.JobFailed, client.JobFailed)
}

// settleWith makes a call that ends an attempt, and perhaps repeats it.
func (m *model) settleWith(rt *rapid.T, a *modelAttempt, settle func(*client.Attempt) (client.SettledJob, error), got *client.SettledJob) int {
	return m.call(rt, a, func(c *client.Attempt) (any, error) {
		reply, err := settle(c)
		*got = reply
		return reply, err
	})
}

func (m *model) fail(rt *rapid.T) {
	a := m.attempt(rt)
	req := client.FailJobRequest{
		Logs: a.offset + rapid.SampledFrom([]int64{0, 0, 0, 3}).Draw(rt, "lines too many"), Error: "it broke " + uuid.NewString(),
		Canceled: rapid.IntRange(0, 3).Draw(rt, "canceled") == 0, Retryable: rapid.IntRange(0, 3).Draw(rt, "for good") > 0, EngineDead: rapid.IntRange(0, 3).Draw(rt, "alive") > 0,
	}
	var doubts []string
	if rapid.IntRange(0, 2).Draw(rt, "in doubt") == 0 {
		doubts = []string{fmt.Sprintf("doubt%d", a.job.Fence)}
		req.InDoubt = []client.DoubtfulResource{{Address: "terraform_data." + doubts[0], Action: "create"}}
	}
	if a.stateN > 0 && rapid.Bool().Draw(rt, "with a state") {
		req.State = new(refOf(a, a.stateN))
	}
	m.failWith(rt, a, req, doubts)
}

// brokenHost is one on which every engine dies: jobs are not tried for ever.
func (m *model) brokenHost(rt *rapid.T) {
	d := m.daemon(rt)
	for range 4 {
		a := m.acquireFor(rt, d, m.replica(rt))
		if a == nil {
			return
		}
		m.confirm(rt, a)
		if rapid.Bool().Draw(rt, "an engine starts") {
			m.engine(rt, a)
		}
		m.failWith(rt, a, client.FailJobRequest{Error: "it broke " + uuid.NewString(), Retryable: true, EngineDead: true}, nil)
	}
}

// lateWord is a daemon that comes back when its job was taken from it: what it
// has made is kept, and what it names in doubt is told.
func (m *model) lateWord(rt *rapid.T) {
	lost := slices.DeleteFunc(slices.Clone(m.attempts), func(a *modelAttempt) bool { return a.current || a.settle != nil })
	if len(lost) == 0 {
		rt.Skip("nothing was taken from anybody")
	}
	a := rapid.SampledFrom(lost).Draw(rt, "attempt")
	m.putState(rt, a, a.lastN+1, m.content(a, []string{"late"}))
	name := fmt.Sprintf("doubt%d", a.job.Fence)
	for range rapid.IntRange(1, 2).Draw(rt, "says it again") {
		m.failWith(rt, a, client.FailJobRequest{Error: "late", EngineDead: true, InDoubt: []client.DoubtfulResource{{Address: "terraform_data." + name, Action: "create"}}}, []string{name})
	}
}

// revokedBetween is a daemon whose key goes between confirm and engine.
func (m *model) revokedBetween(rt *rapid.T) {
	a := m.acquireFor(rt, m.daemon(rt), m.replica(rt))
	if a == nil {
		return
	}
	m.confirm(rt, a)
	m.revoke(rt, a.daemon)
	m.look(rt, m.replica(rt))
	m.engine(rt, a)
}

// failWith ends an attempt badly, and says what the server must make of it.
func (m *model) failWith(rt *rapid.T, a *modelAttempt, req client.FailJobRequest, doubts []string) {
	b := a.build
	var got client.SettledJob
	settle := func(c *client.Attempt) (client.SettledJob, error) { return c.Fail(context.Background(), req) }
	status := m.settleWith(rt, a, settle, &got)
	switch {
	case !a.current:
		require.Equal(rt, http.StatusConflict, status)
		if a.settle == nil && len(doubts) > 0 && !slices.Contains(b.late, "terraform_data."+doubts[0]) {
			b.late = append(b.late, "terraform_data."+doubts[0])
		}
		return
	case a.started && !req.EngineDead:
		require.Equal(rt, http.StatusBadRequest, status, "an engine that may live")
		return
	case req.Logs > a.offset:
		require.Equal(rt, http.StatusPreconditionFailed, status)
		return
	}
	require.Equal(rt, http.StatusOK, status)
	a.settle, a.settled = settle, got
	refused := a.plan != nil && !a.plan.Granted
	fresh := b.starts < 2 && b.attempts < 3+b.starts
	switch {
	case !refused && req.Retryable && req.EngineDead && !req.Canceled && b.cancel == "" && len(doubts) == 0 && fresh:
		require.True(rt, got.Retry)
		a.requeue(client.OutcomeRetried)
	case req.Canceled && b.cancel != "" && len(doubts) == 0:
		a.end(client.JobCanceled, client.JobCanceled)
	default:
		if !refused {
			b.doubts = doubts
		}
		a.end(client.JobFailed, client.JobFailed)
	}
	require.Equal(rt, b.status, got.Status)
}

// settleAgain repeats the end of an attempt, long after, or ends it otherwise.
func (m *model) settleAgain(rt *rapid.T) {
	a := m.attempt(rt)
	if a.settle == nil {
		rt.Skip("it has not been settled")
	}
	if rapid.Bool().Draw(rt, "otherwise") {
		require.Equal(rt, http.StatusConflict, m.call(rt, a, func(c *client.Attempt) (any, error) {
			return c.Fail(context.Background(), client.FailJobRequest{Error: "another end", EngineDead: true})
		}))
		return
	}
	var got client.SettledJob
	require.Equal(rt, http.StatusOK, m.settleWith(rt, a, a.settle, &got))
	require.Equal(rt, a.settled, got, "the stored reply")
}

// pauseAll stops every process of the deployment for longer than any clock,
// while the daemons go on: nobody is silent for that.
func (m *model) pauseAll(rt *rapid.T) {
	for _, r := range m.replicas {
		m.stop(r)
	}
	m.clock.Advance(time.Duration(rapid.SampledFrom([]int{30, 70, 600}).Draw(rt, "seconds")) * time.Second)
	for _, r := range m.replicas {
		m.resume(rt, r)
	}
}

// pauseOne stops a replica while others run, and lets it go on.
func (m *model) pauseOne(rt *rapid.T) {
	if len(m.replicas) == 1 {
		rt.Skip("there is one")
	}
	r := m.replicas[rapid.IntRange(0, len(m.replicas)-1).Draw(rt, "replica")]
	if r.stopped {
		m.resume(rt, r)
		return
	}
	if len(m.running()) > 1 {
		m.stop(r)
	}
}
