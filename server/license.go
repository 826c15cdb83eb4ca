package server

import (
	"context"

	"coder/client"
)

// entitled names every feature that a licence gates elsewhere.
func entitled() []string {
	return []string{
		"audit_log", "connection_log", "template_rbac", "user_role_management", "high_availability", "multiple_external_auth",
		"external_provisioner_daemons", "appearance", "advanced_template_scheduling", "workspace_proxy", "workspace_batch_actions",
		"task_batch_actions", "access_control", "control_shared_ports", "custom_roles", "multiple_organizations",
		"workspace_prebuilds", "workspace_external_agent", "boundary", "service_accounts",
		"browser_only", "scim", "external_token_encryption", "aibridge",
	}
}

// unconfigured are entitled but not switched on: browser_only would stop the
// command line from connecting, the others need settings.
func unconfigured(feature string) bool {
	switch feature {
	case "browser_only", "scim", "external_token_encryption", "aibridge":
		return true
	}
	return false
}

func (a *api) getEntitlements(ctx context.Context, _ *struct{}) (*output[client.Entitlements], error) {
	users, err := a.store.CountActiveUsers(ctx)
	if err != nil {
		return nil, err
	}
	out := client.Entitlements{
		Features: map[string]client.Feature{}, Warnings: []string{}, Errors: []string{}, HasLicense: true, RefreshedAt: a.now().UTC(),
	}
	for _, name := range entitled() {
		out.Features[name] = client.Feature{Entitlement: "entitled", Enabled: !unconfigured(name)}
	}
	for _, name := range []string{"user_limit", "managed_agent_limit", "ai_governance_user_limit"} {
		out.Features[name] = client.Feature{Entitlement: "not_entitled"}
	}
	out.Features["user_limit"] = client.Feature{Entitlement: "not_entitled", Actual: &users}
	return reply(out), nil
}

func (a *api) listLicenses(context.Context, *struct{}) (*output[[]client.License], error) {
	return reply([]client.License{}), nil
}

func (a *api) addLicense(context.Context, *struct{}) (*output[client.License], error) {
	return nil, badRequest("This deployment needs no licence: everything is already entitled.")
}

func (a *api) deleteLicense(context.Context, *LicensePath) (*empty, error) {
	return nil, errNotFound()
}

type LicensePath struct {
	ID string `path:"id"`
}

func (a *api) refreshEntitlements(context.Context, *struct{}) (*output[message], error) {
	return said("There is nothing to refresh: everything is entitled without a licence."), nil
}
