package server

import (
	"context"
	"fmt"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

type MemberPath struct {
	OrganizationPath
	User string `path:"user" doc:"Name, id, or me"`
}

type listMembersInput struct {
	OrganizationPath
	Query string `query:"q" doc:"user_id:UUID, github_user_id:N or include_system:BOOL"`
}

type pageMembersInput struct {
	OrganizationPath
	PageInput
}

type updateMemberRolesInput struct {
	MemberPath
	Body client.UpdateRolesRequest
}

func (a *api) listMembers(ctx context.Context, in *listMembersInput) (*output[[]client.OrganizationMemberWithUserData], error) {
	filter, err := oldMemberFilter(in.Query)
	if err != nil {
		return nil, err
	}
	rows, err := a.store.Filtered(filter).ListMembers(ctx, store.ListMembersParams{OrganizationID: organizationFrom(ctx).ID, MaxRows: allRows})
	if err != nil {
		return nil, err
	}
	members, err := a.memberResponses(ctx, rows)
	if err != nil {
		return nil, err
	}
	return reply(members), nil
}

// oldMemberFilter reads the few keys that the old list of members knows.
func oldMemberFilter(q string) (store.Filter, error) {
	var filter store.Filter
	s := parseSearch(q, "user_id", "include_system", "github_user_id")
	if s.term != "" {
		s.refuse("q", "%q is not a key:value term; use user_id, github_user_id or include_system", s.term)
	}
	for _, id := range s.ids("user_id") {
		filter.Where("u.id = ?", id.String())
	}
	s.bool("include_system") // there are no system users
	if _, given := s.one("github_user_id"); given {
		filter.Where("u.id = ''") // nobody signs in with GitHub
	}
	return filter, s.err()
}

func (a *api) pageMembers(ctx context.Context, in *pageMembersInput) (*output[client.PaginatedMembersResponse], error) {
	filter, err := userFilter(in.Query)
	if err != nil {
		return nil, err
	}
	onlyUsers(&filter, subjectFrom(ctx).Only(authz.OrganizationMember))
	id := organizationFrom(ctx).ID
	count, err := a.store.Filtered(filter).CountMembers(ctx, id)
	if err != nil {
		return nil, err
	}
	rows, err := a.store.Filtered(in.afterMember(filter, id)).ListMembers(ctx, store.ListMembersParams{OrganizationID: id, MaxRows: in.rows(), SkipRows: in.Offset})
	if err != nil {
		return nil, err
	}
	members, err := a.memberResponses(ctx, rows)
	if err != nil {
		return nil, err
	}
	return reply(client.PaginatedMembersResponse{Members: members, Count: int(count)}), nil
}

func (a *api) getMember(ctx context.Context, in *MemberPath) (*output[client.OrganizationMemberWithUserData], error) {
	row, err := a.member(ctx, in.User)
	if err != nil {
		return nil, err
	}
	custom, err := a.customRoles(ctx, row.OrganizationMember.OrganizationID)
	if err != nil {
		return nil, err
	}
	return reply(memberWithUserResponse(row.OrganizationMember, row.User, custom)), nil
}

func (a *api) addMember(ctx context.Context, in *MemberPath) (*output[client.OrganizationMember], error) {
	user, err := a.user(ctx, authz.Read, in.User)
	if err != nil {
		return nil, err
	}
	org := organizationFrom(ctx)
	if !subjectFrom(ctx).Can(authz.Assign, authz.Object{Type: authz.AssignOrgRole, OrganizationID: org.ID}) {
		return nil, errNotFound()
	}
	if err := checkAddingTo(ctx, org); err != nil {
		return nil, err
	}
	var member store.OrganizationMember
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		if member, err = a.insertMember(ctx, tx, org.ID, user.ID); err != nil {
			return err
		}
		return a.audit(ctx, tx, memberCreated(member, user))
	})
	if store.IsConflict(err) {
		return nil, badRequest(fmt.Sprintf("%s is already a member of the organization %s.", user.Username, org.Name))
	}
	if err != nil {
		return nil, fmt.Errorf("add member: %w", err)
	}
	return reply(memberResponse(member, nil)), nil
}

// removeMember leaves the workspaces of the user in place.
func (a *api) removeMember(ctx context.Context, in *MemberPath) (*empty, error) {
	row, err := a.member(ctx, in.User)
	if err != nil {
		return nil, err
	}
	if row.User.ID == callerID(ctx) {
		return nil, badRequest("You cannot remove yourself from an organization.")
	}
	org := organizationFrom(ctx)
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		if err := tx.DeleteGroupMemberships(ctx, store.DeleteGroupMembershipsParams{OrganizationID: org.ID, UserID: row.User.ID}); err != nil {
			return err
		}
		dropped, err := a.withStore(tx).dropFromAccessLists(ctx, org.ID, row.User.ID)
		if err != nil {
			return err
		}
		if _, err := tx.DeleteMember(ctx, store.DeleteMemberParams{OrganizationID: org.ID, UserID: row.User.ID}); err != nil {
			return err
		}
		return a.audit(ctx, tx, append(dropped, memberDeleted(row.OrganizationMember, row.User))...)
	})
	if err != nil {
		return nil, fmt.Errorf("remove member: %w", err)
	}
	return &empty{}, nil
}

func (a *api) updateMemberRoles(ctx context.Context, in *updateMemberRolesInput) (*output[client.OrganizationMember], error) {
	row, err := a.member(ctx, in.User)
	if err != nil {
		return nil, err
	}
	if row.User.ID == callerID(ctx) {
		return nil, badRequest("You cannot change your own roles.")
	}
	org := organizationFrom(ctx)
	var member store.OrganizationMember
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		current, err := tx.GetMember(ctx, store.GetMemberParams{OrganizationID: org.ID, UserID: row.User.ID})
		if err != nil {
			return err
		}
		roles, err := a.withStore(tx).checkRoleChange(ctx, org.ID, current.OrganizationMember.Roles, in.Body.Roles)
		if err != nil {
			return err
		}
		member, err = tx.UpdateMemberRoles(ctx, store.UpdateMemberRolesParams{OrganizationID: org.ID, UserID: row.User.ID, Roles: roles, UpdatedAt: store.At(a.now())})
		if err != nil {
			return err
		}
		return a.audit(ctx, tx, memberChanged(current.OrganizationMember, member, row.User))
	})
	if err != nil {
		return nil, fmt.Errorf("change roles: %w", err)
	}
	custom, err := a.customRoles(ctx, org.ID)
	if err != nil {
		return nil, err
	}
	return reply(memberResponse(member, custom)), nil
}

// memberResponses leaves out memberships that the caller may not read.
func (a *api) memberResponses(ctx context.Context, rows []store.ListMembersRow) ([]client.OrganizationMemberWithUserData, error) {
	custom, err := a.customRoles(ctx, organizationFrom(ctx).ID)
	if err != nil {
		return nil, err
	}
	out := []client.OrganizationMemberWithUserData{}
	for _, row := range rows {
		if subjectFrom(ctx).Can(authz.Read, memberObject(row.OrganizationMember.OrganizationID, row.User.ID)) {
			out = append(out, memberWithUserResponse(row.OrganizationMember, row.User, custom))
		}
	}
	return out, nil
}

func memberWithUserResponse(m store.OrganizationMember, u store.User, custom map[string]authz.Role) client.OrganizationMemberWithUserData {
	return client.OrganizationMemberWithUserData{
		OrganizationMember: memberResponse(m, custom), Username: u.Username, Name: u.Name, AvatarURL: u.AvatarURL, Email: u.Email,
		GlobalRoles: siteRoleResponses(u.Roles), Status: u.Status, LoginType: u.LoginType, LastSeenAt: u.LastSeenAt.Time,
		UserCreatedAt: u.CreatedAt.Time, UserUpdatedAt: u.UpdatedAt.Time,
	}
}

func memberResponse(m store.OrganizationMember, custom map[string]authz.Role) client.OrganizationMember {
	return client.OrganizationMember{
		UserID: m.UserID, OrganizationID: m.OrganizationID, CreatedAt: m.CreatedAt.Time, UpdatedAt: m.UpdatedAt.Time,
		Roles: organizationRoleResponses(m.OrganizationID, m.Roles, custom),
	}
}
