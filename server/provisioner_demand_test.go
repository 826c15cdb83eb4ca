package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
)

func TestTheDemandForProvisioners(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	p := newProtocol(t, servertest.WithClock(clock), servertest.WithoutLoops())
	demand := func(tags map[string]string) client.ProvisionerDemand {
		d, err := p.Client.ProvisionerDemand(t.Context(), p.org.Name, tags)
		require.NoError(t, err)
		d.Tags = nil
		return d
	}
	require.Equal(t, client.ProvisionerDemand{Online: 1}, demand(nil))
	p.version(t)
	clock.Advance(30 * time.Second)
	p.version(t)
	clock.Advance(30 * time.Second)
	require.Equal(t, client.ProvisionerDemand{Wanted: 2, Pending: 2, Online: 1, OldestWaitSeconds: 60}, demand(nil))
	h := p.begun(t)
	require.Equal(t, client.ProvisionerDemand{Wanted: 2, Pending: 1, Running: 1, Online: 1, OldestWaitSeconds: 30}, demand(nil))
	require.Equal(t, client.ProvisionerDemand{}, demand(map[string]string{"gpu": "yes"}), "untagged jobs want untagged daemons")
	_, err := h.Complete(t.Context(), client.CompleteJobRequest{Import: &client.ImportResult{}})
	require.NoError(t, err)
	require.Equal(t, client.ProvisionerDemand{Wanted: 1, Pending: 1, Online: 1, OldestWaitSeconds: 30}, demand(nil))

	status, _ := p.Raw(t, p.Token, http.MethodGet, "/organizations/"+p.org.Name+"/provisionerdaemons/demand?tags=nonsense", "")
	require.Equal(t, http.StatusBadRequest, status)
	outsider := p.Outsider(t)
	hiddenLikeMissing(t, p.Server, outsider.Token, http.MethodGet, "/organizations/"+p.org.Name+"/provisionerdaemons/demand", "/organizations/missing/provisionerdaemons/demand", "")
}
