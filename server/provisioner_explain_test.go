package server_test

import (
	"net/http"
	"strings"
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

// explained asks why a job is where it is, and holds the answer to what the
// list of jobs says of it.
func (s *scene) explained(t *testing.T, id uuid.UUID) client.ProvisionerJobExplanation {
	t.Helper()
	x, err := s.Client.ExplainProvisionerJob(t.Context(), s.org.Name, id)
	require.NoError(t, err)
	listed, err := s.Client.ProvisionerJobs(t.Context(), s.org.Name, client.ProvisionerJobsRequest{IDs: []uuid.UUID{id}})
	require.NoError(t, err)
	require.Len(t, listed, 1)
	require.Equal(t, listed[0], x.Job)
	text := strings.TrimSpace(x.Reason + " " + x.Action)
	switch {
	case x.Job.Status != client.JobPending, x.Code == client.ExplainQueued && x.Job.QueuePosition == 1:
		require.Empty(t, x.Job.WaitReason)
	default:
		require.Equal(t, text, x.Job.WaitReason)
		require.Len(t, x.JobsAhead, min(x.Job.QueuePosition-1, client.MaxJobsAhead))
	}
	require.NotEmpty(t, x.Reason)
	require.NotNil(t, x.Attempts)
	require.NotNil(t, x.InDoubt)
	require.NotNil(t, x.Daemons)
	return x
}

// verdictOf is what the explanation says of a daemon.
func verdictOf(t *testing.T, x client.ProvisionerJobExplanation, name string) client.ProvisionerVerdict {
	t.Helper()
	for _, v := range x.Daemons {
		if v.Name == name {
			return v
		}
	}
	t.Fatalf("the explanation does not name %s: %+v", name, x.Daemons)
	return client.ProvisionerVerdict{}
}

// asked is a version whose import waits for a daemon with the tags.
func (s *scene) asked(t *testing.T, tags map[string]string) uuid.UUID {
	t.Helper()
	file, err := s.Client.Upload(t.Context(), client.ContentTypeTar, strings.NewReader(string(source(t, "# "+uuid.NewString()))))
	require.NoError(t, err)
	v, err := s.Client.CreateTemplateVersion(t.Context(), s.org.Name, client.CreateTemplateVersionRequest{
		StorageMethod: client.StorageFile, FileID: &file.ID, Provisioner: client.ProvisionerTerraform, Tags: tags,
	})
	require.NoError(t, err)
	return v.Job.ID
}

func TestWhyAJobWaits(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		clock := servertest.NewClock()
		s := newScene(t, servertest.WithStore(st), servertest.WithClock(clock), servertest.WithoutLoops(), servertest.WithOptions(func(o *server.Options) {
			o.SessionDuration = forever
		}))
		bare := s.Organization(t, "bare")

		t.Run("for tags that nobody has", func(t *testing.T) {
			x := s.explained(t, s.asked(t, map[string]string{"env": "prod"}))
			require.Equal(t, client.ExplainTagsDiffer, x.Code)
			require.Contains(t, x.Reason, "worker lacks env=prod")
			require.Contains(t, x.Action, "coder provisioner start --org data-platform --tag env=prod")
			v := verdictOf(t, x, "worker")
			require.Equal(t, client.VerdictTagsDiffer, v.Verdict)
			prod := "prod"
			require.Equal(t, []client.TagDifference{{Tag: "env", Wanted: &prod}}, v.Differences)
			require.Empty(t, x.Job.AvailableWorkers)
			hostile := s.explained(t, s.asked(t, map[string]string{"env": "a'b $(reboot)"}))
			require.Contains(t, hostile.Action, `--tag 'env=a'\''b $(reboot)'`, "what a template asks for is not run by who copies the command")
		})

		t.Run("for a type that nobody runs", func(t *testing.T) {
			file, err := s.Client.Upload(t.Context(), client.ContentTypeTar, strings.NewReader(string(source(t, "# echo"))))
			require.NoError(t, err)
			v, err := s.Client.CreateTemplateVersion(t.Context(), s.org.Name, client.CreateTemplateVersionRequest{StorageMethod: client.StorageFile, FileID: &file.ID, Provisioner: "echo"})
			require.NoError(t, err)
			x := s.explained(t, v.Job.ID)
			require.Equal(t, client.ExplainEngineUnsupported, x.Code)
			require.Equal(t, client.VerdictEngineUnsupported, verdictOf(t, x, "worker").Verdict)
			require.NoError(t, s.Client.CancelTemplateVersion(t.Context(), v.ID))
		})

		t.Run("for a busy one, and its turn", func(t *testing.T) {
			running := s.asked(t, nil)
			x := s.explained(t, running)
			require.Equal(t, client.ExplainQueued, x.Code)
			require.Equal(t, client.VerdictWouldTake, verdictOf(t, x, "worker").Verdict)
			j := s.worker.take(t)
			require.Equal(t, running, j.ID)
			clock.Advance(time.Second)
			next := s.asked(t, nil)
			clock.Advance(time.Second)
			last := s.asked(t, nil)

			x = s.explained(t, last)
			require.Equal(t, client.ExplainBusy, x.Code)
			require.Contains(t, x.Reason, "worker")
			require.Equal(t, []int{2, 2}, []int{x.Job.QueuePosition, x.Job.QueueSize})
			require.Equal(t, next, x.JobsAhead[0].ID)
			v := verdictOf(t, x, "worker")
			require.Equal(t, client.VerdictBusy, v.Verdict)
			require.Equal(t, &running, v.CurrentJobID)

			x = s.explained(t, running)
			require.Equal(t, client.ExplainRunning, x.Code)
			require.Contains(t, x.Reason, "Attempt 1 runs on worker")
			require.Len(t, x.Attempts, 1)
			require.Equal(t, client.OutcomeRunning, x.Attempts[0].Outcome)
			require.NotNil(t, x.Attempts[0].EngineStartedAt)

			_, err := j.attempt.Fail(t.Context(), client.FailJobRequest{Error: "the disk of the host is full", Retryable: true, EngineDead: true})
			require.NoError(t, err)
			x = s.explained(t, running)
			require.Equal(t, client.ExplainQueued, x.Code)
			require.Equal(t, client.OutcomeRetried, x.Attempts[0].Outcome)
			again := s.worker.take(t)
			require.Equal(t, running, again.ID)
			doubt := []client.DoubtfulResource{{Address: "cloud_disk.home", Action: "create", ID: "disk-1"}}
			_, err = again.attempt.Fail(t.Context(), client.FailJobRequest{Error: "the engine was killed\nand more", EngineDead: true, InDoubt: doubt})
			require.NoError(t, err)
			x = s.explained(t, running)
			require.Equal(t, client.ExplainEnded, x.Code)
			require.Contains(t, x.Reason, "the engine was killed")
			require.Contains(t, x.Action, "in doubt")
			doubt[0].Grounds = client.GroundsBegun
			require.Equal(t, doubt, x.InDoubt)
			require.Len(t, x.Attempts, 2)
			require.Equal(t, client.JobFailed, x.Attempts[1].Outcome)
			require.Equal(t, 2, x.Attempts[1].Number)
			require.Equal(t, "worker", x.Attempts[1].DaemonName)
		})

		t.Run("for one that is not there", func(t *testing.T) {
			id := s.asked(t, nil)
			clock.Advance(2 * time.Minute)
			x := s.explained(t, id)
			require.Equal(t, client.ExplainOffline, x.Code)
			require.Contains(t, x.Reason, "worker has these tags and is offline")
			first := x.Reason
			clock.Advance(time.Minute)
			require.Equal(t, first, s.explained(t, id).Reason, "the reason stays the same as long as it is the same")
			require.Equal(t, client.VerdictOffline, verdictOf(t, x, "worker").Verdict)
			require.Equal(t, client.ExplainNoProvisioner, s.explained(t, s.asked(t, map[string]string{"env": "prod"})).Code)
		})

		t.Run("to nobody of another organization", func(t *testing.T) {
			id := s.asked(t, nil)
			_, err := s.Client.ExplainProvisionerJob(t.Context(), bare.Name, id)
			refused(t, err, http.StatusNotFound)
			in := "/organizations/data-platform/provisionerjobs/"
			hiddenLikeMissing(t, s.Server, s.Outsider(t).Token, http.MethodGet, in+id.String()+"/explain", in+uuid.NewString()+"/explain", "")
			_, err = s.member.ExplainProvisionerJob(t.Context(), s.org.Name, id)
			refused(t, err, http.StatusNotFound)
			for _, v := range s.explained(t, id).Daemons {
				require.Equal(t, "worker", v.Name, "the daemons of other organizations are not shown")
			}
		})
	})
}

// A build waits for an engine of its workspace that nobody knows to be dead.
func TestABuildWaitsForAnOlderEngine(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		s := newScene(t, servertest.WithStore(st), servertest.WithoutLoops())
		other := s.newWorker(t, "other", nil)
		w := s.running(t, "box")
		stop := s.ask(t, w.ID, client.TransitionStop)
		older := other.take(t)
		require.Equal(t, stop.Job.ID, older.ID)
		// Its job is over without its attempt: what only a fault can make.
		err := st.FinishProvisionerJob(t.Context(), store.FinishProvisionerJobParams{
			OrganizationID: s.org.ID, ID: stop.Job.ID, Status: client.JobFailed, InDoubt: "[]", Timings: "[]", CompletedAt: store.At(time.Now()),
		})
		require.NoError(t, err)
		start := s.ask(t, w.ID, client.TransitionStart)

		x := s.explained(t, start.Job.ID)
		require.Equal(t, client.ExplainOlderEngine, x.Code)
		require.Contains(t, x.Reason, stop.Job.ID.String())
		require.Contains(t, x.Reason, "on other")
		require.NotNil(t, x.OlderEngine)
		require.Equal(t, older.AttemptID, x.OlderEngine.AttemptID)
		require.WithinDuration(t, time.Now().Add(5*time.Minute), *x.OlderEngine.Until, time.Minute)
		require.Equal(t, client.VerdictWouldTake, verdictOf(t, x, "worker").Verdict)
	})
}

func TestABuildSaysOfItsJobWhatTheJobSays(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	same := func(w client.Workspace) string {
		t.Helper()
		job, err := s.Client.ProvisionerJob(t.Context(), s.org.Name, w.LatestBuild.Job.ID)
		require.NoError(t, err)
		require.Equal(t, job.WaitReason, s.read(t, w.ID).LatestBuild.Job.WaitReason)
		return job.WaitReason
	}
	first := s.create(t, "first")
	require.Empty(t, same(first), "the worker is free to take it")
	s.worker.take(t)
	require.Contains(t, same(s.create(t, "second")), "is busy")
}
