package server_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/internal/fairness"
	"coder/server"
	"coder/server/servertest"
	"coder/store"
	"coder/store/storetest"
)

// protocol is an organization with a key, a joined daemon and a template
// whose versions the test itself imports.
type protocol struct {
	*servertest.Server
	org    client.Organization
	key    string
	daemon *client.Client
	joined client.RegisteredDaemon
}

func newProtocol(t *testing.T, options ...servertest.Option) *protocol {
	t.Helper()
	s := servertest.New(t, options...)
	org := s.Organization(t, "data-platform")
	key, err := s.Client.CreateProvisionerKey(t.Context(), org.Name, client.CreateProvisionerKeyRequest{Name: "data-cluster-key"})
	require.NoError(t, err)
	p := &protocol{Server: s, org: org, key: key.Key}
	p.daemon, p.joined = p.join(t, "daemon-1")
	return p
}

func (p *protocol) withKey(t *testing.T, key string) *client.Client {
	t.Helper()
	c, err := client.New(p.URL, client.Options{Header: http.Header{client.HeaderDaemonKey: {key}}})
	require.NoError(t, err)
	return c
}

func (p *protocol) join(t *testing.T, name string) (*client.Client, client.RegisteredDaemon) {
	t.Helper()
	c := p.withKey(t, p.key)
	joined, err := c.RegisterDaemon(t.Context(), client.RegisterDaemonRequest{
		Organization: p.org.Name, Name: name, Provisioners: []string{"terraform"}, Version: "v0", APIVersion: "1.0", HostID: name,
	})
	require.NoError(t, err)
	return c, joined
}

// source is a template's archive; the text makes it another one.
func source(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "main.tf", Mode: 0o600, Size: int64(len(text))}))
	_, err := w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

// version asks for an import and leaves it pending.
func (p *protocol) version(t *testing.T) client.TemplateVersion {
	t.Helper()
	file, err := p.Client.Upload(t.Context(), "application/x-tar", bytes.NewReader(source(t, "# "+uuid.NewString())))
	require.NoError(t, err)
	v, err := p.Client.CreateTemplateVersion(t.Context(), p.org.Name, client.CreateTemplateVersionRequest{StorageMethod: "file", FileID: &file.ID, Provisioner: "terraform"})
	require.NoError(t, err)
	return v
}

// held is a job that a daemon holds.
type held struct {
	*client.AcquiredJob
	*client.Attempt
}

func (p *protocol) acquire(t *testing.T) held {
	t.Helper()
	job, err := p.daemon.AcquireJob(t.Context(), p.joined.ID, client.AcquireJobRequest{RequestID: uuid.New()})
	require.NoError(t, err)
	require.NotNil(t, job, "no job within the long poll")
	return held{job, p.daemon.Attempt(job.AttemptID, job.Secret)}
}

// begun is a held job whose engine has started.
func (p *protocol) begun(t *testing.T) held {
	t.Helper()
	h := p.acquire(t)
	require.NoError(t, h.Confirm(t.Context()))
	require.NoError(t, h.StartEngine(t.Context()))
	return h
}

// workspace makes a template and a workspace whose first build is pending.
func (p *protocol) workspace(t *testing.T) client.Workspace {
	t.Helper()
	v := p.version(t)
	h := p.begun(t)
	_, err := h.Complete(t.Context(), client.CompleteJobRequest{Import: &client.ImportResult{Graph: []byte(`{}`)}})
	require.NoError(t, err)
	template, err := p.Client.CreateTemplate(t.Context(), p.org.Name, client.CreateTemplateRequest{Name: "t-" + uuid.NewString()[:8], VersionID: v.ID})
	require.NoError(t, err)
	w, err := p.Client.CreateWorkspace(t.Context(), p.org.Name, client.Me, client.CreateWorkspaceRequest{TemplateID: &template.ID, Name: "w-" + uuid.NewString()[:8]})
	require.NoError(t, err)
	return w
}

// state is a Terraform state with the named terraform_data resources.
func state(serial int, names ...string) []byte {
	var resources bytes.Buffer
	for i, name := range names {
		if i > 0 {
			resources.WriteString(",")
		}
		fmt.Fprintf(&resources, `{"mode":"managed","type":"terraform_data","name":%q,"provider":"provider[\"terraform.io/builtin/terraform\"]","instances":[{"schema_version":0,"attributes":{"id":"1"}}]}`, name)
	}
	return fmt.Appendf(nil, `{"version":4,"terraform_version":"1.11.4","serial":%d,"lineage":"9f5c1d2e-0000-0000-0000-000000000000","outputs":{},"resources":[%s]}`, serial, resources.String())
}

func ref(n int64, content []byte) client.StateRef {
	sum := sha256.Sum256(content)
	return client.StateRef{N: n, SHA256: hex.EncodeToString(sum[:])}
}

func lines(offset int64, texts ...string) client.AppendLogsRequest {
	req := client.AppendLogsRequest{Offset: offset}
	for _, text := range texts {
		req.Entries = append(req.Entries, client.JobLogEntry{Offset: offset, CreatedAt: time.Now(), Source: "provisioner", Level: "info", Stage: "Apply", Output: text})
		offset += int64(len(text)) + 1
	}
	req.Next = offset
	return req
}

func TestAcquire(t *testing.T) {
	t.Parallel()

	t.Run("a repeated request id gets the same job and secret", func(t *testing.T) {
		t.Parallel()
		p := newProtocol(t)
		p.version(t)
		request := client.AcquireJobRequest{RequestID: uuid.New()}
		first, err := p.daemon.AcquireJob(t.Context(), p.joined.ID, request)
		require.NoError(t, err)
		again, err := p.daemon.AcquireJob(t.Context(), p.joined.ID, request)
		require.NoError(t, err)
		require.Equal(t, first, again)
	})

	t.Run("a job that is posted wakes a daemon that waits", func(t *testing.T) {
		t.Parallel()
		p := newProtocol(t)
		got := make(chan *client.AcquiredJob, 1)
		go func() {
			job, err := p.daemon.AcquireJob(t.Context(), p.joined.ID, client.AcquireJobRequest{RequestID: uuid.New()})
			if err != nil {
				job = nil
			}
			got <- job
		}()
		v := p.version(t)
		select {
		case job := <-got:
			require.NotNil(t, job)
			require.Equal(t, v.Job.ID, job.ID)
		case <-time.After(10 * time.Second):
			t.Fatal("the waiting daemon was not woken")
		}
	})

	t.Run("each job goes to one of many daemons", func(t *testing.T) {
		t.Parallel()
		p := newProtocol(t)
		const jobs = 8
		for range jobs {
			p.version(t)
		}
		var mu sync.Mutex
		var wg sync.WaitGroup
		seen := map[uuid.UUID]int{}
		for i := range jobs {
			daemon, joined := p.join(t, fmt.Sprintf("daemon-many-%d", i))
			wg.Go(func() {
				job, err := daemon.AcquireJob(t.Context(), joined.ID, client.AcquireJobRequest{RequestID: uuid.New()})
				if err == nil && job != nil {
					mu.Lock()
					seen[job.ID]++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		require.Len(t, seen, jobs)
		for id, times := range seen {
			require.Equal(t, 1, times, "job %s", id)
		}
	})

	t.Run("a hand-out that is not confirmed goes back and does not count", func(t *testing.T) {
		t.Parallel()
		p := newProtocol(t)
		p.version(t)
		first := p.acquire(t)
		second := p.acquire(t)
		require.Equal(t, first.ID, second.ID)
		require.NotEqual(t, first.Secret, second.Secret)
		require.Equal(t, 1, second.Number)
		require.Equal(t, http.StatusConflict, client.StatusCode(first.Confirm(t.Context())))
	})

	t.Run("a daemon of another organization gets nothing", func(t *testing.T) {
		t.Parallel()
		p := newProtocol(t)
		other := p.Organization(t, "other")
		key, err := p.Client.CreateProvisionerKey(t.Context(), other.Name, client.CreateProvisionerKeyRequest{Name: "k"})
		require.NoError(t, err)
		p.version(t)
		foreign := p.withKey(t, key.Key)
		joined, err := foreign.RegisterDaemon(t.Context(), client.RegisterDaemonRequest{Name: "foreign", Provisioners: []string{"terraform"}, Version: "v0", APIVersion: "1.0"})
		require.NoError(t, err)
		_, err = foreign.AcquireJob(t.Context(), p.joined.ID, client.AcquireJobRequest{RequestID: uuid.New()})
		require.Equal(t, http.StatusNotFound, client.StatusCode(err), "another organization's daemon id")
		got := make(chan *client.AcquiredJob, 1)
		go func() {
			job, _ := foreign.AcquireJob(t.Context(), joined.ID, client.AcquireJobRequest{RequestID: uuid.New()})
			got <- job
		}()
		require.Equal(t, p.org.ID, p.acquire(t).OrganizationID)
		select {
		case job := <-got:
			require.Nil(t, job)
		default:
		}
	})
}

func TestRegister(t *testing.T) {
	t.Parallel()
	p := newProtocol(t)
	other := p.Organization(t, "other")
	join := func(c *client.Client, req client.RegisterDaemonRequest) error {
		req.Name, req.Provisioners, req.Version, req.APIVersion = "d", []string{"terraform"}, "v0", "1.0"
		_, err := c.RegisterDaemon(t.Context(), req)
		return err
	}
	require.ErrorContains(t, join(p.daemon, client.RegisterDaemonRequest{Organization: other.Name}), `belongs to the organization "data-platform"`)
	require.Equal(t, http.StatusForbidden, client.StatusCode(join(p.daemon, client.RegisterDaemonRequest{Tags: map[string]string{"a": "b"}})))
	require.Equal(t, http.StatusUnauthorized, client.StatusCode(join(p.withKey(t, "wrong"), client.RegisterDaemonRequest{})))
	require.NoError(t, p.Client.DeleteProvisionerKey(t.Context(), p.org.Name, "data-cluster-key"))
	require.Equal(t, http.StatusUnauthorized, client.StatusCode(join(p.daemon, client.RegisterDaemonRequest{})), "a deleted key")

	member := p.Member(t, p.org)
	require.Equal(t, http.StatusForbidden, client.StatusCode(join(member, client.RegisterDaemonRequest{Organization: p.org.Name})), "a member for the organization")
	require.NoError(t, join(member, client.RegisterDaemonRequest{Organization: p.org.Name, Tags: map[string]string{"scope": "user"}}), "a member for themselves")
	require.Equal(t, http.StatusNotFound, client.StatusCode(join(member, client.RegisterDaemonRequest{Organization: other.Name})), "a foreign organization")
}

// What a daemon joined with may end between its question and the hand-out.
func TestAHandOutAsksAgain(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		p := newProtocol(t, servertest.WithStore(st))
		v := p.version(t)
		asked := make(chan error, 1)
		require.NoError(t, st.InTx(t.Context(), func(tx *store.Store) error {
			_, err := tx.LockProvisionerJob(t.Context(), store.LockProvisionerJobParams{ID: v.Job.ID, UpdatedAt: store.At(time.Now())})
			require.NoError(t, err)
			go func() {
				job, err := p.daemon.AcquireJob(t.Context(), p.joined.ID, client.AcquireJobRequest{RequestID: uuid.New()})
				if job != nil {
					err = fmt.Errorf("handed out job %s", job.ID)
				}
				asked <- err
			}()
			time.Sleep(time.Second) // it waits for the job by then; if not, it is refused at once
			_, err = tx.DeleteProvisionerKey(t.Context(), store.DeleteProvisionerKeyParams{OrganizationID: p.org.ID, Name: "data-cluster-key"})
			return err
		}))
		refused(t, <-asked, http.StatusUnauthorized)
	})
}

func TestAttemptSecrets(t *testing.T) {
	t.Parallel()
	p := newProtocol(t)
	p.version(t)
	h := p.begun(t)
	wrong := p.daemon.Attempt(h.AttemptID, "wrong")
	for name, err := range map[string]error{
		"confirm": wrong.Confirm(t.Context()),
		"engine":  wrong.StartEngine(t.Context()),
		"state":   wrong.PutState(t.Context(), ref(1, state(1)), state(1)),
		"unknown": p.daemon.Attempt(uuid.New(), h.Secret).Confirm(t.Context()),
	} {
		require.Equal(t, http.StatusUnauthorized, client.StatusCode(err), name)
	}
	require.NoError(t, p.Client.DeleteProvisionerKey(t.Context(), p.org.Name, "data-cluster-key"))
	_, err := h.AppendLogs(t.Context(), lines(0, "still heard"))
	require.NoError(t, err, "an attempt outlives its daemon's key")
	require.Eventually(t, func() bool {
		word, err := h.Renew(t.Context(), client.RenewRequest{})
		return err == nil && word.Revoked
	}, 5*time.Second, 50*time.Millisecond, "the attempt learns within five seconds that its key is gone")
	_, err = h.Complete(t.Context(), client.CompleteJobRequest{Logs: lines(0, "still heard").Next, Import: &client.ImportResult{}})
	require.NoError(t, err, "and may still hand in its result")
}

func TestAttemptLogs(t *testing.T) {
	t.Parallel()
	p := newProtocol(t)
	v := p.version(t)
	h := p.begun(t)
	send := func(req client.AppendLogsRequest, expected int64) {
		t.Helper()
		got, err := h.AppendLogs(t.Context(), req)
		require.NoError(t, err)
		require.Equal(t, expected, got.Expected)
	}
	first, second := lines(0, "one", "two"), lines(8, "three")
	send(first, 8)
	send(first, 8) // a repeat changes nothing
	send(lines(20, "gap"), 8)
	overlapping := client.AppendLogsRequest{Offset: 4, Next: second.Next, Entries: append(lines(4, "two").Entries, second.Entries...)}
	send(overlapping, 14)
	logs, err := p.Client.TemplateVersionLogs(t.Context(), v.ID, 0)
	require.NoError(t, err)
	var texts []string
	for i, l := range logs {
		texts = append(texts, l.Output)
		require.Equal(t, int64(i+1), l.ID)
	}
	require.Equal(t, []string{"one", "two", "three"}, texts)
	for query, want := range map[string][]string{"tail=2": {"two", "three"}, "tail=0": {}, "tail=9": {"one", "two", "three"}, "tail=3&after=2": {"three"}} {
		status, body := p.Raw(t, p.Token, http.MethodGet, "/templateversions/"+v.ID.String()+"/logs?"+query, "")
		require.Equal(t, http.StatusOK, status, body)
		got := []string{}
		for _, l := range decode[[]client.ProvisionerJobLog](t, body) {
			got = append(got, l.Output)
		}
		require.Equal(t, want, got, query)
	}
	for _, query := range []string{"tail=-1", "tail=x", "after=x&tail=1"} {
		status, body := p.Raw(t, p.Token, http.MethodGet, "/templateversions/"+v.ID.String()+"/logs?"+query, "")
		require.Equal(t, http.StatusBadRequest, status, body)
	}

	followed := make(chan []string, 1)
	go func() {
		var got []string
		for l, err := range p.Client.FollowTemplateVersionLogs(t.Context(), v.ID, 1) {
			if err != nil {
				break
			}
			got = append(got, l.Output)
		}
		followed <- got
	}()
	send(lines(14, "four"), 19)
	_, err = h.Complete(t.Context(), client.CompleteJobRequest{Logs: 100, Import: &client.ImportResult{}})
	require.Equal(t, http.StatusPreconditionFailed, client.StatusCode(err), "a log that is not complete")
	_, err = h.Complete(t.Context(), client.CompleteJobRequest{Logs: 19, Import: &client.ImportResult{}})
	require.NoError(t, err)
	select {
	case got := <-followed:
		require.Equal(t, []string{"two", "three", "four"}, got)
	case <-time.After(20 * time.Second):
		t.Fatal("the follower did not end with the job")
	}
}

// TestALogOverItsLimit: what is over MaxJobLog is dropped and marked, what is
// over MaxLogLine is cut, and neither stands in the job's way.
func TestALogOverItsLimit(t *testing.T) {
	t.Parallel()
	p := newProtocol(t)
	w := p.workspace(t)
	h := p.begun(t)
	long := strings.Repeat("ü", client.MaxLogLine)
	sent := lines(0, long, "bell \a, NUL \x00 and \xff")
	for range client.MaxJobLog>>20 + 8 {
		got, err := h.AppendLogs(t.Context(), sent)
		require.NoError(t, err)
		require.Equal(t, sent.Next, got.Expected)
		texts := make([]string, 15)
		for i := range texts {
			texts[i] = long[:client.MaxLogLine]
		}
		sent = lines(sent.Next, append(texts, "still heard")...)
	}
	content := state(1, "a")
	require.NoError(t, h.PutState(t.Context(), ref(1, content), content))
	_, err := h.AppendLogs(t.Context(), sent)
	require.NoError(t, err)
	final := ref(1, content)
	_, err = h.Complete(t.Context(), client.CompleteJobRequest{Logs: sent.Next, State: &final})
	require.NoError(t, err)

	build, err := p.Client.WorkspaceBuild(t.Context(), w.LatestBuild.ID)
	require.NoError(t, err)
	require.True(t, build.Job.LogsOverflowed)
	require.Equal(t, client.JobSucceeded, build.Job.Status)
	rows, err := p.Client.WorkspaceBuildLogs(t.Context(), w.LatestBuild.ID, 0)
	require.NoError(t, err)
	size := 0
	for _, row := range rows {
		require.LessOrEqual(t, len(row.Output), client.MaxLogLine)
		require.True(t, utf8.ValidString(row.Output))
		require.NotContains(t, row.Output, "\x00")
		size += len(row.Output)
	}
	require.LessOrEqual(t, size, client.MaxJobLog)
	require.Greater(t, size, client.MaxJobLog/2)
}

func TestAttemptState(t *testing.T) {
	t.Parallel()
	p := newProtocol(t)
	w := p.workspace(t)
	h := p.begun(t)
	require.Equal(t, int64(1), h.Fence)
	require.Empty(t, h.State)

	one, two := state(1, "a"), state(2, "a", "b")
	require.NoError(t, h.PutState(t.Context(), ref(1, one), one))
	require.NoError(t, h.PutState(t.Context(), ref(1, one), one), "the same again")
	require.Equal(t, http.StatusConflict, client.StatusCode(h.PutState(t.Context(), ref(1, two), two)), "same number, other content")
	require.Equal(t, http.StatusBadRequest, client.StatusCode(h.PutState(t.Context(), ref(3, one), two)), "a wrong hash")
	require.Equal(t, http.StatusBadRequest, client.StatusCode(h.PutState(t.Context(), ref(3, two[:40]), two[:40])), "a torn state")
	final := ref(2, two)
	_, err := h.Complete(t.Context(), client.CompleteJobRequest{State: &final, Build: &client.BuildResult{}})
	require.Equal(t, http.StatusPreconditionFailed, client.StatusCode(err), "a state that is not stored")
	require.NoError(t, h.PutState(t.Context(), final, two))

	done := client.CompleteJobRequest{State: &final, Build: &client.BuildResult{}}
	settled, err := h.Complete(t.Context(), done)
	require.NoError(t, err)
	again, err := h.Complete(t.Context(), done)
	require.NoError(t, err)
	require.Equal(t, settled, again, "a repeat gets the stored reply")
	_, err = h.Fail(t.Context(), client.FailJobRequest{Error: "changed my mind"})
	require.Equal(t, http.StatusConflict, client.StatusCode(err), "an end is final")

	got, err := p.Client.WorkspaceBuildState(t.Context(), w.LatestBuild.ID)
	require.NoError(t, err)
	require.JSONEq(t, string(two), string(got))
	w, err = p.Client.Workspace(t.Context(), w.ID)
	require.NoError(t, err)
	require.Equal(t, "running", w.LatestBuild.Status)

	_, err = p.Client.CreateWorkspaceBuild(t.Context(), w.ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionDelete})
	require.NoError(t, err)
	next := p.begun(t)
	require.Equal(t, int64(2), next.Fence)
	require.JSONEq(t, string(two), string(next.State), "a later attempt starts from what was acknowledged")

	left := state(3, "b")
	require.NoError(t, next.PutState(t.Context(), ref(1, left), left))
	leftRef := ref(1, left)
	_, err = next.Complete(t.Context(), client.CompleteJobRequest{State: &leftRef, Build: &client.BuildResult{Empty: true}})
	require.Equal(t, http.StatusBadRequest, client.StatusCode(err), "a delete with a resource left, whatever the daemon says")
}

func TestCancel(t *testing.T) {
	t.Parallel()

	t.Run("gentle first, then hard", func(t *testing.T) {
		t.Parallel()
		p := newProtocol(t)
		w := p.workspace(t)
		h := p.begun(t)
		word, err := h.Renew(t.Context(), client.RenewRequest{})
		require.NoError(t, err)
		require.Equal(t, client.CancelNone, word.Cancel)
		for _, want := range []string{client.CancelGentle, client.CancelHard} {
			news := make(chan client.RenewResponse, 1)
			seen := word.Sequence
			go func() {
				word, err := h.Renew(t.Context(), client.RenewRequest{Seen: seen, WaitMS: 8000})
				if err == nil {
					news <- word
				}
			}()
			require.NoError(t, p.Client.CancelWorkspaceBuild(t.Context(), w.LatestBuild.ID))
			select {
			case word = <-news:
				require.Equal(t, want, word.Cancel)
			case <-time.After(5 * time.Second):
				t.Fatal("the cancel did not reach the waiting daemon")
			}
		}
		require.Equal(t, http.StatusBadRequest, client.StatusCode(p.Client.CancelWorkspaceBuild(t.Context(), w.LatestBuild.ID)))
		settled, err := h.Fail(t.Context(), client.FailJobRequest{Error: "killed", Canceled: true, Retryable: true, EngineDead: true,
			InDoubt: []client.DoubtfulResource{{Address: "terraform_data.a", Action: "create"}}})
		require.NoError(t, err)
		require.Equal(t, client.JobFailed, settled.Status)
		b, err := p.Client.WorkspaceBuild(t.Context(), w.LatestBuild.ID)
		require.NoError(t, err)
		require.Contains(t, b.Job.Error, "terraform_data.a")
	})

	t.Run("after a cancel no engine starts", func(t *testing.T) {
		t.Parallel()
		p := newProtocol(t)
		w := p.workspace(t)
		h := p.acquire(t)
		require.NoError(t, h.Confirm(t.Context()))
		require.NoError(t, p.Client.CancelWorkspaceBuild(t.Context(), w.LatestBuild.ID))
		require.Equal(t, http.StatusConflict, client.StatusCode(h.StartEngine(t.Context())))
		settled, err := h.Fail(t.Context(), client.FailJobRequest{Error: "canceled", Canceled: true, Retryable: true, EngineDead: true})
		require.NoError(t, err)
		require.Equal(t, client.JobCanceled, settled.Status)
	})

	t.Run("a waiting job ends at once", func(t *testing.T) {
		t.Parallel()
		p := newProtocol(t)
		w := p.workspace(t)
		require.NoError(t, p.Client.CancelWorkspaceBuild(t.Context(), w.LatestBuild.ID))
		b, err := p.Client.WorkspaceBuild(t.Context(), w.LatestBuild.ID)
		require.NoError(t, err)
		require.Equal(t, client.JobCanceled, b.Job.Status)
	})
}

func TestRetry(t *testing.T) {
	t.Parallel()
	fail := func(change func(*client.FailJobRequest)) client.FailJobRequest {
		req := client.FailJobRequest{Error: "the link broke", Retryable: true, EngineDead: true}
		change(&req)
		return req
	}
	for name, test := range map[string]struct {
		req   client.FailJobRequest
		retry bool
	}{
		"nothing in doubt":        {fail(func(*client.FailJobRequest) {}), true},
		"something in doubt":      {fail(func(r *client.FailJobRequest) { r.InDoubt = []client.DoubtfulResource{{Address: "a.b"}} }), false},
		"something newly tainted": {fail(func(r *client.FailJobRequest) { r.Tainted = []string{"a.b"} }), false},
		"the template's fault":    {fail(func(r *client.FailJobRequest) { r.Retryable = false }), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProtocol(t)
			p.workspace(t)
			settled, err := p.begun(t).Fail(t.Context(), test.req)
			require.NoError(t, err)
			require.Equal(t, test.retry, settled.Retry)
			if !test.retry {
				require.Equal(t, client.JobFailed, settled.Status)
				return
			}
			h := p.begun(t)
			require.Equal(t, 2, h.Number)
			require.Equal(t, int64(2), h.Fence, "a new hand-out raises the fence")
			settled, err = h.Fail(t.Context(), test.req)
			require.NoError(t, err)
			require.False(t, settled.Retry, "once after an engine start")
		})
	}
}

func TestSilence(t *testing.T) {
	t.Parallel()
	p := newProtocol(t, servertest.WithOptions(func(o *server.Options) { o.Horizon = 30 * time.Second }))
	w := p.workspace(t)
	h := p.begun(t)
	earlier := state(1, "c", "e")
	require.NoError(t, h.PutState(t.Context(), ref(1, earlier), earlier))
	named := ref(1, earlier)
	_, err := h.Complete(t.Context(), client.CompleteJobRequest{State: &named, Build: &client.BuildResult{}})
	require.NoError(t, err)
	w.LatestBuild, err = p.Client.CreateWorkspaceBuild(t.Context(), w.ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionStart})
	require.NoError(t, err)

	h = p.begun(t)
	one := state(2, "a", "c", "d", "e")
	require.NoError(t, h.PutState(t.Context(), ref(1, one), one))
	logs := lines(0, "creating")
	logs.Intents = []client.Intent{
		{Address: "terraform_data.a", Action: "create"}, {Address: "terraform_data.c", Action: "create"},
		{Address: "terraform_data.d", Action: "create", Planned: "input=4"}, {Address: "terraform_data.d", Action: "create", ID: "9"},
		{Address: "terraform_data.e", Action: "update"},
		{Address: "terraform_data.f", Action: "create"}, {Address: "terraform_data.f", Action: "create", ID: "new"},
		{Address: "terraform_data.f", Action: "delete"}, {Address: "terraform_data.f", Action: "delete", Done: true},
	}
	_, err = h.AppendLogs(t.Context(), logs)
	require.NoError(t, err)
	_, err = h.AppendLogs(t.Context(), client.AppendLogsRequest{
		Offset: logs.Next, Next: logs.Next, Entries: []client.JobLogEntry{},
		Intents: []client.Intent{{Address: "terraform_data.b", Action: "create", Planned: "input=2"}},
	})
	require.NoError(t, err, "an intent counts without a line beside it")

	// Nobody renews: the job ends at the horizon, and not before.
	begun := time.Now()
	var b client.WorkspaceBuild
	require.Eventually(t, func() bool {
		b, err = p.Client.WorkspaceBuild(t.Context(), w.LatestBuild.ID)
		return err == nil && b.Job.Ended()
	}, 60*time.Second, 200*time.Millisecond)
	require.GreaterOrEqual(t, time.Since(begun), 25*time.Second, "a job is not taken over before the horizon")
	require.Equal(t, client.JobFailed, b.Job.Status)
	require.Contains(t, b.Job.Error, "terraform_data.b (create) input=2", "what was begun and not reported is named")
	require.NotContains(t, b.Job.Error, "terraform_data.a", "what is in the state is not in doubt")
	require.Contains(t, b.Job.Error, "terraform_data.c (create)", "what stood at the address before is not what was made")
	require.Contains(t, b.Job.Error, "terraform_data.d (create) id 9 input=4", "nor is an object with another id")
	require.Contains(t, b.Job.Error, "terraform_data.f (create) id new", "what was made before its predecessor was removed is not forgotten with that")
	require.NotContains(t, b.Job.Error, "terraform_data.e", "what was changed is in the state")
	all, err := p.Client.WorkspaceBuildLogs(t.Context(), w.LatestBuild.ID, 0)
	require.NoError(t, err)
	require.Contains(t, all[len(all)-1].Output, "has not been heard of", "people see the silence before the end")

	// What the lost attempt still hands in is kept, and changes nothing visible.
	two := state(3, "a", "b")
	require.NoError(t, h.PutState(t.Context(), ref(2, two), two))
	for range 2 {
		_, err = h.Fail(t.Context(), client.FailJobRequest{Error: "late", InDoubt: []client.DoubtfulResource{{Address: "terraform_data.z", Action: "create", ID: "26"}}})
		require.Equal(t, http.StatusConflict, client.StatusCode(err))
	}
	all, err = p.Client.WorkspaceBuildLogs(t.Context(), w.LatestBuild.ID, all[len(all)-1].ID)
	require.NoError(t, err)
	require.Len(t, all, 1, "what it names in doubt is added to the log, once")
	require.Contains(t, all[0].Output, "terraform_data.z (create) id 26")
	got, err := p.Client.WorkspaceBuildState(t.Context(), w.LatestBuild.ID)
	require.NoError(t, err)
	require.JSONEq(t, string(one), string(got))
	word, err := h.Renew(t.Context(), client.RenewRequest{})
	require.NoError(t, err)
	require.False(t, word.Current)

	// The workspace stays usable, from the acknowledged state.
	_, err = p.Client.CreateWorkspaceBuild(t.Context(), w.ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionStart})
	require.NoError(t, err)
	require.JSONEq(t, string(one), string(p.begun(t).State))
}

// People take turns, and who waited for long makes up for what runs of theirs.
func TestJobsAreHandedOutInTurns(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	p := newProtocol(t, servertest.WithClock(clock), servertest.WithoutLoops())
	file, err := p.Client.Upload(t.Context(), "application/x-tar", bytes.NewReader(source(t, "# shared")))
	require.NoError(t, err)
	ask := func(c *client.Client, source uuid.UUID) uuid.UUID {
		clock.Advance(time.Second)
		v, err := c.CreateTemplateVersion(t.Context(), p.org.Name, client.CreateTemplateVersionRequest{StorageMethod: "file", FileID: &source, Provisioner: "terraform"})
		require.NoError(t, err)
		return v.Job.ID
	}
	other := p.Member(t, p.org, client.RoleOrgAdmin)
	theirs, err := other.Upload(t.Context(), "application/x-tar", bytes.NewReader(source(t, "# theirs")))
	require.NoError(t, err)

	first, second, third, fourth := ask(p.Client, file.ID), ask(p.Client, file.ID), ask(p.Client, file.ID), ask(other, theirs.ID)
	job, err := p.Client.ProvisionerJob(t.Context(), p.org.Name, fourth)
	require.NoError(t, err)
	require.Equal(t, 2, job.QueuePosition, "the position is the place in which it will be handed out")
	for i, want := range []uuid.UUID{first, fourth, second} {
		require.Equal(t, want, p.acquire(t).ID, "hand-out %d", i)
	}
	// The first has two running, the other one; so the other comes first, until
	// the first has waited a patience for each of theirs.
	fifth := ask(other, theirs.ID)
	clock.Advance(2 * fairness.Patience)
	sixth := ask(p.Member(t, p.org, client.RoleOrgAdmin), file.ID)
	require.Equal(t, fifth, p.acquire(t).ID)
	require.Equal(t, third, p.acquire(t).ID)
	require.Equal(t, sixth, p.acquire(t).ID)
}

func TestABrokenWorkspaceKeepsNoOtherWaiting(t *testing.T) {
	t.Parallel()
	p := newProtocol(t)
	broken := p.workspace(t)
	_, err := p.Store.InsertWorkspaceState(t.Context(), store.InsertWorkspaceStateParams{
		WorkspaceID: broken.ID, OrganizationID: p.org.ID, Fence: 1, N: 1, WorkspaceBuildID: broken.LatestBuild.ID, Sha256: "x",
		Data: []byte("what no key opens"), CreatedAt: store.At(time.Now()),
	})
	require.NoError(t, err)
	good := p.workspace(t)
	require.Equal(t, good.LatestBuild.Job.ID, p.acquire(t).ID)
	w, err := p.Client.Workspace(t.Context(), broken.ID)
	require.NoError(t, err)
	require.Equal(t, client.JobPending, w.LatestBuild.Job.Status)
}
