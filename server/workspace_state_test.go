package server_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/internal/terraform"
	"coder/server"
	"coder/server/servertest"
)

// objects is a state with terraform_data resources, each `name=id`, and
// `name~=id` for a deposed one.
func objects(serial int, things ...string) []byte {
	var b bytes.Buffer
	for i, thing := range things {
		name, id, _ := strings.Cut(thing, "=")
		name, isDeposed := strings.CutSuffix(name, "~")
		deposed := ""
		if isDeposed {
			deposed = `"deposed":"0a0b0c0d",`
		}
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, `{"mode":"managed","type":"terraform_data","name":%q,"provider":"provider[\"terraform.io/builtin/terraform\"]","instances":[{%s"schema_version":0,"attributes":{"id":%q}}]}`, name, deposed, id)
	}
	return fmt.Appendf(nil, `{"version":4,"terraform_version":"1.11.4","serial":%d,"lineage":"9f5c1d2e-0000-0000-0000-000000000000","outputs":{},"resources":[%s]}`, serial, b.String())
}

// things lists a state's objects by address and id, deposed ones with a ~.
func things(t *testing.T, content []byte) []string {
	t.Helper()
	inventory, err := terraform.TakeInventory(content)
	require.NoError(t, err)
	return inventory.List()
}

// statesScene is a workspace whose builds the test itself makes.
type statesScene struct {
	*protocol
	w client.Workspace
}

func newStatesScene(t *testing.T, options ...servertest.Option) *statesScene {
	t.Helper()
	s := &statesScene{protocol: newProtocol(t, options...)}
	s.w = s.workspace(t)
	return s
}

// build asks for one and takes it.
func (s *statesScene) build(t *testing.T, transition string) held {
	t.Helper()
	_, err := s.Client.CreateWorkspaceBuild(t.Context(), s.w.ID, client.CreateWorkspaceBuildRequest{Transition: transition})
	require.NoError(t, err)
	return s.begun(t)
}

func put(t *testing.T, h held, n int64, content []byte) *client.StateRef {
	t.Helper()
	name := ref(n, content)
	require.NoError(t, h.PutState(t.Context(), name, content))
	return &name
}

// ends hands a state in and ends the build well.
func (s *statesScene) ends(t *testing.T, h held, n int64, content []byte) client.SettledJob {
	t.Helper()
	settled, err := h.Complete(t.Context(), client.CompleteJobRequest{State: put(t, h, n, content), Build: &client.BuildResult{}})
	require.NoError(t, err)
	return settled
}

// loses ends a build badly, so that what is handed in after that is salvage.
func loses(t *testing.T, h held) {
	t.Helper()
	_, err := h.Fail(t.Context(), client.FailJobRequest{Error: "the host is gone", EngineDead: true})
	require.NoError(t, err)
}

func (s *statesScene) versions(t *testing.T) []client.WorkspaceState {
	t.Helper()
	states, err := s.Client.WorkspaceStates(t.Context(), s.w.ID)
	require.NoError(t, err)
	return states
}

// kinds of the versions, oldest first, with their numbers.
func (s *statesScene) kinds(t *testing.T) []string {
	t.Helper()
	kinds := []string{}
	for _, v := range s.versions(t) {
		kinds = append([]string{fmt.Sprintf("%d %s", v.Version, v.Kind)}, kinds...)
	}
	return kinds
}

func (s *statesScene) logOf(t *testing.T, job uuid.UUID) string {
	t.Helper()
	lines, err := s.Client.WorkspaceBuildLogs(t.Context(), job, 0)
	require.NoError(t, err)
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&b, "%s|%s|%s\n", l.Stage, l.Level, l.Output)
	}
	return b.String()
}

func TestSalvageIsMerged(t *testing.T) {
	t.Parallel()

	t.Run("a free address becomes current and a taken one a deposed object", func(t *testing.T) {
		t.Parallel()
		s := newStatesScene(t)
		s.ends(t, s.begun(t), 1, objects(1, "a=1", "gone=0"))
		lost := s.build(t, client.TransitionStart)
		loses(t, lost)
		put(t, lost, 1, objects(5, "a=1", "gone=0", "b=2"))
		put(t, lost, 2, objects(6, "a=9", "gone=0", "b=2", "c=3"))
		require.Equal(t, []string{"1 current", "2 salvage", "3 salvage"}, s.kinds(t))

		_, err := s.Client.CreateWorkspaceBuild(t.Context(), s.w.ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionStart})
		require.NoError(t, err)
		first := s.acquire(t) // and never confirmed
		require.Equal(t, []string{"terraform_data.a=1", "terraform_data.a~=9", "terraform_data.b=2", "terraform_data.c=3", "terraform_data.gone=0"}, things(t, first.State))
		parsed, err := terraform.ParseState(first.State)
		require.NoError(t, err)
		require.EqualValues(t, 7, parsed.Serial)
		require.Equal(t, []string{"1 earlier", "2 merged", "3 merged", "4 current"}, s.kinds(t))
		versions := s.versions(t)
		require.True(t, versions[0].Merge)
		require.EqualValues(t, 5, *versions[0].Resources)
		require.EqualValues(t, 3, versions[1].MergedBuildNumber)

		second := s.begun(t)
		require.Equal(t, first.ID, second.ID, "the hand-out went back")
		require.Equal(t, first.State, second.State, "what was merged stands whatever becomes of the attempt")
		log := s.logOf(t, *second.Metadata.WorkspaceBuildID)
		require.Regexp(t, `Merging salvage\|warn\|terraform_data.a \(id 9\), which state version 3 holds as salvage, .* deposed object [0-9a-f]{8}, which this build destroys`, log)
		require.Contains(t, log, "terraform_data.b (id 2), which state version 3 holds as salvage")
		require.Equal(t, 3, strings.Count(log, "Merging salvage|"), "each is named once: %s", log)

		// The engine destroys what was deposed; nothing of it comes back.
		s.ends(t, second, 1, objects(9, "a=1", "b=2"))
		put(t, lost, 3, objects(7, "a=9", "b=2", "c=3", "d=4"))
		next := s.build(t, client.TransitionStart)
		require.Equal(t, []string{"terraform_data.a=1", "terraform_data.b=2", "terraform_data.d=4"}, things(t, next.State), "c and gone were destroyed since, d is news")
	})

	t.Run("a delete destroys it too, and is not done before", func(t *testing.T) {
		t.Parallel()
		s := newStatesScene(t)
		s.ends(t, s.begun(t), 1, objects(1, "a=1"))
		lost := s.build(t, client.TransitionStart)
		loses(t, lost)
		destroys := s.build(t, client.TransitionDelete)
		require.Equal(t, []string{"terraform_data.a=1"}, things(t, destroys.State))
		put(t, lost, 1, objects(5, "a=1", "b=2")) // only now
		settled := s.ends(t, destroys, 1, objects(2))
		require.True(t, settled.Retry, "salvage came in meanwhile")
		again := s.begun(t)
		require.Equal(t, destroys.ID, again.ID)
		require.Equal(t, []string{"terraform_data.b=2"}, things(t, again.State))
		require.Contains(t, s.logOf(t, *again.Metadata.WorkspaceBuildID), "terraform_data.b (id 2, state version 2)")
		settled = s.ends(t, again, 1, objects(9))
		require.Equal(t, client.JobSucceeded, settled.Status)

		states := s.versions(t)
		require.NotEmpty(t, states, "those of a deleted workspace stay")
		content, err := s.Client.WorkspaceState(t.Context(), s.w.ID, 2)
		require.NoError(t, err)
		require.JSONEq(t, string(objects(5, "a=1", "b=2")), string(content))
		_, err = s.Client.RestoreWorkspaceState(t.Context(), s.w.ID, 2)
		require.Error(t, err, "but nothing builds from them any more")

		// What comes in after that nobody merges: it is named, once.
		for range 2 {
			put(t, lost, 2, objects(6, "a=1", "b=2", "late=7"))
		}
		require.Equal(t, 1, strings.Count(s.logOf(t, *again.Metadata.WorkspaceBuildID), "Reported late|error|terraform_data.late (id 7, state version "))
	})

	t.Run("what the template has no provider for is left, named, and holds up a delete", func(t *testing.T) {
		t.Parallel()
		s := newStatesScene(t)
		s.ends(t, s.begun(t), 1, objects(1, "a=1"))
		lost := s.build(t, client.TransitionStart)
		loses(t, lost)
		foreign := bytes.ReplaceAll(objects(5, "a=1", "b=2"), []byte("terraform.io/builtin/terraform"), []byte("registry.terraform.io/hashicorp/gone"))
		put(t, lost, 1, foreign)
		require.Equal(t, []string{"terraform_data.a=1", "terraform_data.b=2"}, things(t, s.build(t, client.TransitionStart).State), "the same version of the template has it")

		s = newStatesScene(t)
		s.ends(t, s.begun(t), 1, objects(1, "a=1"))
		lost = s.build(t, client.TransitionStart)
		loses(t, lost)
		put(t, lost, 1, foreign)
		file, err := s.Client.Upload(t.Context(), "application/x-tar", bytes.NewReader(source(t, "# without it")))
		require.NoError(t, err)
		other, err := s.Client.CreateTemplateVersion(t.Context(), s.org.Name, client.CreateTemplateVersionRequest{TemplateID: &s.w.TemplateID, StorageMethod: "file", FileID: &file.ID, Provisioner: "terraform"})
		require.NoError(t, err)
		_, err = s.begun(t).Complete(t.Context(), client.CompleteJobRequest{Import: &client.ImportResult{Graph: []byte(`{"version":1,"nodes":[],"edges":[]}`)}})
		require.NoError(t, err)
		_, err = s.Client.CreateWorkspaceBuild(t.Context(), s.w.ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionDelete, TemplateVersionID: &other.ID})
		require.NoError(t, err)
		h := s.begun(t)
		require.Equal(t, []string{"terraform_data.a=1"}, things(t, h.State), "the engine could not even plan with it")
		require.Contains(t, s.logOf(t, *h.Metadata.WorkspaceBuildID), "terraform_data.b (id 2), which state version 2 holds as salvage, was not merged: this version of the template has no provider")
		require.Equal(t, client.JobFailed, s.ends(t, h, 1, objects(9)).Status, "a delete is not done while salvage knows of more, and another attempt would not be given it")
		w, err := s.Client.Workspace(t.Context(), s.w.ID)
		require.NoError(t, err)
		require.Contains(t, w.LatestBuild.Job.Error, "terraform_data.b (id 2, state version 2; this version of the template has no provider")
		require.Contains(t, s.kinds(t), "2 salvage")
	})
}

func TestRestoreState(t *testing.T) {
	t.Parallel()
	s := newStatesScene(t)
	first := objects(1, "a=1", "b=2")
	s.ends(t, s.begun(t), 1, first)
	s.ends(t, s.build(t, client.TransitionStart), 1, objects(2, "a=1"))

	_, err := s.Client.RestoreWorkspaceState(t.Context(), s.w.ID, 2)
	require.Equal(t, http.StatusConflict, client.StatusCode(err), "it is the current one")
	_, err = s.Client.RestoreWorkspaceState(t.Context(), s.w.ID, 99)
	require.Equal(t, http.StatusNotFound, client.StatusCode(err))
	restored, err := s.Client.RestoreWorkspaceState(t.Context(), s.w.ID, 1)
	require.NoError(t, err)
	require.Equal(t, client.StateCurrent, restored.Kind)
	require.EqualValues(t, 3, restored.Version)
	require.EqualValues(t, 1, restored.RestoredFrom)
	require.NotNil(t, restored.CreatedBy)
	require.Greater(t, restored.Fence, s.versions(t)[1].Fence)
	require.Equal(t, []string{"1 earlier", "2 earlier", "3 current"}, s.kinds(t))

	h := s.build(t, client.TransitionStart)
	require.JSONEq(t, string(first), string(h.State), "the next build starts from it")
	_, err = s.Client.RestoreWorkspaceState(t.Context(), s.w.ID, 2)
	require.Equal(t, http.StatusConflict, client.StatusCode(err), "a build runs")
	loses(t, h)

	// Salvage can be put in place as it is.
	put(t, h, 1, objects(7, "a=1", "c=3"))
	restored, err = s.Client.RestoreWorkspaceState(t.Context(), s.w.ID, 4)
	require.NoError(t, err)
	require.Equal(t, []string{"1 earlier", "2 earlier", "3 earlier", "4 merged", "5 current"}, s.kinds(t))
	require.Equal(t, []string{"terraform_data.a=1", "terraform_data.c=3"}, things(t, s.build(t, client.TransitionStart).State))
	require.EqualValues(t, 4, restored.RestoredFrom)

	log, err := s.Client.AuditLogs(t.Context(), client.AuditLogsRequest{Query: "resource_type:workspace_build action:write"})
	require.NoError(t, err)
	require.Len(t, log.AuditLogs, 2)
	require.Contains(t, string(log.AuditLogs[0].AdditionalFields), `"restored_version":4`)

	// Only who may change the template may.
	member := s.Member(t, s.org)
	_, err = member.WorkspaceStates(t.Context(), s.w.ID)
	require.Equal(t, http.StatusNotFound, client.StatusCode(err))
	_, err = member.WorkspaceState(t.Context(), s.w.ID, 1)
	require.Equal(t, http.StatusNotFound, client.StatusCode(err))
	_, err = member.RestoreWorkspaceState(t.Context(), s.w.ID, 1)
	require.Equal(t, http.StatusNotFound, client.StatusCode(err))
}

func TestStatesAreKept(t *testing.T) {
	t.Parallel()
	s := newStatesScene(t, servertest.WithOptions(func(o *server.Options) { o.StatesKept = 3 }))
	h := s.begun(t)
	for n := range int64(4) {
		put(t, h, n+1, objects(int(n), "a=1", fmt.Sprintf("b=%d", n)))
	}
	require.Len(t, s.versions(t), 4)
	s.ends(t, h, 5, objects(9, "a=1"))
	require.Equal(t, []string{"5 current"}, s.kinds(t), "a finished build keeps one version")

	lost := s.build(t, client.TransitionStart)
	loses(t, lost)
	put(t, lost, 1, objects(9, "a=1", "b=2"))
	for range 2 {
		require.NoError(t, s.Client.UpdateWorkspaceBuildState(t.Context(), *lost.Metadata.WorkspaceBuildID, client.UpdateWorkspaceBuildStateRequest{State: objects(3, "a=1")}))
	}
	h = s.build(t, client.TransitionStart)
	require.Equal(t, []string{"5 earlier", "6 merged", "7 earlier", "8 earlier", "9 current"}, s.kinds(t))
	s.ends(t, h, 1, objects(9, "a=1"))
	require.Equal(t, []string{"7 earlier", "8 earlier", "10 current"}, s.kinds(t), "the newest three, and merged salvage no longer than its neighbours")
}

// Who has lost a build may still hand in salvage, and what stood in its base
// and was destroyed since must be told from what it made.
func TestStatesThatSalvageIsJudgedByAreKept(t *testing.T) {
	t.Parallel()
	s := newStatesScene(t, servertest.WithOptions(func(o *server.Options) { o.StatesKept = 1 }))
	s.ends(t, s.begun(t), 1, objects(1, "a=1", "b=2"))
	lost := s.build(t, client.TransitionStart)
	loses(t, lost)
	h := s.build(t, client.TransitionStart)
	put(t, lost, 1, objects(5, "a=1", "b=2", "c=3"))
	put(t, h, 1, objects(4, "b=2"))
	s.ends(t, h, 2, objects(5))
	require.Equal(t, []string{"1 earlier", "2 salvage", "4 current"}, s.kinds(t))
	h = s.build(t, client.TransitionStart)
	require.Equal(t, []string{"terraform_data.c=3"}, things(t, h.State), "a and b were destroyed since")
	s.ends(t, h, 1, objects(9))
	require.Equal(t, []string{"6 current"}, s.kinds(t))
}
