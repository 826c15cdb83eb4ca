package server_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"coder/client"
	"coder/server/servertest"
	"coder/store"
	"coder/store/storetest"
)

// modeled is a workspace as the property test knows it: what stands, and the
// build that goes on.
type modeled struct {
	id      uuid.UUID
	cost    int64
	running bool
	open    *taken
	// reserved is the larger of what stands and what was admitted.
	reserved int64
	starts   bool
	// decided: the plan was decided on; refused: against it.
	decided, refused bool
}

func (m *modeled) counts() (cost, running int64) {
	if m.open == nil {
		return m.cost, number(m.running)
	}
	return m.reserved, number(m.running || m.starts && !m.refused)
}

func number(is bool) int64 {
	if is {
		return 1
	}
	return 0
}

// quotaModel runs random builds, ends and limit changes against a server.
type quotaModel struct {
	*scene
	t          *testing.T
	r          *rapid.T
	start      int64
	stop       int64
	allowance  int64
	cost       int64 // the organization's limit; -1 is none
	number     int64
	workspaces []*modeled
}

// Whatever is built, ends and is limited, in whatever order: what counts is
// what stands and what is reserved, everywhere the same, and no request is
// admitted over a limit.
func TestConsumptionIsWhatStandsAndIsReserved(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		base := newScene(t, servertest.WithStore(st), servertest.WithoutLoops())
		runs := 0
		rapid.Check(t, func(r *rapid.T) {
			runs++
			if runs > 25 && !t.Failed() {
				return // each step is several requests; failing sequences are still made shorter
			}
			m := newQuotaModel(t, r, base, runs)
			for range rapid.IntRange(5, 25).Draw(r, "steps") {
				m.step()
				m.requireAgreement()
			}
			m.clear()
		})
	})
}

func newQuotaModel(t *testing.T, r *rapid.T, base *scene, run int) *quotaModel {
	own := *base
	m := &quotaModel{scene: &own, t: t, r: r, cost: -1, number: -1}
	m.start, m.stop = rapid.Int64Range(0, 9).Draw(r, "start"), rapid.Int64Range(0, 4).Draw(r, "stop")
	m.template = m.newTemplate(t, fmt.Sprintf("priced-%d", run), priced(int(m.start), int(m.stop)), nil)
	m.setAllowance(20)
	return m
}

func (m *quotaModel) setAllowance(credits int64) {
	m.allowance = credits
	_, err := m.Client.UpdateGroup(m.t.Context(), m.org.ID, client.UpdateGroupRequest{QuotaAllowance: pointer(int(credits))})
	require.NoError(m.r, err)
}

func (m *quotaModel) totals() (cost, running int64) {
	for _, w := range m.workspaces {
		c, n := w.counts()
		cost, running = cost+c, running+n
	}
	return cost, running
}

// step does one thing that can be done now.
func (m *quotaModel) step() {
	free := slices.DeleteFunc(slices.Clone(m.workspaces), func(w *modeled) bool { return w.open != nil })
	busy := slices.DeleteFunc(slices.Clone(m.workspaces), func(w *modeled) bool { return w.open == nil })
	switch kind := rapid.IntRange(0, 9).Draw(m.r, "kind"); {
	case kind == 0:
		m.setAllowance(rapid.Int64Range(0, 40).Draw(m.r, "allowance"))
	case kind == 1:
		m.cost, m.number = rapid.Int64Range(-1, 40).Draw(m.r, "max cost"), rapid.Int64Range(-1, 5).Draw(m.r, "max number")
		m.limit(m.t, m.cost, m.number)
	case kind <= 3 && len(m.workspaces) < 8:
		m.ask(nil)
	case kind <= 6 && len(free) > 0:
		m.ask(rapid.SampledFrom(free).Draw(m.r, "workspace"))
	case len(busy) > 0:
		m.proceed(rapid.SampledFrom(busy).Draw(m.r, "build"))
	}
}

// ask asks for a build, of a new workspace where none is given.
func (m *quotaModel) ask(w *modeled) {
	transition, fresh := client.TransitionStart, w == nil
	if !fresh {
		transition = rapid.SampledFrom([]string{client.TransitionStart, client.TransitionStart, client.TransitionStop, client.TransitionDelete}).Draw(m.r, "transition")
	} else {
		w = &modeled{}
	}
	asked := map[string]int64{client.TransitionStart: m.start, client.TransitionStop: m.stop}[transition]
	starts := transition == client.TransitionStart
	admitted := !starts || m.fits(w, asked)
	err := m.request(w, transition, fresh)
	if !admitted {
		require.Equal(m.r, 403, client.StatusCode(err), "%s of %d credits at %+v: %v", transition, asked, w, err)
		return
	}
	require.NoError(m.r, err)
	if fresh {
		m.workspaces = append(m.workspaces, w)
	}
	w.open, w.reserved, w.starts, w.decided, w.refused = m.worker.take(m.t), max(w.cost, asked), starts, false, false
	require.Equal(m.r, w.id, *w.open.Metadata.WorkspaceID)
}

func (m *quotaModel) request(w *modeled, transition string, fresh bool) error {
	if fresh {
		made, err := m.member.CreateWorkspace(m.t.Context(), m.org.Name, client.Me, client.CreateWorkspaceRequest{TemplateID: &m.template.ID, Name: "w-" + uuid.NewString()[:8]})
		w.id = made.ID
		return err
	}
	_, err := m.member.CreateWorkspaceBuild(m.t.Context(), w.id, client.CreateWorkspaceBuildRequest{Transition: transition})
	return err
}

// fits: the limits admit a start of this cost.
func (m *quotaModel) fits(w *modeled, asked int64) bool {
	cost, running := m.totals()
	held, holds := w.counts()
	if more := asked - held; more > 0 && (cost+more > m.allowance || (m.cost >= 0 && cost+more > m.cost)) {
		return false
	}
	return holds == 1 || m.number < 0 || running+1 <= m.number
}

// proceed decides on a build's plan, or ends it.
func (m *quotaModel) proceed(w *modeled) {
	if w.open.Split && !w.decided && rapid.Bool().Draw(m.r, "plan") {
		figure := rapid.Int64Range(0, 15).Draw(m.r, "figure")
		fits := m.fits(w, figure)
		require.Equal(m.r, fits, w.open.plan(m.t, int(figure)).Granted, "a plan of %d credits at %+v", figure, w)
		w.decided, w.refused, w.reserved = true, !fits, max(w.cost, figure)
		if w.refused {
			w.reserved = w.cost
		}
		return
	}
	m.end(w)
}

func (m *quotaModel) end(w *modeled) {
	after := rapid.Int64Range(0, 15).Draw(m.r, "after")
	changed := !w.open.Split || (w.decided && !w.refused)
	way := rapid.IntRange(0, 4).Draw(m.r, "end")
	if w.refused || (w.open.Split && !w.decided) {
		way = max(way, 1) // the daemon applies nothing without a grant
	}
	switch way {
	case 0:
		w.open.costing(m.t, int(after))
		w.cost, w.running = after, w.starts
		if w.open.Metadata.Transition == client.TransitionDelete {
			w.cost = 0
			m.workspaces = slices.DeleteFunc(m.workspaces, func(other *modeled) bool { return other == w })
		}
	case 1:
		w.open.failWith(m.t, &client.Standing{Untouched: true})
	case 2:
		w.open.failWith(m.t, &client.Standing{DailyCost: int(after)})
		if changed {
			w.cost, w.running = after, w.running || w.starts
		}
	case 3:
		w.open.failWith(m.t, &client.Standing{Empty: true})
		if changed {
			w.cost, w.running = 0, false
		}
	case 4:
		w.open.failWith(m.t, nil)
		if changed {
			w.cost, w.running = w.reserved, w.running || w.starts
		}
	}
	w.open = nil
}

// requireAgreement: the quotas, the list and the model say the same.
func (m *quotaModel) requireAgreement() {
	cost, running := m.totals()
	nowCost, nowRunning := m.used(m.t)
	require.Equal(m.r, []int64{cost, running}, []int64{nowCost, nowRunning}, "credits a day and running workspaces")
	listed, err := m.member.Workspaces(m.t.Context(), client.WorkspacesRequest{})
	require.NoError(m.r, err)
	sum := int64(0)
	for _, w := range listed.Workspaces {
		sum += int64(w.LatestBuild.DailyCost)
	}
	require.Equal(m.r, cost, sum, "what the list says of each")
}

// clear ends everything, after which nothing counts.
func (m *quotaModel) clear() {
	m.limit(m.t, -1, -1)
	for _, w := range slices.Clone(m.workspaces) {
		if w.open != nil {
			w.open.failWith(m.t, &client.Standing{Untouched: true})
		}
		require.NoError(m.r, m.request(w, client.TransitionDelete, false), "a delete always passes")
		m.worker.take(m.t).costing(m.t, 0)
	}
	m.workspaces = nil
	m.requireAgreement()
}
