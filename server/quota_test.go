package server_test

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server"
	"coder/server/servertest"
	"coder/store"
	"coder/store/storetest"
)

// priced is an import whose plans cost so much.
func priced(start, stop int) client.ImportResult {
	return client.ImportResult{StartCost: start, StopCost: stop, Priced: true}
}

// pricedScene is a scene whose template costs so much.
func pricedScene(t *testing.T, start, stop int, options ...servertest.Option) *scene {
	t.Helper()
	s := newScene(t, options...)
	s.template = s.newTemplate(t, "priced", priced(start, stop), nil)
	return s
}

// allow puts the member into a group of their own that allows so many credits.
func (s *scene) allow(t *testing.T, credits int64) {
	t.Helper()
	id, at := uuid.New(), store.At(time.Now())
	_, err := s.Store.InsertGroup(t.Context(), store.InsertGroupParams{
		ID: id, OrganizationID: s.org.ID, Name: "g-" + id.String()[:8], Source: "user", QuotaAllowance: credits, CreatedAt: at, UpdatedAt: at,
	})
	require.NoError(t, err)
	require.NoError(t, s.Store.InsertGroupMember(t.Context(), store.InsertGroupMemberParams{GroupID: id, OrganizationID: s.org.ID, UserID: s.user.ID}))
}

// limit sets the organization's budget; below 0 is none.
func (s *scene) limit(t *testing.T, cost, running int64) {
	t.Helper()
	var req client.UpdateOrganizationQuotaRequest
	if cost >= 0 {
		req.MaxDailyCost = &cost
	}
	if running >= 0 {
		req.MaxRunningWorkspaces = &running
	}
	_, err := s.Client.UpdateOrganizationQuota(t.Context(), s.org.Name, req)
	require.NoError(t, err)
}

// used is what the organization's budget and the member's allowance say is
// used: the member is the only one with workspaces, so both agree.
func (s *scene) used(t *testing.T) (cost, running int64) {
	t.Helper()
	quota, err := s.member.OrganizationQuota(t.Context(), s.org.Name)
	require.NoError(t, err)
	own, err := s.member.WorkspaceQuota(t.Context(), s.org.Name, client.Me)
	require.NoError(t, err)
	require.Equal(t, quota.DailyCost, own.CreditsConsumed)
	return quota.DailyCost, quota.RunningWorkspaces
}

func (s *scene) requireUsed(t *testing.T, cost, running int64) {
	t.Helper()
	nowCost, nowRunning := s.used(t)
	require.Equal(t, []int64{cost, running}, []int64{nowCost, nowRunning}, "credits a day and running workspaces")
}

// refused asks for a start and wants it refused with these figures.
func requireRefused(t *testing.T, err error, want client.QuotaRefusal) {
	t.Helper()
	require.Equal(t, http.StatusForbidden, client.StatusCode(err), "%v", err)
	var refusal *client.Error
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, &want, refusal.Quota)
	for _, figure := range []int64{want.Budget, want.Consumed} {
		require.Contains(t, refusal.Message, fmt.Sprint(figure))
	}
	require.NotEmpty(t, refusal.Detail)
}

func (s *scene) tryCreate(t *testing.T, name string) error {
	t.Helper()
	_, err := s.member.CreateWorkspace(t.Context(), s.org.Name, client.Me, client.CreateWorkspaceRequest{TemplateID: &s.template.ID, Name: name})
	return err
}

func (s *scene) tryBuild(t *testing.T, w client.Workspace, transition string) error {
	t.Helper()
	_, err := s.member.CreateWorkspaceBuild(t.Context(), w.ID, client.CreateWorkspaceBuildRequest{Transition: transition})
	return err
}

// costing ends a build well with a state that costs so much.
func (j *taken) costing(t *testing.T, cost int) {
	t.Helper()
	result := client.BuildResult{DailyCost: cost, Empty: j.Metadata.Transition == client.TransitionDelete}
	_, err := j.attempt.Complete(t.Context(), client.CompleteJobRequest{State: j.putState(t, 1, stateOf(j.ID)), Build: &result})
	require.NoError(t, err)
}

// plan asks for leave to apply.
func (j *taken) plan(t *testing.T, cost int) client.PlanDecision {
	t.Helper()
	decision, err := j.attempt.DecidePlan(t.Context(), client.PlanRequest{DailyCost: cost})
	require.NoError(t, err)
	return decision
}

// failWith ends a build badly with what it has left.
func (j *taken) failWith(t *testing.T, standing *client.Standing) {
	t.Helper()
	_, err := j.attempt.Fail(t.Context(), client.FailJobRequest{Error: "no", EngineDead: true, Standing: standing})
	require.NoError(t, err)
}

func TestOrganizationQuotaIsReadAndSet(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "data-platform")
	admin, member, outsider := s.Person(t, org, client.RoleOrgAdmin), s.Person(t, org), s.Outsider(t)
	path := "/organizations/data-platform/quota"
	status, body := s.Raw(t, member.Token, http.MethodGet, path, "")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"max_daily_cost":null,"max_running_workspaces":null,"daily_cost":0,"running_workspaces":0}`, body)
	status, body = s.Raw(t, admin.Token, http.MethodPut, path, `{"max_daily_cost":100,"max_running_workspaces":0}`)
	require.Equal(t, http.StatusOK, status, body)
	require.JSONEq(t, `{"max_daily_cost":100,"max_running_workspaces":0,"daily_cost":0,"running_workspaces":0}`, body)
	for name, request := range map[string]struct{ body, field string }{
		"a negative cost":      {`{"max_daily_cost":-1,"max_running_workspaces":null}`, "max_daily_cost"},
		"a negative number":    {`{"max_daily_cost":null,"max_running_workspaces":-5}`, "max_running_workspaces"},
		"a text":               {`{"max_daily_cost":"100","max_running_workspaces":null}`, "max_daily_cost"},
		"a fraction":           {`{"max_daily_cost":1.5,"max_running_workspaces":null}`, "max_daily_cost"},
		"more than fits":       {`{"max_daily_cost":9223372036854775808,"max_running_workspaces":null}`, "max_daily_cost"},
		"a field left out":     {`{"max_daily_cost":1}`, "max_running_workspaces"},
		"both fields left out": {`{}`, "max_daily_cost"},
	} {
		status, body := s.Raw(t, admin.Token, http.MethodPut, path, request.body)
		require.Equal(t, http.StatusBadRequest, status, "%s: %s", name, body)
		require.Contains(t, body, request.field, name)
	}
	kept, err := admin.Client.OrganizationQuota(t.Context(), org.Name)
	require.NoError(t, err)
	require.EqualValues(t, 100, *kept.MaxDailyCost)
	status, _ = s.Raw(t, member.Token, http.MethodPut, path, `{"max_daily_cost":null,"max_running_workspaces":null}`)
	require.Equal(t, http.StatusForbidden, status)
	for _, method := range []string{http.MethodGet, http.MethodPut} {
		status, _ = s.Raw(t, outsider.Token, method, path, `{"max_daily_cost":null,"max_running_workspaces":null}`)
		require.Equal(t, http.StatusNotFound, status, method)
	}
	status, body = s.Raw(t, admin.Token, http.MethodPut, path, `{"max_daily_cost":null,"max_running_workspaces":null}`)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, `"max_daily_cost":null`)
	log, err := admin.Client.AuditLogs(t.Context(), client.AuditLogsRequest{Query: "resource_type:organization action:write"})
	require.NoError(t, err)
	require.Equal(t, client.AuditDiffField{Old: 100.0}, log.AuditLogs[0].Diff["max_daily_cost"])
	require.Equal(t, client.AuditDiffField{New: 100.0}, log.AuditLogs[len(log.AuditLogs)-1].Diff["max_daily_cost"])
}

// The race of the issue: of a hundred requests at once ten are admitted, by
// whichever limit, and nothing remains of the others.
func TestOfAHundredRequestsTenAreAdmitted(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		for name, limit := range map[string]func(*testing.T, *scene) client.QuotaRefusal{
			"allowance": func(t *testing.T, s *scene) client.QuotaRefusal {
				s.allow(t, 32)
				return client.QuotaRefusal{Limit: client.QuotaUserAllowance, Budget: 32, Consumed: 30, Asked: 3}
			},
			"cost": func(t *testing.T, s *scene) client.QuotaRefusal {
				s.allow(t, 1000)
				s.limit(t, 30, -1)
				return client.QuotaRefusal{Limit: client.QuotaMaxDailyCost, Budget: 30, Consumed: 30, Asked: 3}
			},
			"number": func(t *testing.T, s *scene) client.QuotaRefusal {
				s.allow(t, 1000)
				s.limit(t, -1, 10)
				return client.QuotaRefusal{Limit: client.QuotaMaxRunningWorkspaces, Budget: 10, Consumed: 10, Asked: 1}
			},
		} {
			t.Run(name, func(t *testing.T) {
				own := st
				if name != "allowance" {
					own = anotherStore(t, st)
				}
				s := pricedScene(t, 3, 0, servertest.WithStore(own), servertest.WithoutLoops())
				want := limit(t, s)
				results := make([]error, 100)
				var all sync.WaitGroup
				for i := range results {
					all.Go(func() { results[i] = s.tryCreate(t, fmt.Sprintf("box-%d", i)) })
				}
				all.Wait()
				admitted := 0
				for _, err := range results {
					if err == nil {
						admitted++
						continue
					}
					requireRefused(t, err, want)
				}
				require.Equal(t, 10, admitted)
				s.requireUsed(t, 30, 10)
				found, err := s.Client.Workspaces(t.Context(), client.WorkspacesRequest{})
				require.NoError(t, err)
				require.Equal(t, 10, found.Count, "of a refused request no workspace remains")
			})
		}
	})
}

// anotherStore is a fresh one of the same database.
func anotherStore(t *testing.T, like *store.Store) *store.Store {
	t.Helper()
	for _, s := range storetest.Both(t) {
		if s.Dialect() == like.Dialect() {
			return s
		}
	}
	require.Fail(t, "no store of this database")
	return nil
}

func TestWhatAStartMayCost(t *testing.T) {
	t.Parallel()

	t.Run("no cost needs no allowance", func(t *testing.T) {
		t.Parallel()
		s := newScene(t)
		w := s.running(t, "free")
		s.requireUsed(t, 0, 1)
		s.build(t, w.ID, client.TransitionStop)
		s.requireUsed(t, 0, 0)
	})
	t.Run("a cost needs one", func(t *testing.T) {
		t.Parallel()
		s := pricedScene(t, 5, 2)
		requireRefused(t, s.tryCreate(t, "box"), client.QuotaRefusal{Limit: client.QuotaUserAllowance, Budget: 0, Consumed: 0, Asked: 5})
		s.requireUsed(t, 0, 0)
	})
	t.Run("what stands is what a start adds to", func(t *testing.T) {
		t.Parallel()
		s := pricedScene(t, 5, 2)
		s.allow(t, 2)
		s.allow(t, 4)
		w := s.create(t, "box")
		s.requireUsed(t, 5, 1)
		start := s.worker.take(t)
		require.True(t, start.Split, "a version with a cost is planned apart")
		require.True(t, start.plan(t, 5).Granted)
		start.costing(t, 5)
		s.requireUsed(t, 5, 1)
		s.ask(t, w.ID, client.TransitionStop)
		s.requireUsed(t, 5, 1)
		stop := s.worker.take(t)
		require.False(t, stop.Split, "nothing is decided about a stop")
		stop.costing(t, 2)
		s.requireUsed(t, 2, 0)
		requireRefused(t, s.tryCreate(t, "other"), client.QuotaRefusal{Limit: client.QuotaUserAllowance, Budget: 6, Consumed: 2, Asked: 5})
	})
	t.Run("what costs no more always passes", func(t *testing.T) {
		t.Parallel()
		s := pricedScene(t, 5, 2)
		s.allow(t, 5)
		w := s.create(t, "box")
		s.worker.take(t).costing(t, 5)
		s.limit(t, 0, 0)
		require.NoError(t, s.tryBuild(t, w, client.TransitionStart), "a restart asks for nothing more")
		s.worker.take(t).costing(t, 5)
		s.build(t, w.ID, client.TransitionStop)
		requireRefused(t, s.tryBuild(t, w, client.TransitionStart), client.QuotaRefusal{Limit: client.QuotaMaxDailyCost, Budget: 0, Consumed: 0, Asked: 5})
		s.limit(t, -1, 0)
		requireRefused(t, s.tryBuild(t, w, client.TransitionStart), client.QuotaRefusal{Limit: client.QuotaMaxRunningWorkspaces, Budget: 0, Consumed: 0, Asked: 1})
		s.build(t, w.ID, client.TransitionDelete)
		s.requireUsed(t, 0, 0)
	})
	t.Run("an allowance beyond all numbers is no error", func(t *testing.T) {
		t.Parallel()
		s := pricedScene(t, 5, 2)
		s.allow(t, 1<<62)
		s.allow(t, 1<<62)
		s.allow(t, 1<<62)
		s.create(t, "box")
		s.requireUsed(t, 5, 1)
	})
}

func TestWhatABuildLeavesIsWhatCounts(t *testing.T) {
	t.Parallel()
	s := pricedScene(t, 5, 2)
	s.allow(t, 100)
	n := 0
	// stopped is a workspace that costs 2; start asks for its start.
	stopped := func(t *testing.T) client.Workspace {
		t.Helper()
		n++
		w := s.create(t, fmt.Sprintf("box-%d", n))
		s.worker.take(t).costing(t, 5)
		s.ask(t, w.ID, client.TransitionStop)
		s.worker.take(t).costing(t, 2)
		return w
	}
	for name, c := range map[string]struct {
		end           func(*testing.T, client.Workspace)
		cost, running int64
	}{
		"a start that was canceled in the queue leaves what stood": {func(t *testing.T, w client.Workspace) {
			require.NoError(t, s.member.CancelWorkspaceBuild(t.Context(), s.read(t, w.ID).LatestBuild.ID))
		}, 2, 0},
		"a start whose plan failed leaves what stood": {func(t *testing.T, _ client.Workspace) { s.worker.take(t).fail(t, "no") }, 2, 0},
		"a start that touched nothing after the grant leaves that": {func(t *testing.T, _ client.Workspace) {
			j := s.worker.take(t)
			j.plan(t, 6)
			j.failWith(t, &client.Standing{Untouched: true})
		}, 2, 0},
		"a start that failed half-way leaves what its state costs": {func(t *testing.T, _ client.Workspace) {
			j := s.worker.take(t)
			j.plan(t, 6)
			j.failWith(t, &client.Standing{DailyCost: 4})
		}, 4, 1},
		"a start that failed and left nothing leaves nothing": {func(t *testing.T, _ client.Workspace) {
			j := s.worker.take(t)
			j.plan(t, 6)
			j.failWith(t, &client.Standing{Empty: true})
		}, 0, 0},
		"a start that nobody knows about keeps the larger": {func(t *testing.T, _ client.Workspace) { j := s.worker.take(t); j.plan(t, 6); j.fail(t, "no") }, 6, 1},
		"a start counts with what its plan says, and then its state": {func(t *testing.T, _ client.Workspace) {
			j := s.worker.take(t)
			j.plan(t, 8)
			s.requireUsed(t, 8, 1)
			j.costing(t, 7)
		}, 7, 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := stopped(t)
			s.requireUsed(t, 2, 0)
			s.ask(t, w.ID, client.TransitionStart)
			s.requireUsed(t, 5, 1)
			c.end(t, w)
			s.requireUsed(t, c.cost, c.running)
			require.EqualValues(t, c.cost, s.read(t, w.ID).LatestBuild.DailyCost, "the list agrees")
			s.ask(t, w.ID, client.TransitionDelete)
			s.worker.take(t).costing(t, 0)
			s.requireUsed(t, 0, 0)
		})
	}
	t.Run("a stop that failed leaves what runs", func(t *testing.T) {
		w := s.create(t, "running")
		s.worker.take(t).costing(t, 5)
		s.ask(t, w.ID, client.TransitionStop)
		s.worker.take(t).failWith(t, &client.Standing{DailyCost: 3})
		s.requireUsed(t, 3, 1)
		s.ask(t, w.ID, client.TransitionDelete)
		s.worker.take(t).failWith(t, &client.Standing{Empty: true})
		s.requireUsed(t, 0, 0)
	})
}

func TestThePlanIsDecidedOnOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		s := pricedScene(t, 5, 2, servertest.WithStore(st))
		s.allow(t, 12)
		w := s.create(t, "box")
		start := s.worker.take(t)
		require.True(t, start.plan(t, 9).Granted)
		s.requireUsed(t, 9, 1)
		require.True(t, start.plan(t, 9).Granted, "a repeat hears the same")
		s.limit(t, 0, 0)
		require.True(t, start.plan(t, 9).Granted, "whatever has become of the limits")
		_, err := start.attempt.DecidePlan(t.Context(), client.PlanRequest{DailyCost: 4})
		require.Equal(t, http.StatusConflict, client.StatusCode(err))
		s.limit(t, -1, -1)
		start.costing(t, 9)
		_, err = start.attempt.DecidePlan(t.Context(), client.PlanRequest{DailyCost: 9})
		require.Equal(t, http.StatusConflict, client.StatusCode(err), "an attempt that has ended applies nothing")

		require.NoError(t, s.tryBuild(t, w, client.TransitionStart))
		again := s.worker.take(t)
		refused := again.plan(t, 20)
		require.False(t, refused.Granted)
		require.Contains(t, refused.Message, "11 more credits")
		s.allow(t, 100)
		require.Equal(t, refused, again.plan(t, 20), "a refusal stays one")
		s.requireUsed(t, 9, 1)
		// What the daemon says of the end does not matter any more.
		_, err = again.attempt.Fail(t.Context(), client.FailJobRequest{Error: "the engine was killed", EngineDead: true, Retryable: true})
		require.NoError(t, err)
		build := s.read(t, w.ID).LatestBuild
		require.Equal(t, []string{client.JobFailed, client.JobErrorInsufficientQuota, refused.Message}, []string{build.Job.Status, build.Job.ErrorCode, build.Job.Error})
		require.Equal(t, 9, build.DailyCost)
		s.requireUsed(t, 9, 1)
	})
}

func TestAPlanThatMayNotGoOn(t *testing.T) {
	t.Parallel()
	s := pricedScene(t, 5, 2)
	s.allow(t, 12)
	w := s.create(t, "box")
	start := s.worker.take(t)
	require.NoError(t, s.member.CancelWorkspaceBuild(t.Context(), w.LatestBuild.ID))
	_, err := start.attempt.DecidePlan(t.Context(), client.PlanRequest{DailyCost: 5})
	require.Equal(t, http.StatusConflict, client.StatusCode(err), "nothing is applied after a cancel")
	_, err = start.attempt.Fail(t.Context(), client.FailJobRequest{Error: "canceled", EngineDead: true, Canceled: true})
	require.NoError(t, err)
	s.requireUsed(t, 0, 0)

	v := s.pendingVersion(t, &s.template.ID, "")
	imported := s.worker.take(t)
	require.Equal(t, v.Job.ID, imported.ID)
	_, err = imported.attempt.DecidePlan(t.Context(), client.PlanRequest{DailyCost: 5})
	require.Equal(t, http.StatusBadRequest, client.StatusCode(err), "an import is not decided on")
}

// What an attempt has left that is tried again is what stands for the next.
func TestWhatAnEarlierAttemptHasLeft(t *testing.T) {
	t.Parallel()
	s := pricedScene(t, 5, 2)
	s.allow(t, 100)
	w := s.create(t, "box")
	first := s.worker.take(t)
	require.True(t, first.plan(t, 5).Granted)
	settled, err := first.attempt.Fail(t.Context(), client.FailJobRequest{Error: "no", EngineDead: true, Retryable: true, Standing: &client.Standing{DailyCost: 4}})
	require.NoError(t, err)
	require.True(t, settled.Retry)
	s.requireUsed(t, 5, 1)
	second := s.worker.take(t)
	second.failWith(t, &client.Standing{Untouched: true})
	s.requireUsed(t, 4, 1)
	require.Equal(t, 4, s.read(t, w.ID).LatestBuild.DailyCost)
}

func TestAnAutomaticStartThatIsRefused(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	s := pricedScene(t, 5, 0, onTime(clock)...)
	s.allow(t, 5)
	w := s.create(t, "nightly", func(r *client.CreateWorkspaceRequest) {
		schedule := "CRON_TZ=UTC 0 13 * * *"
		r.AutostartSchedule = &schedule
	})
	s.worker.take(t).costing(t, 5)
	s.build(t, w.ID, client.TransitionStop)
	s.limit(t, -1, 0)
	clock.Advance(time.Hour + time.Minute)
	refused := s.eventually(t, w.ID, "the workspace says that it was refused", func(w client.Workspace) bool { return w.Refusal != nil })
	require.Equal(t, client.BuildReasonAutostart, refused.Refusal.Reason)
	require.Contains(t, refused.Refusal.Message, "0 of the 0 workspaces")
	require.Equal(t, clock.Now().Add(time.Minute), *refused.Refusal.RetryAt)
	require.Equal(t, clock.Now().Add(time.Minute), *refused.NextStartAt)
	require.Equal(t, 2, s.builds(t, w.ID), "nothing was made")
	for tries := 2; tries <= 7; tries++ {
		clock.Advance(s.read(t, w.ID).Refusal.RetryAt.Sub(clock.Now()))
		refused = s.eventually(t, w.ID, "it is tried again", func(w client.Workspace) bool { return w.Refusal.Tries == tries })
	}
	require.Nil(t, refused.Refusal.RetryAt, "and then no more")
	require.Equal(t, time.Date(2026, 7, 16, 13, 0, 0, 0, time.UTC), *refused.NextStartAt, "until its next time")
	s.limit(t, -1, 1)
	clock.Advance(refused.NextStartAt.Sub(clock.Now()))
	s.worker.take(t).costing(t, 5)
	require.Nil(t, s.read(t, w.ID).Refusal, "a build takes the word back")
}

func TestARestartThatIsRefused(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	s := pricedScene(t, 5, 0, onTime(clock)...)
	s.allow(t, 5)
	w := s.create(t, "box")
	s.worker.take(t).costing(t, 5)
	s.limit(t, -1, 0)
	stop := s.restart(t, w, client.BuildOnSuccessRequest{})
	s.worker.take(t).costing(t, 0)
	refused := s.eventually(t, w.ID, "the workspace says that it was refused", func(w client.Workspace) bool { return w.Refusal != nil })
	require.Equal(t, 1, refused.Refusal.Tries)
	logs, err := s.member.WorkspaceBuildLogs(t.Context(), stop.ID, 0)
	require.NoError(t, err)
	require.Contains(t, logs[len(logs)-1].Output, "is tried again")
	s.limit(t, -1, 1)
	clock.Advance(time.Minute)
	start := s.worker.take(t)
	require.Equal(t, client.TransitionStart, start.Metadata.Transition)
	start.costing(t, 5)
	require.Nil(t, s.read(t, w.ID).Refusal)

	s.limit(t, -1, 0)
	stop = s.restart(t, w, client.BuildOnSuccessRequest{})
	s.worker.take(t).costing(t, 0)
	for tries := 1; tries < 7; tries++ {
		r := s.eventually(t, w.ID, "it is tried again", func(w client.Workspace) bool { return w.Refusal != nil && w.Refusal.Tries == tries })
		clock.Advance(r.Refusal.RetryAt.Sub(clock.Now()))
	}
	s.eventually(t, w.ID, "it is given up", func(w client.Workspace) bool { return w.Refusal.Tries == 7 && w.Refusal.RetryAt == nil })
	require.Eventually(t, func() bool {
		logs, err = s.member.WorkspaceBuildLogs(t.Context(), stop.ID, 0)
		return err == nil && strings.Contains(logs[len(logs)-1].Output, "is not made")
	}, waitLong, 10*time.Millisecond)
	require.Equal(t, 4, s.builds(t, w.ID))
}

// A server that was started again keeps to what was decided, and a provisioner
// that is lost at the gate leaves what stood before.
func TestAPlanOutlivesItsServer(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		short := servertest.WithOptions(func(o *server.Options) { o.Horizon = 26 * time.Second })
		s := pricedScene(t, 5, 2, servertest.WithStore(st), short)
		s.allow(t, 100)
		jobs := map[string]*taken{}
		for _, name := range []string{"granted", "refused", "undecided"} {
			s.create(t, name)
			jobs[name] = s.worker.take(t)
		}
		require.True(t, jobs["granted"].plan(t, 6).Granted)
		refused := jobs["refused"].plan(t, 1000)
		require.False(t, refused.Granted)

		other := servertest.New(t, servertest.WithStore(st), servertest.WithoutUsers(), short)
		s.limit(t, 0, 0)
		for name, want := range map[string]client.PlanDecision{"granted": jobs["granted"].plan(t, 6), "refused": refused} {
			cost := map[string]int{"granted": 6, "refused": 1000}[name]
			decision, err := other.Client.Attempt(jobs[name].AttemptID, jobs[name].Secret).DecidePlan(t.Context(), client.PlanRequest{DailyCost: cost})
			require.NoError(t, err)
			require.Equal(t, want, decision, name)
		}
		for name, want := range map[string]struct {
			cost int
			code string
		}{"granted": {6, ""}, "refused": {0, client.JobErrorInsufficientQuota}, "undecided": {0, ""}} {
			var w client.Workspace
			require.Eventually(t, func() bool {
				w = s.read(t, *jobs[name].Metadata.WorkspaceID)
				return w.LatestBuild.Job.Ended()
			}, 2*time.Minute, 200*time.Millisecond, "nobody renews: the job ends at the horizon")
			require.Equal(t, want.cost, w.LatestBuild.DailyCost, name)
			require.Equal(t, want.code, w.LatestBuild.Job.ErrorCode, name)
		}
		s.requireUsed(t, 6, 1)
	})
}

// Each limit is what may be used, to the last credit and the last workspace.
func TestALimitMayBeUsedUp(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]struct {
		limit    func(t *testing.T, s *scene, n int64)
		admitted map[int64]int
	}{
		"allowance": {func(t *testing.T, s *scene, n int64) { s.allow(t, n) }, map[int64]int{2: 0, 3: 1, 5: 1, 6: 2, 7: 2, 8: 2, 9: 3}},
		"cost": {func(t *testing.T, s *scene, n int64) {
			s.allow(t, 1000)
			s.limit(t, n, -1)
		}, map[int64]int{0: 0, 2: 0, 3: 1, 5: 1, 6: 2, 7: 2, 8: 2, 9: 3}},
		"number": {func(t *testing.T, s *scene, n int64) {
			s.allow(t, 1000)
			s.limit(t, -1, n)
		}, map[int64]int{0: 0, 1: 1, 2: 2, 3: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n, want := range set.admitted {
				s := pricedScene(t, 3, 0, servertest.WithoutLoops())
				set.limit(t, s, n)
				admitted := 0
				for i := range 4 {
					err := s.tryCreate(t, fmt.Sprintf("box-%d", i))
					if err == nil {
						admitted++
						continue
					}
					require.Equal(t, http.StatusForbidden, client.StatusCode(err), "%v", err)
				}
				require.Equal(t, want, admitted, "of a limit of %d", n)
				s.requireUsed(t, int64(3*want), int64(want))
			}
		})
	}
}

// A plan is held to the allowance and to the organization's budget, both to
// the last credit; after a refusal what stood before counts.
func TestAPlanIsHeldToEveryLimit(t *testing.T) {
	t.Parallel()
	for name, limit := range map[string]func(t *testing.T, s *scene){
		"allowance": func(t *testing.T, s *scene) { s.allow(t, 10) },
		"cost": func(t *testing.T, s *scene) {
			s.allow(t, 1000)
			s.limit(t, 10, -1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := pricedScene(t, 3, 0)
			limit(t, s)
			box := s.create(t, "box")
			s.requireUsed(t, 3, 1)
			first := s.worker.take(t)
			refused := first.plan(t, 11)
			require.False(t, refused.Granted)
			require.Contains(t, refused.Message, "asks for 8 more credits")
			require.Contains(t, refused.Message, "10")
			s.requireUsed(t, 0, 0)
			first.fail(t, "not applied")
			require.Equal(t, client.JobErrorInsufficientQuota, s.read(t, box.ID).LatestBuild.Job.ErrorCode)
			s.requireUsed(t, 0, 0)

			require.NoError(t, s.tryBuild(t, box, client.TransitionStart))
			s.requireUsed(t, 3, 1)
			second := s.worker.take(t)
			require.True(t, second.plan(t, 10).Granted)
			s.requireUsed(t, 10, 1)
			requireRefusedAny(t, s.tryCreate(t, "car"))
			second.costing(t, 10)
			s.requireUsed(t, 10, 1)
			s.ask(t, box.ID, client.TransitionStop)
			s.worker.take(t).costing(t, 0)
			s.requireUsed(t, 0, 0)
			require.NoError(t, s.tryCreate(t, "car"))
			s.requireUsed(t, 3, 1)
		})
	}
}

func requireRefusedAny(t *testing.T, err error) {
	t.Helper()
	var refusal *client.Error
	require.ErrorAs(t, err, &refusal)
	require.NotNil(t, refusal.Quota, "%v", err)
}

// Several passes look at a workspace at once: those of replicas, and the one
// that looks when a stop has ended. Only one of them counts a refusal.
func TestARefusalIsCountedOnce(t *testing.T) {
	t.Parallel()
	const passes = 4
	atOnce := func(t *testing.T, s *scene, id uuid.UUID) {
		t.Helper()
		var running sync.WaitGroup
		for range passes {
			running.Go(func() { require.NoError(t, s.Server.Server.KeepSchedule(t.Context(), id)) })
		}
		running.Wait()
	}
	saying := func(t *testing.T, s *scene, build client.WorkspaceBuild, text string) int {
		t.Helper()
		logs, err := s.member.WorkspaceBuildLogs(t.Context(), build.ID, 0)
		require.NoError(t, err)
		found := 0
		for _, l := range logs {
			if strings.Contains(l.Output, text) {
				found++
			}
		}
		return found
	}
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		clock := servertest.NewClock()
		s := pricedScene(t, 5, 0, append(onTime(clock), servertest.WithStore(st), servertest.WithoutLoops())...)
		s.allow(t, 5)
		w := s.create(t, "box", func(r *client.CreateWorkspaceRequest) {
			schedule := "CRON_TZ=UTC 0 13 * * *"
			r.AutostartSchedule = &schedule
		})
		s.worker.take(t).costing(t, 5)
		s.limit(t, -1, 0)
		stop := s.restart(t, w, client.BuildOnSuccessRequest{})
		s.worker.take(t).costing(t, 0)
		require.Equal(t, 1, s.read(t, w.ID).Refusal.Tries, "the end of the stop has looked")
		stopped := []func() error{}
		for tries := 2; tries <= 7; tries++ {
			clock.Advance(s.read(t, w.ID).Refusal.RetryAt.Sub(clock.Now()))
			goOn, err := s.Server.Server.StoppedPass(t.Context(), w.ID)
			require.NoError(t, err)
			stopped = append(stopped, goOn)
			atOnce(t, s, w.ID)
			require.Equal(t, tries, s.read(t, w.ID).Refusal.Tries)
		}
		for _, goOn := range stopped {
			require.NoError(t, goOn())
		}
		require.Equal(t, 1, saying(t, s, stop, "is tried again"))
		require.Equal(t, 1, saying(t, s, stop, "is not made"))
		atOnce(t, s, w.ID)
		require.Nil(t, s.read(t, w.ID).Refusal.RetryAt, "what was given up does not begin again")

		// The same for its schedule, where one pass is stopped until it was given up.
		clock.Advance(s.read(t, w.ID).NextStartAt.Sub(clock.Now()))
		stopped = nil
		for tries := 1; tries <= 7; tries++ {
			goOn, err := s.Server.Server.StoppedPass(t.Context(), w.ID)
			require.NoError(t, err)
			stopped = append(stopped, goOn)
			atOnce(t, s, w.ID)
			require.Equal(t, tries, s.read(t, w.ID).Refusal.Tries)
			if tries < 7 {
				clock.Advance(s.read(t, w.ID).Refusal.RetryAt.Sub(clock.Now()))
			}
		}
		given := s.read(t, w.ID)
		require.Nil(t, given.Refusal.RetryAt)
		for _, admitted := range []int64{0, 1} {
			s.limit(t, -1, admitted)
			for _, goOn := range stopped {
				require.NoError(t, goOn())
			}
		}
		now := s.read(t, w.ID)
		require.Equal(t, given.Refusal, now.Refusal)
		require.Equal(t, given.NextStartAt, now.NextStartAt)
		require.Equal(t, 2, s.builds(t, w.ID), "and no start is made at a time that nobody has asked for")
	})
}

// What somebody uses counts for them and for the organization that it is in,
// and nowhere else.
func TestUseCountsForItsOwnerAndItsOrganizationOnly(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		s := pricedScene(t, 4, 0, servertest.WithStore(st), servertest.WithoutLoops())
		there, neighbour := *s, *s
		there.org = s.Organization(t, "elsewhere")
		_, err := s.Client.AddOrganizationMember(t.Context(), there.org.Name, s.user.ID.String())
		require.NoError(t, err)
		there.worker = there.newWorker(t, "there", nil)
		there.template = there.newTemplate(t, "priced", priced(4, 0), nil)
		neighbour.member, neighbour.user = s.NamedMember(t, s.org, "dev2")
		for _, who := range []*scene{s, &there, &neighbour} {
			who.allow(t, 8)
		}
		built := func(who *scene, name string) {
			t.Helper()
			require.NoError(t, who.tryCreate(t, name))
			who.worker.take(t).costing(t, 4)
		}
		credits := func(who *scene) int64 {
			quota, err := who.member.WorkspaceQuota(t.Context(), who.org.Name, client.Me)
			require.NoError(t, err)
			require.EqualValues(t, 8, quota.Budget)
			return quota.CreditsConsumed
		}
		built(s, "one")
		there.limit(t, 4, 1)
		there.requireUsed(t, 0, 0)
		built(&there, "two")
		there.requireUsed(t, 4, 1)
		require.EqualValues(t, 4, credits(s))
		require.EqualValues(t, 0, credits(&neighbour))

		s.limit(t, 12, 3)
		built(s, "three")
		built(&neighbour, "four")
		require.Equal(t, []int64{8, 4, 4}, []int64{credits(s), credits(&neighbour), credits(&there)})
		requireRefused(t, s.tryCreate(t, "five"), client.QuotaRefusal{Limit: client.QuotaUserAllowance, Budget: 8, Consumed: 8, Asked: 4})
		requireRefused(t, neighbour.tryCreate(t, "six"), client.QuotaRefusal{Limit: client.QuotaMaxDailyCost, Budget: 12, Consumed: 12, Asked: 4})
		s.limit(t, -1, 3)
		requireRefused(t, neighbour.tryCreate(t, "six"), client.QuotaRefusal{Limit: client.QuotaMaxRunningWorkspaces, Budget: 3, Consumed: 3, Asked: 1})
	})
}

// A daemon's figures are taken as sums can hold them, and add up.
func TestFiguresOfDaemonsAreBounded(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	w := s.create(t, "box")
	ends := func(cost int, resources ...int) int {
		t.Helper()
		result := client.BuildResult{DailyCost: cost}
		for i, c := range resources {
			result.Resources = append(result.Resources, client.ProvisionedResource{Address: fmt.Sprintf("thing.a%d", i), Type: "thing", Name: fmt.Sprintf("a%d", i), DailyCost: c})
		}
		j := s.worker.take(t)
		_, err := j.attempt.Complete(t.Context(), client.CompleteJobRequest{State: j.putState(t, 1, stateOf(j.ID)), Build: &result})
		require.NoError(t, err)
		return s.read(t, w.ID).LatestBuild.DailyCost
	}
	for _, c := range []struct {
		cost      int
		resources []int
		want      int
	}{
		{-7, nil, 0}, {5, nil, 5}, {0, []int{3, 4}, 7}, {9, []int{3, 4}, 9}, {0, []int{-3, 4}, 4},
		{math.MaxInt64, nil, math.MaxInt32}, {0, []int{math.MaxInt32, math.MaxInt32, 1}, math.MaxInt32},
	} {
		require.Equal(t, c.want, ends(c.cost, c.resources...), "%+v", c)
		s.ask(t, w.ID, client.TransitionStop)
	}
}

// Beyond every limit: a stop is planned at whatever cost, a start that costs
// what stands passes, and a cheaper plan frees nothing before its end.
func TestWhatStandsIsHeldUntilTheEnd(t *testing.T) {
	t.Parallel()
	s := pricedScene(t, 4, 4)
	s.allow(t, 9)
	w := s.create(t, "box")
	s.worker.take(t).costing(t, 4)
	s.requireUsed(t, 4, 1)
	s.limit(t, 1, -1)

	s.ask(t, w.ID, client.TransitionStop)
	stop := s.worker.take(t)
	require.True(t, stop.plan(t, 100).Granted, "a stop always passes")
	s.requireUsed(t, 100, 1)
	stop.costing(t, 4)
	s.requireUsed(t, 4, 0)

	require.NoError(t, s.tryBuild(t, w, client.TransitionStart), "it costs what stands already")
	start := s.worker.take(t)
	require.True(t, start.plan(t, 2).Granted)
	s.requireUsed(t, 4, 1)
	start.costing(t, 2)
	s.requireUsed(t, 2, 1)

	// No engine was started, so nothing can have changed.
	s.limit(t, -1, -1)
	require.NoError(t, s.tryBuild(t, w, client.TransitionStart))
	s.requireUsed(t, 4, 1)
	job, err := s.worker.client.AcquireJob(t.Context(), s.worker.id, client.AcquireJobRequest{RequestID: uuid.New()})
	require.NoError(t, err)
	attempt := s.worker.client.Attempt(job.AttemptID, job.Secret)
	require.NoError(t, attempt.Confirm(t.Context()))
	settled, err := attempt.Fail(t.Context(), client.FailJobRequest{Error: "no", EngineDead: true})
	require.NoError(t, err)
	require.Equal(t, client.JobFailed, settled.Status)
	s.requireUsed(t, 2, 1)
}

// Until the end is known the larger counts, whichever of both that is.
func TestTheLargerCountsAcrossAttempts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		left         *client.Standing
		during, then int64
	}{
		"less is left than was granted": {&client.Standing{DailyCost: 4}, 6, 4},
		"more is left than was granted": {&client.Standing{DailyCost: 9}, 9, 9},
		"nobody knows what is left":     {nil, 6, 6},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := pricedScene(t, 5, 2)
			s.allow(t, 100)
			s.create(t, "box")
			first := s.worker.take(t)
			require.True(t, first.plan(t, 6).Granted)
			settled, err := first.attempt.Fail(t.Context(), client.FailJobRequest{Error: "no", EngineDead: true, Retryable: true, Standing: c.left})
			require.NoError(t, err)
			require.True(t, settled.Retry)
			s.requireUsed(t, c.during, 1)
			s.worker.take(t).failWith(t, &client.Standing{Untouched: true})
			s.requireUsed(t, c.then, 1)
		})
	}
}

// A plan is granted to an engine that has started, and to nobody whose key is gone.
func TestAPlanOfWhoMayNotApplyIsNotGranted(t *testing.T) {
	t.Parallel()
	s := pricedScene(t, 5, 2)
	s.allow(t, 100)
	s.create(t, "box")
	job, err := s.worker.client.AcquireJob(t.Context(), s.worker.id, client.AcquireJobRequest{RequestID: uuid.New()})
	require.NoError(t, err)
	attempt := s.worker.client.Attempt(job.AttemptID, job.Secret)
	require.NoError(t, attempt.Confirm(t.Context()))
	_, err = attempt.DecidePlan(t.Context(), client.PlanRequest{DailyCost: 9})
	require.Equal(t, http.StatusConflict, client.StatusCode(err), "no engine has planned anything")
	s.requireUsed(t, 5, 1)
	require.NoError(t, attempt.StartEngine(t.Context()))

	require.NoError(t, s.Client.DeleteProvisionerKey(t.Context(), s.org.Name, "worker"))
	require.Eventually(t, func() bool {
		word, err := attempt.Renew(t.Context(), client.RenewRequest{})
		return err == nil && word.Revoked
	}, time.Minute, 50*time.Millisecond)
	_, err = attempt.DecidePlan(t.Context(), client.PlanRequest{DailyCost: 6})
	require.Equal(t, http.StatusConflict, client.StatusCode(err), "nothing is applied after a revocation")
	s.requireUsed(t, 5, 1)
	_, err = attempt.Fail(t.Context(), client.FailJobRequest{Error: "revoked", EngineDead: true})
	require.NoError(t, err)
	s.requireUsed(t, 0, 0)
}
