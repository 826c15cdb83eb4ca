package server_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server"
	"coder/server/servertest"
	"coder/store"
	"coder/store/storetest"
)

// lossScene is a deployment whose daemons fall silent as the test says.
type lossScene struct {
	*protocol
	clock    *servertest.Clock
	template client.Template
}

func newLossScene(t *testing.T, st *store.Store, made client.ImportResult) *lossScene {
	t.Helper()
	short := servertest.WithOptions(func(o *server.Options) { o.Horizon = 30 * time.Second })
	s := &lossScene{protocol: newProtocol(t, servertest.WithStore(st), servertest.WithoutLoops(), short), clock: servertest.NewClock()}
	s.Server.Server.LeaseClock(s.clock.Now)
	v := s.version(t)
	_, err := s.begun(t).Complete(t.Context(), client.CompleteJobRequest{Import: &made})
	require.NoError(t, err)
	s.template, err = s.Client.CreateTemplate(t.Context(), s.org.Name, client.CreateTemplateRequest{Name: "t", VersionID: v.ID})
	require.NoError(t, err)
	return s
}

// create asks for a workspace, whose daemon then works as the test says.
func (s *lossScene) create(t *testing.T, name string) (client.Workspace, held) {
	t.Helper()
	w, err := s.Client.CreateWorkspace(t.Context(), s.org.Name, client.Me, client.CreateWorkspaceRequest{TemplateID: &s.template.ID, Name: name})
	require.NoError(t, err)
	return w, s.begun(t)
}

// lose lets the horizon pass, and returns the job's error and all that it
// names in doubt.
func (s *lossScene) lose(t *testing.T, h held) (string, []client.DoubtfulResource) {
	t.Helper()
	require.NoError(t, s.Server.Server.LookAtLeases(t.Context()))
	for range 31 {
		s.clock.Advance(time.Second)
		require.NoError(t, s.Server.Server.LookAtLeases(t.Context()))
	}
	b, err := s.Client.WorkspaceBuild(t.Context(), *h.Metadata.WorkspaceBuildID)
	require.NoError(t, err)
	require.Equal(t, client.JobFailed, b.Job.Status)
	x, err := s.Client.ExplainProvisionerJob(t.Context(), s.org.Name, b.Job.ID)
	require.NoError(t, err)
	return b.Job.Error, x.InDoubt
}

// tell sends lines with what the plan wants, and with told all of it.
func tell(t *testing.T, h held, at int64, told bool, intents ...client.Intent) int64 {
	t.Helper()
	req := lines(at, "planned")
	req.Intents, req.PlanTold = intents, told
	_, err := h.AppendLogs(t.Context(), req)
	require.NoError(t, err)
	return req.Next
}

func wants(address, action string) client.Intent {
	return client.Intent{Address: address, Action: action, Wanted: true}
}

// lossGraph is that of a template with two resources of its own.
var lossGraph = []byte(`{"version":1,"nodes":["terraform_data.a","module.m.terraform_data.in","coder_agent.main","data.coder_workspace.me","var.x","provider[\"terraform.io/builtin/terraform\"]"],"edges":[]}`)

// When a daemon is lost with all that it knew, what its plan wanted is named
// as far as no state records it and no end was reported.
func TestWhatALostPlanWantedIsInDoubt(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		s := newLossScene(t, st, client.ImportResult{Graph: lossGraph})
		w, h := s.create(t, "planned")
		at := tell(t, h, 0, false, wants("terraform_data.stored", "create"), wants("terraform_data.begun", "create"), wants("terraform_data.errored", "create"))
		at = tell(t, h, at, true, wants("terraform_data.replaced", "replace"), wants("terraform_data.changed", "update"), wants("terraform_data.next", "create"))
		at = tell(t, h, at, false, client.Intent{Address: "terraform_data.begun", Action: "create"}, client.Intent{Address: "terraform_data.stored", Action: "create"},
			client.Intent{Address: "terraform_data.errored", Action: "create"}, client.Intent{Address: "terraform_data.errored", Action: "create", Done: true},
			client.Intent{Address: "terraform_data.replaced", Action: "delete"}, client.Intent{Address: "terraform_data.replaced", Action: "delete", Done: true})
		tell(t, h, at, false, wants("terraform_data.begun", "create")) // repeated after the fact
		newest := state(1, "stored")
		require.NoError(t, h.PutState(t.Context(), ref(1, newest), newest))
		text, doubt := s.lose(t, h)
		require.Equal(t, []client.DoubtfulResource{
			{Address: "terraform_data.begun", Action: "create", Grounds: client.GroundsBegun},
			{Address: "terraform_data.next", Action: "create", Grounds: client.GroundsPlanned},
			{Address: "terraform_data.replaced", Action: "replace", Grounds: client.GroundsPlanned},
		}, doubt)
		require.Contains(t, text, "while it worked on them; look whether they exist:\n  terraform_data.begun (create) \n")
		require.Contains(t, text, "nobody knows how far its engine came; look whether they exist:\n  terraform_data.next (create) \n  terraform_data.replaced (replace)")

		// The daemon comes back: what is doubtful still is told, and that the rest is not.
		end := client.FailJobRequest{Error: "late", EngineDead: true, State: new(ref(2, state(2, "stored", "next"))), InDoubt: []client.DoubtfulResource{{Address: "terraform_data.begun", Action: "create"}}}
		fail := func(want ...string) {
			t.Helper()
			_, err := h.Fail(t.Context(), end)
			require.Error(t, err)
			rows, err := s.Client.WorkspaceBuildLogs(t.Context(), w.LatestBuild.ID, 0)
			require.NoError(t, err)
			late := []string{}
			for _, row := range rows {
				if row.Stage == "Reported late" {
					late = append(late, row.Level+" "+row.Output[:30])
				}
			}
			require.Equal(t, want, late)
		}
		fail("error terraform_data.begun (create) ")
		late := state(2, "stored", "next")
		require.NoError(t, h.PutState(t.Context(), ref(2, late), late))
		for range 2 {
			fail("error terraform_data.begun (create) ", "info The provisioner came back and ")
		}
	})
}

// While nobody knows the plan, anything that the template makes is in doubt;
// where nothing can have been made, nothing is.
func TestALossBeforeThePlanWasToldIsNamedByTheTemplate(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		s := newLossScene(t, st, client.ImportResult{Graph: lossGraph})
		whole := []client.DoubtfulResource{
			{Address: "module.m.terraform_data.in[*]", Action: "create", Grounds: client.GroundsTemplate},
			{Address: "terraform_data.a[*]", Action: "create", Grounds: client.GroundsTemplate},
		}
		w, h := s.create(t, "half")
		tell(t, h, 0, false, wants("terraform_data.a[0]", "create"))
		text, doubt := s.lose(t, h)
		require.Equal(t, whole, doubt, "half a plan is none")
		require.Contains(t, text, "may have been changed or replaced:\n  module.m.terraform_data.in[*] (create) \n  terraform_data.a[*] (create)")

		_, err := s.Client.CreateWorkspaceBuild(t.Context(), w.ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionStop})
		require.NoError(t, err)
		_, doubt = s.lose(t, s.begun(t))
		require.Equal(t, whole, doubt, "a stop makes things too")

		_, err = s.Client.CreateWorkspaceBuild(t.Context(), w.ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionDelete})
		require.NoError(t, err)
		text, doubt = s.lose(t, s.begun(t))
		require.Empty(t, doubt, "to destroy makes nothing")
		require.NotContains(t, text, "In doubt")

		_, h = s.create(t, "empty")
		tell(t, h, 0, true)
		_, doubt = s.lose(t, h)
		require.Empty(t, doubt, "the plan wants nothing")
	})
}

// Nothing is in doubt where the engine was never let past its plan.
func TestALossAtTheGateLeavesNoDoubt(t *testing.T) {
	t.Parallel()
	s := newLossScene(t, storetest.New(t), client.ImportResult{Graph: lossGraph, Priced: true})
	_, h := s.create(t, "waiting")
	tell(t, h, 0, true, wants("terraform_data.a", "create"))
	_, doubt := s.lose(t, h)
	require.Empty(t, doubt)

	_, h = s.create(t, "granted")
	tell(t, h, 0, true, wants("terraform_data.a", "create"))
	decision, err := h.DecidePlan(t.Context(), client.PlanRequest{})
	require.NoError(t, err)
	require.True(t, decision.Granted)
	_, doubt = s.lose(t, h)
	require.Len(t, doubt, 1)
}

// The error of a job stays readable, and its explanation has everything. A plan
// too large to keep is none.
func TestManyDoubtsStayReadable(t *testing.T) {
	t.Parallel()
	s := newLossScene(t, storetest.New(t), client.ImportResult{})
	many := func(n int) []client.Intent {
		intents := []client.Intent{}
		for i := range n {
			intents = append(intents, wants(fmt.Sprintf("terraform_data.many[%d]", i), "create"))
		}
		return intents
	}
	_, h := s.create(t, "many")
	tell(t, h, 0, true, many(53)...)
	text, doubt := s.lose(t, h)
	require.Len(t, doubt, 53)
	require.Contains(t, text, "\n  and 33 more: `coder provisioner jobs explain "+h.ID.String()+"` names all")
	require.Less(t, len(text), 3000)

	_, h = s.create(t, "toomany")
	at := tell(t, h, 0, false, many(2100)...)
	tell(t, h, at, true)
	_, doubt = s.lose(t, h)
	require.Equal(t, []client.DoubtfulResource{{Address: "[*]", Action: "create", Grounds: client.GroundsTemplate}}, doubt, "and this version does not say what it has")
}
