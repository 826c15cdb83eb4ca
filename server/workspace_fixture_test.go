package server_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server"
	"coder/server/servertest"
	"coder/store"
)

// waitLong is how long a test waits for what happens by itself.
const waitLong = 20 * time.Second

// scene is an organization with a daemon, a template and a member.
type scene struct {
	*servertest.Server
	org      client.Organization
	worker   *worker
	template client.Template
	member   *client.Client
	user     client.User
}

func newScene(t *testing.T, options ...servertest.Option) *scene {
	t.Helper()
	s := &scene{Server: servertest.New(t, options...)}
	s.org = s.Organization(t, "data-platform")
	s.worker = s.newWorker(t, "worker", nil)
	s.template = s.newTemplate(t, "docker", client.ImportResult{}, nil)
	s.member, s.user = s.NamedMember(t, s.org, "dev1")
	return s
}

// forever is how long sessions last where the clock goes far.
const forever = 100 * 365 * 24 * time.Hour

// onTime runs the life cycle often, by a clock that the test moves.
func onTime(clock *servertest.Clock) []servertest.Option {
	return []servertest.Option{servertest.WithClock(clock), servertest.WithOptions(func(o *server.Options) {
		o.LifecycleInterval = 10 * time.Millisecond
		o.SessionDuration, o.DefaultTokenLifetime, o.MaxTokenLifetime = forever, forever, forever
	})}
}

// worker plays a provisioner daemon by its protocol: it takes jobs and ends
// them as the test says.
type worker struct {
	client *client.Client
	id     uuid.UUID
}

func (s *scene) newWorker(t *testing.T, name string, tags map[string]string) *worker {
	t.Helper()
	key, err := s.Client.CreateProvisionerKey(t.Context(), s.org.Name, client.CreateProvisionerKeyRequest{Name: name, Tags: tags})
	require.NoError(t, err)
	c, err := client.New(s.URL, client.Options{Header: http.Header{client.HeaderDaemonKey: {key.Key}}})
	require.NoError(t, err)
	d, err := c.RegisterDaemon(t.Context(), client.RegisterDaemonRequest{
		Name: name, Provisioners: []string{client.ProvisionerTerraform}, Version: servertest.Version, APIVersion: "1.0", HostID: name,
	})
	require.NoError(t, err)
	return &worker{client: c, id: d.ID}
}

// taken is a job in the hands of a worker.
type taken struct {
	*client.AcquiredJob
	attempt *client.Attempt
}

// take waits for a job and starts its engine, as far as the server knows.
func (w *worker) take(t *testing.T) *taken {
	t.Helper()
	job, err := w.client.AcquireJob(t.Context(), w.id, client.AcquireJobRequest{RequestID: uuid.New()})
	require.NoError(t, err)
	require.NotNil(t, job, "a job is waiting")
	j := &taken{AcquiredJob: job, attempt: w.client.Attempt(job.AttemptID, job.Secret)}
	require.NoError(t, j.attempt.Confirm(t.Context()))
	require.NoError(t, j.attempt.StartEngine(t.Context()))
	return j
}

// putState hands in a state and returns its name.
func (j *taken) putState(t *testing.T, n int64, state string) *client.StateRef {
	t.Helper()
	sum := sha256.Sum256([]byte(state))
	ref := &client.StateRef{N: n, SHA256: hex.EncodeToString(sum[:])}
	require.NoError(t, j.attempt.PutState(t.Context(), *ref, []byte(state)))
	return ref
}

// succeed ends a build with a state that names it, and the resources.
func (j *taken) succeed(t *testing.T, resources ...client.ProvisionedResource) {
	t.Helper()
	result := client.BuildResult{Resources: resources, Empty: j.Metadata.Transition == client.TransitionDelete}
	_, err := j.attempt.Complete(t.Context(), client.CompleteJobRequest{
		State: j.putState(t, 1, stateOf(j.ID)), Build: &result,
		Timings: []client.StageTiming{{StartedAt: j.CreatedAt, EndedAt: j.CreatedAt.Add(time.Second), Stage: "apply", Source: "terraform", Action: "create", Resource: "thing"}},
	})
	require.NoError(t, err)
}

// stateOf is a Terraform state that names whoever wrote it.
func stateOf(by uuid.UUID) string {
	return `{"version":4,"terraform_version":"1.11.4","serial":1,"lineage":"` + by.String() + `","outputs":{},"resources":[]}`
}

func (j *taken) fail(t *testing.T, why string) {
	t.Helper()
	_, err := j.attempt.Fail(t.Context(), client.FailJobRequest{Error: why, EngineDead: true})
	require.NoError(t, err)
}

// archiveOf is a template's archive; the comment makes each one another.
func archiveOf(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, text := range files {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg}))
		_, err := w.Write([]byte(text))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

const plainSource = `resource "terraform_data" "thing" {}`

// pendingVersion uploads a version that no worker has imported yet.
func (s *scene) pendingVersion(t *testing.T, template *uuid.UUID, text string) client.TemplateVersion {
	t.Helper()
	if text == "" {
		text = plainSource + "\n# " + uuid.NewString()
	}
	file, err := s.Client.Upload(t.Context(), client.ContentTypeTar, bytes.NewReader(archiveOf(t, map[string]string{"main.tf": text})))
	require.NoError(t, err)
	v, err := s.Client.CreateTemplateVersion(t.Context(), s.org.Name, client.CreateTemplateVersionRequest{
		TemplateID: template, StorageMethod: client.StorageFile, FileID: &file.ID, Provisioner: client.ProvisionerTerraform,
	})
	require.NoError(t, err)
	return v
}

// newVersion imports a version with a result that the test gives.
func (s *scene) newVersion(t *testing.T, template *uuid.UUID, text string, result client.ImportResult) client.TemplateVersion {
	t.Helper()
	v := s.pendingVersion(t, template, text)
	j := s.worker.take(t)
	require.Equal(t, v.Job.ID, j.ID)
	_, err := j.attempt.Complete(t.Context(), client.CompleteJobRequest{Import: &result})
	require.NoError(t, err)
	return v
}

func (s *scene) newTemplate(t *testing.T, name string, result client.ImportResult, change func(*client.CreateTemplateRequest)) client.Template {
	t.Helper()
	req := client.CreateTemplateRequest{Name: name, VersionID: s.newVersion(t, nil, "", result).ID}
	if change != nil {
		change(&req)
	}
	template, err := s.Client.CreateTemplate(t.Context(), s.org.Name, req)
	require.NoError(t, err)
	return template
}

// create makes a workspace of the member; its first build waits.
func (s *scene) create(t *testing.T, name string, change ...func(*client.CreateWorkspaceRequest)) client.Workspace {
	t.Helper()
	req := client.CreateWorkspaceRequest{TemplateID: &s.template.ID, Name: name}
	for _, c := range change {
		c(&req)
	}
	w, err := s.member.CreateWorkspace(t.Context(), s.org.Name, client.Me, req)
	require.NoError(t, err)
	return w
}

// running is a workspace whose first build has succeeded.
func (s *scene) running(t *testing.T, name string, change ...func(*client.CreateWorkspaceRequest)) client.Workspace {
	t.Helper()
	w := s.create(t, name, change...)
	s.worker.take(t).succeed(t)
	return s.read(t, w.ID)
}

func (s *scene) read(t *testing.T, id uuid.UUID) client.Workspace {
	t.Helper()
	w, err := s.Client.DeletedWorkspace(t.Context(), id)
	require.NoError(t, err)
	return w
}

func (s *scene) ask(t *testing.T, id uuid.UUID, transition string) client.WorkspaceBuild {
	t.Helper()
	b, err := s.member.CreateWorkspaceBuild(t.Context(), id, client.CreateWorkspaceBuildRequest{Transition: transition})
	require.NoError(t, err)
	return b
}

// build asks for a transition and lets it succeed.
func (s *scene) build(t *testing.T, id uuid.UUID, transition string) client.Workspace {
	t.Helper()
	s.ask(t, id, transition)
	s.worker.take(t).succeed(t)
	return s.read(t, id)
}

// eventually reads the workspace until it is as the test wants it.
func (s *scene) eventually(t *testing.T, id uuid.UUID, what string, ok func(client.Workspace) bool) client.Workspace {
	t.Helper()
	var w client.Workspace
	require.Eventually(t, func() bool {
		w = s.read(t, id)
		return ok(w)
	}, waitLong, 10*time.Millisecond, what)
	return w
}

// change updates the template.
func (s *scene) change(t *testing.T, req client.UpdateTemplateRequest) {
	t.Helper()
	template, err := s.Client.UpdateTemplate(t.Context(), s.template.ID, req)
	require.NoError(t, err)
	s.template = template
}

// builds is how many builds the workspace has, from the store itself.
func (s *scene) builds(t *testing.T, id uuid.UUID) int {
	t.Helper()
	builds, err := s.Client.WorkspaceBuilds(t.Context(), id, client.WorkspaceBuildsRequest{})
	require.NoError(t, err)
	return len(builds)
}

// agentResource is a resource with an agent and a daily cost.
func agentResource(cost int) client.ProvisionedResource {
	return client.ProvisionedResource{
		Address: "docker_container.box", Type: "docker_container", Name: "box", DailyCost: cost,
		Metadata: []client.WorkspaceResourceMetadata{{Key: "image", Value: "ubuntu"}},
		Agents:   []client.ProvisionedAgent{{ID: uuid.NewString(), Name: "main", Token: uuid.NewString(), Auth: "token", OperatingSystem: "linux", Architecture: "amd64"}},
	}
}

func pointer[T any](v T) *T { return &v }

// latestState is the newest stored version of a workspace's state.
func (s *scene) latestState(t *testing.T, w client.Workspace) store.WorkspaceState {
	t.Helper()
	row, err := s.Store.GetLatestWorkspaceState(t.Context(), store.GetLatestWorkspaceStateParams{OrganizationID: w.OrganizationID, WorkspaceID: w.ID})
	require.NoError(t, err)
	return row
}
