package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server"
	"coder/server/servertest"
)

// A key whose older secret ends at once is rotated once by a form that is sent
// twice: a second secret would end the first, which is on some host by then.
func TestAKeyIsRotatedOnceByAFormThatIsSentTwice(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "data-platform")
	_, err := s.Client.CreateProvisionerKey(t.Context(), org.Name, client.CreateProvisionerKeyRequest{Name: "prod"})
	require.NoError(t, err)
	b := s.SignedIn(t, "owner@example.com")
	form := b.Open("/organizations/data-platform/keys/prod/rotate").Form("Make another secret").Fill("overlap", "0")
	made := form.Submit()
	require.Equal(t, http.StatusOK, made.Status, made.Text)
	secret := shownKey.FindStringSubmatch(made.Body)
	require.Len(t, secret, 2)
	twice := form.Submit()
	require.Equal(t, http.StatusConflict, twice.Status)
	require.Contains(t, twice.Text, "Somebody changed this while the form was open")
	keys, err := s.Client.ProvisionerKeys(t.Context(), org.Name)
	require.NoError(t, err)
	_, err = s.Client.RotateProvisionerKey(t.Context(), org.Name, "prod", client.RotateProvisionerKeyRequest{SecretID: &org.ID})
	require.Equal(t, http.StatusConflict, client.StatusCode(err), "the API says the same to whoever knows of another secret")
	require.NotNil(t, keys[0].SecretID)
	plain, err := s.Member(t, org).ProvisionerKeys(t.Context(), org.Name)
	require.NoError(t, err)
	require.Nil(t, plain[0].SecretID)
	_, err = withDaemonKey(t, s, secret[1]).PresentedProvisionerKey(t.Context())
	require.NoError(t, err, "what was shown is good")
}

// Somebody else ticks boxes of a role's grid while it is open: nothing of
// theirs is lost unseen, and nothing of what was ticked here.
func TestARoleGridThatStoodOpen(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "data-platform")
	role := client.CustomRoleRequest{Name: "reader", SitePermissions: []client.Permission{}, UserPermissions: []client.Permission{}, OrganizationPermissions: []client.Permission{{ResourceType: "template", Action: "read"}}}
	_, err := s.Client.CreateRole(t.Context(), org.Name, role)
	require.NoError(t, err)
	b := s.SignedIn(t, "owner@example.com")
	form := b.Open("/organizations/data-platform/roles/reader/edit").Form("Save").Fill("permission", "template:read", "group:read")
	role.OrganizationPermissions = []client.Permission{{ResourceType: "template", Action: "update"}}
	_, err = s.Client.UpdateRole(t.Context(), org.Name, role)
	require.NoError(t, err)
	stale := form.Submit()
	require.Equal(t, http.StatusConflict, stale.Status)
	require.Contains(t, stale.Text, "nothing was saved")
	require.ElementsMatch(t, []string{"template:read", "group:read"}, stale.Form("Save").Values("permission"), "what was ticked stays")
	roles, err := s.Client.OrganizationRoles(t.Context(), org.Name)
	require.NoError(t, err)
	require.Equal(t, role.OrganizationPermissions, roles[len(roles)-1].OrganizationPermissions)
	require.NoError(t, s.Client.DeleteRole(t.Context(), org.Name, "reader"))
	gone := stale.Form("Save").Submit()
	require.Equal(t, http.StatusNotFound, gone.Status)
	require.Contains(t, gone.Text, "There is no such page")
}

// A workspace comes to be while the form that deletes its organization is
// open: the page says what stands in the way, and nothing is deleted.
func TestAnOrganizationIsNotDeletedUnderABuild(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b := s.SignedIn(t, "owner@example.com")
	empty := s.Organization(t, "empty")
	form := b.Open("/organizations/empty/delete").Form("Delete the organization").Fill("confirm", "empty")
	_, err := s.Client.CreateProvisionerKey(t.Context(), empty.Name, client.CreateProvisionerKeyRequest{Name: "late"})
	require.NoError(t, err)
	refused := form.Submit()
	require.Equal(t, http.StatusConflict, refused.Status)
	require.Contains(t, refused.Text, "1 provisioner key")
	require.Contains(t, refused.Text, "late")
	require.NoError(t, s.Client.DeleteProvisionerKey(t.Context(), empty.Name, "late"))
	require.Contains(t, form.Submit().Text, "The organization empty was deleted")
	require.Equal(t, http.StatusNotFound, form.Submit().Status, "sent twice, deleted once")

	w := s.create(t, "box")
	busy := b.Open("/organizations/data-platform/delete")
	require.Contains(t, busy.Text, "1 workspace")
	require.Contains(t, busy.Click("1 workspace").Text, "box")
	require.Contains(t, busy.Text, "One may stay")
	forced := form.To("/organizations/data-platform/delete").Fill("confirm", "data-platform").Submit()
	require.Equal(t, http.StatusConflict, forced.Status)
	require.Contains(t, forced.Text, "dev1/box")
	s.worker.take(t).succeed(t)
	require.Equal(t, client.WorkspaceRunning, s.read(t, w.ID).LatestBuild.Status, "the build knows nothing of it")
}

// A template that is imported meets a session that has ended, and a name that
// somebody else has taken since.
func TestATemplateInTrouble(t *testing.T) {
	t.Parallel()
	s := newTemplateBench(t)
	b := s.adminsBrowser(t)
	form := b.Open("/templates/new").Form("Import").Fill("source", "archive").Fill("name", "mine").Attach("file", "x.tar", tarOf(t, map[string]string{"main.tf": plainTemplate}))
	version := b.Open("/templates/new").Form("Import").Fill("source", "example-minimal").Fill("name", "mine").Submit()
	s.importAs(t, client.ImportResult{})
	waiting := b.Open(version.URL.RequestURI()).Form("Create template")
	other := b.Open("/templates/new").Form("Import").Fill("source", "example-minimal").Fill("name", "mine").Submit()
	s.importAs(t, client.ImportResult{})
	require.Equal(t, "/templates/platform/mine", b.Open(other.URL.RequestURI()).Form("Create template").Submit().URL.Path)
	taken := waiting.Submit()
	require.Equal(t, http.StatusConflict, taken.Status)
	require.Contains(t, taken.Text, "choose another")
	require.Equal(t, "/templates/platform/other", taken.Form("Create template").Fill("name", "other").Submit().URL.Path, "nothing has to be imported again")

	b.Open("/workspaces").Form("Sign out").Submit()
	for _, late := range []*servertest.Page{form.Submit(), taken.Form("Create template").Submit()} {
		require.Equal(t, "/login", late.URL.Path)
		require.Contains(t, late.Text, "was not done")
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/templates/new?organization=platform", nil)
	require.NoError(t, err)
	req.Header.Set("HX-Request", "true")
	part := servertest.Do(t, req)
	require.True(t, strings.HasPrefix(part.Header.Get("HX-Redirect"), "/login?"), "a part of an open page leads there too: %v", part.Header)
}

// Sharing twice is sharing once; with whom has left, and a workspace that is
// gone, each say so.
func TestASharingFormInTrouble(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b := s.SignedIn(t, s.user.Email)
	_, friend := s.NamedMember(t, s.org, "dev2")
	w := s.running(t, "box")
	form := b.Open("/@dev1/box/sharing").Form("Share").Fill("who", "dev2")
	shared := form.Submit()
	require.Contains(t, form.Submit().Text, "It is shared with dev2")
	remove := shared.Form("Remove")
	acl, err := s.member.WorkspaceACL(t.Context(), w.ID)
	require.NoError(t, err)
	require.Len(t, acl.Users, 1)
	for range 2 {
		require.Contains(t, remove.Submit().Text, "It is no longer shared with them")
	}
	require.NoError(t, s.Client.RemoveOrganizationMember(t.Context(), s.org.Name, friend.Username))
	left := form.Submit()
	require.Equal(t, http.StatusBadRequest, left.Status)
	require.Contains(t, left.Text, "No member and no group of data-platform")
	_, err = s.member.CreateWorkspaceBuild(t.Context(), w.ID, client.CreateWorkspaceBuildRequest{Transition: client.TransitionDelete})
	require.NoError(t, err)
	s.worker.take(t).succeed(t)
	gone := form.Submit()
	require.Equal(t, http.StatusNotFound, gone.Status)
	require.Contains(t, gone.Text, "There is no such workspace")
}

// The provisioner of an import dies: the page says so, and until when it is
// waited for; then the import has failed, and is asked for again.
func TestAProvisionerThatDiesInAnImport(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	s := newTemplateBench(t, servertest.WithClock(clock), servertest.WithoutLoops(), servertest.WithOptions(func(o *server.Options) { o.Horizon = 40 * time.Second }))
	s.Server.Server.LeaseClock(clock.Now)
	b := s.adminsBrowser(t)
	version := b.Open("/templates/new").Form("Import").Fill("source", "example-minimal").Submit()
	require.Contains(t, version.Text, "Import of minimal", "an empty name is the starter's")
	s.take(t)
	at := version.URL.RequestURI()
	require.Contains(t, b.Open(at).Text, "running")
	silent := func(until string) *servertest.Page {
		for range 100 {
			clock.Advance(time.Second)
			require.NoError(t, s.Server.Server.LookAtLeases(t.Context()))
			if page := b.Open(at); strings.Contains(page.Body, until) {
				return page
			}
		}
		require.Fail(t, "the page never says: "+until, b.Open(at).Text)
		return nil
	}
	lost := silent(`<p class="notice warn">`)
	require.Contains(t, lost.Text, "The provisioner has not been heard of")
	require.NotContains(t, lost.Text, "workspace meanwhile", "there is none")
	ended := silent("Nothing was made: ask for it again.")
	require.Contains(t, ended.Text, "failed")
	require.NotContains(t, ended.Body, `<p class="notice warn">`, "nothing is waited for any more")
	s.daemons, s.daemon = s.join(t, s.org, nil)
	again := ended.Form("Import again").Submit()
	s.importAs(t, client.ImportResult{})
	require.Equal(t, "/templates/platform/minimal", b.Open(again.URL.RequestURI()).Form("Create template").Submit().URL.Path)
}
