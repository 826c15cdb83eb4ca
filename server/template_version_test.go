package server_test

import (
	"encoding/json"
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

func TestAnImportFromUploadToActiveVersion(t *testing.T) {
	t.Parallel()
	b := newTemplateBench(t)
	v := b.version(t, plainTemplate, func(r *client.CreateTemplateVersionRequest) { r.Message = "first" })
	require.Nil(t, v.TemplateID)
	require.Equal(t, client.JobPending, v.Job.Status)
	require.Equal(t, client.JobTemplateVersionImport, v.Job.Type)
	require.Equal(t, v.ID, *v.Job.Input.TemplateVersionID)
	require.NotEmpty(t, v.Name)
	require.Equal(t, "first", v.Message)
	require.Equal(t, 1, v.MatchedProvisioners.Available)
	for path, status := range unfinished(v.ID) {
		code, body := b.Raw(t, b.Token, http.MethodGet, path, "")
		require.Equal(t, status, code, "%s: %s", path, body)
	}

	job := b.importAs(t, client.ImportResult{
		Readme: "# Hello", Parameters: []client.TemplateVersionParameter{{Name: "region", Type: "string", DefaultValue: "eu", Mutable: true}},
		Presets:        []client.ImportedPreset{{Name: "Europe", Default: true, Parameters: []client.BuildParameter{{Name: "region", Value: "eu"}}}},
		StartResources: []client.ProvisionedResource{{Address: "terraform_data.main", Type: "terraform_data", Name: "main", DailyCost: 3}},
		StopResources:  []client.ProvisionedResource{{Address: "terraform_data.main", Type: "terraform_data", Name: "main"}},
		Graph:          json.RawMessage(`{"edges":[]}`), HasExternalAgent: true,
	})
	require.Equal(t, v.Name, job.Metadata.TemplateVersion)
	v, err := b.admin.TemplateVersion(t.Context(), v.ID)
	require.NoError(t, err)
	require.Equal(t, client.JobSucceeded, v.Job.Status)
	require.Equal(t, "# Hello", v.Readme)
	require.True(t, v.HasExternalAgent)
	checkImported(t, b, v.ID)

	row, err := b.Store.GetTemplateVersion(t.Context(), v.ID)
	require.NoError(t, err)
	require.JSONEq(t, `{"edges":[]}`, row.Graph)
	require.EqualValues(t, 3, row.StartCost)
}

// unfinished are the routes that wait for an import, and what they answer before.
func unfinished(id uuid.UUID) map[string]int {
	path := "/templateversions/" + id.String()
	return map[string]int{
		path + "/rich-parameters": http.StatusForbidden, path + "/variables": http.StatusForbidden, path + "/resources": http.StatusBadRequest,
		path + "/dynamic-parameters": http.StatusTooEarly, path + "/presets": http.StatusOK, path + "/external-auth": http.StatusOK,
		path + "/schema": http.StatusOK, path + "/parameters": http.StatusOK, path + "/logs": http.StatusOK, path + "/logs?after=x": http.StatusBadRequest,
	}
}

func checkImported(t *testing.T, b *templateBench, id uuid.UUID) {
	t.Helper()
	parameters, err := b.admin.TemplateVersionParameters(t.Context(), id)
	require.NoError(t, err)
	require.Len(t, parameters, 1)
	require.NotNil(t, parameters[0].Options)
	resources, err := b.admin.TemplateVersionResources(t.Context(), id)
	require.NoError(t, err)
	require.Len(t, resources, 2)
	require.ElementsMatch(t, []string{client.TransitionStart, client.TransitionStop}, []string{resources[0].Transition, resources[1].Transition})

	_, body := b.Raw(t, b.Token, http.MethodGet, "/templateversions/"+id.String()+"/presets", "")
	var presets []map[string]any
	require.NoError(t, json.Unmarshal([]byte(body), &presets))
	require.Len(t, presets, 1)
	require.Equal(t, "Europe", presets[0]["Name"])
	require.Equal(t, true, presets[0]["Default"])
	require.Equal(t, []any{map[string]any{"Name": "region", "Value": "eu"}}, presets[0]["Parameters"])
	require.Contains(t, presets[0], "DesiredPrebuildInstances")
	require.NotEqual(t, uuid.Nil.String(), presets[0]["ID"])
	_, again := b.Raw(t, b.Token, http.MethodGet, "/templateversions/"+id.String()+"/presets", "")
	require.Equal(t, body, again)

	code, body := b.Raw(t, b.Token, http.MethodGet, "/templateversions/"+id.String()+"/dynamic-parameters", "")
	require.Equal(t, http.StatusBadRequest, code)
	require.Contains(t, body, "rich-parameters")
	code, body = b.Raw(t, b.Token, http.MethodGet, "/templateversions/"+id.String()+"/schema", "")
	require.Equal(t, http.StatusOK, code)
	require.JSONEq(t, "[]", body)
}

func TestAVersionThatCannotBeMadeSaysWhy(t *testing.T) {
	t.Parallel()
	b := newTemplateBench(t)
	tpl := b.template(t, "docker")
	b.versionOf(t, tpl, "one")
	other := b.Organization(t, "other")
	type change = func(*client.CreateTemplateVersionRequest)
	id := func() *uuid.UUID { id := uuid.New(); return &id }
	for name, c := range map[string]struct {
		source string
		change change
		status int
		says   string
	}{
		"a syntax error":               {"resource \"x\" {\n  a =\n}", nil, 400, "main.tf:2"},
		"a backend":                    {"terraform {\n  backend \"s3\" {}\n}", nil, 400, "main.tf:2"},
		"tags of an unknown thing":     {"data \"coder_workspace_tags\" \"t\" {\n  tags = { zone = local.zone }\n}", nil, 400, "main.tf:2"},
		"neither file nor example":     {plainTemplate, func(r *client.CreateTemplateVersionRequest) { r.FileID = nil }, 400, "file_id"},
		"both file and example":        {plainTemplate, func(r *client.CreateTemplateVersionRequest) { r.ExampleID = "scratch" }, 400, "example_id"},
		"an unknown example":           {plainTemplate, func(r *client.CreateTemplateVersionRequest) { r.FileID, r.ExampleID = nil, "nothing" }, 400, "nothing"},
		"an unknown file":              {plainTemplate, func(r *client.CreateTemplateVersionRequest) { r.FileID = id() }, 404, ""},
		"an unknown template":          {plainTemplate, func(r *client.CreateTemplateVersionRequest) { r.TemplateID = id() }, 404, ""},
		"a name with a blank":          {plainTemplate, func(r *client.CreateTemplateVersionRequest) { r.Name = "two words" }, 400, "name"},
		"a name over 64 characters":    {plainTemplate, func(r *client.CreateTemplateVersionRequest) { r.Name = strings.Repeat("a", 65) }, 400, "name"},
		"a name that the template has": {plainTemplate, func(r *client.CreateTemplateVersionRequest) { r.Name, r.TemplateID = "ONE", &tpl.ID }, 409, "name"},
		"no storage method":            {plainTemplate, func(r *client.CreateTemplateVersionRequest) { r.StorageMethod = "" }, 400, "storage_method"},
		"an unknown provisioner":       {plainTemplate, func(r *client.CreateTemplateVersionRequest) { r.Provisioner = "pulumi" }, 400, "provisioner"},
		"a tag with a NUL byte":        {plainTemplate, func(r *client.CreateTemplateVersionRequest) { r.Tags = map[string]string{"a": "\x00"} }, 400, "NUL"},
		"a message over the limit":     {plainTemplate, func(r *client.CreateTemplateVersionRequest) { r.Message = strings.Repeat("a", 1<<20+1) }, 400, "message"},
		"a template without source files": {"", func(r *client.CreateTemplateVersionRequest) {
			f := upload(t, b.admin, map[string]string{"a.txt": ""})
			r.FileID = &f
		}, 400, ".tf"},
	} {
		t.Run(name, func(t *testing.T) {
			req := versionRequest(t, b.admin, c.source)
			if c.change != nil {
				c.change(&req)
			}
			_, err := b.admin.CreateTemplateVersion(t.Context(), b.org.ID.String(), req)
			require.Contains(t, refused(t, err, c.status).Error(), c.says)
		})
	}
	t.Run("a template of another organization", func(t *testing.T) {
		req := versionRequest(t, b.Client, plainTemplate)
		req.TemplateID = &tpl.ID
		_, err := b.Client.CreateTemplateVersion(t.Context(), other.ID.String(), req)
		refused(t, err, http.StatusNotFound)
	})
	t.Run("a member without the permission", func(t *testing.T) {
		req := versionRequest(t, b.member, plainTemplate)
		_, err := b.member.CreateTemplateVersion(t.Context(), b.org.ID.String(), req)
		refused(t, err, http.StatusNotFound)
		req.TemplateID = &tpl.ID
		_, err = b.member.CreateTemplateVersion(t.Context(), b.org.ID.String(), req)
		refused(t, err, http.StatusNotFound)
	})
	t.Run("somebody else's file", func(t *testing.T) {
		secret := upload(t, b.member, map[string]string{"main.tf": "# secret\n" + plainTemplate})
		req := versionRequest(t, b.admin, plainTemplate)
		req.FileID = &secret
		_, hidden := b.admin.CreateTemplateVersion(t.Context(), b.org.ID.String(), req)
		req.FileID = id()
		_, missing := b.admin.CreateTemplateVersion(t.Context(), b.org.ID.String(), req)
		sameRefusal(t, missing, hidden)
	})
}

const variableTemplate = `
variable "password" {
  sensitive = true
  default   = "changeme"
}
variable "region" {
  description = "Where"
  default     = "eu"
}
variable "size" { type = number }
`

func TestVariablesAreSealedAndTakenOverFromTheActiveVersion(t *testing.T) {
	t.Parallel()
	b := newTemplateBench(t)
	v := b.version(t, variableTemplate, func(r *client.CreateTemplateVersionRequest) {
		r.UserVariableValues = []client.VariableValue{{Name: "password", Value: "hunter2"}, {Name: "size", Value: "3"}, {Name: "gone", Value: "x"}}
	})
	job := b.importAs(t, client.ImportResult{Variables: []client.TemplateVersionVariable{
		{Name: "password", Type: "string", DefaultValue: "changeme", Sensitive: true}, {Name: "region", Type: "string", Description: "Where", DefaultValue: "eu"},
		{Name: "size", Type: "number", Required: true},
	}})
	require.Equal(t, []client.JobVariable{{Name: "password", Value: "hunter2", Sensitive: true}, {Name: "size", Value: "3"}}, job.Variables)
	want := []client.TemplateVersionVariable{
		{Name: "password", Type: "string", Sensitive: true},
		{Name: "region", Type: "string", Description: "Where", DefaultValue: "eu", Value: "eu"},
		{Name: "size", Type: "number", Required: true, Value: "3"},
	}
	got, err := b.admin.TemplateVersionVariables(t.Context(), v.ID)
	require.NoError(t, err)
	require.Equal(t, want, got)
	rows, err := b.Store.ListTemplateVersionVariables(t.Context(), store.ListTemplateVersionVariablesParams{OrganizationID: b.org.ID, TemplateVersionID: v.ID})
	require.NoError(t, err)
	for _, row := range rows {
		require.NotContains(t, string(row.Value), "hunter2")
		require.NotContains(t, string(row.DefaultValue), "changeme")
	}
	logs, err := b.admin.TemplateVersionLogs(t.Context(), v.ID, 0)
	require.NoError(t, err)
	require.Contains(t, logs[0].Output, "gone")

	tpl, err := b.admin.CreateTemplate(t.Context(), b.org.ID.String(), client.CreateTemplateRequest{Name: "vars", VersionID: v.ID})
	require.NoError(t, err)
	b.version(t, variableTemplate, func(r *client.CreateTemplateVersionRequest) {
		r.TemplateID, r.UserVariableValues = &tpl.ID, []client.VariableValue{{Name: "region", Value: "us"}}
	})
	next, attempt := b.take(t)
	require.Equal(t, []client.JobVariable{{Name: "password", Value: "hunter2", Sensitive: true}, {Name: "region", Value: "us"}, {Name: "size", Value: "3"}}, next.Variables)
	_, err = attempt.Complete(t.Context(), client.CompleteJobRequest{Import: &client.ImportResult{}})
	require.NoError(t, err)
}

func TestAFailedImportKeepsItsVariables(t *testing.T) {
	t.Parallel()
	b := newTemplateBench(t)
	v := b.version(t, variableTemplate, nil)
	b.failImport(t, client.FailJobRequest{Error: "a value is missing", Code: "REQUIRED_TEMPLATE_VARIABLES", Import: &client.ImportResult{
		Variables: []client.TemplateVersionVariable{{Name: "size", Type: "number", Required: true}},
	}})
	v, err := b.admin.TemplateVersion(t.Context(), v.ID)
	require.NoError(t, err)
	require.Equal(t, client.JobFailed, v.Job.Status)
	require.Equal(t, "REQUIRED_TEMPLATE_VARIABLES", v.Job.ErrorCode)
	variables, err := b.admin.TemplateVersionVariables(t.Context(), v.ID)
	require.NoError(t, err)
	require.Equal(t, []client.TemplateVersionVariable{{Name: "size", Type: "number", Required: true}}, variables)
	resources, err := b.admin.TemplateVersionResources(t.Context(), v.ID)
	require.NoError(t, err)
	require.Empty(t, resources)
}

func TestWorkspaceTagsRouteTheImport(t *testing.T) {
	t.Parallel()
	b := newTemplateBench(t)
	const source = `
variable "zone" { default = "eu" }
data "coder_workspace_tags" "t" {
  tags = {
    "zone"  = var.zone
    "size"  = data.coder_parameter.size.value
    "scope" = "user"
    "owner" = "00000000-0000-0000-0000-000000000001"
  }
}
data "coder_parameter" "size" {
  name    = "size"
  default = "small"
}
`
	v := b.version(t, source, func(r *client.CreateTemplateVersionRequest) {
		r.Tags = map[string]string{"env": "prod", "zone": "nowhere"}
		r.UserVariableValues = []client.VariableValue{{Name: "zone", Value: "us"}}
	})
	require.Equal(t, map[string]string{"scope": "organization", "owner": "", "env": "prod", "zone": "us", "size": "small"}, v.Job.Tags)
	require.Zero(t, v.MatchedProvisioners.Count)
	require.Contains(t, v.Job.WaitReason, "zone=us")

	b.daemons, b.daemon = b.join(t, b.org, v.Job.Tags)
	b.importAs(t, client.ImportResult{})
}

// A version is shown with all that was written about it, and a list of many
// with the beginning.
func TestListsOfVersionsAreBounded(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		b := newTemplateBench(t, servertest.WithStore(st))
		message, readme := strings.Repeat("ä", 5000), strings.Repeat("ö", 20_000)
		v := b.version(t, plainTemplate, func(r *client.CreateTemplateVersionRequest) { r.Message = message })
		b.importAs(t, client.ImportResult{Readme: readme})
		tpl, err := b.admin.CreateTemplate(t.Context(), b.org.ID.String(), client.CreateTemplateRequest{Name: "docker", VersionID: v.ID})
		require.NoError(t, err)
		listed, err := b.member.TemplateVersions(t.Context(), tpl.ID, client.TemplateVersionsRequest{})
		require.NoError(t, err)
		require.Equal(t, strings.Repeat("ä", 4096), listed[0].Message)
		require.Equal(t, strings.Repeat("ö", 16_384), listed[0].Readme)
		whole, err := b.member.TemplateVersion(t.Context(), v.ID)
		require.NoError(t, err)
		require.Equal(t, message, whole.Message)
		require.Equal(t, readme, whole.Readme)
	})
}

func TestVersionsOfATemplate(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	b := newTemplateBench(t, servertest.WithClock(clock))
	tpl := b.template(t, "docker")
	first, err := b.admin.TemplateVersion(t.Context(), tpl.ActiveVersionID)
	require.NoError(t, err)
	require.Equal(t, tpl.ID, *first.TemplateID)
	clock.Advance(time.Second)
	second := b.versionOf(t, tpl, "two")
	clock.Advance(time.Second)
	third := b.versionOf(t, tpl, "three")
	clock.Advance(time.Second)

	t.Run("are listed by pages", func(t *testing.T) {
		all, err := b.member.TemplateVersions(t.Context(), tpl.ID, client.TemplateVersionsRequest{})
		require.NoError(t, err)
		require.Equal(t, []uuid.UUID{first.ID, second.ID, third.ID}, versionIDs(all))
		page, err := b.member.TemplateVersions(t.Context(), tpl.ID, client.TemplateVersionsRequest{Page: client.Page{Limit: 1, AfterID: first.ID}})
		require.NoError(t, err)
		require.Equal(t, []uuid.UUID{second.ID}, versionIDs(page))
		page, err = b.member.TemplateVersions(t.Context(), tpl.ID, client.TemplateVersionsRequest{Page: client.Page{Limit: 5, Offset: 2}})
		require.NoError(t, err)
		require.Equal(t, []uuid.UUID{third.ID}, versionIDs(page))
		_, err = b.member.TemplateVersions(t.Context(), tpl.ID, client.TemplateVersionsRequest{Page: client.Page{AfterID: uuid.New()}})
		refused(t, err, http.StatusBadRequest, "after_id")
	})
	t.Run("are found by name, and so is the one before", func(t *testing.T) {
		v, err := b.member.TemplateVersionByName(t.Context(), tpl.ID, "Two")
		require.NoError(t, err)
		require.Equal(t, second.ID, v.ID)
		_, err = b.member.TemplateVersionByName(t.Context(), tpl.ID, "four")
		refused(t, err, http.StatusNotFound)
		path := "/organizations/platform/templates/docker/versions/"
		for name, want := range map[string]uuid.UUID{"three": third.ID, "three/previous": second.ID, "two/previous": first.ID} {
			code, body := b.Raw(t, b.Token, http.MethodGet, path+name, "")
			require.Equal(t, http.StatusOK, code, body)
			require.Contains(t, body, want.String())
		}
		code, _ := b.Raw(t, b.Token, http.MethodGet, path+first.Name+"/previous", "")
		require.Equal(t, http.StatusNotFound, code)
	})
	t.Run("are renamed", func(t *testing.T) {
		name, message := "second", "better"
		v, err := b.admin.UpdateTemplateVersion(t.Context(), second.ID, client.UpdateTemplateVersionRequest{Name: &name, Message: &message})
		require.NoError(t, err)
		require.Equal(t, "second", v.Name)
		require.Equal(t, "better", v.Message)
		used, bad := "THREE", "a b"
		_, err = b.admin.UpdateTemplateVersion(t.Context(), second.ID, client.UpdateTemplateVersionRequest{Name: &used})
		refused(t, err, http.StatusBadRequest, "name")
		_, err = b.admin.UpdateTemplateVersion(t.Context(), second.ID, client.UpdateTemplateVersionRequest{Name: &bad})
		refused(t, err, http.StatusBadRequest, "name")
		_, err = b.member.UpdateTemplateVersion(t.Context(), second.ID, client.UpdateTemplateVersionRequest{Name: &name})
		refused(t, err, http.StatusNotFound)
	})
	t.Run("become active once they are imported", func(t *testing.T) {
		promote := func(id uuid.UUID) error {
			return b.admin.UpdateActiveTemplateVersion(t.Context(), tpl.ID, client.UpdateActiveTemplateVersionRequest{ID: id})
		}
		refused(t, promote(second.ID), http.StatusForbidden)
		b.importAs(t, client.ImportResult{})
		require.NoError(t, promote(second.ID))
		now, err := b.admin.Template(t.Context(), tpl.ID)
		require.NoError(t, err)
		require.Equal(t, second.ID, now.ActiveVersionID)
		b.failImport(t, client.FailJobRequest{Error: "no"})
		refused(t, promote(third.ID), http.StatusForbidden)
		refused(t, promote(uuid.New()), http.StatusNotFound)
		refused(t, promote(b.version(t, plainTemplate, nil).ID), http.StatusBadRequest)
		b.importAs(t, client.ImportResult{})
		require.NoError(t, b.admin.SetTemplateVersionArchived(t.Context(), first.ID, true))
		refused(t, promote(first.ID), http.StatusBadRequest)
		refused(t, b.member.UpdateActiveTemplateVersion(t.Context(), tpl.ID, client.UpdateActiveTemplateVersionRequest{ID: second.ID}), http.StatusNotFound)
	})
}

func versionIDs(versions []client.TemplateVersion) []uuid.UUID {
	ids := []uuid.UUID{}
	for _, v := range versions {
		ids = append(ids, v.ID)
	}
	return ids
}

func TestArchivedVersions(t *testing.T) {
	t.Parallel()
	b := newTemplateBench(t)
	tpl := b.template(t, "docker")
	failed := b.versionOf(t, tpl, "failed")
	b.failImport(t, client.FailJobRequest{Error: "no"})
	old := b.versionOf(t, tpl, "old")
	b.importAs(t, client.ImportResult{})
	waiting := b.versionOf(t, tpl, "waiting")

	refused(t, b.admin.SetTemplateVersionArchived(t.Context(), tpl.ActiveVersionID, true), http.StatusBadRequest)
	refused(t, b.admin.SetTemplateVersionArchived(t.Context(), old.ID, false), http.StatusBadRequest)
	require.NoError(t, b.admin.SetTemplateVersionArchived(t.Context(), old.ID, true))
	refused(t, b.admin.SetTemplateVersionArchived(t.Context(), old.ID, true), http.StatusBadRequest)
	shown, err := b.admin.TemplateVersions(t.Context(), tpl.ID, client.TemplateVersionsRequest{})
	require.NoError(t, err)
	require.NotContains(t, versionIDs(shown), old.ID)
	shown, err = b.admin.TemplateVersions(t.Context(), tpl.ID, client.TemplateVersionsRequest{IncludeArchived: true})
	require.NoError(t, err)
	require.Contains(t, versionIDs(shown), old.ID)
	require.NoError(t, b.admin.SetTemplateVersionArchived(t.Context(), old.ID, false))
	refused(t, b.member.SetTemplateVersionArchived(t.Context(), old.ID, true), http.StatusNotFound)

	r, err := b.admin.ArchiveTemplateVersions(t.Context(), tpl.ID, client.ArchiveTemplateVersionsRequest{})
	require.NoError(t, err)
	require.Equal(t, client.ArchiveTemplateVersionsResponse{TemplateID: tpl.ID, ArchivedIDs: []uuid.UUID{failed.ID}}, r)
	r, err = b.admin.ArchiveTemplateVersions(t.Context(), tpl.ID, client.ArchiveTemplateVersionsRequest{All: true})
	require.NoError(t, err)
	require.Equal(t, []uuid.UUID{old.ID}, r.ArchivedIDs)
	code, body := b.Raw(t, b.Token, http.MethodPost, "/templates/"+tpl.ID.String()+"/versions/archive", `{}`)
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, body, `"archived_ids":[]`)
	v, err := b.admin.TemplateVersion(t.Context(), waiting.ID)
	require.NoError(t, err)
	require.False(t, v.Archived)
}

func TestCancelingAnImport(t *testing.T) {
	t.Parallel()
	b := newTemplateBench(t)
	pending := b.version(t, plainTemplate, nil)
	refused(t, b.member.CancelTemplateVersion(t.Context(), pending.ID), http.StatusNotFound)
	require.NoError(t, b.admin.CancelTemplateVersion(t.Context(), pending.ID))
	v, err := b.admin.TemplateVersion(t.Context(), pending.ID)
	require.NoError(t, err)
	require.Equal(t, client.JobCanceled, v.Job.Status)
	refused(t, b.admin.CancelTemplateVersion(t.Context(), pending.ID), http.StatusBadRequest)

	running := b.version(t, plainTemplate, nil)
	_, attempt := b.take(t)
	require.NoError(t, b.admin.CancelTemplateVersion(t.Context(), running.ID))
	v, err = b.admin.TemplateVersion(t.Context(), running.ID)
	require.NoError(t, err)
	require.Equal(t, client.JobCanceling, v.Job.Status)
	_, err = attempt.Fail(t.Context(), client.FailJobRequest{Error: "canceled", Canceled: true, EngineDead: true})
	require.NoError(t, err)
	v, err = b.admin.TemplateVersion(t.Context(), running.ID)
	require.NoError(t, err)
	require.Equal(t, client.JobCanceled, v.Job.Status)
}

func TestTheLogOfAnImportIsFollowed(t *testing.T) {
	t.Parallel()
	b := newTemplateBench(t)
	v := b.version(t, plainTemplate, nil)
	_, attempt := b.take(t)
	lines := make(chan string, 10)
	done := make(chan error, 1)
	go func() {
		for line, err := range b.admin.FollowTemplateVersionLogs(t.Context(), v.ID, 0) {
			if err != nil {
				done <- err
				return
			}
			lines <- line.Output
		}
		done <- nil
	}()
	_, err := attempt.AppendLogs(t.Context(), client.AppendLogsRequest{Next: 6, Entries: []client.JobLogEntry{{CreatedAt: time.Now(), Source: "provisioner", Level: "info", Stage: "Plan", Output: "hello"}}})
	require.NoError(t, err)
	require.Equal(t, "hello", <-lines)
	_, err = attempt.Complete(t.Context(), client.CompleteJobRequest{Logs: 6, Import: &client.ImportResult{}})
	require.NoError(t, err)
	require.NoError(t, <-done)
	code, body := b.Raw(t, b.Token, http.MethodGet, "/templateversions/"+v.ID.String()+"/logs?format=text", "")
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, body, "hello")
}

func TestAnUnknownExternalProviderIsNamed(t *testing.T) {
	t.Parallel()
	b := newTemplateBench(t)
	v := b.version(t, plainTemplate, nil)
	b.importAs(t, client.ImportResult{ExternalAuth: []string{"github"}})
	_, err := b.admin.TemplateVersionExternalAuth(t.Context(), v.ID)
	require.Contains(t, refused(t, err, http.StatusNotFound).Message, "github")
	logs, err := b.admin.TemplateVersionLogs(t.Context(), v.ID, 0)
	require.NoError(t, err)
	require.Contains(t, logs[len(logs)-1].Output, "github")
}

func TestVersionsOfAnotherOrganizationDoNotExist(t *testing.T) {
	t.Parallel()
	b := newTemplateBench(t)
	v := b.version(t, plainTemplate, nil)
	outsider := b.Outsider(t).Client
	_, missing := outsider.TemplateVersion(t.Context(), uuid.New())
	_, hidden := outsider.TemplateVersion(t.Context(), v.ID)
	refused(t, hidden, http.StatusNotFound)
	sameRefusal(t, missing, hidden)
	// A version without a template is for those who may make one of it.
	_, err := b.member.TemplateVersion(t.Context(), v.ID)
	refused(t, err, http.StatusNotFound)
}

func TestStarterTemplatesAreImportedByName(t *testing.T) {
	t.Parallel()
	b := newTemplateBench(t)
	examples, err := b.admin.TemplateExamples(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, examples)
	_, err = b.member.TemplateExamples(t.Context())
	refused(t, err, http.StatusNotFound)
	code, _ := b.Raw(t, b.Token, http.MethodGet, "/organizations/platform/templates/examples", "")
	require.Equal(t, http.StatusOK, code)
	ids := map[uuid.UUID]bool{}
	for range 2 {
		v, err := b.admin.CreateTemplateVersion(t.Context(), "platform", client.CreateTemplateVersionRequest{
			StorageMethod: client.StorageFile, Provisioner: client.ProvisionerTerraform, ExampleID: examples[0].ID,
		})
		require.NoError(t, err)
		ids[v.Job.FileID] = true
	}
	require.Len(t, ids, 1)
}
