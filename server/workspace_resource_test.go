package server_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/client"
)

func TestResourcesShowTheirAgentsInOrder(t *testing.T) {
	t.Parallel()
	b := newTemplateBench(t)
	v := b.version(t, plainTemplate, nil)
	b.importAs(t, client.ImportResult{StartResources: []client.ProvisionedResource{
		{Address: "docker_volume.a", Type: "docker_volume", Name: "a", Metadata: []client.WorkspaceResourceMetadata{{Key: "size", Value: "1", Sensitive: true}}},
		{Address: "docker_container.z", Type: "docker_container", Name: "z", Icon: "/icon.svg", Hide: true, DailyCost: 5, Agents: []client.ProvisionedAgent{
			{Name: "second", Order: 2, Token: "secret-token", OperatingSystem: "linux"},
			{
				Name: "first", Order: 1, Token: "secret-token", OperatingSystem: "linux", Architecture: "amd64", Env: map[string]string{"A": "b"}, DisplayApps: []string{"vscode"},
				Scripts: []client.ProvisionedScript{{DisplayName: "Startup Script", Script: "true", RunOnStart: true, TimeoutSeconds: 30}},
				Apps: []client.ProvisionedApp{
					{Slug: "b", Order: 2, Share: "public", Healthcheck: &client.AppHealthcheck{URL: "http://localhost", Interval: 5, Threshold: 6}},
					{Slug: "a", Order: 1},
				},
			},
		}},
	}})
	resources, err := b.admin.TemplateVersionResources(t.Context(), v.ID)
	require.NoError(t, err)
	require.Len(t, resources, 2)
	z := resources[0]
	require.Equal(t, "z", z.Name, "what holds an agent comes first")
	require.Equal(t, v.Job.ID, z.JobID)
	require.True(t, z.Hide)
	require.Equal(t, 5, z.DailyCost)
	require.Equal(t, []client.WorkspaceResourceMetadata{{Key: "size", Value: "1", Sensitive: true}}, resources[1].Metadata)
	require.Len(t, z.Agents, 2)
	first := z.Agents[0]
	require.Equal(t, "first", first.Name)
	require.Equal(t, client.AgentConnecting, first.Status)
	require.Equal(t, "created", first.LifecycleState)
	require.True(t, first.Health.Healthy)
	require.Equal(t, map[string]string{"A": "b"}, first.EnvironmentVariables)
	require.Equal(t, z.ID, first.ResourceID)
	require.Len(t, first.Scripts, 1)
	require.Equal(t, first.Scripts[0].LogSourceID, first.LogSources[0].ID)
	require.Equal(t, []string{"a", "b"}, []string{first.Apps[0].Slug, first.Apps[1].Slug})
	require.Equal(t, "owner", first.Apps[0].SharingLevel)
	require.Equal(t, "disabled", first.Apps[0].Health)
	require.Equal(t, "initializing", first.Apps[1].Health)
	again, err := b.admin.TemplateVersionResources(t.Context(), v.ID)
	require.NoError(t, err)
	require.Equal(t, resources, again, "ids of apps and scripts do not change")

	status, body := b.Raw(t, b.Token, http.MethodGet, "/templateversions/"+v.ID.String()+"/resources", "")
	require.Equal(t, http.StatusOK, status)
	require.NotContains(t, body, "secret-token")
	require.NotContains(t, body, "null,\"name\"")
	rows, err := b.Store.ListAgentsOfJobs(t.Context(), `["`+v.Job.ID.String()+`"]`)
	require.NoError(t, err)
	for _, row := range rows {
		require.Len(t, row.HashedToken, 32)
		require.NotContains(t, string(row.Spec), "secret-token")
	}
}

// A result of more than can be stored at once is refused, and the job, which
// can still end badly, stores none of it.
func TestTooManyResources(t *testing.T) {
	t.Parallel()
	b := newTemplateBench(t)
	v := b.version(t, plainTemplate, nil)
	_, attempt := b.take(t)
	many := make([]client.ProvisionedResource, 5001)
	for i := range many {
		many[i] = client.ProvisionedResource{Address: fmt.Sprintf("a.b[%d]", i), Type: "a", Name: "b", Agents: []client.ProvisionedAgent{{Name: "main"}}}
	}
	many[0].Agents = nil
	_, err := attempt.Complete(t.Context(), client.CompleteJobRequest{Import: &client.ImportResult{StartResources: many}})
	require.Equal(t, http.StatusBadRequest, client.StatusCode(err))
	require.ErrorContains(t, err, "10001 resources and agents, and at most 10000")
	settled, err := attempt.Fail(t.Context(), client.FailJobRequest{Error: err.Error(), EngineDead: true})
	require.NoError(t, err)
	require.Equal(t, client.JobFailed, settled.Status)
	rows, err := b.Store.ListResourcesOfJobs(t.Context(), `["`+v.Job.ID.String()+`"]`)
	require.NoError(t, err)
	require.Empty(t, rows)
}
