package server_test

import (
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
)

// joinAs plays a provisioner that was started as the page of a key says.
func joinAs(t *testing.T, s *servertest.Server, page *servertest.Page) *worker {
	t.Helper()
	key := regexp.MustCompile(`export CODER_PROVISIONER_DAEMON_KEY=(\S+)`).FindStringSubmatch(page.Text)
	require.NotNil(t, key, page.Text)
	c, err := client.New(s.URL, client.Options{Header: http.Header{client.HeaderDaemonKey: {key[1]}}})
	require.NoError(t, err)
	d, err := c.RegisterDaemon(t.Context(), client.RegisterDaemonRequest{Name: "cluster", Provisioners: []string{client.ProvisionerTerraform}, Version: servertest.Version, APIVersion: "1.0", HostID: "cluster"})
	require.NoError(t, err)
	return &worker{client: c, id: d.ID}
}

// TestTheGuideWithoutScript goes from the set-up page to a workspace and its
// end with links and forms alone.
func TestTheGuideWithoutScript(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, servertest.WithoutUsers())
	b := s.Browser(t)
	b.Open("/").Form("Create the owner").Fill("username", "ada").Fill("email", "ada@example.com").Fill("password", servertest.Password).Submit()
	page := b.Open("/organizations").Click("New organization").Form("Create organization").Fill("name", "data-platform").Submit()
	require.Equal(t, "/organizations/data-platform/provisioners", page.URL.Path, "a new organization needs a provisioner next")
	page = page.Click("Provisioner keys").Click("New key").Form("Create key").Fill("name", "data-cluster").Submit()
	require.Contains(t, page.Text, "coder provisionerd start --org data-platform")
	w := joinAs(t, s, page)
	require.Contains(t, b.Open("/organizations/data-platform/provisioners").Text, "cluster")

	form := b.Open("/templates").Click("New template").Form("Import").Fill("organization", "data-platform").Fill("name", "minimal")
	starter := regexp.MustCompile(`value="([^"]*minimal)"`).FindStringSubmatch(b.Open("/templates/new").Body)
	require.NotNil(t, starter)
	version := form.Fill("source", starter[1]).Submit()
	require.Equal(t, http.StatusOK, version.Status, version.Text)
	job := w.take(t)
	_, err := job.attempt.Complete(t.Context(), client.CompleteJobRequest{Import: &client.ImportResult{Readme: "# Minimal", Graph: []byte(`{}`)}})
	require.NoError(t, err)
	made := b.Open(version.URL.RequestURI()).Form("Create template").Submit()
	require.Equal(t, "/templates/data-platform/minimal", made.URL.Path, made.Text)

	page = made.Click("Create workspace").Form("Create workspace").Fill("name", "dev1").Submit()
	require.Equal(t, "/@ada/dev1", page.URL.Path, page.Text)
	w.take(t).succeed(t, agentResource(0))
	page = b.Open("/@ada/dev1")
	require.Contains(t, page.Text, "running")
	page.Form("Stop").Submit()
	w.take(t).succeed(t)
	b.Open("/@ada/dev1").Click("Delete").Form("Delete the workspace").Fill("confirm", "dev1").Submit()
	w.take(t).succeed(t)
	require.Equal(t, http.StatusNotFound, b.Open("/@ada/dev1").Status)
	require.NotContains(t, b.Open("/workspaces?q=").Text, "dev1")
}
