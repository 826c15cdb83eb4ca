package server_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"coder/client"
	"coder/server/servertest"
	"coder/store"
	"coder/store/storetest"
)

func TestCreatingAUser(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.DefaultOrganization(t)
	valid := client.CreateUserRequest{Email: "ann@example.com", Username: "ann", Name: " Ann Ant ", Password: servertest.Password, OrganizationIDs: []uuid.UUID{uuid.Nil}}
	ann, err := s.Client.CreateUser(t.Context(), valid)
	require.NoError(t, err)
	require.Equal(t, client.UserDormant, ann.Status)
	require.Equal(t, client.LoginPassword, ann.LoginType)
	require.Equal(t, "Ann Ant", ann.Name)
	require.Equal(t, []uuid.UUID{org.ID}, ann.OrganizationIDs, "the nil UUID is the default organization")
	require.Empty(t, ann.Roles)
	require.NotNil(t, ann.Roles)

	member, err := s.Client.OrganizationMember(t.Context(), org.Name, "ann")
	require.NoError(t, err)
	require.Empty(t, member.Roles)

	change := func(f func(*client.CreateUserRequest)) client.CreateUserRequest {
		req := valid
		req.Username, req.Email = "bob", "bob@example.com"
		f(&req)
		return req
	}
	outsideOf, foreign := s.Person(t, org, client.RoleOrgAdmin), s.Organization(t, "foreign")
	for name, c := range map[string]struct {
		req    client.CreateUserRequest
		status int
		field  string
	}{
		"no organization":            {change(func(r *client.CreateUserRequest) { r.OrganizationIDs = nil }), 400, "organization_ids"},
		"unknown organization":       {change(func(r *client.CreateUserRequest) { r.OrganizationIDs = []uuid.UUID{uuid.New()} }), 404, ""},
		"name taken in another case": {change(func(r *client.CreateUserRequest) { r.Username = "ANN" }), 409, "username"},
		"address taken":              {change(func(r *client.CreateUserRequest) { r.Email = "Ann@Example.com" }), 409, "email"},
		"password without need":      {change(func(r *client.CreateUserRequest) { r.LoginType = client.LoginNone }), 400, "password"},
		"weak password":              {change(func(r *client.CreateUserRequest) { r.Password = "secret" }), 400, "password"},
		"no password":                {change(func(r *client.CreateUserRequest) { r.Password = "" }), 400, "password"},
		"unknown login type":         {change(func(r *client.CreateUserRequest) { r.LoginType = "saml" }), 400, "login_type"},
		"oidc without a provider":    {change(func(r *client.CreateUserRequest) { r.LoginType = client.LoginOIDC }), 400, "login_type"},
		"service account":            {change(func(r *client.CreateUserRequest) { r.ServiceAccount = true }), 400, "service_account"},
		"reserved name":              {change(func(r *client.CreateUserRequest) { r.Username = "create" }), 400, "username"},
		"name me":                    {change(func(r *client.CreateUserRequest) { r.Username = "me" }), 400, "username"},
		"name with a space":          {change(func(r *client.CreateUserRequest) { r.Username = "a b" }), 400, "username"},
		"name not ASCII":             {change(func(r *client.CreateUserRequest) { r.Username = "änn" }), 400, "username"},
		"name too long":              {change(func(r *client.CreateUserRequest) { r.Username = strings.Repeat("a", 33) }), 400, "username"},
		"no address":                 {change(func(r *client.CreateUserRequest) { r.Email = "" }), 400, "email"},
		"address with a name":        {change(func(r *client.CreateUserRequest) { r.Email = "Ann <bob@example.com>" }), 400, "email"},
		"unknown role":               {change(func(r *client.CreateUserRequest) { r.Roles = []string{"king"} }), 400, "roles"},
		"status suspended":           {change(func(r *client.CreateUserRequest) { r.UserStatus = new(client.UserSuspended) }), 400, "user_status"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Client.CreateUser(t.Context(), c.req)
			if e := refused(t, err, c.status); c.field != "" {
				require.Equal(t, c.field, e.Validations[0].Field, "%+v", e)
			}
			_, err = s.Client.User(t.Context(), "bob")
			refused(t, err, http.StatusNotFound)
		})
	}
	_, err = outsideOf.Client.CreateUser(t.Context(), change(func(r *client.CreateUserRequest) { r.OrganizationIDs = []uuid.UUID{foreign.ID} }))
	refused(t, err, http.StatusForbidden)

	owner, err := s.Client.CreateUser(t.Context(), change(func(r *client.CreateUserRequest) { r.Roles = []string{"owner"}; r.OrganizationID = &foreign.ID }))
	require.NoError(t, err)
	require.Equal(t, "owner", owner.Roles[0].Name)
	require.ElementsMatch(t, []uuid.UUID{org.ID, foreign.ID}, owner.OrganizationIDs)
}

func TestANewUserHasASealedSSHKey(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	key, err := s.Client.GitSSHKey(t.Context(), client.Me)
	require.NoError(t, err)
	public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(key.PublicKey))
	require.NoError(t, err)
	require.Equal(t, ssh.KeyAlgoED25519, public.Type())

	row, err := s.Store.GetUser(t.Context(), s.Owner.ID)
	require.NoError(t, err)
	require.NotContains(t, string(row.SshPrivateKey), "PRIVATE KEY")
	private, err := s.Store.Unseal(t.Context(), uuid.Nil, "ssh_key", row.SshPrivateKey)
	require.NoError(t, err)
	signer, err := ssh.ParsePrivateKey(private)
	require.NoError(t, err)
	require.Equal(t, public.Marshal(), signer.PublicKey().Marshal())

	again, err := s.Client.RegenerateGitSSHKey(t.Context(), client.Me)
	require.NoError(t, err)
	require.NotEqual(t, key.PublicKey, again.PublicKey)
	p := s.Person(t, s.DefaultOrganization(t), client.RoleOrgAdmin)
	hiddenLikeMissing(t, s, p.Token, http.MethodGet, "/users/owner/gitsshkey", "/users/nobody/gitsshkey", "")
	hiddenLikeMissing(t, s, p.Token, http.MethodPut, "/users/owner/gitsshkey", "/users/nobody/gitsshkey", "")
}

func TestReadingUsers(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org, other := s.DefaultOrganization(t), s.Organization(t, "other")
	_, ann := s.NamedMember(t, org, "ann")
	_, bob := s.NamedMember(t, other, "bob")
	admin := s.Person(t, org, client.RoleOrgAdmin)

	t.Run("by name, id and me", func(t *testing.T) {
		for _, ref := range []string{"ann", "ANN", ann.ID.String()} {
			user, err := s.Client.User(t.Context(), ref)
			require.NoError(t, err)
			require.Equal(t, ann.ID, user.ID)
		}
		me, err := admin.Client.User(t.Context(), client.Me)
		require.NoError(t, err)
		require.Equal(t, admin.User.ID, me.ID)
		_, err = s.Client.User(t.Context(), ann.Email)
		refused(t, err, http.StatusNotFound)
	})
	t.Run("a plain member sees only themselves", func(t *testing.T) {
		p := s.Person(t, org)
		list, err := p.Client.Users(t.Context(), client.UsersRequest{})
		require.NoError(t, err)
		require.Equal(t, 1, list.Count)
		require.Equal(t, p.User.ID, list.Users[0].ID)
		hiddenLikeMissing(t, s, p.Token, http.MethodGet, "/users/ann", "/users/nobody", "")
		hiddenLikeMissing(t, s, p.Token, http.MethodGet, "/users/"+bob.ID.String(), "/users/"+uuid.NewString(), "")
	})
	t.Run("an administrator of one organization does not see memberships in others", func(t *testing.T) {
		user, err := admin.Client.User(t.Context(), "bob")
		require.NoError(t, err)
		require.Empty(t, user.OrganizationIDs)
		list, err := admin.Client.Users(t.Context(), client.UsersRequest{Query: "name:nobody"})
		require.NoError(t, err)
		require.Empty(t, list.Users)
		require.NotNil(t, list.Users)
	})
	t.Run("the login type is the user's own affair", func(t *testing.T) {
		own, err := s.Client.UserLoginType(t.Context(), client.Me)
		require.NoError(t, err)
		require.Equal(t, client.LoginPassword, own.LoginType)
		_, err = s.Client.UserLoginType(t.Context(), "ann")
		refused(t, err, http.StatusForbidden)
	})
}

func TestSearchingAndPagingUsers(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		searchAndPageUsers(t, servertest.New(t, servertest.WithStore(st)))
	})
}

func searchAndPageUsers(t *testing.T, s *servertest.Server) {
	org := s.DefaultOrganization(t)
	for _, name := range []string{"dora", "Anna", "bert", "carl"} {
		s.NamedMember(t, org, name)
	}
	_, err := s.Client.SuspendUser(t.Context(), "bert")
	require.NoError(t, err)
	_, err = s.Client.UpdateUserProfile(t.Context(), "carl", client.UpdateUserProfileRequest{Username: "carl", Name: "Carl 100%_Sure ÉTIENNE"})
	require.NoError(t, err)
	names := func(req client.UsersRequest) []string {
		t.Helper()
		list, err := s.Client.Users(t.Context(), req)
		require.NoError(t, err)
		out := []string{}
		for _, u := range list.Users {
			out = append(out, u.Username)
		}
		return out
	}
	require.Equal(t, []string{"Anna", "bert", "carl", "dora", "owner"}, names(client.UsersRequest{}))
	for query, want := range map[string][]string{
		"AN":                                    {"Anna"},
		"search:dora":                           {"dora"},
		"dora@example":                          {"dora"},
		"status:suspended":                      {"bert"},
		"status:suspended,active dora":          {"dora"},
		"role:owner":                            {"owner"},
		"role:member":                           {"Anna", "bert", "carl", "dora", "owner"},
		`name:"carl 100%_"`:                     {"carl"},
		"name:1__":                              {},
		"NAME:Étienne":                          {"carl"},
		"login_type:oidc":                       {},
		`created_after:"2100-01-01T00:00:00Z"`:  {},
		`created_before:"2100-01-01T00:00:00Z"`: {"Anna", "bert", "carl", "dora", "owner"},
		"service_account:true":                  {},
	} {
		require.Equal(t, want, names(client.UsersRequest{Query: query}), "query %s", query)
	}
	for _, query := range []string{"status:", ":x", "a:b:c", "color:red", "status:sleepy", "service_account:maybe", "created_after:yesterday"} {
		_, err := s.Client.Users(t.Context(), client.UsersRequest{Query: query})
		require.NotEmpty(t, refused(t, err, http.StatusBadRequest).Validations, "query %s", query)
	}

	page, err := s.Client.Users(t.Context(), client.UsersRequest{Page: client.Page{Limit: 2, Offset: 1}})
	require.NoError(t, err)
	require.Equal(t, 5, page.Count)
	require.Equal(t, []string{"bert", "carl"}, names(client.UsersRequest{Page: client.Page{Limit: 2, Offset: 1}}))
	require.Equal(t, []string{"dora", "owner"}, names(client.UsersRequest{Page: client.Page{AfterID: page.Users[1].ID}}))
	for _, query := range []string{"limit=-1", "offset=-1", "limit=x", "after_id=x"} {
		status, body := s.Raw(t, s.Token, http.MethodGet, "/users?"+query, "")
		require.Equal(t, http.StatusBadRequest, status, body)
		require.Contains(t, body, `"field":"`+strings.Split(query, "=")[0]+`"`)
	}
}

func TestChangingAProfile(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.DefaultOrganization(t)
	p := s.Person(t, org)
	user, err := p.Client.UpdateUserProfile(t.Context(), client.Me, client.UpdateUserProfileRequest{Username: p.User.Username, Name: "New Name"})
	require.NoError(t, err)
	require.Equal(t, "New Name", user.Name)
	_, err = p.Client.UpdateUserProfile(t.Context(), client.Me, client.UpdateUserProfileRequest{Username: "other"})
	refused(t, err, http.StatusNotFound)
	_, err = s.Client.UpdateUserProfile(t.Context(), p.User.Username, client.UpdateUserProfileRequest{Username: "Owner"})
	refused(t, err, http.StatusConflict, "username")
	_, err = s.Client.UpdateUserProfile(t.Context(), p.User.Username, client.UpdateUserProfileRequest{Username: "new"})
	refused(t, err, http.StatusBadRequest, "username")
	user, err = s.Client.UpdateUserProfile(t.Context(), p.User.Username, client.UpdateUserProfileRequest{Username: "renamed"})
	require.NoError(t, err)
	require.Equal(t, "renamed", user.Username)
	hiddenLikeMissing(t, s, p.Token, http.MethodPut, "/users/owner/profile", "/users/nobody/profile", `{"username":"x"}`)
}

func TestSuspendingAUserActsAtOnce(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.DefaultOrganization(t)
	p := s.Person(t, org)
	token, err := p.Client.CreateToken(t.Context(), client.Me, client.CreateTokenRequest{})
	require.NoError(t, err)
	user, err := s.Client.SuspendUser(t.Context(), p.User.Username)
	require.NoError(t, err)
	require.Equal(t, client.UserSuspended, user.Status)
	for _, c := range []*client.Client{p.Client, s.WithToken(t, token.Key)} {
		_, err = c.User(t.Context(), client.Me)
		require.Contains(t, refused(t, err, http.StatusUnauthorized).Detail, "suspended")
	}
	user, err = s.Client.ActivateUser(t.Context(), p.User.Username)
	require.NoError(t, err)
	require.Equal(t, client.UserActive, user.Status)
	_, err = p.Client.User(t.Context(), client.Me)
	require.NoError(t, err, "keys stay, so the session works again")

	_, err = s.Client.SuspendUser(t.Context(), client.Me)
	refused(t, err, http.StatusBadRequest)
	_, err = s.Client.UpdateUserRoles(t.Context(), p.User.Username, client.UpdateRolesRequest{Roles: []string{"owner"}})
	require.NoError(t, err)
	_, err = s.Client.SuspendUser(t.Context(), p.User.Username)
	require.Contains(t, refused(t, err, http.StatusBadRequest).Message, "owner")
	admin := s.Person(t, org, client.RoleOrgAdmin)
	_, err = admin.Client.SuspendUser(t.Context(), p.User.Username)
	refused(t, err, http.StatusForbidden)
	hiddenLikeMissing(t, s, s.Person(t, org).Token, http.MethodPut, "/users/owner/status/suspend", "/users/nobody/status/suspend", "")
}

func TestDeletingAUser(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.DefaultOrganization(t)
	p := s.Person(t, org)
	refused(t, s.Client.DeleteUser(t.Context(), client.Me), http.StatusForbidden)
	refused(t, s.Person(t, org, client.RoleOrgAdmin).Client.DeleteUser(t.Context(), p.User.Username), http.StatusForbidden)
	hiddenLikeMissing(t, s, s.Person(t, org).Token, http.MethodDelete, "/users/"+p.User.Username, "/users/nobody", "")

	status, body := s.Raw(t, s.Token, http.MethodDelete, "/users/"+p.User.Username, "")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, `"message"`)
	_, err := s.Client.User(t.Context(), p.User.ID.String())
	refused(t, err, http.StatusNotFound)
	_, err = p.Client.User(t.Context(), client.Me)
	refused(t, err, http.StatusUnauthorized)
	members, err := s.Client.OrganizationMembers(t.Context(), org.Name)
	require.NoError(t, err)
	for _, m := range members {
		require.NotEqual(t, p.User.ID, m.UserID)
	}
	again, err := s.Client.CreateUser(t.Context(), client.CreateUserRequest{
		Email: p.User.Email, Username: p.User.Username, Password: servertest.Password, OrganizationIDs: []uuid.UUID{org.ID},
	})
	require.NoError(t, err, "the names are free again")
	require.NotEqual(t, p.User.ID, again.ID)
}

func TestAUserWithWorkspacesIsNotDeleted(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.DefaultOrganization(t)
	p := s.Person(t, org)
	insertWorkspace(t, s, org.ID, p.User.ID)
	e := refused(t, s.Client.DeleteUser(t.Context(), p.User.Username), http.StatusExpectationFailed)
	require.Contains(t, e.Message, "1 workspace")
	_, err := p.Client.User(t.Context(), client.Me)
	require.NoError(t, err)
}

// insertWorkspace makes just the rows, below the API: building one needs a provisioner.
func insertWorkspace(t *testing.T, s *servertest.Server, organizationID, ownerID uuid.UUID) store.Workspace {
	t.Helper()
	at := store.At(time.Now())
	file, err := s.Store.InsertFile(t.Context(), store.InsertFileParams{ID: uuid.New(), CreatedBy: ownerID, Hash: uuid.NewString(), Mimetype: "application/x-tar", Data: []byte{}, CreatedAt: at})
	require.NoError(t, err)
	version, template, workspace, build := uuid.New(), uuid.New(), uuid.New(), uuid.New()
	job, err := s.Store.InsertProvisionerJob(t.Context(), store.InsertProvisionerJobParams{
		ID: uuid.New(), OrganizationID: organizationID, Type: "workspace_build", Provisioner: "terraform", FileID: file.ID,
		Tags: store.StringMap{"scope": "organization", "owner": ""}, WorkspaceID: &workspace, WorkspaceBuildID: &build,
		InitiatorID: ownerID, TemplateVersionID: version, Input: "{}", CreatedAt: at, UpdatedAt: at,
	})
	require.NoError(t, err)
	_, err = s.Store.InsertTemplate(t.Context(), store.InsertTemplateParams{
		ID: template, OrganizationID: organizationID, Name: "t-" + uuid.NewString()[:8], Provisioner: "terraform", ActiveVersionID: version, CreatedBy: ownerID, CreatedAt: at, UpdatedAt: at,
	})
	require.NoError(t, err)
	_, err = s.Store.InsertTemplateVersion(t.Context(), store.InsertTemplateVersionParams{
		ID: version, OrganizationID: organizationID, TemplateID: &template, JobID: job.ID, Name: "v1", CreatedBy: ownerID, CreatedAt: at, UpdatedAt: at,
	})
	require.NoError(t, err)
	w, err := s.Store.InsertWorkspace(t.Context(), store.InsertWorkspaceParams{
		ID: workspace, OrganizationID: organizationID, OwnerID: ownerID, TemplateID: template, Name: "w-" + uuid.NewString()[:8], AutomaticUpdates: "never",
		LastUsedAt: at, LatestBuildID: build, CreatedAt: at, UpdatedAt: at,
	})
	require.NoError(t, err)
	_, err = s.Store.InsertWorkspaceBuild(t.Context(), store.InsertWorkspaceBuildParams{
		ID: build, OrganizationID: organizationID, WorkspaceID: workspace, TemplateVersionID: version, JobID: job.ID, BuildNumber: 1,
		Transition: "start", Reason: "initiator", InitiatorID: ownerID, Parameters: "[]", CreatedAt: at, UpdatedAt: at,
	})
	require.NoError(t, err)
	return w
}

func TestSiteRolesOfAUser(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org, other := s.DefaultOrganization(t), s.Organization(t, "other")
	p := s.Person(t, org, client.RoleOrgAdmin)
	_, err := s.Client.AddOrganizationMember(t.Context(), other.Name, p.User.Username)
	require.NoError(t, err)

	roles, err := s.Client.UserRoles(t.Context(), p.User.Username)
	require.NoError(t, err)
	require.Equal(t, client.UserRoles{Roles: []string{}, OrganizationRoles: map[uuid.UUID][]string{org.ID: {client.RoleOrgAdmin}, other.ID: {}}}, roles)
	hiddenLikeMissing(t, s, p.Token, http.MethodGet, "/users/owner/roles", "/users/nobody/roles", "")

	user, err := s.Client.UpdateUserRoles(t.Context(), p.User.Username, client.UpdateRolesRequest{Roles: []string{"owner", "owner"}})
	require.NoError(t, err)
	require.Equal(t, []client.SlimRole{{Name: "owner", DisplayName: "Owner"}}, user.Roles)
	_, err = p.Client.Users(t.Context(), client.UsersRequest{})
	require.NoError(t, err, "a new role acts on the next request")

	_, err = s.Client.UpdateUserRoles(t.Context(), client.Me, client.UpdateRolesRequest{})
	refused(t, err, http.StatusBadRequest)
	for _, role := range []string{"king", "member", client.RoleOrgAdmin, "owner:" + org.ID.String()} {
		_, err = s.Client.UpdateUserRoles(t.Context(), p.User.Username, client.UpdateRolesRequest{Roles: []string{"owner", role}})
		refused(t, err, http.StatusBadRequest, "roles")
	}
	admin := s.Person(t, org, client.RoleOrgAdmin)
	_, err = admin.Client.UpdateUserRoles(t.Context(), p.User.Username, client.UpdateRolesRequest{Roles: []string{}})
	refused(t, err, http.StatusForbidden)
	_, err = s.Client.UpdateUserRoles(t.Context(), p.User.Username, client.UpdateRolesRequest{Roles: []string{}})
	require.NoError(t, err)
	hiddenLikeMissing(t, s, s.Person(t, org).Token, http.MethodPut, "/users/owner/roles", "/users/nobody/roles", `{"roles":[]}`)
}

// Two owners who throw each other out at the same moment must not both succeed.
func TestTheLastOwnerStays(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	for range 5 {
		p := s.Person(t, s.DefaultOrganization(t))
		_, err := s.Client.UpdateUserRoles(t.Context(), p.User.Username, client.UpdateRolesRequest{Roles: []string{"owner"}})
		require.NoError(t, err)
		var wg sync.WaitGroup
		errs := make([]error, 2)
		drop := func(ctx context.Context, c *client.Client, user string) error {
			_, err := c.UpdateUserRoles(ctx, user, client.UpdateRolesRequest{Roles: []string{}})
			return err
		}
		wg.Go(func() { errs[0] = drop(t.Context(), s.Client, p.User.Username) })
		wg.Go(func() { errs[1] = drop(t.Context(), p.Client, "owner") })
		wg.Wait()
		owners, err := s.Store.ListOwners(t.Context())
		require.NoError(t, err)
		require.NotEmpty(t, owners, "errors: %v", errs)
		if errs[1] == nil { // put the first owner back
			_, err = p.Client.UpdateUserRoles(t.Context(), "owner", client.UpdateRolesRequest{Roles: []string{"owner"}})
			require.NoError(t, err)
			_, err = s.Client.UpdateUserRoles(t.Context(), p.User.Username, client.UpdateRolesRequest{Roles: []string{}})
			require.NoError(t, err)
		}
	}
}
