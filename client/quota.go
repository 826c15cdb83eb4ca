package client

import (
	"context"
	"net/http"
	"time"
)

// OrganizationQuota is the budget of an organization beyond what its members'
// groups allow, and what is used of it. Costs are credits a day; null limits
// nothing.
type OrganizationQuota struct {
	MaxDailyCost         *int64 `json:"max_daily_cost"`
	MaxRunningWorkspaces *int64 `json:"max_running_workspaces"`
	// DailyCost and RunningWorkspaces count what stands and what admitted
	// builds have reserved.
	DailyCost         int64 `json:"daily_cost"`
	RunningWorkspaces int64 `json:"running_workspaces"`
}

// UpdateOrganizationQuotaRequest sets both limits; null is none. What stands
// already is not touched by a lower limit.
type UpdateOrganizationQuotaRequest struct {
	MaxDailyCost         *int64 `json:"max_daily_cost" required:"true" minimum:"0" doc:"Credits a day that all workspaces of the organization may cost together; null for no limit"`
	MaxRunningWorkspaces *int64 `json:"max_running_workspaces" required:"true" minimum:"0" doc:"How many workspaces of the organization may run at a time; null for no limit"`
}

// Limits that can refuse a build.
const (
	QuotaUserAllowance        = "user_allowance"
	QuotaMaxDailyCost         = "max_daily_cost"
	QuotaMaxRunningWorkspaces = "max_running_workspaces"
)

// QuotaRefusal are the figures of a refused build: Consumed is what counts
// against the limit now, Asked what would come to it.
type QuotaRefusal struct {
	Limit    string `json:"limit" enum:"user_allowance,max_daily_cost,max_running_workspaces"`
	Budget   int64  `json:"budget"`
	Consumed int64  `json:"consumed"`
	Asked    int64  `json:"asked"`
}

// WorkspaceRefusal is a start that nobody waits for and that was not
// admitted, until the next build of the workspace.
type WorkspaceRefusal struct {
	// Reason is autostart, or initiator for a start that was asked for behind a stop.
	Reason  string    `json:"reason"`
	Message string    `json:"message"`
	At      time.Time `json:"at"`
	// Tries counts how often it was tried.
	Tries int `json:"tries"`
	// RetryAt is when it is tried again; null when it is not.
	RetryAt *time.Time `json:"retry_at"`
}

// OrganizationQuota reads an organization's budget.
func (c *Client) OrganizationQuota(ctx context.Context, organization string) (OrganizationQuota, error) {
	return get[OrganizationQuota](ctx, c, apiPath("organizations", organization, "quota"))
}

// UpdateOrganizationQuota sets an organization's budget.
func (c *Client) UpdateOrganizationQuota(ctx context.Context, organization string, req UpdateOrganizationQuotaRequest) (OrganizationQuota, error) {
	return send[OrganizationQuota](ctx, c, http.MethodPut, apiPath("organizations", organization, "quota"), req)
}
