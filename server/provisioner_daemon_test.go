package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
	"coder/store"
)

// joinDaemon registers a daemon with a key, as the daemon itself does.
func joinDaemon(t *testing.T, s *servertest.Server, key, name string) client.RegisteredDaemon {
	t.Helper()
	d, err := withDaemonKey(t, s, key).RegisterDaemon(t.Context(), client.RegisterDaemonRequest{
		Name: name, Version: servertest.Version, APIVersion: "1.0", Provisioners: []string{"terraform"}, HostID: name,
	})
	require.NoError(t, err)
	return d
}

func daemonNames(t *testing.T, c *client.Client, org string, req client.ProvisionerDaemonsRequest) []string {
	t.Helper()
	daemons, err := c.ProvisionerDaemons(t.Context(), org, req)
	require.NoError(t, err)
	names := []string{}
	for _, d := range daemons {
		names = append(names, d.Name)
	}
	return names
}

func TestTheListOfDaemons(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	s := servertest.New(t, servertest.WithClock(clock), servertest.WithoutLoops())
	org := s.Organization(t, "team")
	plain, err := s.Client.CreateProvisionerKey(t.Context(), "team", client.CreateProvisionerKeyRequest{Name: "plain"})
	require.NoError(t, err)
	tagged, err := s.Client.CreateProvisionerKey(t.Context(), "team", client.CreateProvisionerKeyRequest{Name: "tagged", Tags: map[string]string{"env": "prod"}})
	require.NoError(t, err)
	joinDaemon(t, s, plain.Key, "silent")
	clock.Advance(5 * time.Minute)
	first := joinDaemon(t, s, plain.Key, "first")
	clock.Advance(time.Second)
	joinDaemon(t, s, tagged.Key, "second")

	list, err := s.Client.ProvisionerDaemons(t.Context(), "team", client.ProvisionerDaemonsRequest{})
	require.NoError(t, err)
	require.Len(t, list, 2, "the silent one is offline and left out")
	d := list[0]
	require.Equal(t, first.ID, d.ID)
	require.Equal(t, org.ID, d.OrganizationID)
	require.Equal(t, "plain", *d.KeyName)
	require.Equal(t, client.DaemonIdle, *d.Status)
	require.Equal(t, map[string]string{"scope": "organization", "owner": ""}, d.Tags)
	require.Equal(t, []string{"terraform"}, d.Provisioners)
	require.Nil(t, d.CurrentJob)
	require.Nil(t, d.PreviousJob)

	for want, req := range map[string]client.ProvisionerDaemonsRequest{
		"first":  {IDs: []uuid.UUID{first.ID}},
		"second": {Tags: map[string]string{"env": "prod"}},
		"silent": {Status: []string{client.DaemonOffline}},
	} {
		require.Equal(t, []string{want}, daemonNames(t, s.Client, "team", req))
	}
	require.Equal(t, []string{"silent", "first", "second"}, daemonNames(t, s.Client, "team", client.ProvisionerDaemonsRequest{Offline: true}))
	require.Equal(t, []string{"silent"}, daemonNames(t, s.Client, "team", client.ProvisionerDaemonsRequest{Offline: true, Limit: 1}))
	require.Equal(t, []string{"first", "second"}, daemonNames(t, s.Client, "team", client.ProvisionerDaemonsRequest{Offline: true, MaxAge: time.Minute}))
	require.Empty(t, daemonNames(t, s.Client, "team", client.ProvisionerDaemonsRequest{Status: []string{client.DaemonBusy}}))
	require.Empty(t, daemonNames(t, s.Client, "default", client.ProvisionerDaemonsRequest{Offline: true}))

	for _, query := range []string{"limit=0", "limit=x", "ids=x", "tags=x", "status=sleeping", "offline=maybe", "max_age=old", "color=red"} {
		status, body := s.Raw(t, s.Token, http.MethodGet, "/organizations/team/provisionerdaemons?"+query, "")
		require.Equal(t, http.StatusBadRequest, status, "%s: %s", query, body)
	}
	plainMember := s.Person(t, org)
	hiddenLikeMissing(t, s, plainMember.Token, http.MethodGet, "/organizations/team/provisionerdaemons", "/organizations/missing/provisionerdaemons", "")
}

func TestDaemonsShowTheirJobs(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "team")
	key, err := s.Client.CreateProvisionerKey(t.Context(), "team", client.CreateProvisionerKeyRequest{Name: "k"})
	require.NoError(t, err)
	d := joinDaemon(t, s, key.Key, "worker")
	insertWorkspace(t, s, org.ID, s.Owner.ID)
	job, err := withDaemonKey(t, s, key.Key).AcquireJob(t.Context(), d.ID, client.AcquireJobRequest{RequestID: uuid.New()})
	require.NoError(t, err)
	require.NotNil(t, job)

	list, err := s.Client.ProvisionerDaemons(t.Context(), "team", client.ProvisionerDaemonsRequest{})
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, client.DaemonBusy, *list[0].Status)
	require.NotNil(t, list[0].CurrentJob)
	require.Equal(t, job.ID, list[0].CurrentJob.ID)
	require.NotEmpty(t, list[0].CurrentJob.TemplateName)
	require.Equal(t, []string{"worker"}, daemonNames(t, s.Client, "team", client.ProvisionerDaemonsRequest{Status: []string{client.DaemonBusy}}))
}

func TestKeysWithTheirDaemons(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	s.Organization(t, "team")
	key, err := s.Client.CreateProvisionerKey(t.Context(), "team", client.CreateProvisionerKeyRequest{Name: "k"})
	require.NoError(t, err)
	d := joinDaemon(t, s, key.Key, "worker")
	gone := joinDaemon(t, s, key.Key, "gone")
	require.NoError(t, s.Store.StopProvisionerDaemon(t.Context(), store.StopProvisionerDaemonParams{ID: gone.ID, StoppedAt: store.At(time.Now())}))

	rows, err := s.Client.ProvisionerKeyDaemons(t.Context(), "team")
	require.NoError(t, err)
	require.Len(t, rows, 2)
	require.Equal(t, client.ProvisionerKeyUserAuth, rows[0].Key.Name)
	require.NotNil(t, rows[0].Daemons)
	require.Equal(t, "k", rows[1].Key.Name)
	require.Len(t, rows[1].Daemons, 1)
	require.Equal(t, d.ID, rows[1].Daemons[0].ID)
	require.Nil(t, rows[1].Daemons[0].Status)

	rows, err = s.Client.ProvisionerKeyDaemons(t.Context(), "default")
	require.NoError(t, err)
	require.Len(t, rows, 3, "the reserved keys of the default organization")

	// The name of a key that was deleted is not known any more.
	require.NoError(t, s.Client.DeleteProvisionerKey(t.Context(), "team", "k"))
	list, err := s.Client.ProvisionerDaemons(t.Context(), "team", client.ProvisionerDaemonsRequest{Offline: true})
	require.NoError(t, err)
	require.Nil(t, list[0].KeyName)
}
