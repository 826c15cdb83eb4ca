package server

import (
	"context"
	"fmt"
	"math"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

func (a *api) quotaRoutes(r *router) {
	handle(r, get, "/organizations/{organization}/members/{user}/workspace-quota", "Get what a member's workspaces cost and may cost", inOrganization(authz.Read, authz.Organization), a.getMemberQuota)
	handle(r, get, "/workspace-quota/{user}", "Get a quota in the default organization", onObject(authz.Read, authz.User), a.getUserQuota, deprecated())
	handle(r, get, "/organizations/{organization}/quota", "Get an organization's budget and what is used of it", inOrganization(authz.Read, authz.Organization), a.getOrganizationQuota)
	handle(r, put, "/organizations/{organization}/quota", "Set an organization's budget", inOrganization(authz.Update, authz.Organization).visibly(), a.updateOrganizationQuota)
}

type updateQuotaInput struct {
	OrganizationPath
	Body client.UpdateOrganizationQuotaRequest
}

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
// workspaces cost. The user need not be a member any more: workspaces outlive
// memberships.
func (a *api) quota(ctx context.Context, org store.Organization, ref string) (*output[client.WorkspaceQuota], error) {
	user, err := a.user(ctx, authz.Read, ref)
	if err != nil {
		return nil, err
	}
	var out client.WorkspaceQuota
	if out.Budget, err = allowanceOf(ctx, a.store, org.ID, user.ID); err != nil {
		return nil, err
	}
	out.CreditsConsumed, err = a.store.SumWorkspaceCosts(ctx, store.SumWorkspaceCostsParams{OrganizationID: org.ID, OwnerID: user.ID})
	return reply(out), err
}

// allowanceOf is the sum of what the user's groups in an organization allow,
// Everyone included; it stops at the largest number there is.
func allowanceOf(ctx context.Context, s *store.Store, organizationID, userID uuid.UUID) (int64, error) {
	groups, err := s.ListGroupsOfUser(ctx, store.ListGroupsOfUserParams{OrganizationID: organizationID, UserID: userID})
	if err != nil {
		return 0, fmt.Errorf("read the groups of user %s: %w", userID, err)
	}
	var sum int64
	for _, g := range groups {
		if g.QuotaAllowance > math.MaxInt64-sum {
			return math.MaxInt64, nil
		}
		sum += max(g.QuotaAllowance, 0)
	}
	return sum, nil
}

func (a *api) getOrganizationQuota(ctx context.Context, _ *OrganizationPath) (*output[client.OrganizationQuota], error) {
	return a.organizationQuota(ctx, organizationFrom(ctx))
}

func (a *api) updateOrganizationQuota(ctx context.Context, in *updateQuotaInput) (*output[client.OrganizationQuota], error) {
	var updated store.Organization
	err := a.store.InTx(ctx, func(tx *store.Store) error {
		before, err := tx.GetOrganization(ctx, organizationFrom(ctx).ID)
		if err != nil {
			return err
		}
		updated, err = tx.SetOrganizationQuota(ctx, store.SetOrganizationQuotaParams{
			OrganizationID: before.ID, MaxDailyCost: in.Body.MaxDailyCost, MaxRunningWorkspaces: in.Body.MaxRunningWorkspaces, UpdatedAt: store.At(a.now()),
		})
		if err != nil {
			return err
		}
		entry := organizationEntry(client.AuditWrite, updated)
		entry.before, entry.after = auditQuotaOf(before), auditQuotaOf(updated)
		return a.audit(ctx, tx, entry)
	})
	if err != nil {
		return nil, fmt.Errorf("set the budget: %w", err)
	}
	return a.organizationQuota(ctx, updated)
}

// auditQuota are the limits as the audit log compares them.
type auditQuota struct {
	MaxDailyCost         *int64 `json:"max_daily_cost"`
	MaxRunningWorkspaces *int64 `json:"max_running_workspaces"`
}

func auditQuotaOf(o store.Organization) auditQuota {
	return auditQuota{MaxDailyCost: o.MaxDailyCost, MaxRunningWorkspaces: o.MaxRunningWorkspaces}
}

func (a *api) organizationQuota(ctx context.Context, org store.Organization) (*output[client.OrganizationQuota], error) {
	cost, err := a.store.SumOrganizationCosts(ctx, org.ID)
	if err != nil {
		return nil, fmt.Errorf("add up the costs: %w", err)
	}
	running, err := a.store.CountRunningWorkspaces(ctx, org.ID)
	if err != nil {
		return nil, fmt.Errorf("count the running workspaces: %w", err)
	}
	return reply(client.OrganizationQuota{MaxDailyCost: org.MaxDailyCost, MaxRunningWorkspaces: org.MaxRunningWorkspaces, DailyCost: cost, RunningWorkspaces: running}), nil
}
