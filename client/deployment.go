package client

import (
	"context"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// BuildInfo says what a server is. Version is the level of the v2 API, with
// the release behind it as build metadata.
type BuildInfo struct {
	ExternalURL           string `json:"external_url"`
	Version               string `json:"version"`
	DashboardURL          string `json:"dashboard_url"`
	Telemetry             bool   `json:"telemetry"`
	WorkspaceProxy        bool   `json:"workspace_proxy"`
	AgentAPIVersion       string `json:"agent_api_version"`
	ProvisionerAPIVersion string `json:"provisioner_api_version"`
	UpgradeMessage        string `json:"upgrade_message"`
	DeploymentID          string `json:"deployment_id"`
	WebPushPublicKey      string `json:"webpush_public_key,omitempty"`
}

// Entitlements say what a deployment may use: here, everything.
type Entitlements struct {
	Features         map[string]Feature `json:"features"`
	Warnings         []string           `json:"warnings"`
	Errors           []string           `json:"errors"`
	HasLicense       bool               `json:"has_license"`
	Trial            bool               `json:"trial"`
	RequireTelemetry bool               `json:"require_telemetry"`
	RefreshedAt      time.Time          `json:"refreshed_at"`
}

// Feature is one thing that a licence could gate.
type Feature struct {
	Entitlement string `json:"entitlement" enum:"entitled,grace_period,not_entitled"`
	Enabled     bool   `json:"enabled"`
	Limit       *int64 `json:"limit,omitempty"`
	Actual      *int64 `json:"actual,omitempty"`
}

// License is part of the API only so that clients find the list empty.
type License struct {
	ID         int32          `json:"id"`
	UUID       uuid.UUID      `json:"uuid"`
	UploadedAt time.Time      `json:"uploaded_at"`
	Claims     map[string]any `json:"claims"`
}

// AvailableExperiments names the experiments that are safe to switch on.
type AvailableExperiments struct {
	Safe []string `json:"safe"`
}

// UpdateCheck says whether a newer release is known.
type UpdateCheck struct {
	Current bool   `json:"current"`
	Version string `json:"version"`
	URL     string `json:"url"`
}

// SSHConfig is what clients need to write an SSH configuration.
type SSHConfig struct {
	HostnamePrefix   string            `json:"hostname_prefix"`
	HostnameSuffix   string            `json:"hostname_suffix"`
	SSHConfigOptions map[string]string `json:"ssh_config_options"`
}

// Regions are the proxies that workspaces can be reached through.
type Regions struct {
	Regions []Region `json:"regions"`
}

// Region is one proxy; the server itself is the first.
type Region struct {
	ID               uuid.UUID `json:"id"`
	Name             string    `json:"name"`
	DisplayName      string    `json:"display_name"`
	IconURL          string    `json:"icon_url"`
	Healthy          bool      `json:"healthy"`
	PathAppURL       string    `json:"path_app_url"`
	WildcardHostname string    `json:"wildcard_hostname"`
}

// Appearance is how the deployment presents itself.
type Appearance struct {
	ApplicationName     string       `json:"application_name"`
	LogoURL             string       `json:"logo_url"`
	DocsURL             string       `json:"docs_url"`
	ServiceBanner       Banner       `json:"service_banner"`
	AnnouncementBanners []Banner     `json:"announcement_banners"`
	SupportLinks        []LinkConfig `json:"support_links,omitempty"`
}

// UpdateAppearanceRequest replaces what can be chosen of it.
type UpdateAppearanceRequest struct {
	ApplicationName     string   `json:"application_name" maxLength:"128"`
	LogoURL             string   `json:"logo_url" maxLength:"2048"`
	ServiceBanner       Banner   `json:"service_banner"`
	AnnouncementBanners []Banner `json:"announcement_banners"`
}

// Banner is a notice above every page.
type Banner struct {
	Enabled         bool   `json:"enabled"`
	Message         string `json:"message,omitempty"`
	BackgroundColor string `json:"background_color,omitempty"`
}

// LinkConfig is a link that pages show.
type LinkConfig struct {
	Name   string `json:"name"`
	Target string `json:"target"`
	Icon   string `json:"icon"`
}

// AuthorizationRequest asks for several permissions at once, by any keys.
type AuthorizationRequest struct {
	Checks map[string]AuthorizationCheck `json:"checks"`
}

// AuthorizationCheck is one question: may the caller do Action to Object?
type AuthorizationCheck struct {
	Object AuthorizationObject `json:"object"`
	Action string              `json:"action"`
}

// AuthorizationObject says what is meant; OwnerID may be Me.
type AuthorizationObject struct {
	ResourceType   string `json:"resource_type"`
	OwnerID        string `json:"owner_id,omitempty"`
	OrganizationID string `json:"organization_id,omitempty"`
	ResourceID     string `json:"resource_id,omitempty"`
	AnyOrg         bool   `json:"any_org,omitempty"`
}

// BuildInfo reads what the server is; it needs no session.
func (c *Client) BuildInfo(ctx context.Context) (BuildInfo, error) {
	return get[BuildInfo](ctx, c, apiPath("buildinfo"))
}

// Healthz returns nil while the server answers.
func (c *Client) Healthz(ctx context.Context) error {
	_, err := c.request(ctx, http.MethodGet, "/healthz", nil, nil)
	return err
}

// Entitlements reads what the deployment may use; it needs no session.
func (c *Client) Entitlements(ctx context.Context) (Entitlements, error) {
	return get[Entitlements](ctx, c, apiPath("entitlements"))
}

// Licenses lists the licences: there are none.
func (c *Client) Licenses(ctx context.Context) ([]License, error) {
	return list[License](ctx, c, apiPath("licenses"))
}

// Experiments lists the experiments that are switched on.
func (c *Client) Experiments(ctx context.Context) ([]string, error) {
	return list[string](ctx, c, apiPath("experiments"))
}

// AvailableExperiments lists the experiments that could be switched on.
func (c *Client) AvailableExperiments(ctx context.Context) (AvailableExperiments, error) {
	return get[AvailableExperiments](ctx, c, apiPath("experiments", "available"))
}

// UpdateCheck asks whether a newer release is known.
func (c *Client) UpdateCheck(ctx context.Context) (UpdateCheck, error) {
	return get[UpdateCheck](ctx, c, apiPath("updatecheck"))
}

// DeploymentSSHConfig reads what an SSH configuration needs.
func (c *Client) DeploymentSSHConfig(ctx context.Context) (SSHConfig, error) {
	return get[SSHConfig](ctx, c, apiPath("deployment", "ssh"))
}

// Regions lists the proxies.
func (c *Client) Regions(ctx context.Context) (Regions, error) {
	return get[Regions](ctx, c, apiPath("regions"))
}

// Appearance reads how the deployment presents itself.
func (c *Client) Appearance(ctx context.Context) (Appearance, error) {
	return get[Appearance](ctx, c, apiPath("appearance"))
}

// UpdateAppearance changes how the deployment presents itself.
func (c *Client) UpdateAppearance(ctx context.Context, req UpdateAppearanceRequest) (UpdateAppearanceRequest, error) {
	return send[UpdateAppearanceRequest](ctx, c, http.MethodPut, apiPath("appearance"), req)
}

// AuthCheck asks what the caller may do; the answer has the same keys.
func (c *Client) AuthCheck(ctx context.Context, req AuthorizationRequest) (map[string]bool, error) {
	return ask[map[string]bool](ctx, c, http.MethodPost, apiPath("authcheck"), req)
}
