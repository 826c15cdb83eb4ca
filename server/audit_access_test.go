package server_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
	"coder/store"
	"coder/store/storetest"
)

// auditLines are the entries of a search, the newest first.
func auditLines(t *testing.T, c *client.Client, q string) []string {
	t.Helper()
	page, err := c.AuditLogs(t.Context(), client.AuditLogsRequest{Query: q, Limit: 1000})
	require.NoError(t, err)
	require.NotNil(t, page.AuditLogs)
	require.Len(t, page.AuditLogs, page.Count)
	require.Equal(t, 2000, page.CountCap)
	out := []string{}
	for _, l := range page.AuditLogs {
		out = append(out, fmt.Sprintf("%d %s %s %s", l.StatusCode, l.Action, l.ResourceType, l.ResourceTarget))
	}
	return out
}

func TestRefusedWritesAndFailedLoginsAreAudited(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org, foreign := s.Organization(t, "team"), s.Organization(t, "foreign")
	member, _ := s.NamedMember(t, org, "ann")
	log := newWatch(t, s.Client)

	_, err := member.CreateUser(t.Context(), client.CreateUserRequest{Username: "bob"})
	refused(t, err, http.StatusForbidden)
	refused(t, member.DeleteOrganization(t.Context(), org.Name), http.StatusNotFound)
	refused(t, member.DeleteOrganization(t.Context(), foreign.Name), http.StatusNotFound)
	_, err = member.Organization(t.Context(), foreign.Name)
	refused(t, err, http.StatusNotFound)
	for _, email := range []string{"ann@example.com", "nobody@example.com", "MyPassword-typed-here"} {
		_, err = s.Anonymous(t).LoginWithPassword(t.Context(), client.LoginWithPasswordRequest{Email: email, Password: "wrong"})
		refused(t, err, http.StatusUnauthorized)
	}
	got := map[string]client.AuditEntry{}
	for _, e := range log.next(t) {
		got[fmt.Sprintf("%d %s %s %s", e.StatusCode, e.Action, e.ResourceType, e.ResourceTarget)] = e
	}
	require.Len(t, got, 6, "reading that is refused is not recorded")
	require.Equal(t, "ann", got["403 create user /api/v2/users"].User.Username)
	require.Equal(t, "{user} unsuccessfully attempted to create user {target}", got["403 create user /api/v2/users"].Description)
	require.Equal(t, org.ID, got["404 delete organization /api/v2/organizations/team"].OrganizationID)
	require.Equal(t, uuid.Nil, got["404 delete organization /api/v2/organizations/foreign"].OrganizationID, "what was reached for learns nothing")
	require.Nil(t, got["401 login api_key ann"].User, "nobody has proven to be ann")
	require.Contains(t, got, "401 login api_key nobody@example.com")
	require.Contains(t, got, "401 login api_key ")
	require.Equal(t, "{user} unsuccessfully attempted to log in", got["401 login api_key ann"].Description)
}

// Whoever is refused all the time does not fill the disk, and is not forgotten.
func TestRefusalsAreRecordedWithinBounds(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	s := servertest.New(t, servertest.WithClock(clock), servertest.WithoutLoops())
	org := s.Organization(t, "team")
	member, _ := s.NamedMember(t, org, "ann")
	log := newWatch(t, s.Client)
	for range 50 {
		refused(t, member.DeleteOrganization(t.Context(), org.Name), http.StatusNotFound)
	}
	require.Len(t, log.next(t), 30)
	clock.Advance(time.Minute)
	for range 10 {
		refused(t, member.DeleteOrganization(t.Context(), org.Name), http.StatusNotFound)
	}
	entries := log.next(t)
	require.Len(t, entries, 2)
	require.Contains(t, string(entries[0].AdditionalFields), `"omitted_before":20`)
}

func TestSearchingTheAuditLog(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		s := newScene(t, servertest.WithStore(st))
		s.running(t, "dev")
		today := time.Now().UTC().Format(time.DateOnly)
		for q, want := range map[string][]string{
			"workspace":                                          {"201 create workspace dev"},
			"resource_type:workspace_build":                      {"201 start workspace_build dev"},
			"build_reason:initiator":                             {"201 start workspace_build dev"},
			"build_reason:autostart":                             {},
			"username:dev1":                                      {"201 start workspace_build dev", "201 create workspace dev"},
			"email:dev1@example.com":                             {"201 start workspace_build dev", "201 create workspace dev"},
			"email:DEV1@example.com action:start":                {"201 start workspace_build dev"},
			"resource_target:docker":                             {"201 create template docker"},
			"action:login":                                       {"201 login api_key owner"},
			"username:me action:login":                           {"201 login api_key owner"},
			"workspace organization:data-platform":               {"201 create workspace dev"},
			"workspace organization:" + s.org.ID.String():        {"201 create workspace dev"},
			"organization:nothing":                               {},
			"organization:" + uuid.NewString():                   {},
			"resource_id:" + s.template.ID.String():              {"201 create template docker"},
			"request_id:" + uuid.NewString():                     {},
			"workspace date_from:" + today + " date_to:" + today: {"201 create workspace dev"},
			"date_to:2020-01-01":                                 {},
		} {
			require.Equal(t, want, auditLines(t, s.Client, q), q)
		}
		for q, field := range map[string]string{
			"nonsense": "resource_type", "action:fly": "action", "resource_id:x": "resource_id", "date_from:yesterday": "date_from",
			"build_reason:whim": "build_reason", "colour:red": "colour", "request_id:1": "request_id",
		} {
			_, err := s.Client.AuditLogs(t.Context(), client.AuditLogsRequest{Query: q})
			require.Equal(t, field, refused(t, err, http.StatusBadRequest).Validations[0].Field, q)
		}
		page, err := s.Client.AuditLogs(t.Context(), client.AuditLogsRequest{Query: "username:dev1", Limit: 1, Offset: 1})
		require.NoError(t, err)
		require.Equal(t, 2, page.Count)
		require.Equal(t, "dev", page.AuditLogs[0].ResourceTarget)
		require.Equal(t, "/@dev1/dev", page.AuditLogs[0].ResourceLink)
		require.Empty(t, page.AuditLogs[0].User.OrganizationIDs)
		require.Equal(t, s.org.Name, page.AuditLogs[0].Organization.Name)
	})
}

// Auditors of an organization see its log, of people outside of it no more
// than the name that stands in the entry, and of other logs nothing at all.
func TestAuditorsOfAnOrganizationSeeItsLogOnly(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "team")
	auditor := s.Person(t, org, "organization-auditor")
	plain := s.Member(t, org)

	_, err := plain.AuditLogs(t.Context(), client.AuditLogsRequest{})
	refused(t, err, http.StatusForbidden)
	page, err := auditor.Client.AuditLogs(t.Context(), client.AuditLogsRequest{})
	require.NoError(t, err)
	require.NotEmpty(t, page.AuditLogs)
	for _, l := range page.AuditLogs {
		require.Equal(t, org.ID, l.OrganizationID)
		require.NotEqual(t, client.AuditUser, l.ResourceType)
	}
	_, err = auditor.Client.UpdateOrganization(t.Context(), org.Name, client.UpdateOrganizationRequest{DisplayName: "x"})
	refused(t, err, http.StatusNotFound)

	// Somebody from outside, who may, is a name and no more.
	second := s.Person(t, s.Organization(t, "other"))
	_, err = s.Client.UpdateUserRoles(t.Context(), second.User.Username, client.UpdateRolesRequest{Roles: []string{"owner"}})
	require.NoError(t, err)
	_, err = second.Client.UpdateOrganization(t.Context(), org.Name, client.UpdateOrganizationRequest{DisplayName: "From outside"})
	require.NoError(t, err)
	// Administrators of an organization may read every user, but not by way of its log.
	for _, reader := range []*client.Client{auditor.Client, s.Member(t, org, client.RoleOrgAdmin)} {
		page, err = reader.AuditLogs(t.Context(), client.AuditLogsRequest{Query: "username:" + second.User.Username})
		require.NoError(t, err)
		require.Len(t, page.AuditLogs, 1)
		require.Equal(t, client.User{ReducedUser: client.ReducedUser{MinimalUser: client.MinimalUser{Username: second.User.Username}}, OrganizationIDs: []uuid.UUID{}, Roles: []client.SlimRole{}}, *page.AuditLogs[0].User)
		require.Empty(t, page.AuditLogs[0].IP)
		require.Empty(t, page.AuditLogs[0].UserAgent)
		require.Empty(t, auditLines(t, reader, "email:"+second.User.Email), "an address cannot be guessed")
	}

	// Another organization changes nothing of what they see, byte for byte.
	paths := []string{"/audit", "/audit?limit=2", "/audit/entries", "/audit/head?organization=team", "/audit/verify?organization=team",
		"/audit?q=organization:hidden", "/audit?q=username:hidden-admin", "/audit/head?organization=hidden", "/audit/verify?organization=hidden", "/audit/entries?organization=hidden", "/audit/head"}
	before := map[string]string{}
	for _, path := range paths {
		_, before[path] = s.Raw(t, auditor.Token, http.MethodGet, path, "")
	}
	hidden := s.Organization(t, "hidden")
	s.NamedMember(t, hidden, "hidden-admin", client.RoleOrgAdmin)
	paths = append(paths, "/audit/head?organization="+hidden.ID.String())
	_, before[paths[len(paths)-1]] = s.Raw(t, auditor.Token, http.MethodGet, "/audit/head?organization="+uuid.NewString(), "")
	for _, path := range paths {
		_, after := s.Raw(t, auditor.Token, http.MethodGet, path, "")
		require.Equal(t, before[path], after, path)
	}
	site, err := s.Client.AuditLogs(t.Context(), client.AuditLogsRequest{Query: "organization:hidden"})
	require.NoError(t, err)
	require.NotEmpty(t, site.AuditLogs, "and it is there")
}

// Planted secrets are in no byte of the log.
func TestTheAuditLogHoldsNoSecrets(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		s := newScene(t, servertest.WithStore(st))
		const planted = "Planted-Secret-12345!"
		secrets := []string{planted, servertest.Password, s.Token}
		_, err := s.Client.CreateUser(t.Context(), client.CreateUserRequest{Email: "bob@example.com", Username: "bob", Password: planted + "1", OrganizationIDs: []uuid.UUID{s.org.ID}})
		require.NoError(t, err)
		require.NoError(t, s.Client.UpdateUserPassword(t.Context(), "bob", client.UpdateUserPasswordRequest{Password: planted + "2"}))
		_, err = s.Anonymous(t).LoginWithPassword(t.Context(), client.LoginWithPasswordRequest{Email: planted, Password: planted})
		require.Error(t, err)
		token, err := s.Client.CreateToken(t.Context(), client.Me, client.CreateTokenRequest{TokenName: "ci"})
		require.NoError(t, err)
		_, secret, _ := strings.Cut(token.Key, "-")
		key, err := s.Client.CreateProvisionerKey(t.Context(), s.org.Name, client.CreateProvisionerKeyRequest{Name: "gpu"})
		require.NoError(t, err)
		w := s.running(t, "dev")
		state := strings.Replace(stateOf(uuid.New()), `"outputs":{}`, `"outputs":{"x":{"value":"`+planted+`","type":"string"}}`, 1)
		require.NoError(t, s.Client.UpdateWorkspaceBuildState(t.Context(), w.LatestBuild.ID, client.UpdateWorkspaceBuildStateRequest{State: []byte(state)}))
		secrets = append(secrets, secret, key.Key, hashOf(t, st, "bob"))

		rows, err := st.Filtered(store.Filter{}).ListAuditLogs(t.Context(), store.ListAuditLogsParams{MaxRows: 10_000})
		require.NoError(t, err)
		require.Greater(t, len(rows), 10)
		for _, row := range rows {
			text := []byte(store.JSON(row))
			for _, secret := range secrets {
				require.False(t, bytes.Contains(text, []byte(secret)), "%q is in %s", secret, text)
			}
		}
	})
}

func hashOf(t *testing.T, st *store.Store, username string) string {
	t.Helper()
	user, err := st.GetUserByUsername(t.Context(), username)
	require.NoError(t, err)
	return user.HashedPassword
}

// Exports in parts, with writers at work, bring every entry once and in order.
func TestExportsGoOnWhereTheyEnded(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		s := servertest.New(t, servertest.WithStore(st))
		a, b := s.Organization(t, "a"), s.Organization(t, "b")
		log := &watch{client: s.Client}
		seen := map[uuid.UUID][]int64{}
		collect := func() {
			for _, e := range log.next(t) {
				seen[e.OrganizationID] = append(seen[e.OrganizationID], e.Sequence)
			}
		}
		const writers, each = 4, 8
		var running sync.WaitGroup
		errs := make(chan error, writers*each)
		for n := range writers {
			running.Go(func() {
				for i := range each {
					_, err := s.Client.UpdateOrganization(t.Context(), []string{a.Name, b.Name}[n%2], client.UpdateOrganizationRequest{DisplayName: fmt.Sprint(n, "-", i)})
					errs <- err
				}
			})
		}
		for range 10 {
			collect()
		}
		running.Wait()
		collect()
		close(errs)
		for err := range errs {
			require.NoError(t, err)
		}
		for _, org := range []client.Organization{a, b} {
			head, err := s.Client.AuditHead(t.Context(), org.Name)
			require.NoError(t, err)
			require.EqualValues(t, 2+writers/2*each, head.Count)
			require.Len(t, seen[org.ID], int(head.Count))
			require.True(t, slices.IsSorted(seen[org.ID]))
			require.Len(t, slices.Compact(seen[org.ID]), int(head.Count), "no entry twice")
			result, err := s.Client.VerifyAudit(t.Context(), org.Name, head.String())
			require.NoError(t, err)
			require.True(t, result.Valid)
		}
		_, err := s.Client.AuditEntries(t.Context(), client.AuditEntriesRequest{After: "bnVsbA"})
		require.Equal(t, "after", refused(t, err, http.StatusBadRequest).Validations[0].Field)
	})
}

// The log of a deleted organization stays, and its key with it.
func TestTheAuditLogOutlivesItsOrganization(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "brief")
	head, err := s.Client.AuditHead(t.Context(), "brief")
	require.NoError(t, err)
	require.NoError(t, s.Client.DeleteOrganization(t.Context(), "brief"))
	_, err = s.Client.AuditHead(t.Context(), "brief")
	refused(t, err, http.StatusNotFound)
	result, err := s.Client.VerifyAudit(t.Context(), org.ID.String(), head.String())
	require.NoError(t, err)
	require.True(t, result.Valid, "%+v", result)
	page, err := s.Client.AuditLogs(t.Context(), client.AuditLogsRequest{Query: "organization:" + org.ID.String()})
	require.NoError(t, err)
	require.Equal(t, client.AuditDelete, page.AuditLogs[0].Action)
	require.True(t, page.AuditLogs[0].IsDeleted)
	require.Nil(t, page.AuditLogs[0].Organization)
}

func TestGeneratingTestEntries(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	require.NoError(t, s.Client.GenerateTestAuditLog(t.Context(), client.TestAuditLogRequest{Action: client.AuditStop, ResourceType: client.AuditWorkspaceBuild, BuildReason: "autostop", Time: at}))
	page, err := s.Client.AuditLogs(t.Context(), client.AuditLogsRequest{Query: "build_reason:autostop date_to:2026-01-02"})
	require.NoError(t, err)
	require.Len(t, page.AuditLogs, 1)
	require.Equal(t, at, page.AuditLogs[0].Time)
	require.Empty(t, page.AuditLogs[0].ResourceLink)
	require.Error(t, s.Client.GenerateTestAuditLog(t.Context(), client.TestAuditLogRequest{Action: "fly"}))
	before, err := s.Client.AuditHead(t.Context(), "")
	require.NoError(t, err)
	require.NoError(t, s.Client.GenerateTestAuditLog(t.Context(), client.TestAuditLogRequest{Repeat: 30}))
	for _, wrong := range []int{-1, 10_001} {
		refused(t, s.Client.GenerateTestAuditLog(t.Context(), client.TestAuditLogRequest{Repeat: wrong}), http.StatusBadRequest, "repeat")
	}
	head, err := s.Client.AuditHead(t.Context(), "")
	require.NoError(t, err)
	require.GreaterOrEqual(t, head.Count, before.Count+30)

	// A long log is verified part by part.
	path, parts := "/audit/verify?most=7&head="+head.String(), 0
	var result client.AuditVerification
	for more := true; more; parts++ {
		status, body := s.Raw(t, s.Token, http.MethodGet, path+"&from="+fromOf(result), "")
		require.Equal(t, http.StatusOK, status, body)
		result = decode[client.AuditVerification](t, body)
		require.True(t, result.Valid, body)
		more = result.More
	}
	require.Greater(t, parts, 4)
	require.GreaterOrEqual(t, result.Count, head.Count)
	status, body := s.Raw(t, s.Token, http.MethodGet, "/audit/verify?from=5:00", "")
	require.Equal(t, http.StatusOK, status)
	require.EqualValues(t, 6, decode[client.AuditVerification](t, body).Fault.Sequence, "who begins with another hash than there was finds out")
	for _, wrong := range []string{"from=x", "most=-1", "head=x&most=1"} {
		status, body := s.Raw(t, s.Token, http.MethodGet, "/audit/verify?"+wrong, "")
		require.Equal(t, http.StatusBadRequest, status, body)
	}
	refused(t, s.Member(t, s.DefaultOrganization(t)).GenerateTestAuditLog(t.Context(), client.TestAuditLogRequest{}), http.StatusForbidden)
}

// fromOf is where the part behind a verified one begins.
func fromOf(v client.AuditVerification) string {
	if v.Count == 0 {
		return ""
	}
	return v.String()
}
