package server

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"coder/internal/authz"
	"coder/store"
)

// checkActingAs refuses what would let the caller act as somebody who may do
// more: whoever sets the password of a user can sign in as that user, so the
// caller must be one who may hand out every role that the user holds, on the
// site and in each organization.
func (a *api) checkActingAs(ctx context.Context, userID uuid.UUID) error {
	subject := subjectFrom(ctx)
	if userID == subject.ID {
		return nil
	}
	user, err := a.store.GetUser(ctx, userID)
	if err != nil {
		return err
	}
	memberships, err := a.store.ListMembershipsOfUser(ctx, userID)
	if err != nil {
		return err
	}
	mayAll := func(names []string, organizationID uuid.UUID) bool {
		return !slices.ContainsFunc(names, func(name string) bool { return !subject.CanAssign(name, organizationID) })
	}
	ok := mayAll(user.Roles, uuid.Nil)
	for _, m := range memberships {
		ok = ok && mayAll(m.Roles, m.OrganizationID) && mayAll(m.DefaultMemberRoles, m.OrganizationID)
	}
	if ok {
		return nil
	}
	refused := forbidden("This user holds a role that you may not hand out, so you may not act for them.")
	refused.Detail = "Ask somebody who may hand out all of the user's roles, such as an owner of the deployment."
	return refused
}

// checkOwnerTouched leaves owners to owners.
func checkOwnerTouched(ctx context.Context, user store.User) error {
	if holdsOwner(user) && !subjectFrom(ctx).CanAssign(authz.RoleOwner, uuid.Nil) {
		return forbidden("Only an owner of the deployment may do this to another owner.")
	}
	return nil
}

// checkAddingTo refuses to add members to an organization whose every member
// holds a role that gives more than the caller has and may hand out.
func checkAddingTo(ctx context.Context, org store.Organization) error {
	subject := subjectFrom(ctx)
	for _, name := range org.DefaultMemberRoles {
		role, _ := authz.OrganizationRole(name, org.ID)
		if !subject.CanAssign(name, org.ID) && subject.Gains(role, org.ID, false) {
			return forbidden("Every member of the organization " + org.Name + " holds the role " + name + ", which you may not hand out; somebody else has to add members.")
		}
	}
	return nil
}
