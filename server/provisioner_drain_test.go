package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
	"coder/store"
	"coder/store/storetest"
)

// polled is the end of a worker's open question for a job.
type polled struct {
	job *client.AcquiredJob
	err error
}

// poll asks for a job in the background.
func (w *worker) poll(t *testing.T) <-chan polled {
	t.Helper()
	out := make(chan polled, 1)
	go func() {
		job, err := w.client.AcquireJob(t.Context(), w.id, client.AcquireJobRequest{RequestID: uuid.New()})
		out <- polled{job, err}
	}()
	return out
}

func (s *scene) drain(t *testing.T, w *worker) client.ProvisionerDaemon {
	t.Helper()
	d, err := s.Client.DrainProvisionerDaemon(t.Context(), s.org.Name, w.id)
	require.NoError(t, err)
	require.True(t, d.Draining)
	return d
}

func (s *scene) resume(t *testing.T, w *worker) {
	t.Helper()
	d, err := s.Client.ResumeProvisionerDaemon(t.Context(), s.org.Name, w.id)
	require.NoError(t, err)
	require.False(t, d.Draining)
}

func TestADrainingDaemonIsHandedNoJob(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		s := newScene(t, servertest.WithStore(st))

		// It has a job, which it finishes.
		running := s.asked(t, nil)
		j := s.worker.take(t)
		d := s.drain(t, s.worker)
		require.Equal(t, client.DaemonBusy, *d.Status, "the status keeps the values of the reference")
		require.Equal(t, running, d.CurrentJob.ID)
		require.True(t, s.drain(t, s.worker).Draining, "again changes nothing")
		_, err := j.attempt.Complete(t.Context(), client.CompleteJobRequest{Import: &client.ImportResult{Graph: []byte(`{}`)}})
		require.NoError(t, err)

		// Another job waits, and says for what.
		waiting := s.asked(t, nil)
		x := s.explained(t, waiting)
		require.Equal(t, client.ExplainDraining, x.Code)
		require.Contains(t, x.Action, "coder provisioner resume worker --org data-platform")
		require.Equal(t, client.VerdictDraining, verdictOf(t, x, "worker").Verdict)
		require.Empty(t, x.Job.AvailableWorkers)
		poll := s.worker.poll(t)

		// Restarted under its name it is the same, and stays drained.
		again, err := s.worker.client.RegisterDaemon(t.Context(), client.RegisterDaemonRequest{
			Name: "worker", Provisioners: []string{client.ProvisionerTerraform}, Version: servertest.Version, APIVersion: "1.0", HostID: "worker",
		})
		require.NoError(t, err)
		require.Equal(t, s.worker.id, again.ID)
		list, err := s.Client.ProvisionerDaemons(t.Context(), s.org.Name, client.ProvisionerDaemonsRequest{})
		require.NoError(t, err)
		require.True(t, list[0].Draining)
		require.Equal(t, client.DaemonIdle, *list[0].Status)
		select {
		case got := <-poll:
			t.Fatalf("its open question was answered: %+v", got)
		default:
		}

		// Resumed it gets the job: by this question, or by the next one, which
		// it asks at once.
		s.resume(t, s.worker)
		got := <-poll
		require.NoError(t, got.err)
		if got.job == nil {
			got.job = s.worker.take(t).AcquiredJob
		}
		require.Equal(t, waiting, got.job.ID)
	})
}

// A poll that was open before the drain gets no job either, and the wake-up
// goes to another daemon.
func TestADrainReachesAnOpenQuestion(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		s := newScene(t, servertest.WithStore(st))
		other := s.newWorker(t, "other", nil)
		for range 5 {
			first := s.worker.poll(t)
			require.Eventually(t, func() bool { return s.Server.Server.Waits(s.worker.id) }, 30*time.Second, time.Millisecond)
			second := other.poll(t)
			require.Eventually(t, func() bool { return s.Server.Server.Waits(other.id) }, 30*time.Second, time.Millisecond)
			s.drain(t, s.worker)
			asked, id := time.Now(), s.asked(t, nil)
			got := <-second
			require.NoError(t, got.err)
			require.NotNil(t, got.job, "the wake-up was passed on")
			require.Equal(t, id, got.job.ID)
			require.Less(t, time.Since(asked), 25*time.Second)
			attempt := other.client.Attempt(got.job.AttemptID, got.job.Secret)
			require.NoError(t, attempt.Confirm(t.Context()))
			_, err := attempt.Fail(t.Context(), client.FailJobRequest{Error: "enough", EngineDead: true})
			require.NoError(t, err)
			s.resume(t, s.worker)
			stood := <-first // which never stood aside where the other one looked by itself just then
			require.NoError(t, stood.err)
			require.Nil(t, stood.job)
		}
	})
}

// Drains and hand-outs at the same time: who was told that a daemon drains
// sees it take no job after that.
func TestADrainThatIsAnsweredHolds(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		s := newScene(t, servertest.WithStore(st))
		for range 20 {
			s.asked(t, nil)
			poll := s.worker.poll(t)
			d := s.drain(t, s.worker)
			listed, err := s.Client.ProvisionerDaemons(t.Context(), s.org.Name, client.ProvisionerDaemonsRequest{IDs: []uuid.UUID{s.worker.id}})
			require.NoError(t, err)
			require.Equal(t, d.CurrentJob, listed[0].CurrentJob, "it has what it had when the drain was answered")
			s.resume(t, s.worker)
			got := <-poll
			require.NoError(t, got.err)
			if got.job == nil {
				got = polled{job: s.worker.take(t).AcquiredJob}
			}
			_, err = s.worker.client.Attempt(got.job.AttemptID, got.job.Secret).Fail(t.Context(), client.FailJobRequest{Error: "enough", EngineDead: true})
			require.NoError(t, err)
		}
	})
}

func TestWhoMayDrain(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	admin := s.Member(t, s.org, client.RoleOrgAdmin)
	d, err := admin.DrainProvisionerDaemon(t.Context(), s.org.Name, s.worker.id)
	require.NoError(t, err)
	require.True(t, d.Draining)
	_, err = s.member.ResumeProvisionerDaemon(t.Context(), s.org.Name, s.worker.id)
	refused(t, err, http.StatusNotFound)
	other := s.Organization(t, "other")
	_, err = s.Client.DrainProvisionerDaemon(t.Context(), other.Name, s.worker.id)
	refused(t, err, http.StatusNotFound)
	outsider := s.Outsider(t)
	in := "/organizations/data-platform/provisionerdaemons/"
	for _, verb := range []string{"/drain", "/resume"} {
		hiddenLikeMissing(t, s.Server, outsider.Token, http.MethodPost, in+s.worker.id.String()+verb, in+uuid.NewString()+verb, "")
	}
	_, err = admin.ResumeProvisionerDaemon(t.Context(), s.org.Name, s.worker.id)
	require.NoError(t, err)

	logs, err := s.Client.AuditLogs(t.Context(), client.AuditLogsRequest{Query: "resource_type:organization"})
	require.NoError(t, err)
	actions := []string{}
	for _, l := range logs.AuditLogs {
		if fields := string(l.AdditionalFields); strings.Contains(fields, `"extension":"provisioner_daemon"`) {
			actions = append(actions, fields)
		}
	}
	require.Len(t, actions, 2)
	require.Contains(t, actions[0], `"extension_action":"resume"`)
	require.Contains(t, actions[1], `"extension_action":"drain"`)
	require.Contains(t, actions[1], `"provisioner_daemon_name":"worker"`)
}
