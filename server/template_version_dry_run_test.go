package server_test

import (
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
)

func TestADryRunPlansAWorkspaceThatDoesNotExist(t *testing.T) {
	t.Parallel()
	b := newTemplateBench(t)
	v := b.version(t, `variable "size" { default = "s" }`, func(r *client.CreateTemplateVersionRequest) {
		r.UserVariableValues = []client.VariableValue{{Name: "size", Value: "m"}}
	})
	_, err := b.admin.CreateDryRun(t.Context(), v.ID, client.CreateDryRunRequest{})
	refused(t, err, http.StatusBadRequest)
	b.importAs(t, client.ImportResult{})
	_, err = b.admin.CreateTemplate(t.Context(), "platform", client.CreateTemplateRequest{Name: "docker", VersionID: v.ID})
	require.NoError(t, err)

	_, err = b.member.CreateDryRun(t.Context(), v.ID, client.CreateDryRunRequest{WorkspaceName: "no name"})
	refused(t, err, http.StatusBadRequest, "workspace_name")
	dry, err := b.member.CreateDryRun(t.Context(), v.ID, client.CreateDryRunRequest{
		WorkspaceName: "box", RichParameterValues: []client.BuildParameter{{Name: "region", Value: "eu"}}, UserVariableValues: []client.VariableValue{{Name: "size", Value: "l"}, {Name: "other", Value: "x"}},
	})
	require.NoError(t, err)
	require.Equal(t, client.JobTemplateVersionDryRun, dry.Type)
	matched, err := b.member.DryRunMatchedProvisioners(t.Context(), v.ID, dry.ID)
	require.NoError(t, err)
	require.Equal(t, 1, matched.Available)
	_, err = b.member.DryRunResources(t.Context(), v.ID, dry.ID)
	refused(t, err, http.StatusBadRequest)

	job, attempt := b.take(t)
	require.Equal(t, dry.ID, job.ID)
	require.Equal(t, "box", job.Metadata.WorkspaceName)
	require.Equal(t, []client.BuildParameter{{Name: "region", Value: "eu"}}, job.Parameters)
	require.Equal(t, []client.JobVariable{{Name: "size", Value: "l"}}, job.Variables)
	_, err = attempt.Complete(t.Context(), client.CompleteJobRequest{DryRun: &client.DryRunResult{Resources: []client.ProvisionedResource{{Address: "a.b", Type: "a", Name: "b"}}}})
	require.NoError(t, err)
	done, err := b.member.DryRun(t.Context(), v.ID, dry.ID)
	require.NoError(t, err)
	require.Equal(t, client.JobSucceeded, done.Status)
	resources, err := b.member.DryRunResources(t.Context(), v.ID, dry.ID)
	require.NoError(t, err)
	require.Len(t, resources, 1)
	_, err = b.member.DryRunLogs(t.Context(), v.ID, dry.ID, 0)
	require.NoError(t, err)
	refused(t, b.member.CancelDryRun(t.Context(), v.ID, dry.ID), http.StatusBadRequest)
}

func TestDryRunsAreOfTheirVersionAndForTheirMaker(t *testing.T) {
	t.Parallel()
	b := newTemplateBench(t)
	tpl := b.template(t, "docker")
	other := b.versionOf(t, tpl, "other")
	b.importAs(t, client.ImportResult{})
	dry, err := b.member.CreateDryRun(t.Context(), tpl.ActiveVersionID, client.CreateDryRunRequest{})
	require.NoError(t, err)
	v, err := b.admin.TemplateVersion(t.Context(), tpl.ActiveVersionID)
	require.NoError(t, err)

	_, err = b.member.DryRun(t.Context(), other.ID, dry.ID)
	refused(t, err, http.StatusForbidden)
	_, err = b.admin.DryRun(t.Context(), v.ID, v.Job.ID)
	refused(t, err, http.StatusForbidden)
	_, missing := b.member.DryRun(t.Context(), v.ID, uuid.New())
	refused(t, missing, http.StatusNotFound)
	_, err = b.Member(t, b.org).DryRun(t.Context(), v.ID, dry.ID)
	sameRefusal(t, missing, err)
	code, _ := b.Raw(t, b.Token, http.MethodGet, "/templateversions/"+v.ID.String()+"/dry-run/x", "")
	require.Equal(t, http.StatusBadRequest, code)
	code, _ = b.Raw(t, b.Token, http.MethodGet, "/templateversions/"+v.ID.String()+"/dry-run/x/logs", "")
	require.Equal(t, http.StatusBadRequest, code)
	require.NoError(t, b.member.CancelDryRun(t.Context(), v.ID, dry.ID))

	// A job of another organization is not even a 403.
	elsewhere := b.Organization(t, "elsewhere")
	foreign, err := b.Client.CreateTemplateVersion(t.Context(), elsewhere.ID.String(), versionRequest(t, b.Client, plainTemplate))
	require.NoError(t, err)
	_, err = b.member.DryRun(t.Context(), v.ID, foreign.Job.ID)
	sameRefusal(t, missing, err)
	_, err = b.Outsider(t).Client.CreateDryRun(t.Context(), v.ID, client.CreateDryRunRequest{})
	sameRefusal(t, missing, err)
}
