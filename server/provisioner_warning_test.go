package server_test

import (
	"net/http"
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

type reportedHealth struct {
	Severity           string
	ProvisionerDaemons struct {
		Severity string
		Warnings []client.ProvisionerWarning
		Items    []struct {
			Daemon   struct{ Name string } `json:"provisioner_daemon"`
			Warnings []client.ProvisionerWarning
		}
	} `json:"provisioner_daemons"`
}

func codes(warnings []client.ProvisionerWarning) []string {
	out := []string{}
	for _, w := range warnings {
		out = append(out, w.Code)
	}
	return out
}

func TestWarningsOfDaemons(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		clock := servertest.NewClock()
		s := newScene(t, servertest.WithStore(st), servertest.WithClock(clock), servertest.WithoutLoops(), servertest.WithOptions(func(o *server.Options) {
			o.SessionDuration = forever
		}))
		register := func(name, version, api string) {
			_, err := s.worker.client.RegisterDaemon(t.Context(), client.RegisterDaemonRequest{
				Name: name, Provisioners: []string{client.ProvisionerTerraform}, Version: version, APIVersion: api, HostID: name,
			})
			require.NoError(t, err)
		}
		warned := func() map[string][]string {
			list, err := s.Client.ProvisionerDaemons(t.Context(), s.org.Name, client.ProvisionerDaemonsRequest{Offline: true})
			require.NoError(t, err)
			out := map[string][]string{}
			for _, d := range list {
				out[d.Name] = codes(d.Warnings)
				for _, w := range d.Warnings {
					require.Contains(t, w.Message, d.Name)
				}
			}
			return out
		}
		health := func() reportedHealth {
			status, body := s.Raw(t, s.Token, http.MethodGet, "/debug/health", "")
			require.Equal(t, http.StatusOK, status, body)
			return decode[reportedHealth](t, body)
		}
		require.Equal(t, map[string][]string{"worker": {}}, warned())
		require.Equal(t, "ok", health().ProvisionerDaemons.Severity)

		register("other-release", "v2.20.1", "1.0")
		register("other-patch", "v2.34.9", "1.0")
		register("older-protocol", servertest.Version, "0.9")
		register("no-protocol", servertest.Version, "")
		register("newer-protocol", servertest.Version, "1.10")
		s.drain(t, s.worker)
		want := map[string][]string{
			"worker": {client.WarningDraining}, "other-release": {client.WarningVersion}, "other-patch": {},
			"older-protocol": {client.WarningAPIVersion}, "no-protocol": {client.WarningAPIVersion}, "newer-protocol": {},
		}
		require.Equal(t, want, warned())
		h := health()
		require.Equal(t, "warning", h.ProvisionerDaemons.Severity)
		require.Empty(t, h.ProvisionerDaemons.Warnings)
		items := map[string][]string{}
		for _, i := range h.ProvisionerDaemons.Items {
			items[i.Daemon.Name] = codes(i.Warnings)
		}
		require.Equal(t, want, items)

		// Who fell silent is warned of for a while; who left in an orderly way is not.
		clock.Advance(10 * time.Minute)
		register("left", servertest.Version, "1.0")
		left, err := s.worker.client.RegisterDaemon(t.Context(), client.RegisterDaemonRequest{
			Name: "left", Provisioners: []string{client.ProvisionerTerraform}, Version: servertest.Version, APIVersion: "1.0", HostID: "left",
		})
		require.NoError(t, err)
		require.NoError(t, s.worker.client.DeregisterDaemon(t.Context(), left.ID))
		register("present", servertest.Version, "1.0")
		now := warned()
		require.Equal(t, []string{client.WarningNotSeen}, now["other-patch"])
		require.Equal(t, []string{client.WarningDraining, client.WarningNotSeen}, now["worker"])
		require.Empty(t, now["left"])
		h = health()
		require.Len(t, h.ProvisionerDaemons.Items, 1)
		require.Equal(t, "warning", h.ProvisionerDaemons.Severity)
		require.Contains(t, codes(h.ProvisionerDaemons.Warnings), client.WarningNotSeen)
		clock.Advance(2 * time.Hour)
		register("present", servertest.Version, "1.0")
		h = health()
		require.Empty(t, h.ProvisionerDaemons.Warnings)
		require.Equal(t, "ok", h.ProvisionerDaemons.Severity)
	})
}

func TestADaemonSaysWhatKeepsItFromTakingJobs(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		s := newScene(t, servertest.WithStore(st), servertest.WithoutLoops())
		const trouble = "its spool has no room"
		waiting := s.asked(t, nil)
		ask := func(trouble string) *client.AcquiredJob {
			job, err := s.worker.client.AcquireJob(t.Context(), s.worker.id, client.AcquireJobRequest{RequestID: uuid.New(), Trouble: trouble})
			require.NoError(t, err)
			return job
		}
		require.Nil(t, ask(trouble), "no job is handed out, and the answer does not wait for one")
		x := s.explained(t, waiting)
		require.Equal(t, client.ExplainTrouble, x.Code)
		require.Contains(t, x.Reason, "worker takes no job now: "+trouble)
		require.Equal(t, trouble, verdictOf(t, x, "worker").Trouble)
		list, err := s.Client.ProvisionerDaemons(t.Context(), s.org.Name, client.ProvisionerDaemonsRequest{})
		require.NoError(t, err)
		require.Equal(t, []string{client.WarningTrouble}, codes(list[0].Warnings))
		require.NotNil(t, ask(""), "there is room again")
		list, err = s.Client.ProvisionerDaemons(t.Context(), s.org.Name, client.ProvisionerDaemonsRequest{})
		require.NoError(t, err)
		require.Empty(t, list[0].Warnings)
	})
}

func TestTroubleNeitherRevivesADaemonNorOutlivesIt(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		s := newScene(t, servertest.WithStore(st), servertest.WithoutLoops())
		listed := func() client.ProvisionerDaemon {
			list, err := s.Client.ProvisionerDaemons(t.Context(), s.org.Name, client.ProvisionerDaemonsRequest{Offline: true})
			require.NoError(t, err)
			require.Len(t, list, 1)
			return list[0]
		}
		ask := func(trouble string) {
			_, err := s.worker.client.AcquireJob(t.Context(), s.worker.id, client.AcquireJobRequest{RequestID: uuid.New(), Trouble: trouble})
			require.NoError(t, err)
		}
		ask("its spool has no room")
		require.NoError(t, s.worker.client.DeregisterDaemon(t.Context(), s.worker.id))
		ask("a word that comes late")
		require.Equal(t, client.DaemonOffline, *listed().Status)
		_, err := s.worker.client.RegisterDaemon(t.Context(), client.RegisterDaemonRequest{Name: "worker", Provisioners: []string{"terraform"}, Version: servertest.Version, APIVersion: "1.0", HostID: "a"})
		require.NoError(t, err)
		require.Equal(t, client.DaemonIdle, *listed().Status)
		require.Empty(t, codes(listed().Warnings), "one that starts has not said anything yet")
	})
}
