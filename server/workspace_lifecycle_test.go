package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
	"coder/store/storetest"
)

func weekdaysAtNine(r *client.CreateWorkspaceRequest) { r.AutostartSchedule = pointer("0 9 * * 1-5") }

func livesFor(ttl time.Duration) func(*client.CreateWorkspaceRequest) {
	return func(r *client.CreateWorkspaceRequest) { r.TTLMillis = pointer(ttl.Milliseconds()) }
}

// isBuild waits for a build made by the life cycle.
func (s *scene) isBuild(t *testing.T, id uuid.UUID, number int64, transition, reason string) client.Workspace {
	t.Helper()
	w := s.eventually(t, id, transition+" because of "+reason, func(w client.Workspace) bool { return w.LatestBuild.BuildNumber >= number })
	require.Equal(t, number, w.LatestBuild.BuildNumber)
	require.Equal(t, transition, w.LatestBuild.Transition)
	require.Equal(t, reason, w.LatestBuild.Reason)
	require.Equal(t, s.user.ID, w.LatestBuild.InitiatorID)
	return w
}

// settle lets the life cycle look at everything once more: it has looked at
// all that was due when it builds the second of two more that are due.
func (s *scene) settle(t *testing.T) {
	t.Helper()
	for range 2 {
		marker := s.create(t, "marker-"+uuid.NewString()[:8])
		s.worker.take(t).succeed(t)
		require.NoError(t, s.Client.UpdateWorkspaceDormancy(t.Context(), marker.ID, client.UpdateWorkspaceDormancyRequest{Dormant: true}))
		s.eventually(t, marker.ID, "the life cycle has looked", func(w client.Workspace) bool { return w.LatestBuild.BuildNumber == 2 })
		s.worker.take(t).succeed(t)
	}
}

func TestAutostop(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	s := newScene(t, onTime(clock)...)
	w := s.create(t, "box", livesFor(2*time.Hour+30*time.Second))
	require.Equal(t, (2 * time.Hour).Milliseconds(), *w.TTLMillis, "whole minutes")
	clock.Advance(10 * time.Minute)
	s.worker.take(t).succeed(t)
	deadline := func() time.Time { return *s.read(t, w.ID).LatestBuild.Deadline }
	require.Equal(t, clock.Now().Add(2*time.Hour), deadline(), "counted from the end of the build")

	extend := func(to time.Duration) error {
		return s.member.ExtendWorkspace(t.Context(), w.ID, client.ExtendWorkspaceRequest{Deadline: clock.Now().Add(to)})
	}
	refused(t, extend(29*time.Minute), http.StatusBadRequest, "deadline")
	require.NoError(t, extend(3*time.Hour))
	require.Equal(t, clock.Now().Add(3*time.Hour), deadline())
	clock.Advance(3*time.Hour - time.Minute)
	s.settle(t)
	require.Equal(t, client.WorkspaceRunning, s.read(t, w.ID).LatestBuild.Status)

	status, _ := s.Raw(t, s.Token, http.MethodPost, "/workspaces/"+w.ID.String()+"/usage", "")
	require.Equal(t, http.StatusNoContent, status)
	require.Equal(t, clock.Now().Add(time.Hour), deadline(), "activity moves it by the template's hour")
	require.Equal(t, clock.Now(), s.read(t, w.ID).LastUsedAt)
	status, _ = s.Raw(t, s.Token, http.MethodPost, "/workspaces/"+w.ID.String()+"/usage", `{"agent_id":"`+uuid.NewString()+`","app_name":"ssh"}`)
	require.Equal(t, http.StatusBadRequest, status)
	status, _ = s.Raw(t, s.Token, http.MethodPost, "/workspaces/"+w.ID.String()+"/usage", `{"agent_id":"`+uuid.NewString()+`","app_name":"golf"}`)
	require.Equal(t, http.StatusBadRequest, status)

	clock.Advance(time.Hour)
	s.isBuild(t, w.ID, 2, client.TransitionStop, client.BuildReasonAutostop)
	s.worker.take(t).succeed(t)
	s.settle(t)
	require.Equal(t, 2, s.builds(t, w.ID))
	refused(t, extend(time.Hour), http.StatusConflict)
}

func TestTimeToLive(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	s := newScene(t, onTime(clock)...)
	s.change(t, client.UpdateTemplateRequest{DefaultTTLMS: pointer((8 * time.Hour).Milliseconds())})
	w := s.running(t, "box")
	started := clock.Now()
	require.Equal(t, started.Add(8*time.Hour), *w.LatestBuild.Deadline, "the template's own")
	set := func(ttl *int64) error {
		return s.member.UpdateWorkspaceTTL(t.Context(), w.ID, client.UpdateWorkspaceTTLRequest{TTLMillis: ttl})
	}
	refused(t, set(pointer(int64(59_000))), http.StatusBadRequest, "ttl_ms")
	require.NoError(t, set(pointer(time.Hour.Milliseconds())))
	require.Equal(t, started.Add(8*time.Hour), *s.read(t, w.ID).LatestBuild.Deadline, "from the next start on")
	status, body := s.Raw(t, s.Token, http.MethodPut, "/workspaces/"+w.ID.String()+"/ttl", `{"ttl_ms":null}`)
	require.Equal(t, http.StatusNoContent, status, body)
	w = s.read(t, w.ID)
	require.Nil(t, w.TTLMillis)
	require.Nil(t, w.LatestBuild.Deadline)

	s.change(t, client.UpdateTemplateRequest{AutostopRequirement: &client.AutostopRequirement{DaysOfWeek: []string{"saturday"}, Weeks: 1}})
	w = s.build(t, w.ID, client.TransitionStart)
	saturday := time.Date(2026, 7, 18, 0, 0, 0, 0, time.UTC)
	require.Equal(t, saturday, *w.LatestBuild.Deadline, "required in quiet hours, whatever its owner wants")
	require.Equal(t, saturday, *w.LatestBuild.MaxDeadline)
	refused(t, s.member.ExtendWorkspace(t.Context(), w.ID, client.ExtendWorkspaceRequest{Deadline: saturday.Add(time.Hour)}), http.StatusBadRequest, "deadline")

	_, err := s.member.UpdateQuietHours(t.Context(), client.Me, client.UpdateQuietHoursRequest{Schedule: "CRON_TZ=America/New_York 30 2 * * *"})
	require.NoError(t, err)
	w = s.build(t, w.ID, client.TransitionStart)
	require.Equal(t, saturday.Add(6*time.Hour+30*time.Minute), *w.LatestBuild.MaxDeadline, "in the quiet hours that the owner has chosen")

	s.change(t, client.UpdateTemplateRequest{AllowUserAutostop: pointer(false)})
	refused(t, set(pointer(time.Hour.Milliseconds())), http.StatusBadRequest, "ttl_ms")
	require.Equal(t, clock.Now().Add(8*time.Hour), *s.build(t, w.ID, client.TransitionStart).LatestBuild.Deadline)
}

func TestAutostart(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock() // a Wednesday noon
	s := newScene(t, onTime(clock)...)
	w := s.running(t, "box", weekdaysAtNine)
	w = s.build(t, w.ID, client.TransitionStop)
	thursday := time.Date(2026, 7, 16, 9, 0, 0, 0, time.UTC)
	require.Equal(t, thursday, *w.NextStartAt)
	clock.Advance(21*time.Hour - time.Second)
	s.settle(t)
	require.Equal(t, 2, s.builds(t, w.ID))
	clock.Advance(2 * time.Second)
	w = s.isBuild(t, w.ID, 3, client.TransitionStart, client.BuildReasonAutostart)
	require.Equal(t, thursday.Add(day), *w.NextStartAt)
	s.worker.take(t).succeed(t)

	clock.Advance(day)
	w = s.eventually(t, w.ID, "a start that passes while it runs", func(w client.Workspace) bool { return w.NextStartAt.After(thursday.Add(day)) })
	require.Equal(t, int64(3), w.LatestBuild.BuildNumber)
	require.Equal(t, thursday.Add(4*day), *w.NextStartAt, "over the weekend")

	set := func(schedule *string) error {
		return s.member.UpdateWorkspaceAutostart(t.Context(), w.ID, client.UpdateWorkspaceAutostartRequest{Schedule: schedule})
	}
	for _, bad := range []string{"@daily", "0 9 1 * *", "CRON_TZ=Local 0 9 * * *", "0 9 * *"} {
		refused(t, set(&bad), http.StatusBadRequest, "schedule")
	}
	require.NoError(t, set(pointer("CRON_TZ=Europe/Dublin 30 9 * * *")))
	require.Equal(t, "CRON_TZ=Europe/Dublin 30 9 * * *", *s.read(t, w.ID).AutostartSchedule)
	status, body := s.Raw(t, s.Token, http.MethodPut, "/workspaces/"+w.ID.String()+"/autostart", `{"schedule":null}`)
	require.Equal(t, http.StatusNoContent, status, body)
	w = s.read(t, w.ID)
	require.Nil(t, w.AutostartSchedule)
	require.Nil(t, w.NextStartAt)
}

func TestAutostartMovesToTheActiveVersion(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	s := newScene(t, onTime(clock)...)
	w := s.running(t, "box", weekdaysAtNine, func(r *client.CreateWorkspaceRequest) { r.AutomaticUpdates = client.AutomaticUpdatesAlways })
	s.build(t, w.ID, client.TransitionStop)
	activate := func(result client.ImportResult) uuid.UUID {
		v := s.newVersion(t, &s.template.ID, "", result)
		require.NoError(t, s.Client.UpdateActiveTemplateVersion(t.Context(), s.template.ID, client.UpdateActiveTemplateVersionRequest{ID: v.ID}))
		return v.ID
	}
	activate(sizeParameters())
	mismatch, err := s.member.ResolveAutostart(t.Context(), w.ID)
	require.NoError(t, err)
	require.True(t, mismatch.ParameterMismatch, "the new version wants a value that nobody gave")
	clock.Advance(21*time.Hour + 10*time.Minute) // ten past nine
	w = s.eventually(t, w.ID, "a start that cannot be made", func(w client.Workspace) bool { return w.NextStartAt.After(clock.Now()) })
	require.Equal(t, int64(2), w.LatestBuild.BuildNumber)

	good := activate(client.ImportResult{})
	clock.Advance(day)
	w = s.isBuild(t, w.ID, 3, client.TransitionStart, client.BuildReasonAutostart)
	require.Equal(t, good, w.LatestBuild.TemplateVersionID)
}

func TestDormancy(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	s := newScene(t, onTime(clock)...)
	s.change(t, client.UpdateTemplateRequest{TimeTilDormantMS: pointer((7 * day).Milliseconds()), TimeTilDormantAutoDeleteMS: pointer((30 * day).Milliseconds())})
	w := s.running(t, "box", weekdaysAtNine)
	idle := s.running(t, "idle")
	s.build(t, idle.ID, client.TransitionStop)
	dormant := func(on bool) int {
		status, _ := s.Raw(t, s.Token, http.MethodPut, "/workspaces/"+w.ID.String()+"/dormant", map[bool]string{true: `{"dormant":true}`, false: `{"dormant":false}`}[on])
		return status
	}
	require.Equal(t, http.StatusNotModified, dormant(false))

	clock.Advance(7 * day)
	w = s.isBuild(t, w.ID, 2, client.TransitionStop, client.BuildReasonDormancy)
	require.Equal(t, clock.Now(), *w.DormantAt)
	require.Equal(t, clock.Now().Add(30*day), *w.DeletingAt)
	require.Nil(t, w.NextStartAt, "what sleeps does not start by itself")
	s.worker.take(t).succeed(t)
	s.eventually(t, idle.ID, "a stopped one sleeps without a build", func(w client.Workspace) bool { return w.DormantAt != nil })
	require.Equal(t, 2, s.builds(t, idle.ID))
	_, err := s.member.CreateWorkspaceBuild(t.Context(), w.ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionStart})
	require.Contains(t, refused(t, err, http.StatusConflict).Message, "dormant")

	require.Equal(t, http.StatusOK, dormant(false))
	w = s.read(t, w.ID)
	require.Nil(t, w.DormantAt)
	require.Nil(t, w.DeletingAt)
	require.NotNil(t, w.NextStartAt)
	require.Equal(t, clock.Now(), w.LastUsedAt)
	require.NoError(t, s.member.UpdateWorkspaceAutostart(t.Context(), w.ID, client.UpdateWorkspaceAutostartRequest{}))
	s.build(t, w.ID, client.TransitionStart)

	clock.Advance(30 * day)
	s.isBuild(t, idle.ID, 3, client.TransitionDelete, client.BuildReasonDormancy)
	s.isBuild(t, w.ID, 4, client.TransitionStop, client.BuildReasonDormancy)
	for range 2 {
		j := s.worker.take(t)
		if *j.Metadata.WorkspaceID == idle.ID {
			j.fail(t, "the cloud is away")
		} else {
			j.succeed(t)
		}
	}
	clock.Advance(23 * time.Hour)
	s.settle(t)
	require.Equal(t, 3, s.builds(t, idle.ID), "a delete that failed is not hammered")
	clock.Advance(2 * time.Hour)
	s.isBuild(t, idle.ID, 4, client.TransitionDelete, client.BuildReasonDormancy)
	s.worker.take(t).succeed(t)
	require.Equal(t, client.WorkspaceDeleted, s.read(t, idle.ID).LatestBuild.Status)
}

func TestFailedStartsAreCleanedUp(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	s := newScene(t, onTime(clock)...)
	s.change(t, client.UpdateTemplateRequest{FailureTTLMS: pointer(time.Hour.Milliseconds())})
	w := s.create(t, "box")
	s.worker.take(t).fail(t, "no such image")
	clock.Advance(59 * time.Minute)
	s.settle(t)
	require.Equal(t, 1, s.builds(t, w.ID))
	clock.Advance(time.Minute)
	s.isBuild(t, w.ID, 2, client.TransitionStop, client.BuildReasonAutostop)
	s.worker.take(t).fail(t, "nor now")
	clock.Advance(2 * time.Hour)
	s.settle(t)
	require.Equal(t, 2, s.builds(t, w.ID))
}

func TestSuspendedUsersDoNotRun(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	s := newScene(t, onTime(clock)...)
	w := s.running(t, "box", weekdaysAtNine)
	_, err := s.Client.SuspendUser(t.Context(), s.user.ID.String())
	require.NoError(t, err)
	s.isBuild(t, w.ID, 2, client.TransitionStop, client.BuildReasonAutostop)
	s.worker.take(t).succeed(t)
	clock.Advance(21*time.Hour + 10*time.Minute) // ten past nine
	w = s.eventually(t, w.ID, "a start that passes", func(w client.Workspace) bool { return w.NextStartAt.After(clock.Now()) })
	require.Equal(t, int64(2), w.LatestBuild.BuildNumber)
	_, err = s.Client.CreateWorkspaceBuild(t.Context(), w.ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionStart})
	refused(t, err, http.StatusBadRequest)
}

// TestSchedulesAcrossRestarts has a server whose loops stand still, as if it
// were away, and starts others on the same store later.
func TestSchedulesAcrossRestarts(t *testing.T) {
	t.Parallel()
	clock, st := servertest.NewClock(), storetest.New(t)
	options := append(onTime(clock), servertest.WithStore(st))
	s := newScene(t, append(options, servertest.WithoutLoops())...)
	early := s.running(t, "early", weekdaysAtNine)
	s.build(t, early.ID, client.TransitionStop)
	stops := s.running(t, "stops", livesFor(time.Hour))

	clock.Advance(20 * time.Hour) // Thursday 8:00
	s.build(t, early.ID, client.TransitionStop)
	clock.Advance(90 * time.Minute) // half an hour late
	require.Equal(t, 3, s.builds(t, early.ID))
	for range 3 {
		servertest.New(t, append(options, servertest.WithoutUsers())...)
	}
	s.isBuild(t, early.ID, 4, client.TransitionStart, client.BuildReasonAutostart)
	s.isBuild(t, stops.ID, 2, client.TransitionStop, client.BuildReasonAutostop)
	for range 2 {
		s.worker.take(t).succeed(t)
	}
	s.settle(t)
	require.Equal(t, 4, s.builds(t, early.ID), "three runners make one build")
	require.Equal(t, 2, s.builds(t, stops.ID))
}

func TestAStartMissedByDaysIsNotMadeUpFor(t *testing.T) {
	t.Parallel()
	clock, st := servertest.NewClock(), storetest.New(t)
	options := append(onTime(clock), servertest.WithStore(st))
	s := newScene(t, append(options, servertest.WithoutLoops())...)
	w := s.running(t, "box", weekdaysAtNine)
	s.build(t, w.ID, client.TransitionStop)
	clock.Advance(4 * day) // a Sunday
	servertest.New(t, append(options, servertest.WithoutUsers())...)
	monday := time.Date(2026, 7, 20, 9, 0, 0, 0, time.UTC)
	w = s.eventually(t, w.ID, "the next start", func(w client.Workspace) bool { return w.NextStartAt.Equal(monday) })
	require.Equal(t, int64(2), w.LatestBuild.BuildNumber)
}

func TestTheClockLeapsAhead(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock() // a Wednesday noon
	s := newScene(t, onTime(clock)...)
	starts, stops := s.running(t, "starts", weekdaysAtNine), s.running(t, "stops", livesFor(8*time.Hour))
	starts = s.build(t, starts.ID, client.TransitionStop)
	thursday := time.Date(2026, 7, 16, 9, 0, 0, 0, time.UTC)
	require.Equal(t, thursday, *starts.NextStartAt)

	clock.Advance(27 * time.Hour) // Thursday 15:00
	s.isBuild(t, stops.ID, 2, client.TransitionStop, client.BuildReasonAutostop)
	s.worker.take(t).succeed(t)
	starts = s.eventually(t, starts.ID, "the missed start is passed over", func(w client.Workspace) bool { return w.NextStartAt.Equal(thursday.Add(day)) })
	require.Equal(t, int64(2), starts.LatestBuild.BuildNumber, "six hours late nobody has asked for it")

	clock.Advance(-27 * time.Hour)
	s.eventually(t, starts.ID, "the clock is set right, and Thursday's start comes again", func(w client.Workspace) bool { return w.NextStartAt.Equal(thursday) })
	clock.Advance(21*time.Hour + 40*time.Minute)
	s.isBuild(t, starts.ID, 3, client.TransitionStart, client.BuildReasonAutostart)
}

func TestTheClockGoesBack(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	s := newScene(t, onTime(clock)...)
	s.change(t, client.UpdateTemplateRequest{TimeTilDormantMS: pointer((7 * day).Milliseconds()), TimeTilDormantAutoDeleteMS: pointer((30 * day).Milliseconds())})
	const years = 5 * 365 * day
	clock.Advance(years)
	w := s.running(t, "box", livesFor(2*time.Hour), weekdaysAtNine)
	sleeper := s.running(t, "sleeper")
	s.build(t, sleeper.ID, client.TransitionStop)
	require.NoError(t, s.member.UpdateWorkspaceDormancy(t.Context(), sleeper.ID, client.UpdateWorkspaceDormancyRequest{Dormant: true}))
	clock.Advance(-years)
	s.eventually(t, w.ID, "what is left then is left now", func(w client.Workspace) bool { return w.LatestBuild.Deadline.Equal(clock.Now().Add(2 * time.Hour)) })
	s.eventually(t, w.ID, "the next start is near", func(w client.Workspace) bool { return w.NextStartAt.Before(clock.Now().Add(7 * day)) })
	s.eventually(t, w.ID, "nobody has used it in the future", func(w client.Workspace) bool { return w.LastUsedAt.Equal(clock.Now()) })
	s.eventually(t, sleeper.ID, "it sleeps since now", func(w client.Workspace) bool { return w.DeletingAt.Equal(clock.Now().Add(30 * day)) })
	clock.Advance(time.Hour)
	s.settle(t)
	require.Equal(t, client.WorkspaceRunning, s.read(t, w.ID).LatestBuild.Status)
	clock.Advance(time.Hour)
	s.isBuild(t, w.ID, 2, client.TransitionStop, client.BuildReasonAutostop)
}
