package server_test

import (
	"mime/multipart"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server"
	"coder/server/servertest"
)

// postForm sends a form that no page of ours was; site is the Sec-Fetch-Site header.
func postForm(t *testing.T, s *servertest.Server, path, site string, values url.Values) servertest.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+path, strings.NewReader(values.Encode()))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", site)
	return servertest.Do(t, req)
}

func TestTheFirstUserIsMadeOnAPage(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, servertest.WithoutUsers())
	b := s.Browser(t)
	page := b.Open("/")
	require.Equal(t, "/setup", page.URL.Path)
	require.Contains(t, page.Text, "no users yet")
	require.Contains(t, page.Text, "coder login "+s.URL)

	refused := page.Form("Create the owner").Fill("username", "ada").Fill("email", "ada@example.com").Fill("password", "password").Submit()
	require.Equal(t, http.StatusBadRequest, refused.Status)
	form := refused.Form("Create the owner")
	require.Equal(t, "ada", form.Value("username"), "what was typed stays")
	require.Empty(t, form.Value("password"), "but a password never comes back")

	done := form.Fill("password", servertest.Password).Submit()
	require.Equal(t, http.StatusOK, done.Status, done.Text)
	require.Equal(t, "/workspaces", done.URL.Path)
	require.Contains(t, done.Text, "You own this deployment")
	require.NotContains(t, b.Open("/workspaces").Text, "You own this deployment", "it is said once")
	require.Equal(t, "/login", s.Browser(t).Open("/setup").URL.Path, "there is one first user")
}

func TestSignInAndOut(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	b := s.Browser(t)
	page := b.Open("/organizations")
	require.Equal(t, "/login", page.URL.Path)

	wrong := page.Form("Sign in").Fill("email", `"><script>@x`).Fill("password", "wrong").Submit()
	require.Equal(t, http.StatusUnauthorized, wrong.Status)
	require.Contains(t, wrong.Text, "is wrong")
	in := wrong.Form("Sign in").Fill("email", "owner@example.com").Fill("password", servertest.Password).Submit()
	require.Equal(t, http.StatusOK, in.Status, in.Text)
	require.Equal(t, "/organizations", in.URL.Path, "back to where one wanted to go")

	out := in.Form("Sign out").Submit()
	require.Equal(t, "/login", out.URL.Path)
	require.Contains(t, out.Text, "You are signed out")
	require.Equal(t, "/login", b.Open("/organizations").URL.Path)
	require.Equal(t, "/login", in.Form("Sign out").Submit().URL.Path, "a second time is no error")
}

func TestASessionThatEndedHalfWay(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	b := s.SignedIn(t, "owner@example.com")
	form := b.Open("/organizations/new").Form("Create organization").Fill("name", "half-way")
	b.Open("/workspaces").Form("Sign out").Submit()
	page := form.Submit()
	require.Equal(t, "/login", page.URL.Path)
	require.Contains(t, page.Text, "was not done")
	back := page.Form("Sign in").Fill("email", "owner@example.com").Fill("password", servertest.Password).Submit()
	require.Equal(t, "/organizations/new", back.URL.Path)
	require.NotContains(t, b.Open("/organizations").Text, "half-way")
}

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	for _, path := range []string{"/login", "/logout", "/cli-auth", "/setup", "/organizations/new"} {
		require.Equal(t, http.StatusForbidden, postForm(t, s, path, "cross-site", url.Values{"name": {"x"}}).Status, path)
	}
	b := s.SignedIn(t, "owner@example.com")
	for _, to := range []string{"//evil.example.com", "https://evil.example.com", `/\evil.example.com`, "javascript:alert(1)", "/x/../%5Cevil.example.com", `/./\evil.example.com/a`, "/x/..//evil.example.com"} {
		page := b.Open("/login?" + url.Values{"redirect": {to}}.Encode()).Form("Sign in")
		require.Equal(t, "/", page.Value("redirect"), to)
	}
}

func TestTheHandOverPageGivesATokenToTheTerminal(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	b := s.Browser(t)
	form := b.Open("/cli-auth").Form("Sign in")
	page := form.Fill("email", "owner@example.com").Fill("password", servertest.Password).Submit()
	require.Equal(t, "/cli-auth", page.URL.Path)
	shown := page.Form("Make a token").Submit()
	token := regexp.MustCompile(`value="([A-Za-z0-9]{10}-[A-Za-z0-9]{22})"`).FindStringSubmatch(shown.Body)
	require.Len(t, token, 2, shown.Body)
	b.Open("/workspaces").Form("Sign out").Submit()
	me, err := s.WithToken(t, token[1]).User(t.Context(), client.Me)
	require.NoError(t, err, "the terminal's session is its own")
	require.Equal(t, s.Owner.ID, me.ID)
}

func TestSignInsByThePageAreLimitedByTheBrowsersAddress(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, servertest.WithOptions(func(o *server.Options) { o.DisableRateLimits = false }))
	// An address that is too long is refused before a password is hashed, so
	// that the posts fit into a minute on a slow machine.
	email := strings.Repeat("x", 300)
	limited := false
	for range 70 {
		r := postForm(t, s, "/login", "same-origin", url.Values{"email": {email}, "password": {"x"}})
		limited = limited || r.Status == http.StatusTooManyRequests
	}
	require.True(t, limited)
}

func TestAssetsAreKeptForGood(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	page := s.Browser(t).Open("/login")
	total := len(page.Body)
	for _, path := range regexp.MustCompile(`(?:href|src)="(/static/[^"]+)"`).FindAllStringSubmatch(page.Body, -1) {
		plain := s.Response(t, "", http.MethodGet, "/"+path[1], "")
		require.Equal(t, http.StatusOK, plain.Status)
		require.Contains(t, plain.Header.Get("Cache-Control"), "immutable")
		total += len(plain.Body)
	}
	require.Less(t, total, 120<<10, "a first visit is small")
	require.Equal(t, http.StatusNotFound, s.Response(t, "", http.MethodGet, "//static/style.css", "").Status)
}

func TestAPageThatIsNotThere(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	b := s.SignedIn(t, "owner@example.com")
	for _, path := range []string{"/no-such-page", "/organizations/nobody/members", "/@owner/nothing", "/templates/nobody/nothing",
		"/organizations/%2e%2e", "/organizations/%2E/members", "/@owner/%2e%2e", "/templates/coder/%2e%2e", "/organizations/a%2f..%2fb"} {
		page := b.Open(path)
		require.Equal(t, http.StatusNotFound, page.Status, path)
		require.Contains(t, page.Text, "There is no such page", path)
		require.NotContains(t, page.Text, "Not found.", "the title says so already")
	}
}

func TestOrganizationPages(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	b := s.SignedIn(t, "owner@example.com")
	list := b.Open("/organizations")
	form := list.Click("New organization").Form("Create organization")
	taken := form.Fill("name", "Not A Name").Fill("display_name", "Data <b>Platform").Submit()
	require.Equal(t, http.StatusBadRequest, taken.Status)
	require.Equal(t, "Not A Name", taken.Form("Create organization").Value("name"))
	require.Contains(t, taken.Body, "aria-invalid", "the field is named")
	made := taken.Form("Create organization").Fill("name", "data-platform").Submit()
	require.Contains(t, made.Text, "was created")
	require.Contains(t, b.Open("/organizations").Text, "Data <b>Platform")
	twice := form.Fill("name", "data-platform").Submit()
	require.Equal(t, http.StatusConflict, twice.Status, "sent twice, made once")

	settings := b.Open("/organizations/data-platform/settings")
	open := settings.Form("Save")
	saved := settings.Form("Save").Fill("display_name", "Data").Submit()
	require.Contains(t, saved.Text, "were saved")
	stale := open.Fill("display_name", "Mine").Submit()
	require.Equal(t, http.StatusConflict, stale.Status)
	require.Contains(t, stale.Text, "Somebody changed this")
	require.Contains(t, stale.Form("Save").Fill("display_name", "Mine").Submit().Text, "were saved")

	remove := b.Open("/organizations/data-platform/delete")
	require.Equal(t, http.StatusBadRequest, remove.Form("Delete the organization").Fill("confirm", "data").Submit().Status)
	gone := remove.Form("Delete the organization").Fill("confirm", "data-platform").Submit()
	require.Equal(t, "/organizations", gone.URL.Path)
	require.Contains(t, gone.Text, "was deleted")
	require.Equal(t, http.StatusNotFound, b.Open("/organizations/data-platform/settings").Status)
}

func TestAnOutsiderIsOfferedNothingThatIsRefused(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "data-platform")
	member := s.Person(t, org)
	b := s.SignedIn(t, member.User.Email)
	list := b.Open("/organizations")
	require.NotContains(t, list.Links(), "/organizations/new")
	require.NotContains(t, list.Links(), "/users")
	require.Equal(t, http.StatusForbidden, b.Open("/organizations/new").Status)
	outsider := s.SignedIn(t, s.Outsider(t).User.Email)
	require.NotContains(t, outsider.Open("/organizations").Text, "data-platform")
	require.Equal(t, http.StatusNotFound, outsider.Open("/organizations/data-platform/settings").Status)
}

// TestAStrangersUploadIsNotKept posts archives to pages that take them.
func TestAStrangersUploadIsNotKept(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	s := servertest.New(t)
	var body strings.Builder
	w := multipart.NewWriter(&body)
	part, err := w.CreateFormFile("file", "a.tar")
	require.NoError(t, err)
	_, err = part.Write(make([]byte, 9<<20))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	for _, token := range []string{"", s.Token} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/templates/new", strings.NewReader(body.String()))
		require.NoError(t, err)
		req.Header.Set("Content-Type", w.FormDataContentType())
		req.AddCookie(&http.Cookie{Name: client.SessionCookie, Value: token})
		reply := servertest.Do(t, req)
		require.NotEqual(t, http.StatusInternalServerError, reply.Status)
		left, err := filepath.Glob(filepath.Join(dir, "multipart-*"))
		require.NoError(t, err)
		require.Empty(t, left)
	}
}

// TestAReadmeCannotAskForAPageWithoutEnd has a table that its few bytes make
// 36 million cells of.
func TestAReadmeCannotAskForAPageWithoutEnd(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	readme := strings.Repeat("a|", 6000) + "\n" + strings.Repeat("-|", 6000) + "\n" + strings.Repeat("a\n", 6000)
	v := s.newVersion(t, &s.template.ID, "# wide", client.ImportResult{Readme: readme})
	require.NoError(t, s.Client.UpdateActiveTemplateVersion(t.Context(), s.template.ID, client.UpdateActiveTemplateVersionRequest{ID: v.ID}))
	page := s.SignedIn(t, "owner@example.com").Open("/templates/data-platform/docker")
	require.Equal(t, http.StatusOK, page.Status)
	require.Less(t, len(page.Body), 1<<20)
}
