package server_test

import (
	"log/slog"
	"net/http"
	"net/url"
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

// A server that was stopped, or whose machine was paused, could not be renewed
// at meanwhile: that time is nobody's silence.
func TestAStoppedServerExpiresNobody(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		clock := servertest.NewClock()
		p := newProtocol(t, servertest.WithStore(st), servertest.WithoutLoops())
		p.Server.Server.LeaseClock(clock.Now)
		look := func() { require.NoError(t, p.Server.Server.LookAtLeases(t.Context())) }
		begun := p.workspace(t)
		running := p.begun(t)
		taken := p.workspace(t)
		waiting := p.acquire(t)
		require.NoError(t, waiting.Confirm(t.Context()))
		current := func(h held) bool {
			rows, err := st.ListCurrentAttempts(t.Context())
			require.NoError(t, err)
			for _, row := range rows {
				if row.ID == h.AttemptID {
					return true
				}
			}
			return false
		}
		look()
		for range 3 {
			clock.Advance(time.Hour)
			look()
		}
		require.True(t, current(running), "an engine that had started")
		require.True(t, current(waiting), "an attempt that had not begun")
		logs, err := p.Client.WorkspaceBuildLogs(t.Context(), begun.LatestBuild.ID, 0)
		require.NoError(t, err)
		require.Empty(t, logs, "nor is anybody called lost")

		for range 24 {
			clock.Advance(time.Second)
			look()
		}
		require.False(t, current(waiting), "a lease of silence before a server that is up")
		require.True(t, current(running), "the horizon has not come")
		logs, err = p.Client.WorkspaceBuildLogs(t.Context(), begun.LatestBuild.ID, 0)
		require.NoError(t, err)
		require.Len(t, logs, 1)
		w, err := p.Client.Workspace(t.Context(), taken.ID)
		require.NoError(t, err)
		require.Equal(t, client.JobPending, w.LatestBuild.Job.Status)
	})
}

// A process that is stopped between finding an attempt silent and ending it
// looks again: another replica has heard of the daemon meanwhile.
func TestAnAttemptThatAnotherReplicaHeardOfIsNotEnded(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		p := newProtocol(t, servertest.WithStore(st), servertest.WithoutLoops())
		p.workspace(t)
		h := p.begun(t)
		rows, err := st.ListCurrentAttempts(t.Context())
		require.NoError(t, err)
		require.Len(t, rows, 1)
		require.NoError(t, st.RenewAttempts(t.Context(), store.RenewAttemptsParams{RenewedAt: store.At(time.Now().Add(time.Second)), Ids: store.IDs([]uuid.UUID{h.AttemptID})}))
		ended, err := st.EndAttempt(t.Context(), store.EndAttemptParams{
			OrganizationID: p.org.ID, ID: h.AttemptID, RenewedAt: rows[0].RenewedAt, EndedAt: store.At(time.Now()), ExpiresAt: store.At(time.Now()), Reply: []byte{},
		})
		require.NoError(t, err)
		require.Zero(t, ended)
	})
}

// A renewal says that a daemon lives, not that it has the job on its disk: a
// hand-out that is renewed and never confirmed goes back all the same.
func TestRenewingIsNotConfirming(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		clock := servertest.NewClock()
		p := newProtocol(t, servertest.WithStore(st), servertest.WithoutLoops())
		p.Server.Server.LeaseClock(clock.Now)
		w := p.workspace(t)
		h := p.acquire(t)
		for range 10 {
			_, err := h.Renew(t.Context(), client.RenewRequest{})
			require.NoError(t, err)
			clock.Advance(time.Second)
			require.NoError(t, p.Server.Server.LookAtLeases(t.Context()))
		}
		word, err := h.Renew(t.Context(), client.RenewRequest{})
		require.NoError(t, err)
		require.False(t, word.Current)
		read, err := p.Client.Workspace(t.Context(), w.ID)
		require.NoError(t, err)
		require.Equal(t, client.JobPending, read.LatestBuild.Job.Status)
	})
}

// A daemon renews at one replica: the other one hears of it through the
// database, for as long as it does.
func TestReplicasHearOfEachOthersDaemons(t *testing.T) {
	t.Parallel()
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		t.Parallel()
		if o.PostgresURL == "" {
			t.Skip("SQLite has one server")
		}
		clock, horizon := servertest.NewClock(), 30*time.Second
		shorter := servertest.WithOptions(func(so *server.Options) { so.Horizon = horizon })
		p := newProtocol(t, servertest.WithStore(storetest.Open(t, o)), servertest.WithoutLoops(), shorter)
		p.Server.Server.LeaseClock(clock.Now)
		elsewhere, err := url.Parse("http://elsewhere.invalid")
		require.NoError(t, err)
		other, err := server.New(t.Context(), server.Options{AccessURL: elsewhere, Store: storetest.Open(t, o), Version: servertest.Version, PasswordMemory: 64, Horizon: horizon, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		other.LeaseClock(clock.Now)
		w := p.workspace(t)
		h := p.begun(t)
		pass := func(d time.Duration, renews bool) {
			t.Helper()
			for range d / time.Second {
				if renews {
					_, err := h.Renew(t.Context(), client.RenewRequest{})
					require.NoError(t, err)
				}
				clock.Advance(time.Second)
				require.NoError(t, p.Server.Server.LookAtLeases(t.Context()))
				require.NoError(t, other.LookAtLeases(t.Context()))
			}
		}
		status := func() (string, int) {
			t.Helper()
			read, err := p.Client.Workspace(t.Context(), w.ID)
			require.NoError(t, err)
			rows, err := p.Client.WorkspaceBuildLogs(t.Context(), w.LatestBuild.ID, 0)
			require.NoError(t, err)
			return read.LatestBuild.Job.Status, len(rows)
		}
		pass(2*horizon, true)
		now, said := status()
		require.Equal(t, client.JobRunning, now)
		require.Zero(t, said, "nobody is called lost")
		pass(horizon+10*time.Second, false)
		now, _ = status()
		require.Equal(t, client.JobFailed, now, "and no longer than that")
	})
}

// What an attempt says that has lost its build is told once, however often it
// says it: the doubts, and that its engine may have worked beside another one.
func TestALostAttemptIsHeard(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		clock, horizon := servertest.NewClock(), 30*time.Second
		p := newProtocol(t, servertest.WithStore(st), servertest.WithoutLoops(), servertest.WithOptions(func(o *server.Options) { o.Horizon = horizon }))
		p.Server.Server.LeaseClock(clock.Now)
		w := p.workspace(t)
		lost := p.begun(t)
		require.NoError(t, p.Server.Server.LookAtLeases(t.Context()))
		for range horizon / time.Second {
			clock.Advance(time.Second)
			require.NoError(t, p.Server.Server.LookAtLeases(t.Context()))
		}
		late := client.FailJobRequest{Error: "late", EngineDead: true, PastFence: true, InDoubt: []client.DoubtfulResource{{Address: "terraform_data.a", Action: "create"}}}
		for range 2 {
			_, err := lost.Fail(t.Context(), late)
			require.Equal(t, http.StatusConflict, client.StatusCode(err))
		}
		_, err := lost.Complete(t.Context(), client.CompleteJobRequest{PastFence: true, Build: &client.BuildResult{}})
		require.Equal(t, http.StatusConflict, client.StatusCode(err))
		late.InDoubt = append(late.InDoubt, client.DoubtfulResource{Address: "terraform_data.b", Action: "create"})
		_, err = lost.Fail(t.Context(), late)
		require.Equal(t, http.StatusConflict, client.StatusCode(err))
		rows, err := p.Client.WorkspaceBuildLogs(t.Context(), w.LatestBuild.ID, 0)
		require.NoError(t, err)
		told := []string{}
		for _, row := range rows {
			if row.Stage == "Reported late" {
				told = append(told, row.Output)
			}
		}
		require.Len(t, told, 4, "%v", told)
		require.Contains(t, told[0], "attempt "+lost.AttemptID.String()+" of this build ran past its fence")
		require.Contains(t, told[1], "terraform_data.a (create)")
		require.Contains(t, told[2], "only what is named here, as reported late, remains so", "nothing was known of its plan")
		require.Contains(t, told[3], "terraform_data.b (create)")

		// One that still holds its build overlapped with nobody.
		w = p.workspace(t)
		held := p.begun(t)
		_, err = held.Fail(t.Context(), client.FailJobRequest{Error: "slept", EngineDead: true, PastFence: true})
		require.NoError(t, err)
		rows, err = p.Client.WorkspaceBuildLogs(t.Context(), w.LatestBuild.ID, 0)
		require.NoError(t, err)
		require.Empty(t, rows)
	})
}

func TestAnEngineStartsAfterTheRecord(t *testing.T) {
	t.Parallel()
	p := newProtocol(t)
	p.workspace(t)
	h := p.acquire(t)
	require.Equal(t, http.StatusConflict, client.StatusCode(h.StartEngine(t.Context())), "nothing is on the daemon's disk yet")
	require.NoError(t, h.Confirm(t.Context()))
	require.NoError(t, h.StartEngine(t.Context()))
}

func TestABuildWhoseEngineMayLiveDoesNotEnd(t *testing.T) {
	t.Parallel()
	p := newProtocol(t)
	w := p.workspace(t)
	h := p.begun(t)
	_, err := h.Fail(t.Context(), client.FailJobRequest{Error: "the daemon gives up", Retryable: true})
	require.Equal(t, http.StatusBadRequest, client.StatusCode(err))
	b, err := p.Client.WorkspaceBuild(t.Context(), w.LatestBuild.ID)
	require.NoError(t, err)
	require.Equal(t, client.JobRunning, b.Job.Status)
	word, err := h.Renew(t.Context(), client.RenewRequest{})
	require.NoError(t, err)
	require.True(t, word.Current)
	_, err = h.Fail(t.Context(), client.FailJobRequest{Error: "the daemon gives up", EngineDead: true})
	require.NoError(t, err)
}

func TestABuildIsCompleteWithItsNewestState(t *testing.T) {
	t.Parallel()
	p := newProtocol(t)
	w := p.workspace(t)
	h := p.begun(t)
	one, two := state(1, "a"), state(2, "a", "b")
	require.NoError(t, h.PutState(t.Context(), ref(1, one), one))
	require.NoError(t, h.PutState(t.Context(), ref(2, two), two))
	older, newest := ref(1, one), ref(2, two)
	for _, named := range []*client.StateRef{nil, &older} {
		_, err := h.Complete(t.Context(), client.CompleteJobRequest{State: named, Build: &client.BuildResult{}})
		require.Equal(t, http.StatusBadRequest, client.StatusCode(err))
		require.ErrorContains(t, err, "number 2")
	}
	_, err := h.Complete(t.Context(), client.CompleteJobRequest{State: &newest, Build: &client.BuildResult{}})
	require.NoError(t, err)
	b, err := p.Client.WorkspaceBuild(t.Context(), w.LatestBuild.ID)
	require.NoError(t, err)
	require.Equal(t, client.JobSucceeded, b.Job.Status)
}

// Versions are pruned when a build has ended. A copy of one that comes late
// holds what the build has destroyed since, and is no news.
func TestALateCopyOfAPrunedStateIsNoSalvage(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		p := newProtocol(t, servertest.WithStore(st))
		w := p.workspace(t)
		stored := func(fence, n int64) bool {
			_, err := st.GetWorkspaceStateInfo(t.Context(), store.GetWorkspaceStateInfoParams{OrganizationID: p.org.ID, WorkspaceID: w.ID, Fence: fence, N: n})
			if !store.IsNotFound(err) {
				require.NoError(t, err)
			}
			return err == nil
		}
		first := p.begun(t)
		one, two, three := state(1, "a", "b"), state(2, "a"), state(3, "c")
		require.NoError(t, first.PutState(t.Context(), ref(1, one), one))
		require.NoError(t, first.PutState(t.Context(), ref(2, two), two))
		_, err := first.Fail(t.Context(), client.FailJobRequest{Error: "the link broke", Retryable: true, EngineDead: true})
		require.NoError(t, err)
		second := p.begun(t)
		require.NoError(t, second.PutState(t.Context(), ref(1, two), two))
		require.NoError(t, second.PutState(t.Context(), ref(2, three), three))
		named := ref(2, three)
		_, err = second.Complete(t.Context(), client.CompleteJobRequest{State: &named, Build: &client.BuildResult{}})
		require.NoError(t, err)
		require.False(t, stored(1, 1) || stored(1, 2) || stored(2, 1), "one version is left of a finished build")

		require.NoError(t, first.PutState(t.Context(), ref(1, one), one))
		require.NoError(t, first.PutState(t.Context(), ref(2, two), two))
		require.NoError(t, second.PutState(t.Context(), ref(1, two), two))
		require.False(t, stored(1, 1) || stored(1, 2) || stored(2, 1), "late copies")
		news := state(9, "a", "d")
		require.NoError(t, first.PutState(t.Context(), ref(3, news), news))
		require.True(t, stored(1, 3), "what the attempt had not handed in is kept")
	})
}

// A host on which nothing works does not keep a job in the queue for ever, and
// a hand-out that nobody has confirmed does not use up its tries.
func TestAJobIsNotTriedForEver(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	p := newProtocol(t, servertest.WithClock(clock), servertest.WithoutLoops())
	p.Server.Server.LeaseClock(clock.Now)
	w := p.workspace(t)
	broken := client.FailJobRequest{Error: "the link broke", Retryable: true, EngineDead: true}
	fail := func(h held) bool {
		settled, err := h.Fail(t.Context(), broken)
		require.NoError(t, err)
		return settled.Retry
	}
	require.True(t, fail(p.begun(t)), "once after an engine has started")
	require.True(t, fail(p.acquire(t)))
	require.True(t, fail(p.acquire(t)))
	last := p.acquire(t)
	for range 5 {
		clock.Advance(2 * time.Second)
		require.NoError(t, p.Server.Server.LookAtLeases(t.Context()))
	}
	b, err := p.Client.WorkspaceBuild(t.Context(), w.LatestBuild.ID)
	require.NoError(t, err)
	require.Equal(t, client.JobPending, b.Job.Status, "it was not confirmed and goes back")
	again := p.acquire(t)
	require.Equal(t, last.Number, again.Number)
	require.False(t, fail(again), "the fourth attempt is the last")
}
