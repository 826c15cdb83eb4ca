package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// StorageFile is the only way in which the source of a version is given.
const StorageFile = "file"

// WarningUnsupportedWorkspaces marks a version that existing workspaces cannot move to.
const WarningUnsupportedWorkspaces = "UNSUPPORTED_WORKSPACES"

// TemplateVersion is one archive of a template, and the job that imported it.
// TemplateID is empty until the version belongs to a template.
type TemplateVersion struct {
	ID                  uuid.UUID            `json:"id"`
	TemplateID          *uuid.UUID           `json:"template_id,omitempty"`
	OrganizationID      uuid.UUID            `json:"organization_id,omitzero"`
	CreatedAt           time.Time            `json:"created_at"`
	UpdatedAt           time.Time            `json:"updated_at"`
	Name                string               `json:"name"`
	Message             string               `json:"message" doc:"In lists its first 4,096 characters"`
	Job                 ProvisionerJob       `json:"job"`
	Readme              string               `json:"readme" doc:"In lists its first 16,384 characters"`
	CreatedBy           MinimalUser          `json:"created_by"`
	Archived            bool                 `json:"archived"`
	Warnings            []string             `json:"warnings,omitempty"`
	MatchedProvisioners *MatchedProvisioners `json:"matched_provisioners,omitempty"`
	HasExternalAgent    bool                 `json:"has_external_agent"`
}

// CreateTemplateVersionRequest imports an archive. Exactly one of FileID and
// ExampleID is given.
type CreateTemplateVersionRequest struct {
	Name               string            `json:"name,omitempty" maxLength:"64" doc:"Random when empty"`
	Message            string            `json:"message,omitempty" maxLength:"1048576"`
	TemplateID         *uuid.UUID        `json:"template_id,omitempty" format:"uuid"`
	StorageMethod      string            `json:"storage_method" enum:"file"`
	FileID             *uuid.UUID        `json:"file_id,omitempty" format:"uuid"`
	ExampleID          string            `json:"example_id,omitempty"`
	Provisioner        string            `json:"provisioner" enum:"terraform,echo"`
	Tags               map[string]string `json:"tags,omitempty" doc:"Which daemons may run the template's jobs"`
	UserVariableValues []VariableValue   `json:"user_variable_values,omitempty"`
}

// UpdateTemplateVersionRequest changes what is given and keeps the rest.
type UpdateTemplateVersionRequest struct {
	Name    *string `json:"name,omitzero" minLength:"1" maxLength:"64"`
	Message *string `json:"message,omitzero" maxLength:"1048576"`
}

// VariableValue is the value of a Terraform variable, as text.
type VariableValue struct {
	Name  string `json:"name" minLength:"1"`
	Value string `json:"value"`
}

// CreateDryRunRequest plans what a workspace with these parameters would be.
type CreateDryRunRequest struct {
	WorkspaceName       string           `json:"workspace_name,omitempty" maxLength:"32"`
	RichParameterValues []BuildParameter `json:"rich_parameter_values,omitempty"`
	UserVariableValues  []VariableValue  `json:"user_variable_values,omitempty"`
}

// Preset is a named set of parameter values. Its JSON keys are capitalised,
// as in the reference.
type Preset struct {
	ID                       uuid.UUID         `json:"ID"`
	Name                     string            `json:"Name"`
	Parameters               []PresetParameter `json:"Parameters"`
	Default                  bool              `json:"Default"`
	DesiredPrebuildInstances *int              `json:"DesiredPrebuildInstances"`
	Description              string            `json:"Description"`
	Icon                     string            `json:"Icon"`
}

// PresetParameter is a value of a preset.
type PresetParameter struct {
	Name  string `json:"Name"`
	Value string `json:"Value"`
}

// TemplateVersionExternalAuth is an external provider that the template asks
// for, and whether the caller has signed in there.
type TemplateVersionExternalAuth struct {
	ID              string `json:"id"`
	Type            string `json:"type"`
	DisplayName     string `json:"display_name"`
	DisplayIcon     string `json:"display_icon"`
	AuthenticateURL string `json:"authenticate_url"`
	Authenticated   bool   `json:"authenticated"`
	Optional        bool   `json:"optional,omitempty"`
}

// TemplateVersionsRequest pages the versions of a template.
type TemplateVersionsRequest struct {
	IncludeArchived bool
	Page
}

// TemplateVersionVariable is a Terraform variable of a template version.
// Values and defaults of sensitive ones come back empty.
type TemplateVersionVariable struct {
	Name         string `json:"name"`
	Description  string `json:"description"`
	Type         string `json:"type" enum:"string,number,bool"`
	Value        string `json:"value"`
	DefaultValue string `json:"default_value"`
	Required     bool   `json:"required"`
	Sensitive    bool   `json:"sensitive"`
}

// TemplateVersionParameter is a rich parameter (coder_parameter) of a template version.
type TemplateVersionParameter struct {
	Name                 string                           `json:"name"`
	DisplayName          string                           `json:"display_name,omitempty"`
	Description          string                           `json:"description"`
	DescriptionPlaintext string                           `json:"description_plaintext"`
	Type                 string                           `json:"type" enum:"string,number,bool,list(string)"`
	FormType             string                           `json:"form_type"`
	Mutable              bool                             `json:"mutable"`
	DefaultValue         string                           `json:"default_value"`
	Icon                 string                           `json:"icon"`
	Options              []TemplateVersionParameterOption `json:"options"`
	ValidationError      string                           `json:"validation_error,omitempty"`
	ValidationRegex      string                           `json:"validation_regex,omitempty"`
	ValidationMin        *int32                           `json:"validation_min,omitempty"`
	ValidationMax        *int32                           `json:"validation_max,omitempty"`
	ValidationMonotonic  string                           `json:"validation_monotonic,omitempty"`
	Required             bool                             `json:"required"`
	Ephemeral            bool                             `json:"ephemeral"`
}

// TemplateVersionParameterOption is one choice of a parameter.
type TemplateVersionParameterOption struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Value       string `json:"value"`
	Icon        string `json:"icon"`
}

// CreateTemplateVersion starts an import. The version comes back at once; its
// job goes on.
func (c *Client) CreateTemplateVersion(ctx context.Context, organization string, req CreateTemplateVersionRequest) (TemplateVersion, error) {
	return send[TemplateVersion](ctx, c, http.MethodPost, apiPath("organizations", organization, "templateversions"), req)
}

// TemplateVersion reads a version by id.
func (c *Client) TemplateVersion(ctx context.Context, id uuid.UUID) (TemplateVersion, error) {
	return get[TemplateVersion](ctx, c, apiPath("templateversions", id))
}

// TemplateVersionByName reads a version of a template.
func (c *Client) TemplateVersionByName(ctx context.Context, template uuid.UUID, name string) (TemplateVersion, error) {
	return get[TemplateVersion](ctx, c, apiPath("templates", template, "versions", name))
}

// TemplateVersions lists the versions of a template.
func (c *Client) TemplateVersions(ctx context.Context, template uuid.UUID, req TemplateVersionsRequest) ([]TemplateVersion, error) {
	q := url.Values{}
	if req.IncludeArchived {
		q.Set("include_archived", "true")
	}
	return list[TemplateVersion](ctx, c, withQuery(apiPath("templates", template, "versions"), req.values(q)))
}

// UpdateTemplateVersion renames a version or changes its message.
func (c *Client) UpdateTemplateVersion(ctx context.Context, id uuid.UUID, req UpdateTemplateVersionRequest) (TemplateVersion, error) {
	return send[TemplateVersion](ctx, c, http.MethodPatch, apiPath("templateversions", id), req)
}

// CancelTemplateVersion asks to end the import.
func (c *Client) CancelTemplateVersion(ctx context.Context, id uuid.UUID) error {
	return c.exec(ctx, http.MethodPatch, apiPath("templateversions", id, "cancel"), nil)
}

// SetTemplateVersionArchived hides a version from lists, or shows it again.
func (c *Client) SetTemplateVersionArchived(ctx context.Context, id uuid.UUID, archived bool) error {
	verb := "unarchive"
	if archived {
		verb = "archive"
	}
	return c.exec(ctx, http.MethodPost, apiPath("templateversions", id, verb), nil)
}

// TemplateVersionParameters lists the rich parameters; 403 before the import ends.
func (c *Client) TemplateVersionParameters(ctx context.Context, id uuid.UUID) ([]TemplateVersionParameter, error) {
	return list[TemplateVersionParameter](ctx, c, apiPath("templateversions", id, "rich-parameters"))
}

// TemplateVersionVariables lists the Terraform variables; 403 before the import ends.
func (c *Client) TemplateVersionVariables(ctx context.Context, id uuid.UUID) ([]TemplateVersionVariable, error) {
	return list[TemplateVersionVariable](ctx, c, apiPath("templateversions", id, "variables"))
}

// TemplateVersionPresets lists the presets.
func (c *Client) TemplateVersionPresets(ctx context.Context, id uuid.UUID) ([]Preset, error) {
	return list[Preset](ctx, c, apiPath("templateversions", id, "presets"))
}

// TemplateVersionExternalAuth lists the external providers of a version.
func (c *Client) TemplateVersionExternalAuth(ctx context.Context, id uuid.UUID) ([]TemplateVersionExternalAuth, error) {
	return list[TemplateVersionExternalAuth](ctx, c, apiPath("templateversions", id, "external-auth"))
}

// TemplateVersionResources lists what the version makes; 400 before the import ends.
func (c *Client) TemplateVersionResources(ctx context.Context, id uuid.UUID) ([]WorkspaceResource, error) {
	return list[WorkspaceResource](ctx, c, apiPath("templateversions", id, "resources"))
}

// TemplateVersionLogs reads the import's log behind the row after.
func (c *Client) TemplateVersionLogs(ctx context.Context, id uuid.UUID, after int64) ([]ProvisionerJobLog, error) {
	return list[ProvisionerJobLog](ctx, c, logPath(after, "templateversions", id, "logs"))
}

// TemplateVersionLogTail reads the last lines of the import's log.
func (c *Client) TemplateVersionLogTail(ctx context.Context, id uuid.UUID, lines int) ([]ProvisionerJobLog, error) {
	return list[ProvisionerJobLog](ctx, c, logTailPath(lines, "templateversions", id, "logs"))
}

// FollowTemplateVersionLogs yields the import's log until the job ends.
func (c *Client) FollowTemplateVersionLogs(ctx context.Context, id uuid.UUID, after int64) iter.Seq2[ProvisionerJobLog, error] {
	return c.followLogs(ctx, apiPath("templateversions", id, "logs"), after)
}

// logPath is the path of a log, behind the row after.
func logPath(after int64, parts ...any) string {
	if after <= 0 {
		return apiPath(parts...)
	}
	return withQuery(apiPath(parts...), url.Values{"after": {strconv.FormatInt(after, 10)}})
}

// logTailPath is the path of the last lines of a log.
func logTailPath(lines int, parts ...any) string {
	return withQuery(apiPath(parts...), url.Values{"tail": {strconv.Itoa(lines)}})
}

// CreateDryRun starts a dry-run of a version.
func (c *Client) CreateDryRun(ctx context.Context, version uuid.UUID, req CreateDryRunRequest) (ProvisionerJob, error) {
	return send[ProvisionerJob](ctx, c, http.MethodPost, apiPath("templateversions", version, "dry-run"), req)
}

// DryRun reads the job of a dry-run.
func (c *Client) DryRun(ctx context.Context, version, job uuid.UUID) (ProvisionerJob, error) {
	return get[ProvisionerJob](ctx, c, apiPath("templateversions", version, "dry-run", job))
}

// DryRunMatchedProvisioners counts the daemons that could take a dry-run.
func (c *Client) DryRunMatchedProvisioners(ctx context.Context, version, job uuid.UUID) (MatchedProvisioners, error) {
	return get[MatchedProvisioners](ctx, c, apiPath("templateversions", version, "dry-run", job, "matched-provisioners"))
}

// DryRunResources lists what a dry-run planned.
func (c *Client) DryRunResources(ctx context.Context, version, job uuid.UUID) ([]WorkspaceResource, error) {
	return list[WorkspaceResource](ctx, c, apiPath("templateversions", version, "dry-run", job, "resources"))
}

// DryRunLogs reads a dry-run's log behind the row after.
func (c *Client) DryRunLogs(ctx context.Context, version, job uuid.UUID, after int64) ([]ProvisionerJobLog, error) {
	return list[ProvisionerJobLog](ctx, c, logPath(after, "templateversions", version, "dry-run", job, "logs"))
}

// FollowDryRunLogs yields a dry-run's log until the job ends.
func (c *Client) FollowDryRunLogs(ctx context.Context, version, job uuid.UUID, after int64) iter.Seq2[ProvisionerJobLog, error] {
	return c.followLogs(ctx, apiPath("templateversions", version, "dry-run", job, "logs"), after)
}

// CancelDryRun asks to end a dry-run.
func (c *Client) CancelDryRun(ctx context.Context, version, job uuid.UUID) error {
	return c.exec(ctx, http.MethodPatch, apiPath("templateversions", version, "dry-run", job, "cancel"), nil)
}
