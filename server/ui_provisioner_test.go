package server_test

import (
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server"
	"coder/server/servertest"
)

var shownKey = regexp.MustCompile(`value="([A-Za-z0-9]{43})"`)

func TestProvisionerKeyPages(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	s := servertest.New(t, servertest.WithClock(clock))
	s.Organization(t, "data-platform")
	b := s.SignedIn(t, "owner@example.com")
	const keys = "/organizations/data-platform/keys"

	empty := b.Open(keys)
	require.Contains(t, empty.Text, "No provisioner key yet")
	require.Contains(t, empty.Text, "coder provisioner keys create data-cluster --org data-platform")
	form := empty.Click("New key").Form("Create key").Fill("name", "Prod <b>").Fill("tags", "env=prod\r\nzone")
	wrong := form.Submit()
	require.Equal(t, http.StatusBadRequest, wrong.Status)
	require.Contains(t, wrong.Text, `"zone" is not a tag`)
	require.Equal(t, "Prod <b>", wrong.Form("Create key").Value("name"), "what was typed stays")
	past := wrong.Form("Create key").Fill("tags", "env=prod").Fill("expires_at", "2020-01-31").Submit()
	require.Equal(t, http.StatusBadRequest, past.Status)
	require.Contains(t, past.Text, "has passed already")
	network := past.Form("Create key").Fill("expires_at", "2031-01-31").Fill("allow_list", "home").Submit()
	require.Contains(t, network.Text, "neither an address nor a network")

	ready := network.Form("Create key").Fill("allow_list", "127.0.0.0/8")
	made := ready.Submit()
	require.Equal(t, http.StatusOK, made.Status, made.Text)
	found := shownKey.FindStringSubmatch(made.Body)
	require.Len(t, found, 2, made.Body)
	require.Contains(t, made.Text, "export CODER_URL="+s.URL+" export CODER_PROVISIONER_DAEMON_KEY="+found[1])
	require.Contains(t, made.Text, "coder provisionerd start --org data-platform")
	twice := ready.Submit()
	require.Equal(t, http.StatusConflict, twice.Status)
	require.Contains(t, twice.Text, "There is a key of this name")
	all, err := s.Client.ProvisionerKeys(t.Context(), "data-platform")
	require.NoError(t, err)
	require.Len(t, all, 1, "sent twice, made once")
	require.Equal(t, map[string]string{"env": "prod"}, all[0].Tags)
	require.Equal(t, time.Date(2031, 1, 31, 23, 59, 59, 0, time.UTC), all[0].ExpiresAt.UTC())

	joinDaemon(t, s, found[1], "worker")
	list := b.Open(keys)
	require.Contains(t, list.Text, "prod <b>")
	require.NotContains(t, list.Body, found[1], "it is shown once")
	for _, shown := range []string{"env=prod", "127.0.0.0/8"} {
		require.Contains(t, list.Text, shown)
	}

	rotate := list.Click("Rotate").Form("Make another secret")
	rotated := rotate.Fill("overlap", "3600").Submit()
	require.Equal(t, http.StatusOK, rotated.Status, rotated.Text)
	newer := shownKey.FindStringSubmatch(rotated.Body)
	require.Len(t, newer, 2)
	require.NotEqual(t, found[1], newer[1])
	again := rotate.Submit()
	require.Equal(t, http.StatusConflict, again.Status, "sent twice, rotated once")
	_, err = withDaemonKey(t, s, found[1]).PresentedProvisionerKey(t.Context())
	require.NoError(t, err, "the older secret is good for an hour, whoever sends the form again")
	require.Contains(t, b.Open(keys).Text, "the secret of before ends")
	clock.Advance(2 * time.Hour)
	_, err = withDaemonKey(t, s, found[1]).PresentedProvisionerKey(t.Context())
	require.Equal(t, http.StatusUnauthorized, client.StatusCode(err))

	remove := b.Open(keys).Click("Delete")
	require.Equal(t, http.StatusBadRequest, remove.Form("Delete the key").Fill("confirm", "prod").Submit().Status)
	gone := remove.Form("Delete the key").Fill("confirm", "prod <b>").Submit()
	require.Contains(t, gone.Text, "was deleted")
	require.Contains(t, gone.Text, "No provisioner key yet")
	require.Equal(t, http.StatusNotFound, remove.Form("Delete the key").Fill("confirm", "prod <b>").Submit().Status)
}

func TestProvisionerPages(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b := s.SignedIn(t, "owner@example.com")
	s.Organization(t, "empty")
	steps := b.Open("/organizations/empty/provisioners")
	for _, step := range []string{"coder provisioner keys create", "CODER_PROVISIONER_DAEMON_KEY", "coder provisionerd start --org empty", "Make a template"} {
		require.Contains(t, steps.Text, step)
	}
	require.Contains(t, steps.Links(), "/organizations/empty/keys/new")
	require.Contains(t, steps.Links(), "/templates/new?organization=empty")

	const daemons = "/organizations/data-platform/provisioners"
	list := b.Open(daemons)
	require.Contains(t, list.Text, "1 of 1 is here now")
	require.Contains(t, list.Text, "worker "+servertest.Version)
	drained := list.Form("Drain").Submit()
	require.Contains(t, drained.Text, "takes no other job until it is resumed")
	require.Contains(t, drained.Text, "draining")
	require.Contains(t, drained.Text, "worker was drained just now", "as people tell times")
	require.NotRegexp(t, `\dT\d\d:`, drained.Text)
	listed, err := s.Client.ProvisionerDaemons(t.Context(), "data-platform", client.ProvisionerDaemonsRequest{})
	require.NoError(t, err)
	require.Contains(t, listed[0].Warnings[0].Message, "coder provisioner resume worker --org data-platform", "for the command line")
	require.NotNil(t, listed[0].Warnings[0].Since)
	require.Contains(t, drained.Form("Resume").Submit().Text, "takes jobs again")
	require.Contains(t, b.Open(daemons+"?key=worker").Body, "joined. Next:", "what the page of a new key looks at")
	require.Contains(t, b.Open(daemons+"?key=other").Text, "None has joined with the key other")

	member := s.SignedIn(t, s.user.Email)
	require.Equal(t, http.StatusNotFound, member.Open(daemons).Status)
	seen := member.Open("/organizations/data-platform/keys")
	require.Contains(t, seen.Text, "worker")
	require.NotContains(t, seen.Text, "New key")
	require.NotContains(t, seen.Text, "Rotate")
	for _, to := range []string{daemons, "/organizations/data-platform/keys/new", "/organizations/data-platform/keys/worker/delete"} {
		require.NotContains(t, seen.Links(), to)
	}
	require.Equal(t, http.StatusForbidden, member.Open("/organizations/data-platform/keys/new").Status)
	require.Equal(t, http.StatusForbidden, member.Open("/organizations/data-platform/keys/worker/rotate").Status)
	require.NotContains(t, member.Open("/templates").Links(), "/templates/new")
	for _, path := range []string{daemons, "/organizations/data-platform/keys", "/organizations/data-platform/keys/new", "/organizations/data-platform/jobs"} {
		require.Equal(t, http.StatusNotFound, s.SignedIn(t, s.Outsider(t).User.Email).Open(path).Status, path)
	}
}

func TestASilentProvisionerIsWarnedOf(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	s := servertest.New(t, servertest.WithClock(clock), servertest.WithOptions(func(o *server.Options) { o.SessionDuration = forever }))
	s.Organization(t, "team")
	key, err := s.Client.CreateProvisionerKey(t.Context(), "team", client.CreateProvisionerKeyRequest{Name: "k"})
	require.NoError(t, err)
	joinDaemon(t, s, key.Key, "silent")
	b := s.SignedIn(t, "owner@example.com")
	clock.Advance(10 * time.Minute)
	page := b.Open("/organizations/team/provisioners")
	require.Contains(t, page.Text, "offline")
	require.Contains(t, page.Text, "look after its host, or start it again")
	require.False(t, page.HasButton("Drain"))
	for _, text := range []string{page.Text, b.Open("/health").Text} {
		require.Contains(t, text, "last seen 10 minutes ago", "times as people tell them")
		require.NotRegexp(t, `\dT\d\d:`, text)
	}
	clock.Advance(8 * 24 * time.Hour)
	require.NotContains(t, b.Open("/organizations/team/provisioners").Text, "silent")
	require.Contains(t, b.Open("/organizations/team/provisioners?all=1").Text, "silent")
}

func TestProvisionerJobPages(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b := s.SignedIn(t, "owner@example.com")
	waiting := s.asked(t, map[string]string{"zone": "<i>moon"})
	const jobs = "/organizations/data-platform/jobs"

	list := b.Open(jobs)
	require.Contains(t, list.Text, "zone=<i>moon")
	require.Contains(t, list.Text, "worker lacks zone=<i>moon", "why it waits")
	require.NotContains(t, list.Body, "<i>moon")
	require.Contains(t, b.Open(jobs+"?status=failed").Text, "No job matches")
	require.Contains(t, b.Open(jobs+"?tags=zone").Text, "write each as name=value")
	require.NotContains(t, b.Open(jobs+"?tags=env%3Dprod").Text, waiting.String()[:8])
	require.Equal(t, http.StatusBadRequest, b.Open(jobs+"?status=sleeping").Status)

	one := b.Open(jobs + "/" + waiting.String())
	require.Contains(t, one.Text, "Why it waits")
	require.Contains(t, one.Text, "What to do: ")
	require.Contains(t, one.Text, "the job asks for zone=<i>moon")
	canceled := one.Form("Cancel").Submit()
	require.Contains(t, canceled.Text, "asked to stop")
	require.False(t, canceled.HasButton("Cancel"))
	twice := one.Form("Cancel").Submit()
	require.Contains(t, twice.Text, "has ended already")

	for _, path := range []string{"/organizations/default/jobs/" + waiting.String(), jobs + "/none", jobs + "/" + uuid.NewString()} {
		require.Equal(t, http.StatusNotFound, b.Open(path).Status, path)
	}
	require.Equal(t, http.StatusNotFound, s.SignedIn(t, s.user.Email).Open(jobs+"/"+waiting.String()).Status)
}
