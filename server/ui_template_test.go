package server_test

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
)

// adminsBrowser is that of an administrator of the bench's organization.
func (b *templateBench) adminsBrowser(t *testing.T) *servertest.Browser {
	t.Helper()
	return b.SignedIn(t, b.Person(t, b.org, client.RoleOrgAdmin).User.Email)
}

func TestATemplateIsMadeOfAStarterOnPages(t *testing.T) {
	t.Parallel()
	s := newTemplateBench(t)
	b := s.adminsBrowser(t)
	empty := b.Open("/templates")
	require.Contains(t, empty.Text, "No template yet")
	page := empty.Click("New template")
	require.Contains(t, page.Text, "1 provisioner of it is here: "+s.daemon.Name)
	require.NotContains(t, page.Text, "Default", "only organizations where one may make templates")
	require.Contains(t, page.Text, "coder templates push docker --org platform")

	wrong := page.Form("Import").Fill("source", "example-minimal").Fill("name", "Not A Name").Fill("tags", "env").Submit()
	require.Equal(t, http.StatusBadRequest, wrong.Status)
	require.Equal(t, "Not A Name", wrong.Form("Import").Value("name"))
	require.Contains(t, wrong.Form("Import").Fill("name", "first").Submit().Text, "write each as name=value")
	ready := wrong.Form("Import").Fill("name", "first").Fill("display_name", "<b>First").Fill("tags", "")
	version := ready.Submit()
	require.Equal(t, http.StatusOK, version.Status, version.Text)
	require.True(t, strings.HasPrefix(version.URL.Path, "/templates/new/"), version.URL.Path)
	require.True(t, version.HasButton("Cancel"))
	require.False(t, version.HasButton("Create template"), "not before the import has succeeded")
	require.Equal(t, version.URL.Path, ready.Submit().URL.Path, "sent twice, imported once")
	require.NotEqual(t, version.URL.Path, b.Open("/templates/new").Form("Import").Fill("source", "example-minimal").Fill("name", "other").Submit().URL.Path, "another form imports anew")

	s.importAs(t, client.ImportResult{Parameters: []client.TemplateVersionParameter{{Name: "size", Type: "string", DefaultValue: "<i>small", FormType: "input"}}, Readme: "# Hello", StartResources: []client.ProvisionedResource{agentResource(0)}})
	done := b.Open(version.URL.RequestURI())
	require.Contains(t, done.Text, "main linux amd64", "an agent that is only planned does not connect")
	require.Contains(t, done.Text, "size string <i>small")
	form := done.Form("Create template")
	require.Equal(t, "first", form.Value("name"))
	require.Equal(t, "<b>First", form.Value("display_name"))
	require.Equal(t, "Needs no cloud and no network; shows every part of a template", form.Value("description"), "the starter's own")
	require.Contains(t, done.Text, "Name first Display name <b>First Description Needs no cloud", "what was said is shown, not asked again")
	refused := form.Fill("name", "a b").Submit()
	require.Equal(t, http.StatusBadRequest, refused.Status)
	require.Contains(t, refused.Body, "aria-invalid")
	made := refused.Form("Create template").Fill("name", "first").Submit()
	require.Equal(t, "/templates/platform/first", made.URL.Path)
	require.Contains(t, made.Text, "was made")
	require.Equal(t, "/templates/platform/first", form.Submit().URL.Path, "sent twice, made once")
	require.Equal(t, "/templates/platform/first", b.Open(version.URL.RequestURI()).URL.Path)

	list := b.Open("/templates")
	require.Contains(t, list.Text, "<b>First")
	require.Contains(t, list.Links(), "/templates/platform/first/workspace")
	taken := b.Open("/templates/new").Form("Import").Fill("source", "example-minimal").Fill("name", "first").Submit()
	require.Contains(t, taken.Text, "has a template first already")
}

func TestATemplateIsMadeOfAnArchiveOnPages(t *testing.T) {
	t.Parallel()
	s := newTemplateBench(t)
	b := s.adminsBrowser(t)
	form := func() *servertest.Form {
		return b.Open("/templates/new").Form("Import").Fill("source", "archive").Fill("name", "mine")
	}
	require.Contains(t, form().Submit().Text, "Choose an archive")
	require.Regexp(t, `type="file" name="file" [^>]*aria-required="true"`, b.Open("/templates/new").Body)
	require.Contains(t, b.Open("/templates/new").Form("Import").Fill("source", "archive").Submit().Text, "Give the template a name")
	broken := form().Attach("file", "x.tar", []byte("no archive")).Submit()
	require.Equal(t, http.StatusBadRequest, broken.Status)
	require.Contains(t, broken.Text, "The archive is refused")

	source := tarOf(t, map[string]string{"main.tf": `variable "region" { type = string }` + "\n" + plainTemplate})
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := w.Write(source)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	page := form().Attach("file", "x.tar.gz", packed.Bytes()).Submit()
	require.Equal(t, http.StatusOK, page.Status, page.Text)

	s.failImport(t, client.FailJobRequest{Error: "variable region has no value", Code: client.JobErrorRequiredVariables})
	lacking := b.Open(page.URL.RequestURI())
	require.Contains(t, lacking.Text, "The template needs values")
	again := lacking.Form("Import again").Submit()
	require.Equal(t, http.StatusBadRequest, again.Status)
	require.Contains(t, again.Text, "The template needs a value")
	second := again.Form("Import again").Fill("variable.region", "eu").Submit()
	require.NotEqual(t, page.URL.Path, second.URL.Path)
	job := s.importAs(t, client.ImportResult{Variables: []client.TemplateVersionVariable{{Name: "region", Type: "string", Required: true}}})
	require.Equal(t, []client.JobVariable{{Name: "region", Value: "eu"}}, job.Variables)
	made := b.Open(second.URL.RequestURI()).Form("Create template")
	require.Equal(t, "mine", made.Value("name"), "what was typed in the beginning")
	require.Equal(t, "/templates/platform/mine", made.Submit().URL.Path)
}

func TestWhatWaitsForAProvisionerSaysSo(t *testing.T) {
	t.Parallel()
	s := newTemplateBench(t)
	s.Organization(t, "bare")
	b := s.SignedIn(t, "owner@example.com")
	page := b.Open("/templates/new?organization=bare")
	require.Contains(t, page.Text, "No provisioner of this organization is here")
	require.Contains(t, page.Links(), "/organizations/bare/provisioners")
	waiting := page.Form("Import").Fill("source", "example-minimal").Submit()
	require.Contains(t, waiting.Text, "the organization bare has none running")
	canceled := waiting.Form("Cancel").Submit()
	require.Contains(t, canceled.Text, "asked to stop")
	require.Contains(t, canceled.Text, "canceled")
	require.True(t, canceled.HasButton("Import again"))
}

func TestTemplateVersionPages(t *testing.T) {
	t.Parallel()
	s := newTemplateBench(t)
	b := s.adminsBrowser(t)
	s.template(t, "docker")
	upload := b.Open("/templates/platform/docker/versions").Click("New version").Form("Import").Fill("name", "two").Fill("message", "<i>better")
	second := upload.Attach("file", "x.tar", tarOf(t, map[string]string{"main.tf": plainTemplate + "\n# <b>more\n", "README.md": "# Hi"})).Submit()
	require.Equal(t, "/templates/platform/docker/versions/two", second.URL.Path, second.Text)
	s.importAs(t, client.ImportResult{Readme: "# Hi <script>alert(1)</script>"})
	twice := upload.Submit()
	require.NotEqual(t, http.StatusOK, twice.Status, "sent twice, imported once")

	page := b.Open(second.URL.Path)
	require.Contains(t, page.Text, "<i>better")
	changes := page.Click("Changes")
	require.Contains(t, changes.Text, "README.md added")
	require.Contains(t, changes.Text, "+ # <b>more")
	require.NotContains(t, changes.Text, "- resource", "what is the same is not removed")

	promoted := page.Form("Promote").Submit()
	require.Contains(t, promoted.Text, "New workspaces are made of two now")
	require.False(t, promoted.HasButton("Promote"))
	front := b.Open("/templates/platform/docker")
	require.Contains(t, front.Links(), "/templates/platform/docker/versions/two")
	require.Contains(t, front.Text, "Hi")
	require.NotContains(t, front.Body, "<script>alert")
	old := b.Open("/templates/platform/docker/versions")
	archived := old.Form("Archive").Submit()
	require.Contains(t, archived.Text, "is in the archive")
	require.False(t, archived.HasButton("Archive"))
	require.Contains(t, old.Form("Archive").Submit().Text, "is archived already")
	require.Contains(t, b.Open("/templates/platform/docker/versions?archived=1").Form("Unarchive").Submit().Text, "is out of the archive")
	require.Equal(t, http.StatusOK, b.Open("/templates/platform/docker/resources").Status)
	require.Contains(t, b.Open("/templates/platform/docker/parameters").Text, "asks nothing")

	lines := strings.Repeat("# same\n", 20)
	for name, source := range map[string]string{"three": "# one\n" + lines + "# two\n" + plainTemplate, "four": "# changed\n" + lines + plainTemplate} {
		form := b.Open("/templates/platform/docker/import").Form("Import").Fill("name", name)
		form.Attach("file", "x.tar", tarOf(t, map[string]string{"main.tf": source})).Submit()
		s.importAs(t, client.ImportResult{})
	}
	between := b.Open("/templates/platform/docker/versions/four/changes?from=three")
	require.Contains(t, between.Text, "@@ 1, 1 @@ - # one + # changed # same # same # same @@ 19, 19 @@ # same # same # same - # two "+plainTemplate)
	require.NotContains(t, between.Text, "README.md")

	member := s.SignedIn(t, s.Person(t, s.org).User.Email)
	seen := member.Open("/templates/platform/docker")
	require.Contains(t, seen.Links(), "/templates/platform/docker/workspace")
	for _, hidden := range []string{"settings", "permissions", "import"} {
		require.NotContains(t, seen.Links(), "/templates/platform/docker/"+hidden)
	}
	require.False(t, member.Open("/templates/platform/docker/versions").HasButton("Archive"))
	require.Equal(t, http.StatusForbidden, member.Open("/templates/platform/docker/import").Status)
	outsider := s.SignedIn(t, s.Outsider(t).User.Email)
	require.NotContains(t, outsider.Open("/templates").Links(), "/templates/platform/docker")
	for _, path := range []string{"", "/versions", "/versions/two", "/versions/two/changes", "/resources", "/parameters", "/import"} {
		require.Equal(t, http.StatusNotFound, outsider.Open("/templates/platform/docker"+path).Status, path)
	}
}
