package server

import (
	"context"
	"fmt"
	"net/http"
	"net/mail"
	"slices"
	"strings"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

type createUserInput struct {
	Body client.CreateUserRequest
}

type updateProfileInput struct {
	UserPath
	Body client.UpdateUserProfileRequest
}

type updateUserRolesInput struct {
	UserPath
	Body client.UpdateRolesRequest
}

func (a *api) listUsers(ctx context.Context, in *PageInput) (*output[client.UsersResponse], error) {
	filter, err := userFilter(in.Query)
	if err != nil {
		return nil, err
	}
	everybody, self := subjectFrom(ctx).Everywhere(authz.Read, authz.User), callerID(ctx).String()
	if !everybody {
		filter.Where("u.id = ?", self)
	}
	onlyUsers(&filter, subjectFrom(ctx).Only(authz.User))
	count, err := a.store.Filtered(filter).CountUsersMatching(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := a.store.Filtered(in.after(filter, "(x.id = ? OR 1 = ?)", self, number(everybody))).ListUsers(ctx, store.ListUsersParams{MaxRows: in.rows(), SkipRows: in.Offset})
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(u store.User) bool { return !subjectFrom(ctx).Can(authz.Read, userObject(u.ID)) })
	users, err := a.userResponses(ctx, rows)
	if err != nil {
		return nil, err
	}
	return reply(client.UsersResponse{Users: users, Count: int(count)}), nil
}

func (a *api) getUser(ctx context.Context, in *UserPath) (*output[client.User], error) {
	user, err := a.user(ctx, authz.Read, in.User)
	if err != nil {
		return nil, err
	}
	return a.replyUser(ctx, user)
}

func (a *api) createUser(ctx context.Context, in *createUserInput) (*output[client.User], error) {
	p, err := a.checkNewUser(in.Body)
	if err != nil {
		return nil, err
	}
	organizations, err := a.organizationsOfNewUser(ctx, in.Body)
	if err != nil {
		return nil, err
	}
	if err := a.checkAssignable(ctx, "roles", uuid.Nil, in.Body.Roles); err != nil {
		return nil, err
	}
	row, err := a.newUser(ctx, p)
	if err != nil {
		return nil, err
	}
	var user store.User
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		user, err = a.insertUser(ctx, tx, row, organizations)
		return err
	})
	if store.IsConflict(err) {
		return nil, a.userTaken(ctx, p)
	}
	if err != nil {
		return nil, fmt.Errorf("create user: %w", err)
	}
	return a.replyUser(ctx, user)
}

// userTaken says which of the two unique names it was.
func (a *api) userTaken(ctx context.Context, p newUserParams) error {
	if _, err := a.store.GetUserByUsername(ctx, p.username); store.IsNotFound(err) {
		return taken("A user with the address", p.email, "email")
	}
	return taken("User", p.username, "username")
}

// checkNewUser holds a request against the rules of the kinds of users.
func (a *api) checkNewUser(req client.CreateUserRequest) (newUserParams, error) {
	p := newUserParams{
		email: req.Email, username: req.Username, name: strings.TrimSpace(req.Name), password: req.Password,
		loginType: req.LoginType, status: client.UserDormant, roles: req.Roles,
	}
	if req.ServiceAccount {
		return p, badRequest("Service accounts are not offered by this deployment.", client.ValidationError{Field: "service_account", Detail: "Make a user with login_type none and give it an API token instead."})
	}
	if req.UserStatus != nil {
		if p.status = *req.UserStatus; p.status != client.UserActive && p.status != client.UserDormant {
			return p, invalid("user_status", "It must be active or dormant.")
		}
	}
	switch p.loginType {
	case "", client.LoginPassword:
		p.loginType = client.LoginPassword
		if a.options.DisablePasswordAuth {
			return p, forbidden("Signing in with a password is disabled on this deployment: such a user could not sign in.")
		}
		return p, checkPassword("password", p.password)
	case client.LoginOIDC, client.LoginGitHub:
		return p, invalid("login_type", "Signing in with %s is not configured on this deployment; use password or none.", p.loginType)
	case client.LoginNone:
		if p.password != "" {
			return p, invalid("password", "A user with login_type none has no password.")
		}
		return p, nil
	}
	return p, invalid("login_type", "It must be password, github, oidc or none.")
}

// organizationsOfNewUser resolves them for a caller who may add members to each.
func (a *api) organizationsOfNewUser(ctx context.Context, req client.CreateUserRequest) ([]uuid.UUID, error) {
	ids := req.OrganizationIDs
	if req.OrganizationID != nil && (len(ids) == 0 || *req.OrganizationID != uuid.Nil) {
		ids = append(ids, *req.OrganizationID)
	}
	if len(ids) == 0 {
		return nil, invalid("organization_ids", "Name at least one organization.")
	}
	var out []uuid.UUID
	for _, id := range ids {
		org, err := a.organization(ctx, id.String())
		if err != nil {
			return nil, err
		}
		if !subjectFrom(ctx).Can(authz.Create, authz.Object{Type: authz.OrganizationMember, OrganizationID: org.ID}) {
			return nil, forbidden(fmt.Sprintf("You may not add members to the organization %s.", org.Name))
		}
		if err := checkAddingTo(ctx, org); err != nil {
			return nil, err
		}
		if !slices.Contains(out, org.ID) {
			out = append(out, org.ID)
		}
	}
	return out, nil
}

// newUserParams are a user before its keys and hashes are made; the password
// has been checked.
type newUserParams struct {
	email, username, name, password string
	loginType, status               string
	roles                           []string
}

// newUser checks the names and makes the row, with the slow part (the hash)
// outside of any transaction, and without an SSH key.
func (a *api) newUser(ctx context.Context, p newUserParams) (store.InsertUserParams, error) {
	row := store.InsertUserParams{
		ID: uuid.New(), Email: strings.TrimSpace(p.email), Username: p.username, Name: strings.TrimSpace(p.name),
		LoginType: p.loginType, Status: p.status, Roles: p.roles, CreatedAt: store.At(a.now()),
	}
	row.UpdatedAt = row.CreatedAt
	if err := checkUserNames(row.Email, row.Username, row.Name); err != nil {
		return row, err
	}
	if p.password != "" {
		hash, err := a.passwords.Hash(ctx, p.password)
		if err != nil {
			return row, err
		}
		row.HashedPassword = hash
	}
	return row, nil
}

// newSealedSSHKey makes a key pair in the transaction that writes it.
func newSealedSSHKey(ctx context.Context, tx *store.Store) (public string, sealed []byte, err error) {
	public, private, err := newSSHKey()
	if err != nil {
		return "", nil, err
	}
	sealed, err = tx.Seal(ctx, uuid.Nil, store.PurposeSSHKey, private)
	return public, sealed, err
}

func checkUserNames(email, username, name string) error {
	address, err := mail.ParseAddress(email)
	if err != nil || address.Address != email || len(email) > 254 {
		return invalid("email", "%q is not an email address.", email)
	}
	if err := checkName("username", client.NameUsername, username); err != nil {
		return err
	}
	return checkName("name", client.NameReal, name)
}

// insertUser adds the row, with an SSH key, and its memberships, without roles
// in them.
func (a *api) insertUser(ctx context.Context, tx *store.Store, row store.InsertUserParams, organizations []uuid.UUID) (user store.User, err error) {
	if row.SshPublicKey, row.SshPrivateKey, err = newSealedSSHKey(ctx, tx); err != nil {
		return store.User{}, err
	}
	user, err = tx.InsertUser(ctx, row)
	if err != nil {
		return store.User{}, err
	}
	entry := userEntry(client.AuditCreate, user)
	entry.after = auditUser(user)
	if user.HashedPassword != "" {
		entry.secrets = []string{"password"}
	}
	entries := []auditEntry{entry}
	for _, id := range organizations {
		member, err := a.insertMember(ctx, tx, id, user.ID)
		if err != nil {
			return store.User{}, err
		}
		entries = append(entries, memberCreated(member, user))
	}
	return user, a.audit(ctx, tx, entries...)
}

func (a *api) updateProfile(ctx context.Context, in *updateProfileInput) (*output[client.User], error) {
	user, err := a.personalUser(ctx, authz.UpdatePersonal, in.User)
	if err != nil {
		return nil, err
	}
	if err := a.checkActingAs(ctx, user.ID); err != nil {
		return nil, err
	}
	name := strings.TrimSpace(in.Body.Name)
	if err := checkUserNames(user.Email, in.Body.Username, name); err != nil {
		return nil, err
	}
	if in.Body.Username != user.Username && !subjectFrom(ctx).Can(authz.Update, userObject(user.ID)) {
		return nil, errNotFound()
	}
	var updated store.User
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		updated, err = tx.UpdateUserProfile(ctx, store.UpdateUserProfileParams{
			ID: user.ID, Username: in.Body.Username, Name: name, AvatarURL: user.AvatarURL, UpdatedAt: store.At(a.now()),
		})
		if err == nil && updated.Username != user.Username {
			err = tx.RenameWorkspaceOwner(ctx, store.RenameWorkspaceOwnerParams{OwnerID: user.ID, Username: updated.Username})
		}
		if err != nil {
			return err
		}
		return a.audit(ctx, tx, userChanged(user, updated))
	})
	if store.IsConflict(err) {
		return nil, taken("User", in.Body.Username, "username")
	}
	if err != nil {
		return nil, fmt.Errorf("change profile: %w", err)
	}
	return a.replyUser(ctx, updated)
}

func (a *api) suspendUser(ctx context.Context, in *UserPath) (*output[client.User], error) {
	user, err := a.user(ctx, authz.Update, in.User)
	if err != nil {
		return nil, err
	}
	if user.ID == callerID(ctx) {
		return nil, badRequest("You cannot suspend yourself.")
	}
	return a.setUserStatus(ctx, user, client.UserSuspended, func(current store.User) error {
		if holdsOwner(current) {
			return badRequest("An owner cannot be suspended; take the owner role away first.")
		}
		return nil
	})
}

func (a *api) activateUser(ctx context.Context, in *UserPath) (*output[client.User], error) {
	user, err := a.user(ctx, authz.Update, in.User)
	if err != nil {
		return nil, err
	}
	return a.setUserStatus(ctx, user, client.UserActive, func(current store.User) error { return checkOwnerTouched(ctx, current) })
}

func (a *api) setUserStatus(ctx context.Context, user store.User, status string, check func(store.User) error) (*output[client.User], error) {
	var updated store.User
	err := a.store.InTx(ctx, func(tx *store.Store) error {
		current, err := tx.GetUser(ctx, user.ID)
		if err != nil {
			return err
		}
		if err := check(current); err != nil {
			return err
		}
		updated, err = tx.UpdateUserStatus(ctx, store.UpdateUserStatusParams{ID: user.ID, Status: status, UpdatedAt: store.At(a.now())})
		if err != nil {
			return err
		}
		return a.audit(ctx, tx, userChanged(current, updated))
	})
	if err != nil {
		return nil, fmt.Errorf("change status: %w", err)
	}
	return a.replyUser(ctx, updated)
}

func (a *api) deleteUser(ctx context.Context, in *UserPath) (*output[message], error) {
	user, err := a.user(ctx, authz.Delete, in.User)
	if err != nil {
		return nil, err
	}
	if user.ID == callerID(ctx) {
		return nil, forbidden("You cannot delete yourself.")
	}
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		user, err := tx.GetUser(ctx, user.ID)
		if err != nil {
			return err
		}
		if err := checkOwnerTouched(ctx, user); err != nil {
			return err
		}
		if err := keepAnOwner(ctx, tx, user); err != nil {
			return err
		}
		n, err := tx.CountOwnedWorkspaces(ctx, user.ID)
		if err != nil {
			return err
		}
		if n > 0 {
			return refuse(http.StatusExpectationFailed, "The user still owns "+plural(n, "workspace")+".", "Delete them first, in every organization.")
		}
		return a.removeUser(ctx, tx, user)
	})
	if err != nil {
		return nil, err
	}
	return said(fmt.Sprintf("User %s has been deleted.", user.Username)), nil
}

// removeUser marks the row and drops what would still act in the user's name.
func (a *api) removeUser(ctx context.Context, tx *store.Store, user store.User) error {
	if _, err := tx.DeleteAPIKeysOfUser(ctx, user.ID); err != nil {
		return err
	}
	if err := tx.DeleteGroupMembershipsOfUser(ctx, user.ID); err != nil {
		return err
	}
	memberships, err := tx.ListMembershipsOfUser(ctx, user.ID)
	if err != nil {
		return err
	}
	entry := userEntry(client.AuditDelete, user)
	entry.before = auditUser(user)
	entries := []auditEntry{entry}
	for _, m := range memberships {
		dropped, err := a.withStore(tx).dropFromAccessLists(ctx, m.OrganizationID, user.ID)
		if err != nil {
			return err
		}
		entries = append(entries, dropped...)
		entries = append(entries, memberDeleted(store.OrganizationMember{OrganizationID: m.OrganizationID, UserID: user.ID, Roles: m.Roles}, user))
	}
	if err := tx.DeleteMemberships(ctx, user.ID); err != nil {
		return err
	}
	if _, err := tx.DeleteUser(ctx, store.DeleteUserParams{ID: user.ID, UpdatedAt: store.At(a.now())}); err != nil {
		return err
	}
	return a.audit(ctx, tx, entries...)
}

// keepAnOwner refuses to take the last owner who can sign in from the deployment.
func keepAnOwner(ctx context.Context, tx *store.Store, user store.User) error {
	if !holdsOwner(user) {
		return nil
	}
	owners, err := tx.ListOwners(ctx)
	if err != nil {
		return err
	}
	for _, owner := range owners {
		if owner.ID != user.ID {
			return nil
		}
	}
	return badRequest("This is the last owner of the deployment; make another user an owner first.")
}

func holdsOwner(user store.User) bool { return slices.Contains(user.Roles, authz.RoleOwner) }

func (a *api) userRoles(ctx context.Context, in *UserPath) (*output[client.UserRoles], error) {
	user, err := a.personalUser(ctx, authz.ReadPersonal, in.User)
	if err != nil {
		return nil, err
	}
	memberships, err := a.store.ListMembershipsOfUser(ctx, user.ID)
	if err != nil {
		return nil, err
	}
	roles := client.UserRoles{Roles: nonNil(user.Roles), OrganizationRoles: map[uuid.UUID][]string{}}
	for _, m := range memberships {
		if subjectFrom(ctx).Can(authz.Read, memberObject(m.OrganizationID, user.ID)) {
			roles.OrganizationRoles[m.OrganizationID] = nonNil(m.Roles)
		}
	}
	return reply(roles), nil
}

func (a *api) updateUserRoles(ctx context.Context, in *updateUserRolesInput) (*output[client.User], error) {
	user, err := a.user(ctx, authz.Read, in.User)
	if err != nil {
		return nil, err
	}
	if user.ID == callerID(ctx) {
		return nil, badRequest("You cannot change your own roles.")
	}
	var updated store.User
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		current, err := tx.GetUser(ctx, user.ID)
		if err != nil {
			return err
		}
		roles, err := a.withStore(tx).checkRoleChange(ctx, uuid.Nil, current.Roles, in.Body.Roles)
		if err != nil {
			return err
		}
		if !slices.Contains(roles, authz.RoleOwner) {
			if err := keepAnOwner(ctx, tx, current); err != nil {
				return err
			}
		}
		updated, err = tx.UpdateUserRoles(ctx, store.UpdateUserRolesParams{ID: user.ID, Roles: roles, UpdatedAt: store.At(a.now())})
		if err != nil {
			return err
		}
		return a.audit(ctx, tx, userChanged(current, updated))
	})
	if err != nil {
		return nil, err
	}
	return a.replyUser(ctx, updated)
}

func (a *api) userLoginType(ctx context.Context, in *UserPath) (*output[client.UserLoginType], error) {
	user, err := a.user(ctx, authz.Read, in.User)
	if err != nil {
		return nil, err
	}
	if user.ID != callerID(ctx) {
		return nil, forbidden("Only the user may read this.")
	}
	return reply(client.UserLoginType{LoginType: user.LoginType}), nil
}

func (a *api) getGitSSHKey(ctx context.Context, in *UserPath) (*output[client.GitSSHKey], error) {
	user, err := a.personalUser(ctx, authz.ReadPersonal, in.User)
	if err != nil {
		return nil, err
	}
	return reply(gitSSHKeyResponse(user)), nil
}

func (a *api) regenerateGitSSHKey(ctx context.Context, in *UserPath) (*output[client.GitSSHKey], error) {
	user, err := a.personalUser(ctx, authz.UpdatePersonal, in.User)
	if err != nil {
		return nil, err
	}
	if err := a.checkActingAs(ctx, user.ID); err != nil {
		return nil, err
	}
	old := user.SshPublicKey
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		public, sealed, err := newSealedSSHKey(ctx, tx)
		if err != nil {
			return err
		}
		user.SshPublicKey, user.UpdatedAt = public, store.At(a.now())
		p := store.UpdateUserSSHKeyParams{ID: user.ID, SshPublicKey: public, SshPrivateKey: sealed, UpdatedAt: user.UpdatedAt}
		if err := tx.UpdateUserSSHKey(ctx, p); err != nil {
			return err
		}
		return a.audit(ctx, tx, auditEntry{
			kind: client.AuditGitSSHKey, action: client.AuditWrite, id: user.ID, target: user.Username,
			before: auditSSHKey{old}, after: auditSSHKey{public}, secrets: []string{"private_key"},
		})
	})
	if err != nil {
		return nil, fmt.Errorf("replace SSH key: %w", err)
	}
	return reply(gitSSHKeyResponse(user)), nil
}

// CreateAdminUserRequest is an owner who joins every organization.
type CreateAdminUserRequest struct {
	Email, Username, Password string
}

// CreateAdminUser makes an active owner who is a member of every
// organization, directly in the store: it is the way back into a deployment
// whose owners are gone. Names that are taken or not valid are a *client.Error.
func CreateAdminUser(ctx context.Context, s *store.Store, req CreateAdminUserRequest) (uuid.UUID, error) {
	a := newOfflineAPI(s)
	if err := checkPassword("password", req.Password); err != nil {
		return uuid.Nil, err
	}
	if err := a.ensureDefaultOrganization(ctx); err != nil {
		return uuid.Nil, err
	}
	p := newUserParams{
		email: req.Email, username: req.Username, password: req.Password,
		loginType: client.LoginPassword, status: client.UserActive, roles: []string{authz.RoleOwner},
	}
	row, err := a.newUser(ctx, p)
	if err != nil {
		return uuid.Nil, err
	}
	err = s.InTx(ctx, func(tx *store.Store) error {
		orgs, err := tx.ListOrganizations(ctx)
		if err != nil {
			return err
		}
		ids := make([]uuid.UUID, len(orgs))
		for i, org := range orgs {
			ids[i] = org.ID
		}
		_, err = a.insertUser(ctx, tx, row, ids)
		return err
	})
	if store.IsConflict(err) {
		return uuid.Nil, a.userTaken(ctx, p)
	}
	if err != nil {
		return uuid.Nil, fmt.Errorf("create admin user: %w", err)
	}
	return row.ID, nil
}

func (a *api) replyUser(ctx context.Context, user store.User) (*output[client.User], error) {
	users, err := a.userResponses(ctx, []store.User{user})
	if err != nil {
		return nil, err
	}
	return reply(users[0]), nil
}

// userResponses shows of each user's organizations those that the caller may
// see the membership of.
func (a *api) userResponses(ctx context.Context, users []store.User) ([]client.User, error) {
	memberships, err := a.membershipsOf(ctx, users)
	if err != nil {
		return nil, err
	}
	subject, organizations := subjectFrom(ctx), map[uuid.UUID][]uuid.UUID{}
	all := subject.All(authz.Read, authz.OrganizationMember)
	for _, m := range memberships {
		if all || subject.Can(authz.Read, memberObject(m.OrganizationID, m.UserID)) {
			organizations[m.UserID] = append(organizations[m.UserID], m.OrganizationID)
		}
	}
	out := make([]client.User, len(users))
	for i, u := range users {
		out[i] = client.User{ReducedUser: reducedUserResponse(u), OrganizationIDs: nonNil(organizations[u.ID]), Roles: siteRoleResponses(u.Roles)}
	}
	return out, nil
}

// membershipsOf are those of users, in the order in which they were joined.
func (a *api) membershipsOf(ctx context.Context, users []store.User) ([]store.ListMembershipsOfUsersRow, error) {
	r := requestFrom(ctx)
	if self, known := r.self(); known && len(users) == 1 && users[0].ID == self.ID {
		var rows []store.ListMembershipsOfUsersRow
		for _, id := range r.joined() {
			rows = append(rows, store.ListMembershipsOfUsersRow{OrganizationID: id, UserID: self.ID})
		}
		return rows, nil
	}
	ids := make([]uuid.UUID, len(users))
	for i, u := range users {
		ids[i] = u.ID
	}
	return a.store.ListMembershipsOfUsers(ctx, store.IDs(ids))
}

func reducedUserResponse(u store.User) client.ReducedUser {
	return client.ReducedUser{
		MinimalUser: client.MinimalUser{ID: u.ID, Username: u.Username, Name: u.Name, AvatarURL: u.AvatarURL},
		Email:       u.Email, CreatedAt: u.CreatedAt.Time, UpdatedAt: u.UpdatedAt.Time, LastSeenAt: u.LastSeenAt.Time,
		Status: u.Status, LoginType: u.LoginType,
	}
}

func gitSSHKeyResponse(u store.User) client.GitSSHKey {
	return client.GitSSHKey{UserID: u.ID, CreatedAt: u.CreatedAt.Time, UpdatedAt: u.UpdatedAt.Time, PublicKey: u.SshPublicKey}
}
