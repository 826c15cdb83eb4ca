package server_test

import (
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server"
	"coder/server/servertest"
)

func TestTheAccountPage(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	person := s.Person(t, s.Organization(t, "data-platform"))
	b := s.SignedIn(t, person.User.Email)
	page := b.Open("/account")
	saved := page.Form("Save profile").Fill("name", "Ann <i>Lee").Submit()
	require.Contains(t, saved.Text, "Your profile was saved")
	require.Contains(t, saved.Text, "Ann <i>Lee")
	forged := page.Form("Save profile").Fill("username", "somebody-else").Submit()
	require.Equal(t, http.StatusOK, forged.Status, "what cannot be changed is not sent, whatever a browser says")

	other := s.SignedIn(t, person.User.Email)
	change := page.Form("Change password").Fill("old_password", "wrong").Fill("password", "another long secret 42").Fill("again", "another long secret 42").Submit()
	require.Equal(t, http.StatusBadRequest, change.Status)
	require.Contains(t, change.Text, "not the current password")
	require.Empty(t, change.Form("Change password").Value("password"))
	typo := change.Form("Change password").Fill("old_password", servertest.Password).Fill("password", "another long secret 42").Fill("again", "another long secret 43").Submit()
	require.Equal(t, http.StatusBadRequest, typo.Status)
	done := typo.Form("Change password").Fill("old_password", servertest.Password).Fill("password", "another long secret 42").Fill("again", "another long secret 42").Submit()
	require.Equal(t, "/account", done.URL.Path, done.Text)
	require.Contains(t, done.Text, "Your password was changed")
	require.Equal(t, "/login", other.Open("/workspaces").URL.Path, "other sessions have ended")
	_, err := person.Client.User(t.Context(), client.Me)
	require.Equal(t, http.StatusUnauthorized, client.StatusCode(err), "and so have tokens")
	require.Equal(t, http.StatusOK, b.Open("/account").Status)
}

func TestTokenPages(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	b := s.SignedIn(t, s.Person(t, s.Organization(t, "data-platform")).User.Email)
	list := b.Open("/account/tokens")
	require.Contains(t, list.Text, "coder tokens create")
	form := list.Click("New token").Form("Create token")
	made := form.Fill("token_name", "<b>ci").Fill("lifetime", "24").Fill("scopes", "workspace:read").Submit()
	require.Equal(t, http.StatusCreated, made.Status, made.Text)
	token := regexp.MustCompile(`export CODER_SESSION_TOKEN=([A-Za-z0-9]{10}-[A-Za-z0-9]{22})`).FindStringSubmatch(made.Text)
	require.Len(t, token, 2, made.Text)
	require.Contains(t, made.Text, "export CODER_URL="+s.URL)
	_, err := s.WithToken(t, token[1]).Workspaces(t.Context(), client.WorkspacesRequest{})
	require.NoError(t, err)
	twice := form.Submit()
	require.Equal(t, http.StatusConflict, twice.Status, "sent twice, made once")
	require.Equal(t, []string{"workspace:read"}, twice.Form("Create token").Values("scopes"))
	require.Equal(t, http.StatusBadRequest, b.Open("/account/tokens/new").Form("Create token").Fill("token_name", "x").Fill("lifetime", "999999").Submit().Status)

	list = b.Open("/account/tokens")
	require.Contains(t, list.Text, "<b>ci")
	require.Contains(t, list.Text, "workspace:read")
	require.NotContains(t, list.Body, token[1], "a token is shown once")
	revoke := list.Form("What uses it stops: revoke")
	require.Contains(t, revoke.Submit().Text, "was revoked")
	require.Contains(t, revoke.Submit().Text, "had ended already")
	_, err = s.WithToken(t, token[1]).Workspaces(t.Context(), client.WorkspacesRequest{})
	require.Equal(t, http.StatusUnauthorized, client.StatusCode(err))
}

func TestATokenOfSomebodyElseIsNotRevoked(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "data-platform")
	ann, bob := s.Person(t, org), s.Person(t, org)
	made, err := ann.Client.CreateToken(t.Context(), client.Me, client.CreateTokenRequest{TokenName: "hers"})
	require.NoError(t, err)
	_, err = bob.Client.CreateToken(t.Context(), client.Me, client.CreateTokenRequest{TokenName: "his"})
	require.NoError(t, err)
	list := s.SignedIn(t, bob.User.Email).Open("/account/tokens")
	require.NotContains(t, list.Text, "hers")
	require.Contains(t, list.Form("What uses it stops: revoke").Fill("id", made.Key[:10]).Submit().Text, "had ended already")
	_, err = s.WithToken(t, made.Key).User(t.Context(), client.Me)
	require.NoError(t, err)
}

func TestAThemeFollowsItsPerson(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	b := s.SignedIn(t, "owner@example.com")
	page := b.Open("/account/appearance")
	require.NotContains(t, page.Body, "data-theme=")
	dark := page.Form("Save").Fill("theme_preference", "dark").Submit()
	require.Contains(t, dark.Body, `data-theme="dark"`)
	a, err := s.Client.UserAppearance(t.Context(), client.Me)
	require.NoError(t, err)
	require.Equal(t, "dark", a.ThemePreference)
	require.Contains(t, s.SignedIn(t, "owner@example.com").Open("/workspaces").Body, `data-theme="dark"`, "in another browser too")
	require.NotContains(t, dark.Form("Save").Fill("theme_preference", "auto").Submit().Body, "data-theme=")
}

func TestQuietHoursArePickedOnAPage(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	b := s.SignedIn(t, "owner@example.com")
	page := b.Open("/account/schedule")
	wrong := page.Form("Save").Fill("time", "22:30").Fill("schedule", "Mars/Olympus").Submit()
	require.Equal(t, http.StatusBadRequest, wrong.Status)
	require.Equal(t, "Mars/Olympus", wrong.Form("Save").Value("schedule"))
	require.Contains(t, wrong.Body, "aria-invalid")
	for _, clock := range []string{"", "noon", "25:00", "1"} {
		require.Equal(t, http.StatusBadRequest, page.Form("Save").Fill("time", clock).Submit().Status, clock)
	}
	saved := wrong.Form("Save").Fill("schedule", "Europe/Berlin").Submit()
	require.Contains(t, saved.Text, "22:30 Europe/Berlin")
	require.Contains(t, saved.Form("Take the deployment's").Submit().Text, "00:00 UTC")
}

func TestQuietHoursThatAreTheSameForEverybody(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, servertest.WithOptions(func(o *server.Options) { o.DisableCustomQuietHours = true }))
	page := s.SignedIn(t, "owner@example.com").Open("/account/schedule")
	require.False(t, page.HasButton("Save"))
	require.Contains(t, page.Text, "the same for everybody")
}

func TestSessionsAreEndedOnAPage(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	person := s.Person(t, s.Organization(t, "data-platform"))
	b, other := s.SignedIn(t, person.User.Email), s.SignedIn(t, person.User.Email)
	page := b.Open("/account/sessions")
	require.Contains(t, page.Text, "this browser")
	require.Contains(t, page.Text, "127.0.0.1")
	ended := page.Form("End all others").Submit()
	require.Contains(t, ended.Text, "has to sign in again")
	require.False(t, ended.HasButton("End"))
	require.False(t, ended.HasButton("End all others"))
	require.Equal(t, "/login", other.Open("/workspaces").URL.Path)
	s.SignedIn(t, person.User.Email)
	one := b.Open("/account/sessions").Form("End")
	require.False(t, one.Submit().HasButton("End"))
	require.Equal(t, http.StatusOK, one.Submit().Status, "sent twice, ended once")
	stranger := s.Login(t, "owner@example.com", servertest.Password)
	one.Fill("id", stranger[:10]).Submit()
	_, err := s.WithToken(t, stranger).User(t.Context(), client.Me)
	require.NoError(t, err, "nobody ends what is somebody else's")
}
