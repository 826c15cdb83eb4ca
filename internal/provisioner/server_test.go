package provisioner_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
)

// controlPlane speaks the job protocol, and holds the daemon to it: what a
// real server would refuse is refused here.
type controlPlane struct {
	t   *testing.T
	url string

	mu       sync.Mutex
	daemon   uuid.UUID
	queue    []*handout
	handouts map[uuid.UUID]*handout
	sources  map[string][]byte
	refuse   int
	deaf     bool
	changed  chan struct{}
	// refuseResult is why no result is taken.
	refuseResult string
	// forgetful: registrations succeed, and are then unknown.
	forgetful  bool
	registered []time.Time
	// troubles are what daemons have said that keeps them from taking a job.
	troubles []string
	// asking counts the requests for a job that have not ended.
	asking int
}

// handout is what the server knows of one attempt.
type handout struct {
	job       client.AcquiredJob
	confirmed bool
	engine    int
	entries   []client.JobLogEntry
	next      int64
	full      bool
	intents   []client.Intent
	told      bool
	states    map[int64][]byte
	newest    int64
	uploads   int
	control   client.RenewResponse
	renewals  int
	complete  *client.CompleteJobRequest
	fail      *client.FailJobRequest
	reports   int

	// plans are the costs that were asked about; the first is decided on by
	// decision, and the rest hear the same. While undecided is set the answer
	// waits; lost answers are decided and do not arrive.
	plans     []int
	decision  client.PlanDecision
	undecided bool
	lost      int
}

func newControlPlane(t *testing.T) *controlPlane {
	t.Helper()
	p := &controlPlane{
		t: t, daemon: uuid.New(), handouts: map[uuid.UUID]*handout{}, sources: map[string][]byte{}, changed: make(chan struct{}),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v2/provisionerdaemons/register", p.register)
	mux.HandleFunc("POST /api/v2/provisionerdaemons/{daemon}/acquire", p.acquire)
	mux.HandleFunc("DELETE /api/v2/provisionerdaemons/{daemon}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	for verb, handle := range map[string]func(*handout, http.ResponseWriter, *http.Request){
		"POST confirm": p.confirm, "POST engine": p.engine, "POST plan": p.plan, "GET source": p.source, "POST renew": p.renew,
		"POST logs": p.logs, "PUT state": p.state, "POST complete": p.complete, "POST fail": p.fail,
	} {
		method, name, _ := bytes.Cut([]byte(verb), []byte(" "))
		mux.HandleFunc(string(method)+" /api/v2/provisionerdaemons/attempts/{attempt}/"+string(name), p.attempt(handle))
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		deaf := p.deaf
		p.mu.Unlock()
		if deaf {
			panic(http.ErrAbortHandler)
		}
		mux.ServeHTTP(w, r)
	}))
	p.url = server.URL
	t.Cleanup(func() {
		p.mu.Lock()
		p.deaf = true
		p.notify()
		p.mu.Unlock()
		server.CloseClientConnections()
		server.Close()
	})
	return p
}

// notify wakes what waits; the caller holds the lock.
func (p *controlPlane) notify() {
	close(p.changed)
	p.changed = make(chan struct{})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, status int, message string) {
	reply(w, status, client.Error{Message: message})
}

func (p *controlPlane) register(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse != 0 {
		refuse(w, p.refuse, "this key was deleted")
		return
	}
	var req client.RegisterDaemonRequest
	if json.NewDecoder(r.Body).Decode(&req) != nil || req.HostID == "" || req.Name == "" {
		refuse(w, http.StatusBadRequest, "no host id or name")
		return
	}
	p.registered = append(p.registered, time.Now())
	p.notify()
	reply(w, http.StatusCreated, client.RegisteredDaemon{ID: p.daemon, Name: req.Name, OrganizationName: "data-platform", Tags: map[string]string{}})
}

func (p *controlPlane) acquire(w http.ResponseWriter, r *http.Request) {
	var req client.AcquireJobRequest
	if json.NewDecoder(r.Body).Decode(&req) != nil {
		refuse(w, http.StatusBadRequest, "no body")
		return
	}
	p.mu.Lock()
	p.troubles = append(p.troubles, req.Trouble)
	p.asking++
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.asking--
	}()
	if req.Trouble != "" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	timeout := time.After(2 * time.Second)
	for {
		p.mu.Lock()
		if p.forgetful {
			p.mu.Unlock()
			refuse(w, http.StatusNotFound, "Not found.")
			return
		}
		if len(p.queue) > 0 {
			next := p.queue[0]
			p.queue = p.queue[1:]
			p.handouts[next.job.AttemptID] = next
			p.mu.Unlock()
			reply(w, http.StatusOK, next.job)
			return
		}
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		case <-timeout:
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
}

// attempt finds the hand-out by its secret, which is the only credential that
// these routes take.
func (p *controlPlane) attempt(handle func(*handout, http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, err := uuid.Parse(r.PathValue("attempt"))
		p.mu.Lock()
		h := p.handouts[id]
		p.mu.Unlock()
		if err != nil || h == nil || r.Header.Get(client.HeaderAttempt) != h.job.Secret || r.Header.Get(client.HeaderDaemonKey) != "" {
			refuse(w, http.StatusUnauthorized, "no such attempt")
			return
		}
		handle(h, w, r)
	}
}

func (p *controlPlane) confirm(h *handout, w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	h.confirmed = true
	w.WriteHeader(http.StatusNoContent)
}

func (p *controlPlane) engine(h *handout, w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !h.confirmed || h.control.Cancel != "" {
		refuse(w, http.StatusConflict, "the job was canceled")
		return
	}
	h.engine++
	w.WriteHeader(http.StatusNoContent)
}

func (p *controlPlane) plan(h *handout, w http.ResponseWriter, r *http.Request) {
	var req client.PlanRequest
	if json.NewDecoder(r.Body).Decode(&req) != nil {
		refuse(w, http.StatusBadRequest, "no body")
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !h.told {
		refuse(w, http.StatusBadRequest, "nobody was told what the plan wants")
		return
	}
	h.plans = append(h.plans, req.DailyCost)
	p.notify()
	for h.undecided {
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-r.Context().Done():
		}
		p.mu.Lock()
		if r.Context().Err() != nil {
			return
		}
	}
	switch {
	case h.engine == 0 || h.control.Cancel != "" || req.DailyCost != h.plans[0]:
		refuse(w, http.StatusConflict, "the job was canceled")
	case h.lost > 0:
		h.lost--
		panic(http.ErrAbortHandler)
	default:
		reply(w, http.StatusOK, h.decision)
	}
}

func (p *controlPlane) source(h *handout, w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !h.confirmed {
		refuse(w, http.StatusConflict, "not confirmed")
		return
	}
	w.Header().Set("Content-Type", "application/x-tar")
	_, _ = w.Write(p.sources[h.job.SourceHash])
}

func (p *controlPlane) renew(h *handout, w http.ResponseWriter, r *http.Request) {
	var req client.RenewRequest
	if json.NewDecoder(r.Body).Decode(&req) != nil {
		refuse(w, http.StatusBadRequest, "no body")
		return
	}
	timeout := time.After(time.Duration(req.WaitMS) * time.Millisecond)
	for {
		p.mu.Lock()
		control, changed := h.control, p.changed
		h.renewals++
		p.mu.Unlock()
		if control.Sequence > req.Seen {
			reply(w, http.StatusOK, control)
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		case <-timeout:
			reply(w, http.StatusOK, control)
			return
		}
	}
}

func (p *controlPlane) logs(h *handout, w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var req client.AppendLogsRequest
	if json.NewDecoder(r.Body).Decode(&req) != nil {
		refuse(w, http.StatusBadRequest, "no body")
		return
	}
	if req.Offset != h.next {
		reply(w, http.StatusConflict, client.AppendLogsResponse{Expected: h.next})
		return
	}
	at := req.Offset
	for _, entry := range req.Entries {
		if entry.Offset != at || len(entry.Output) > client.MaxLogLine {
			refuse(w, http.StatusBadRequest, "a gap within the batch")
			return
		}
		at += int64(len(entry.Output)) + 1
	}
	if at != req.Next {
		refuse(w, http.StatusBadRequest, "next is wrong")
		return
	}
	h.told = h.told || req.PlanTold
	h.intents = append(h.intents, req.Intents...)
	if untold := h.untold(); untold != "" {
		refuse(w, http.StatusBadRequest, "begun, and no plan was told that wanted it: "+untold)
		return
	}
	h.entries = append(h.entries, req.Entries...)
	h.next, h.full = req.Next, h.full || req.Overflowed
	p.notify()
	reply(w, http.StatusOK, client.AppendLogsResponse{Expected: h.next})
}

// begun are the intents that are no mere wants.
func (h *handout) begun() []client.Intent {
	return slices.DeleteFunc(slices.Clone(h.intents), func(i client.Intent) bool { return i.Wanted })
}

// untold is something that was begun to be made although no whole plan that
// wanted it was told before.
func (h *handout) untold() string {
	wanted := map[string]bool{}
	for _, i := range h.intents {
		wanted[i.Address] = wanted[i.Address] || i.Wanted
		if makes := i.Action == "create" || i.Action == "replace"; makes && !i.Wanted && !(h.told && wanted[i.Address] || strings.HasPrefix(i.Address, "coder_")) {
			return i.Address
		}
	}
	return ""
}

func (p *controlPlane) state(h *handout, w http.ResponseWriter, r *http.Request) {
	reader, err := gzip.NewReader(r.Body)
	if err != nil {
		refuse(w, http.StatusBadRequest, "not compressed")
		return
	}
	content, err := io.ReadAll(reader)
	sum := sha256.Sum256(content)
	if err != nil || hex.EncodeToString(sum[:]) != r.URL.Query().Get("sha256") || !json.Valid(content) {
		refuse(w, http.StatusBadRequest, "hash or content is wrong")
		return
	}
	n, err := strconv.ParseInt(r.URL.Query().Get("n"), 10, 64)
	if err != nil {
		refuse(w, http.StatusBadRequest, "no n")
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if before, ok := h.states[n]; ok && !bytes.Equal(before, content) {
		refuse(w, http.StatusConflict, "same n, other hash")
		return
	}
	h.states[n] = content
	h.newest = max(h.newest, n)
	h.uploads++
	p.notify()
	w.WriteHeader(http.StatusNoContent)
}

// stored tells whether the server has what a report names; the caller holds
// the lock.
func (h *handout) stored(state *client.StateRef, logs int64) bool {
	if logs != h.next {
		return false
	}
	if state == nil {
		return true
	}
	content, ok := h.states[state.N]
	sum := sha256.Sum256(content)
	return ok && hex.EncodeToString(sum[:]) == state.SHA256
}

func (p *controlPlane) complete(h *handout, w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var req client.CompleteJobRequest
	if json.NewDecoder(r.Body).Decode(&req) != nil {
		refuse(w, http.StatusBadRequest, "no body")
		return
	}
	if !h.stored(req.State, req.Logs) {
		refuse(w, http.StatusPreconditionFailed, "not stored yet")
		return
	}
	if p.refuseResult != "" {
		refuse(w, http.StatusBadRequest, p.refuseResult)
		return
	}
	h.complete, h.reports = &req, h.reports+1
	p.notify()
	reply(w, http.StatusOK, client.SettledJob{JobID: h.job.ID, Status: "succeeded"})
}

func (p *controlPlane) fail(h *handout, w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var req client.FailJobRequest
	if json.NewDecoder(r.Body).Decode(&req) != nil {
		refuse(w, http.StatusBadRequest, "no body")
		return
	}
	if !h.stored(req.State, req.Logs) {
		refuse(w, http.StatusPreconditionFailed, "not stored yet")
		return
	}
	h.fail, h.reports = &req, h.reports+1
	p.notify()
	reply(w, http.StatusOK, client.SettledJob{JobID: h.job.ID, Status: "failed"})
}

// submit queues a job.
func (p *controlPlane) submit(job client.AcquiredJob) *handout { return p.submitWith(job, nil) }

// submitWith changes the hand-out before anybody can take it.
func (p *controlPlane) submitWith(job client.AcquiredJob, change func(*handout)) *handout {
	p.t.Helper()
	job.ID, job.AttemptID, job.Secret, job.Number = uuid.New(), uuid.New(), uuid.NewString(), 1
	job.AccessURL, job.CreatedAt = "http://coder.example.com", time.Now().UTC()
	if job.Clocks == (client.JobClocks{}) {
		job.Clocks = client.JobClocks{Lease: 24000, Renew: 2000, Horizon: 300000, InterruptAt: 120000, KillAt: 240000}
	}
	h := &handout{job: job, states: map[int64][]byte{}, control: client.RenewResponse{Current: true}}
	h.decision = client.PlanDecision{Granted: true, Message: "The plan is admitted."}
	if change != nil {
		change(h)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, h)
	p.notify()
	return h
}

// tell sends a control message to whoever holds the hand-out.
func (p *controlPlane) tell(h *handout, change func(*client.RenewResponse)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&h.control)
	h.control.Sequence++
	p.notify()
}

// until waits for something to become true of the hand-out.
func (p *controlPlane) until(h *handout, what string, is func(*handout) bool) {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return is(h)
	}, patience, 10*time.Millisecond, what)
}

func (p *controlPlane) untilEnded(h *handout) {
	p.t.Helper()
	p.until(h, "the job has ended", func(h *handout) bool { return h.complete != nil || h.fail != nil })
}

// ended tells whether the daemon has ended the job.
func (p *controlPlane) ended(h *handout) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return h.complete != nil || h.fail != nil
}

// renewed is how often the hand-out was renewed.
func (p *controlPlane) renewed(h *handout) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return h.renewals
}

// open are the creations that the server must take for doubtful while it
// hears nothing more.
func (p *controlPlane) open(h *handout) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	open := map[string]bool{}
	for _, intent := range h.intents {
		if !intent.Wanted {
			open[intent.Address] = !intent.Done
		}
	}
	found := []string{}
	for address, is := range open {
		if is {
			found = append(found, address)
		}
	}
	slices.Sort(found)
	return found
}

// text is the job's log.
func (p *controlPlane) text(h *handout) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var text bytes.Buffer
	for _, entry := range h.entries {
		text.WriteString(entry.Level + " [" + entry.Stage + "] " + entry.Output + "\n")
	}
	return text.String()
}

// newestState is the state that a later attempt would begin with.
func (p *controlPlane) newestState(h *handout) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return h.states[h.newest]
}

func (p *controlPlane) setDeaf(deaf bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf = deaf
}
