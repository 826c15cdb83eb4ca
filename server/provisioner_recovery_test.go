package server_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
	"coder/store"
	"coder/store/storetest"
)

// restoreScene is a deployment that goes on after a copy of its database was
// taken, to be restored from that copy.
type restoreScene struct {
	*statesScene
	copied store.Options
	// fresh is the copy as it was taken, which copied is until a server starts on it.
	fresh store.Options
}

// newRestoreScene has a workspace whose first build has ended before the copy.
func newRestoreScene(t *testing.T, o store.Options) *restoreScene {
	t.Helper()
	s := &restoreScene{statesScene: newStatesScene(t, servertest.WithStore(storetest.Open(t, o)), servertest.WithoutLoops())}
	s.ends(t, s.begun(t), 1, objects(1, "a=1"))
	s.fresh = storetest.Copy(t, o)
	s.copied = storetest.Copy(t, s.fresh)
	return s
}

// lost is an attempt that the copy does not know, and what it has left.
type lost struct {
	held
	voucher string
	state   []byte
}

func (l lost) report() client.HistoryReport {
	r := client.HistoryReport{Voucher: l.voucher}
	if l.state == nil {
		r.Running = true
	} else {
		r.SHA256 = ref(1, l.state).SHA256
	}
	return r
}

// loses builds something that the copy does not know of.
func (s *restoreScene) builds(t *testing.T, state []byte) lost {
	t.Helper()
	h := s.acquire(t)
	require.NoError(t, h.Confirm(t.Context()))
	start, err := h.BeginEngine(t.Context())
	require.NoError(t, err)
	again, err := h.BeginEngine(t.Context())
	require.NoError(t, err)
	require.Equal(t, start, again)
	if state != nil {
		s.ends(t, h, 1, state)
	}
	return lost{h, start.Voucher, state}
}

func (s *restoreScene) buildsAgain(t *testing.T, w client.Workspace, state []byte) lost {
	t.Helper()
	_, err := s.Client.CreateWorkspaceBuild(t.Context(), w.ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionStart})
	require.NoError(t, err)
	return s.builds(t, state)
}

// another is a workspace that the copy does not know.
func (s *restoreScene) another(t *testing.T, state []byte) (client.Workspace, lost) {
	t.Helper()
	w := s.workspace(t)
	return w, s.builds(t, state)
}

// restore starts a server on the copy, which daemon-1 then joins.
func (s *restoreScene) restore(t *testing.T, witnesses ...string) *restoreScene {
	t.Helper()
	srv := servertest.New(t, servertest.WithStore(storetest.Open(t, s.copied)), servertest.WithoutUsers(), servertest.WithoutLoops())
	srv.Token = s.Token
	srv.Client = srv.WithToken(t, s.Token)
	p := &protocol{Server: srv, org: s.org, key: s.key}
	p.daemon = p.withKey(t, p.key)
	p.joined = p.rejoin(t, p.daemon, "daemon-1", nil, witnesses...)
	return &restoreScene{statesScene: &statesScene{protocol: p, w: s.w}}
}

func (p *protocol) rejoin(t *testing.T, c *client.Client, name string, tags map[string]string, witnesses ...string) client.RegisteredDaemon {
	t.Helper()
	joined, err := c.RegisterDaemon(t.Context(), client.RegisterDaemonRequest{
		Organization: p.org.Name, Name: name, Tags: tags, Provisioners: []string{"terraform"}, Version: "v0", APIVersion: "1.0", HostID: name, Witnesses: witnesses,
	})
	require.NoError(t, err)
	return joined
}

// says presents a witness without taking a job.
func (s *restoreScene) says(t *testing.T, witness string) client.AcquireReply {
	t.Helper()
	reply, err := s.daemon.AskForJob(t.Context(), s.joined.ID, client.AcquireJobRequest{RequestID: uuid.New(), Trouble: "none, it only says something", Witness: witness})
	require.NoError(t, err)
	require.Nil(t, reply.Job)
	return reply
}

func (s *restoreScene) reports(t *testing.T, reports ...client.HistoryReport) client.ReportHistoryResponse {
	t.Helper()
	reply, err := s.daemon.ReportHistory(t.Context(), s.joined.ID, client.ReportHistoryRequest{Reports: reports})
	require.NoError(t, err)
	return reply
}

func (s *restoreScene) handsIn(l lost) error {
	return s.daemon.PutLostState(context.Background(), s.joined.ID, l.AttemptID, l.state, ref(1, l.state).SHA256)
}

func (s *restoreScene) recovery(t *testing.T) client.Recovery {
	t.Helper()
	r, err := s.Client.Recovery(t.Context(), s.org.Name, client.Page{})
	require.NoError(t, err)
	return r
}

// asks for a build and returns its explanation.
func (s *restoreScene) asks(t *testing.T) client.ProvisionerJobExplanation {
	t.Helper()
	b, err := s.Client.CreateWorkspaceBuild(t.Context(), s.w.ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionStart})
	require.NoError(t, err)
	e, err := s.Client.ExplainProvisionerJob(t.Context(), s.org.Name, b.Job.ID)
	require.NoError(t, err)
	return e
}

func TestARestoredDatabaseLearnsWhatItLacks(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		t.Parallel()
		before := newRestoreScene(t, o)
		changed := before.buildsAgain(t, before.w, objects(2, "a=1", "b=2"))
		created, onlyThere := before.another(t, objects(1, "c=3"))
		witness := before.says(t, "").Witness
		require.NotEmpty(t, witness)

		s := before.restore(t)
		require.Empty(t, s.joined.Recovery)
		require.Empty(t, s.says(t, witness[:10]+"x"+witness[11:]).Recovery, "forged")
		require.Empty(t, s.says(t, "nonsense").Recovery)
		recovery := s.says(t, witness).Recovery
		require.NotEmpty(t, recovery)

		e := s.asks(t)
		require.Equal(t, client.ExplainRecovering, e.Code)
		require.Contains(t, e.Reason, "2 builds of which no provisioner has told yet")
		nothing := ""
		reply, err := s.daemon.AskForJob(t.Context(), s.joined.ID, client.AcquireJobRequest{RequestID: uuid.New(), Recovery: &nothing})
		require.NoError(t, err)
		require.Nil(t, reply.Job)
		require.Equal(t, recovery, reply.Recovery)

		require.Equal(t, []uuid.UUID{onlyThere.AttemptID}, s.reports(t, onlyThere.report()).Wanted)
		require.NoError(t, s.handsIn(onlyThere))
		require.NoError(t, s.handsIn(onlyThere), "the same call again")
		state, err := s.Client.LostState(t.Context(), s.org.Name, onlyThere.AttemptID)
		require.NoError(t, err)
		require.Equal(t, onlyThere.state, state)
		r := s.recovery(t)
		require.True(t, r.Recovering)
		require.Equal(t, []int64{2}, r.Missing)
		require.Equal(t, created.Name, r.Reports[0].WorkspaceName)
		require.False(t, r.Reports[0].WorkspaceKnown)
		require.Equal(t, client.LostKept, r.Reports[0].State)

		require.Equal(t, []uuid.UUID{changed.AttemptID}, s.reports(t, changed.report(), onlyThere.report()).Wanted)
		require.Equal(t, http.StatusConflict, client.StatusCode(s.handsIn(lost{changed.held, "", objects(9, "z=9")})), "another state than was reported")
		require.NoError(t, s.handsIn(changed))
		r = s.recovery(t)
		require.False(t, r.Recovering, r)
		require.Empty(t, r.EndedBy)
		next := s.acquire(t)
		require.Equal(t, changed.state, next.State, "the next build starts from what was built since")
		require.Greater(t, next.Fence, changed.Fence)
		require.NoError(t, next.Confirm(t.Context()))
		start, err := next.BeginEngine(t.Context())
		require.NoError(t, err)
		claim, err := client.ReadHistoryClaim(start.Voucher)
		require.NoError(t, err)
		require.EqualValues(t, 4, claim.Number, "no number is used twice")
		require.Equal(t, []int64{2, 1}, claim.Previous)
		require.Equal(t, []string{"1 earlier", "2 current"}, s.kinds(t))
		require.Empty(t, s.says(t, witness).Recovery, "it is no news any more")
	})
}

func TestARecoveryWaitsForWhatNobodyTells(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		t.Parallel()
		before := newRestoreScene(t, o)
		older := before.buildsAgain(t, before.w, objects(2, "a=1", "b=2"))
		_, gone := before.another(t, objects(1, "c=3"))
		running := before.buildsAgain(t, before.w, nil)

		s := before.restore(t, running.voucher, gone.voucher)
		require.NotEmpty(t, s.joined.Recovery, "a voucher is a witness too")
		reply := s.reports(t, running.report(), older.report())
		require.Equal(t, []uuid.UUID{running.AttemptID}, reply.Held)
		require.Equal(t, []uuid.UUID{older.AttemptID}, reply.Wanted, "as long as the later one has not ended")
		e := s.asks(t)
		require.Contains(t, e.Reason, "1 build of which no provisioner has told yet")
		require.Contains(t, e.Reason, "the end of a build of")

		running.state = objects(3, "a=1", "b=2", "d=4")
		still := running.report()
		still.Running = true
		require.Equal(t, []uuid.UUID{running.AttemptID}, s.reports(t, still).Held)
		require.Equal(t, http.StatusConflict, client.StatusCode(s.handsIn(running)), "its engine may still run")
		require.Equal(t, []uuid.UUID{running.AttemptID}, s.reports(t, older.report(), running.report()).Wanted, "the last of a workspace")
		require.NoError(t, s.handsIn(running))
		require.NoError(t, s.handsIn(older), "it changes nothing any more")
		require.True(t, s.recovery(t).Recovering)
		require.Equal(t, []int64{3}, s.recovery(t).Missing)

		outsider := s.WithToken(t, "")
		_, err := outsider.EndRecovery(t.Context(), s.org.Name)
		require.Equal(t, http.StatusUnauthorized, client.StatusCode(err))
		ended, err := s.Client.EndRecovery(t.Context(), s.org.Name)
		require.NoError(t, err)
		require.False(t, ended.Recovering)
		require.NotEmpty(t, ended.EndedBy)
		_, err = s.Client.EndRecovery(t.Context(), s.org.Name)
		require.Equal(t, http.StatusConflict, client.StatusCode(err))
		require.Equal(t, running.state, s.acquire(t).State)

		// What comes after that is kept, and changes no state.
		late := s.reports(t, gone.report())
		require.Empty(t, late.Recovery)
		require.Equal(t, []uuid.UUID{gone.AttemptID}, late.Wanted)
		require.NoError(t, s.handsIn(gone))
		state, err := s.Client.LostState(t.Context(), s.org.Name, gone.AttemptID)
		require.NoError(t, err)
		require.Equal(t, gone.state, state)
	})
}

func TestALateStateIsSalvage(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		t.Parallel()
		before := newRestoreScene(t, o)
		first := before.buildsAgain(t, before.w, objects(2, "a=1", "b=2"))

		// Nobody remembered anything when the restored server built again.
		s := before.restore(t)
		s.asks(t)
		again := s.builds(t, objects(2, "a=1", "x=7"))
		require.Equal(t, first.Fence, again.Fence, "the copy counts from where it was taken")
		require.Empty(t, s.says(t, again.voucher).Recovery)
		require.NotEmpty(t, s.says(t, first.voucher).Recovery, "the number is known, and the attempt is not")
		require.Equal(t, []uuid.UUID{first.AttemptID}, s.reports(t, first.report(), again.report()).Wanted)
		require.NoError(t, s.handsIn(first))
		require.False(t, s.recovery(t).Recovering)
		require.Equal(t, []string{"1 earlier", "2 current", "3 salvage"}, s.kinds(t))
		s.asks(t)
		require.Equal(t, []string{"terraform_data.a=1", "terraform_data.b=2", "terraform_data.x=7"}, things(t, s.acquire(t).State))
	})
}

func TestABuildThatWasHandedOutWithAnOlderStateGoesBack(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		t.Parallel()
		before := newRestoreScene(t, o)
		first := before.buildsAgain(t, before.w, objects(2, "a=9", "b=2"))
		for _, ended := range []bool{false, true} {
			s := before.restore(t)
			job := s.asks(t).Job
			h := s.acquire(t)
			require.NoError(t, h.Confirm(t.Context()))
			require.NotEmpty(t, s.says(t, first.voucher).Recovery)
			s.reports(t, first.report())
			if ended {
				require.NoError(t, s.handsIn(first))
				require.False(t, s.recovery(t).Recovering)
			}
			_, err := h.BeginEngine(t.Context())
			require.Equal(t, http.StatusConflict, client.StatusCode(err))
			if !ended {
				e, err := s.Client.ExplainProvisionerJob(t.Context(), s.org.Name, job.ID)
				require.NoError(t, err)
				require.Equal(t, client.ExplainRecovering, e.Code)
				require.Contains(t, e.Reason, "the state of ")
				require.NoError(t, s.handsIn(first))
			}
			next := s.acquire(t)
			require.Equal(t, job.ID, next.ID)
			require.Equal(t, 1, next.Number, "what went back does not count")
			require.Equal(t, first.state, next.State)
			require.NoError(t, next.Confirm(t.Context()))
			require.NoError(t, next.StartEngine(t.Context()))
			before.copied = storetest.Copy(t, before.fresh)
		}
	})
}

// A provisioner with a job tells what it remembers without ending that first:
// its renewals bring the news, both ways.
func TestABusyProvisionerIsAsked(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		t.Parallel()
		before := newRestoreScene(t, o)
		before.workspace(t)
		busy := before.acquire(t)
		require.NoError(t, busy.Confirm(t.Context()))
		require.NoError(t, busy.StartEngine(t.Context()))
		before.copied = storetest.Copy(t, o)
		ended := before.buildsAgain(t, before.w, objects(2, "a=1", "b=2"))

		s := before.restore(t)
		a := s.daemon.Attempt(busy.AttemptID, busy.Secret)
		nothing := ""
		reply, err := a.Renew(t.Context(), client.RenewRequest{Recovery: &nothing})
		require.NoError(t, err)
		require.Empty(t, reply.Recovery)
		forged, err := a.Renew(t.Context(), client.RenewRequest{Recovery: &nothing, Witness: "nonsense"})
		require.NoError(t, err)
		require.Equal(t, reply, forged)

		news := make(chan client.RenewResponse, 1)
		go func() {
			reply, err := a.Renew(t.Context(), client.RenewRequest{Recovery: &nothing, WaitMS: time.Minute.Milliseconds()})
			assert.NoError(t, err)
			news <- reply
		}()
		told, err := a.Renew(t.Context(), client.RenewRequest{Witness: ended.voucher})
		require.NoError(t, err)
		require.NotEmpty(t, told.Recovery, "what it remembers is heard")
		require.Equal(t, told.Recovery, (<-news).Recovery, "who waits hears of it")
		require.True(t, told.Current)
		require.Equal(t, []uuid.UUID{ended.AttemptID}, s.reports(t, ended.report()).Wanted)
		require.NoError(t, s.handsIn(ended))
		require.False(t, s.recovery(t).Recovering)
	})
}

// A recovery waits for what was lost, and for nothing that the copy knew or
// that an earlier recovery has settled, however often the database is restored.
func TestARecoveryWaitsForNothingThatIsThere(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		t.Parallel()
		before := newRestoreScene(t, o)
		first := before.buildsAgain(t, before.w, objects(2, "a=1", "b=2"))
		opts := before.copied
		s := before.restore(t, first.voucher)
		s.reports(t, first.report())
		require.NoError(t, s.handsIn(first))
		require.False(t, s.recovery(t).Recovering)

		// Restored to where number 3 was known, and noticed late: 4 and 5 were lost, and are given again.
		s.buildsAgain(t, s.w, objects(3, "a=1", "b=2", "c=3"))
		s.copied = storetest.Copy(t, opts)
		_, elsewhere := s.another(t, objects(1, "y=1"))
		second := s.buildsAgain(t, s.w, objects(4, "a=1", "b=2", "c=3", "d=4"))
		opts = s.copied
		s = s.restore(t)
		s.buildsAgain(t, s.w, objects(4, "a=1", "b=2", "c=3", "e=5"))
		s.buildsAgain(t, s.w, objects(5, "a=1", "b=2", "c=3", "e=5", "f=6"))

		// Restored once more, which is noticed before that: 6 was lost.
		s.copied = storetest.Copy(t, opts)
		_, third := s.another(t, objects(1, "z=1"))
		s = s.restore(t, third.voucher)
		require.NotEmpty(t, s.says(t, second.voucher).Recovery)
		r := s.recovery(t)
		require.EqualValues(t, []int64{5, 6, 1}, []int64{r.CopyNumber, r.Witnessed, r.MissingCount})
		require.Equal(t, []uuid.UUID{third.AttemptID}, s.reports(t, third.report()).Wanted)
		require.NoError(t, s.handsIn(third))
		require.False(t, s.recovery(t).Recovering)

		require.NotEmpty(t, s.says(t, second.voucher).Recovery, "it is still to be told")
		r = s.recovery(t)
		require.EqualValues(t, []int64{3, 5, 2}, []int64{r.CopyNumber, r.Witnessed, r.MissingCount})
		require.Equal(t, []uuid.UUID{elsewhere.AttemptID}, s.reports(t, elsewhere.report()).Wanted)
		require.NoError(t, s.handsIn(elsewhere))
		require.Equal(t, []uuid.UUID{second.AttemptID}, s.reports(t, second.report()).Wanted)
		require.Equal(t, 1, s.recovery(t).AwaitedCount)
		require.NoError(t, s.handsIn(second))
		r = s.recovery(t)
		require.False(t, r.Recovering)
		require.Equal(t, 4, r.ReportsCount)
		require.Zero(t, r.AwaitedCount)
		require.Len(t, r.Reports, 4)
		page, err := s.Client.Recovery(t.Context(), s.org.Name, client.Page{Limit: 1, Offset: 1})
		require.NoError(t, err)
		require.Equal(t, r.Reports[1:2], page.Reports)
		require.Equal(t, 4, page.ReportsCount)
		beyond, err := s.Client.Recovery(t.Context(), s.org.Name, client.Page{Offset: 4})
		require.NoError(t, err)
		require.Empty(t, beyond.Reports)
		_, err = s.Client.Recovery(t.Context(), s.org.Name, client.Page{Limit: client.MaxRecoveryReports + 1})
		require.Equal(t, http.StatusBadRequest, client.StatusCode(err))
	})
}

// A replica that goes on while the database is restored under it remembers
// what it has committed.
func TestAReplicaNoticesARestoreUnderIt(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		t.Parallel()
		s := newRestoreScene(t, o)
		s.buildsAgain(t, s.w, objects(2, "a=1", "b=2"))
		require.Empty(t, s.says(t, "").Recovery)
		require.NoError(t, s.Store.LiftHistory(t.Context(), store.LiftHistoryParams{OrganizationID: s.org.ID, Number: 1, AttemptID: uuid.New(), Witness: "", UpdatedAt: store.At(time.Now())}))
		b, err := s.Client.CreateWorkspaceBuild(t.Context(), s.w.ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionStart})
		require.NoError(t, err)
		nothing := ""
		require.Eventually(t, func() bool {
			reply, err := s.daemon.AskForJob(t.Context(), s.joined.ID, client.AcquireJobRequest{RequestID: uuid.New(), Recovery: &nothing})
			return err == nil && reply.Job == nil && reply.Recovery != ""
		}, time.Minute, time.Millisecond)
		e, err := s.Client.ExplainProvisionerJob(t.Context(), s.org.Name, b.Job.ID)
		require.NoError(t, err)
		require.Equal(t, client.ExplainRecovering, e.Code)
		health, err := s.Client.Health(t.Context())
		require.NoError(t, err)
		require.Equal(t, client.HealthRecovering, health.Database.Warnings[0].Code)
	})
}

func TestWhoMayTellOfLostBuilds(t *testing.T) {
	t.Parallel()
	before := newRestoreScene(t, storetest.SQLiteOptions(t))
	mine := before.buildsAgain(t, before.w, objects(2, "a=1", "b=2"))
	s := before.restore(t)
	member := s.Person(t, s.org)
	daemon := member.Client
	joined := s.rejoin(t, daemon, "of-a-member", map[string]string{"scope": "user"})
	ask := func(witness string) client.AcquireReply {
		reply, err := daemon.AskForJob(t.Context(), joined.ID, client.AcquireJobRequest{RequestID: uuid.New(), Trouble: "it only says something", Witness: witness})
		require.NoError(t, err)
		return reply
	}
	require.Empty(t, ask("").Witness, "how far the organization has come is no business of a member's daemon")
	require.NotEmpty(t, ask(mine.voucher).Recovery)
	reply, err := daemon.ReportHistory(t.Context(), joined.ID, client.ReportHistoryRequest{Reports: []client.HistoryReport{mine.report()}})
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{mine.AttemptID}, reply.Refused, "the workspace is somebody else's")
	require.Empty(t, reply.Wanted)

	other := s.Organization(t, "other")
	key, err := s.Client.CreateProvisionerKey(t.Context(), other.Name, client.CreateProvisionerKeyRequest{Name: "k"})
	require.NoError(t, err)
	foreign := &protocol{Server: s.Server, org: other, key: key.Key}
	c, theirs := foreign.join(t, "daemon-1")
	refused, err := c.ReportHistory(t.Context(), theirs.ID, client.ReportHistoryRequest{Reports: []client.HistoryReport{mine.report()}})
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{mine.AttemptID}, refused.Refused)
	require.Equal(t, http.StatusNotFound, client.StatusCode(c.PutLostState(t.Context(), theirs.ID, mine.AttemptID, mine.state, ref(1, mine.state).SHA256)))
	require.Equal(t, http.StatusNotFound, client.StatusCode(s.handsIn(mine)), "it was not reported yet")

	// Neither a witness nor a forged voucher hands in a state.
	witness := before.says(t, "").Witness
	forged := strings.Replace(mine.voucher, ".", "A.", 1)
	require.Empty(t, s.reports(t, client.HistoryReport{Voucher: witness, SHA256: ref(1, mine.state).SHA256}, client.HistoryReport{Voucher: forged, SHA256: ref(1, mine.state).SHA256}).Wanted)
	require.Equal(t, []uuid.UUID{mine.AttemptID}, s.reports(t, mine.report()).Wanted)
	theirBuild := s.asksAs(t, member)
	require.Contains(t, theirBuild.WaitReason, "the states of 1 other build")
	require.NotContains(t, theirBuild.WaitReason, s.w.Name, "a member may not see the workspaces of others")
	_, err = member.Client.Recovery(t.Context(), s.org.Name, client.Page{})
	require.Equal(t, http.StatusNotFound, client.StatusCode(err))
	_, err = member.Client.EndRecovery(t.Context(), s.org.Name)
	require.Equal(t, http.StatusNotFound, client.StatusCode(err))
	_, err = member.Client.LostState(t.Context(), s.org.Name, mine.AttemptID)
	require.Equal(t, http.StatusNotFound, client.StatusCode(err))

}

// Starts of many builds at once, each said more than once, put none of them
// back as if the database were an older copy.
func TestEnginesThatStartAtOnceAreNumbered(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		t.Parallel()
		p := newProtocol(t, servertest.WithStore(storetest.Open(t, o)), servertest.WithoutLoops())
		const builds, calls = 5, 3
		started := make([]held, builds)
		for i := range started {
			p.workspace(t)
			started[i] = p.acquire(t)
			require.NoError(t, started[i].Confirm(t.Context()))
		}
		vouchers := make([][calls]string, builds)
		errs := make([][calls]error, builds)
		var all sync.WaitGroup
		for i, h := range started {
			for j := range calls {
				all.Go(func() {
					start, err := h.BeginEngine(t.Context())
					vouchers[i][j], errs[i][j] = start.Voucher, err
				})
			}
		}
		all.Wait()
		numbers := map[int64]bool{}
		for i := range started {
			for j := range calls {
				require.NoError(t, errs[i][j])
				require.Equal(t, vouchers[i][0], vouchers[i][j])
			}
			claim, err := client.ReadHistoryClaim(vouchers[i][0])
			require.NoError(t, err)
			numbers[claim.Number] = true
		}
		require.Len(t, numbers, builds)
		require.True(t, numbers[1] && numbers[builds], "without a gap")
	})
}

// The restored server counts hand-outs from where the copy was taken, so that
// a lost state may have a higher fence than what was built since, and a
// recovered one a higher fence than that of a later lost build.
func TestFencesThatWereGivenOutAgainReplaceNothing(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		t.Parallel()
		before := newRestoreScene(t, o)
		first := before.buildsAgain(t, before.w, objects(2, "a=1", "b=2"))
		second := before.buildsAgain(t, before.w, objects(3, "a=1", "b=3"))

		s := before.restore(t)
		s.asks(t)
		again := s.builds(t, objects(2, "a=1", "x=7"))
		require.Less(t, again.Fence, second.Fence)
		require.NotEmpty(t, s.says(t, second.voucher).Recovery)
		require.Equal(t, []uuid.UUID{second.AttemptID}, s.reports(t, second.report(), first.report()).Wanted)
		require.NoError(t, s.handsIn(second))
		require.Equal(t, []string{"1 earlier", "2 current", "3 salvage"}, s.kinds(t), "what was built since the restore stands")

		before.copied = storetest.Copy(t, before.fresh)
		s = before.restore(t)
		s.asks(t)
		h := s.acquire(t)
		require.NoError(t, h.Confirm(t.Context()))
		require.NotEmpty(t, s.says(t, second.voucher).Recovery)
		require.Equal(t, http.StatusConflict, client.StatusCode(h.StartEngine(t.Context())))
		s.reports(t, first.report())
		require.NoError(t, s.handsIn(first))
		s.reports(t, second.report())
		require.NoError(t, s.handsIn(second))
		require.False(t, s.recovery(t).Recovering)
		require.Equal(t, []string{"1 earlier", "2 earlier", "3 current"}, s.kinds(t), "the later of two lost states is the current one")
		require.Equal(t, second.state, s.acquire(t).State)
	})
}

// An attempt that the copy knew before its engine had started, and whose number
// was given out again.
func TestANumberThatWasGivenOutAgainKeepsNobodyFromTelling(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		t.Parallel()
		before := newRestoreScene(t, o)
		other := before.workspace(t)
		_, err := before.acquire(t).Fail(t.Context(), client.FailJobRequest{Error: "no engine has started"})
		require.NoError(t, err)
		_, err = before.Client.CreateWorkspaceBuild(t.Context(), before.w.ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionStart})
		require.NoError(t, err)
		h := before.acquire(t)
		require.NoError(t, h.Confirm(t.Context()))
		before.copied = storetest.Copy(t, o)
		start, err := h.BeginEngine(t.Context())
		require.NoError(t, err)
		lost := lost{h, start.Voucher, nil}

		s := before.restore(t)
		_, err = s.Client.CreateWorkspaceBuild(t.Context(), other.ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionStart})
		require.NoError(t, err)
		s.builds(t, objects(1, "o=1"))
		require.NotEmpty(t, s.says(t, lost.voucher).Recovery)
		s.reports(t, lost.report())
		require.False(t, s.recovery(t).Recovering)
	})
}

// A daemon tells of an attempt what it has read while that ran, after another
// daemon of the spool has told of its end.
func TestALateReportTakesNoEndBack(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		before := newRestoreScene(t, o)
		changed := before.buildsAgain(t, before.w, objects(2, "a=1", "b=2"))
		s := before.restore(t, changed.voucher)
		s.reports(t, changed.report())
		// another daemon of the spool has read it while it ran
		s.reports(t, client.HistoryReport{Voucher: changed.voucher, Running: true})
		require.NoError(t, s.handsIn(changed))
		require.False(t, s.recovery(t).Recovering)
	})
}

// A clock that had once gone ahead makes a recovery wait for nothing that the
// database has.
func TestARecoveryAfterAClockThatWasAhead(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		clock := servertest.NewClock()
		clock.Advance(time.Since(clock.Now()))
		s := &restoreScene{statesScene: newStatesScene(t, servertest.WithStore(storetest.Open(t, o)), servertest.WithoutLoops(), servertest.WithClock(clock))}
		s.ends(t, s.begun(t), 1, objects(1, "a=1"))
		clock.Advance(time.Hour)
		_, known := s.another(t, objects(1, "c=3")) // 2, in the copy, by a clock that is ahead
		clock.Advance(-time.Hour)
		s.copied = storetest.Copy(t, o)
		changed := s.buildsAgain(t, s.w, objects(2, "a=1", "b=2")) // 3 is lost
		r := s.restore(t, changed.voucher)
		r.reports(t, known.report(), changed.report())
		require.NoError(t, r.handsIn(changed))
		rec := r.recovery(t)
		require.False(t, rec.Recovering, "%+v", rec)
	})
}

// A clock that goes ahead by a week, and back later, has attempts pruned that
// provisioners remember still: that the database does not know them is no news.
func TestAPrunedAttemptIsNoNews(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		t.Parallel()
		s := newRestoreScene(t, o)
		ended := s.buildsAgain(t, s.w, objects(2, "a=1", "b=2"))
		_, err := s.Client.CreateWorkspaceBuild(t.Context(), s.w.ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionStart})
		require.NoError(t, err)
		silent := s.builds(t, nil) // of which nothing else is kept: neither a state nor a line
		again, err := silent.Fail(t.Context(), client.FailJobRequest{Error: "its host broke", EngineDead: true, Retryable: true})
		require.NoError(t, err)
		require.True(t, again.Retry)
		s.builds(t, objects(3, "a=1", "b=2", "c=3"))
		later := time.Now().Add(8 * 24 * time.Hour)
		rows, err := s.Store.PruneAttempts(t.Context(), store.At(later))
		require.NoError(t, err)
		require.Positive(t, rows)
		require.Empty(t, s.says(t, ended.voucher).Recovery)
		require.Empty(t, s.says(t, silent.voucher).Recovery)

		// Nor is it news in a recovery from what was lost indeed.
		before := &restoreScene{statesScene: s.statesScene, copied: storetest.Copy(t, o)}
		lost := before.buildsAgain(t, s.w, objects(4, "a=1", "b=2", "d=4"))
		s = before.restore(t, lost.voucher)
		require.Equal(t, []uuid.UUID{silent.AttemptID}, s.reports(t, silent.report()).Refused)
		require.Equal(t, []uuid.UUID{lost.AttemptID}, s.reports(t, lost.report()).Wanted)
		require.NoError(t, s.handsIn(lost))
		require.False(t, s.recovery(t).Recovering)
	})
}

// A delete that the copy does not know of: the workspace is there again, and
// what its provisioner tells is that nothing of it is.
func TestALostDeleteIsTold(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		t.Parallel()
		before := newRestoreScene(t, o)
		_, err := before.Client.CreateWorkspaceBuild(t.Context(), before.w.ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionDelete})
		require.NoError(t, err)
		deleted := before.builds(t, objects(2))
		_, err = before.Client.Workspace(t.Context(), before.w.ID)
		require.Equal(t, http.StatusGone, client.StatusCode(err))

		s := before.restore(t, deleted.voucher)
		_, err = s.Client.Workspace(t.Context(), s.w.ID)
		require.NoError(t, err)
		require.Equal(t, []uuid.UUID{deleted.AttemptID}, s.reports(t, deleted.report()).Wanted)
		require.NoError(t, s.handsIn(deleted))
		r := s.recovery(t)
		require.False(t, r.Recovering)
		require.Equal(t, client.TransitionDelete, r.Reports[0].Transition)
		require.Equal(t, client.LostCurrent, r.Reports[0].State)
		again := s.build(t, client.TransitionDelete)
		require.Empty(t, things(t, again.State), "nothing is left to be destroyed")
		s.ends(t, again, 1, objects(3))
		_, err = s.Client.Workspace(t.Context(), s.w.ID)
		require.Equal(t, http.StatusGone, client.StatusCode(err))
	})
}

// A voucher of an attempt that the copy knows is good as long as its secret.
func TestAVoucherEndsWithTheSecretOfItsAttempt(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		t.Parallel()
		before := newRestoreScene(t, o)
		known := before.buildsAgain(t, before.w, nil)
		before.copied = storetest.Copy(t, o)
		_, unknown := before.another(t, objects(1, "c=3"))
		s := before.restore(t, unknown.voucher)
		known.state = objects(2, "a=1", "d=4")
		attempt, err := s.Store.GetAttempt(t.Context(), known.AttemptID)
		require.NoError(t, err)
		over := time.Now().Add(-time.Second)
		rows, err := s.Store.EndAttempt(t.Context(), store.EndAttemptParams{
			OrganizationID: s.org.ID, ID: attempt.ID, RenewedAt: attempt.RenewedAt, EndedAt: store.At(over.Add(-client.ClaimLife)), ExpiresAt: store.At(over), Reply: []byte{},
		})
		require.NoError(t, err)
		require.EqualValues(t, 1, rows)
		require.Equal(t, []uuid.UUID{known.AttemptID}, s.reports(t, known.report()).Refused)
		require.Equal(t, http.StatusNotFound, client.StatusCode(s.handsIn(known)))
		require.True(t, s.recovery(t).Recovering)
	})
}

// asksAs is a build that somebody else asks for, of a workspace of their own.
func (s *restoreScene) asksAs(t *testing.T, p servertest.Person) client.ProvisionerJob {
	t.Helper()
	w, err := p.Client.CreateWorkspace(t.Context(), s.org.Name, client.Me, client.CreateWorkspaceRequest{TemplateID: &s.w.TemplateID, Name: "w-" + uuid.NewString()[:8]})
	require.NoError(t, err)
	return w.LatestBuild.Job
}

// Whoever ends a recovery lets no second engine run beside one that the
// database does not know.
func TestTheEndOfARecoveryWaitsForEnginesThatRun(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		t.Parallel()
		before := newRestoreScene(t, o)
		running := before.buildsAgain(t, before.w, nil)
		s := before.restore(t, running.voucher)
		job := s.asks(t).Job
		require.Equal(t, []uuid.UUID{running.AttemptID}, s.reports(t, running.report()).Held)
		_, err := s.Client.EndRecovery(t.Context(), s.org.Name)
		require.NoError(t, err)
		e, err := s.Client.ExplainProvisionerJob(t.Context(), s.org.Name, job.ID)
		require.NoError(t, err)
		require.Equal(t, client.ExplainOlderEngine, e.Code)

		_, early := s.another(t, objects(1, "c=3")) // it is handed out although the other one is older
		require.NotEqual(t, job.ID, early.ID)
		running.state = objects(3, "a=1", "d=4")
		require.Equal(t, []uuid.UUID{running.AttemptID}, s.reports(t, running.report()).Wanted)
		require.NoError(t, s.handsIn(running))
		next := s.acquire(t)
		require.Equal(t, job.ID, next.ID)
		require.Equal(t, []string{"terraform_data.a=1", "terraform_data.d=4"}, things(t, next.State))
	})
}
