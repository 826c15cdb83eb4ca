package server

import (
	"context"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

func (a *api) getMemberQuota(ctx context.Context, in *MemberPath) (*output[client.WorkspaceQuota], error) {
	return a.quota(ctx, organizationFrom(ctx), in.User)
}

func (a *api) getUserQuota(ctx context.Context, in *UserPath) (*output[client.WorkspaceQuota], error) {
	org, err := a.organization(ctx, client.DefaultOrganization)
	if err != nil {
		return nil, err
	}
	return a.quota(ctx, org, in.User)
}

// quota adds up what the groups of a user allow, and what the user's
// workspaces cost as they were last built. The user need not be a member any
// more: workspaces outlive memberships.
func (a *api) quota(ctx context.Context, org store.Organization, ref string) (*output[client.WorkspaceQuota], error) {
	user, err := a.user(ctx, authz.Read, ref)
	if err != nil {
		return nil, err
	}
	groups, err := a.store.ListGroupsOfUser(ctx, store.ListGroupsOfUserParams{OrganizationID: org.ID, UserID: user.ID})
	if err != nil {
		return nil, err
	}
	var out client.WorkspaceQuota
	for _, g := range groups {
		out.Budget += g.QuotaAllowance
	}
	out.CreditsConsumed, err = a.store.SumWorkspaceCosts(ctx, store.SumWorkspaceCostsParams{OrganizationID: org.ID, OwnerID: user.ID})
	return reply(out), err
}
