package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
	"coder/store"
)

// An attempt that the server cannot deal with is its organization's trouble;
// the silent ones of others are still noticed.
func TestABrokenAttemptDoesNotHideTheSilenceOfOthers(t *testing.T) {
	t.Parallel()
	p := newProtocol(t)
	broken := p.version(t)
	_, err := p.begun(t).Fail(t.Context(), client.FailJobRequest{Error: "broken", EngineDead: true})
	require.NoError(t, err)
	at := store.At(time.Now())
	err = p.Store.InsertAttempt(t.Context(), store.InsertAttemptParams{
		ID: uuid.New(), OrganizationID: p.org.ID, JobID: broken.Job.ID, DaemonID: p.joined.ID, KeyID: client.ProvisionerKeyBuiltInID, RequestID: uuid.New(),
		Number: 9, HashedSecret: []byte{1}, Reply: []byte{}, Clocks: "no clocks", HandedAt: at, RenewedAt: at,
	})
	require.NoError(t, err)
	v := p.version(t)
	require.Equal(t, v.Job.ID, p.acquire(t).ID)
	require.Eventually(t, func() bool { // nobody confirms
		got, err := p.Client.TemplateVersion(t.Context(), v.ID)
		return err == nil && got.Job.Status == client.JobPending
	}, waitLong, 50*time.Millisecond)
}

// Lines without text, and long names of stages, count for the limit of a log too.
func TestNothingInALogIsFree(t *testing.T) {
	t.Parallel()
	p := newProtocol(t)
	v := p.version(t)
	h := p.begun(t)
	req := lines(0, "a")
	req.Entries[0].Stage = strings.Repeat("s", 100_000) + "\x00"
	_, err := h.AppendLogs(t.Context(), req)
	require.NoError(t, err)
	logs, err := p.Client.TemplateVersionLogs(t.Context(), v.ID, 0)
	require.NoError(t, err)
	require.Len(t, logs, 1)
	require.LessOrEqual(t, len(logs[0].Stage), 256)

	status, _ := p.attemptCall(t, h, "logs", `{"offset":2,"next":3,"entries":[`+strings.Repeat("{},", 3_000_000)+`{}]}`)
	require.Equal(t, http.StatusRequestEntityTooLarge, status)
	_, err = h.Fail(t.Context(), client.FailJobRequest{Error: strings.Repeat("e", 1<<20) + "\x00", EngineDead: true})
	require.NoError(t, err)
	got, err := p.Client.TemplateVersion(t.Context(), v.ID)
	require.NoError(t, err)
	require.LessOrEqual(t, len(got.Job.Error), client.MaxLogLine)
	require.Equal(t, client.JobFailed, got.Job.Status)
}

// What an attempt has begun is kept as long as it is a list of resources.
func TestIntentsHaveAnEnd(t *testing.T) {
	t.Parallel()
	p := newProtocol(t)
	p.version(t)
	h := p.begun(t)
	begin := func(name string) error {
		_, err := h.AppendLogs(t.Context(), client.AppendLogsRequest{Entries: []client.JobLogEntry{}, Intents: []client.Intent{{Address: strings.Repeat(name, 6<<20), Action: "create"}}})
		return err
	}
	require.NoError(t, begin("a"))
	refused(t, begin("b"), http.StatusBadRequest)
}

func (p *protocol) attemptCall(t *testing.T, h held, what, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL+"/api/v2/provisionerdaemons/attempts/"+h.AttemptID.String()+"/"+what, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set(client.HeaderAttempt, h.Secret)
	r := servertest.Do(t, req)
	return r.Status, r.Body
}

// A cursor that is somebody else's user tells nothing of them, not even that
// they exist.
func TestCursorsTellNothingOfForeignUsers(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	_, hidden := s.NamedMember(t, s.Organization(t, "a"), "aaron")
	b := s.Organization(t, "b")
	s.NamedMember(t, b, "zoe")
	member := s.Person(t, b)
	for _, path := range []string{"/organizations/b/paginated-members?", "/organizations/b/groups/Everyone/members?", "/organizations/b/members/me/workspaces/available-users?", "/users?"} {
		_, all := s.Raw(t, member.Token, http.MethodGet, path, "")
		require.Contains(t, all, member.User.ID.String(), path)
		_, there := s.Raw(t, member.Token, http.MethodGet, path+"after_id="+hidden.ID.String(), "")
		_, nowhere := s.Raw(t, member.Token, http.MethodGet, path+"after_id="+uuid.NewString(), "")
		require.Equal(t, nowhere, there, path)
	}
}

// Whoever runs a provisioner for a user is handed that user's session: a
// limited token must not become one.
func TestALimitedTokenStartsNoProvisioner(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "team")
	p := s.Person(t, org)
	mine := client.RegisterDaemonRequest{Organization: org.Name, Name: "laptop", Provisioners: []string{"terraform"}, Version: "v0", APIVersion: "1.0", Tags: map[string]string{"scope": "user"}}
	_, err := p.Client.RegisterDaemon(t.Context(), mine)
	require.NoError(t, err)
	token, err := p.Client.CreateToken(t.Context(), client.Me, client.CreateTokenRequest{Scopes: []string{"organization:read"}})
	require.NoError(t, err)
	_, err = s.WithToken(t, token.Key).RegisterDaemon(t.Context(), mine)
	require.Contains(t, refused(t, err, http.StatusForbidden).Message, "this token")
}
