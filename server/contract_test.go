package server_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
)

// The wire contract with clients of the v2 API, over the bytes that are sent:
// each noun's fields as its reference page lists them, and what its
// operations answer. "?" marks a field that may be left out; everything else
// must be there, and nothing else may be, except for our additions (after |).

const (
	reducedUserFields  = "id username name? avatar_url? email created_at updated_at last_seen_at? status login_type is_service_account? theme_preference?"
	userFields         = reducedUserFields + " organization_ids roles has_ai_seat"
	slimRoleFields     = "name display_name organization_id?"
	memberFields       = "user_id organization_id created_at updated_at roles"
	memberUserFields   = memberFields + " username name? avatar_url? email global_roles status login_type last_seen_at? user_created_at user_updated_at is_service_account? has_ai_seat"
	organizationFields = "id name display_name icon description created_at updated_at is_default default_org_member_roles"
	apiKeyFields       = "id user_id last_used expires_at created_at updated_at login_type scope scopes token_name lifetime_seconds allow_list"
	groupFields        = "id name display_name organization_id members total_member_count avatar_url quota_allowance source organization_name organization_display_name"

	provisionerKeyFields = "id created_at organization name tags | allow_list expires_at? last_used_at? previous_expires_at? secret_id?"
	daemonFields         = "id organization_id key_id created_at last_seen_at name version api_version provisioners tags key_name status current_job previous_job | draining warnings"
	daemonJobFields      = "id status template_name template_icon template_display_name"
	jobFields            = "id created_at started_at? completed_at? canceled_at? error? error_code? status worker_id? worker_name? file_id tags queue_position queue_size organization_id initiator_id type input available_workers? metadata logs_overflowed | wait_reason?"
	jobMetadataFields    = "template_version_name template_id template_name template_display_name template_icon workspace_id? workspace_name? workspace_build_transition?"
	explainFields        = "| job code reason action jobs_ahead daemons attempts older_engine in_doubt"
	aheadFields          = "| id created_at type initiator_id template_name workspace_name"
	verdictFields        = "| id name verdict tags provisioners last_seen_at online draining current_job_id tag_differences"
	attemptFields        = "| id number daemon_id daemon_name handed_at confirmed_at engine_started_at lost_at ended_at outcome"
	jobLogFields         = "id created_at log_source log_level stage output"
	matchedFields        = "count available most_recently_seen"

	templateFields = "id created_at updated_at organization_id organization_name organization_display_name organization_icon name display_name provisioner active_version_id " +
		"active_user_count build_time_stats description deprecated deprecation_message deleted icon default_ttl_ms activity_bump_ms time_til_autostop_notify_ms " +
		"autostop_requirement autostart_requirement created_by_id created_by_name allow_user_autostart allow_user_autostop allow_user_cancel_workspace_jobs " +
		"failure_ttl_ms time_til_dormant_ms time_til_dormant_autodelete_ms require_active_version max_port_share_level cors_behavior use_classic_parameter_flow disable_module_cache"
	exampleFields   = "id url name description icon tags markdown"
	versionFields   = "id template_id? organization_id? created_at updated_at name message job readme created_by archived warnings? matched_provisioners? has_external_agent"
	parameterFields = "name display_name? description description_plaintext type form_type mutable default_value icon options validation_error? validation_regex? " +
		"validation_min? validation_max? validation_monotonic? required ephemeral"
	variableFields = "name description type value default_value required sensitive"
	presetFields   = "ID Name Parameters Default DesiredPrebuildInstances Description Icon"

	workspaceFields = "id created_at updated_at owner_id owner_name owner_avatar_url organization_id organization_name organization_display_name template_id template_name template_display_name template_icon " +
		"template_allow_user_cancel_workspace_jobs template_active_version_id template_require_active_version template_use_classic_parameter_flow latest_build latest_app_status " +
		"outdated name autostart_schedule? ttl_ms? last_used_at deleting_at dormant_at health automatic_updates allow_renames favorite next_start_at is_prebuild task_id? shared_with?"
	buildFields = "id created_at updated_at workspace_id workspace_name workspace_owner_id workspace_owner_name workspace_owner_avatar_url? template_version_id template_version_name " +
		"build_number transition initiator_id initiator_name job reason resources deadline? max_deadline? status daily_cost matched_provisioners? template_version_preset_id has_ai_task? has_external_agent?"
	resourceFields = "id created_at job_id workspace_transition type name hide icon agents? metadata? daily_cost"
	agentFields    = "id parent_id created_at updated_at first_connected_at? last_connected_at? disconnected_at? started_at? ready_at? status lifecycle_state name resource_id instance_id? " +
		"architecture environment_variables operating_system logs_length logs_overflowed directory? expanded_directory? version api_version apps latency? connection_timeout_seconds " +
		"troubleshooting_url subsystems health display_apps log_sources scripts startup_script_behavior"
	stateFields = "| version workspace_id workspace_build_id build_number attempt_id? attempt_number? fence n created_at size sha256 resources? kind merge merged_at? merged_build_number? restored_from? recovered? created_by?"
	appFields   = "id url? external slug display_name? command? icon? subdomain subdomain_name? sharing_level healthcheck? health group? hidden open_in tooltip? statuses"
)

// exchange is one request, the status that it must answer, and the fields of
// the object found at a path of the reply: "" is the reply itself, "users.0"
// the first element of its field users. Empty fields are not looked at.
type exchange struct {
	method, path, body string
	status             int
	at, fields         string
}

// holds sends each request in turn and looks at what comes back.
func (s *scene) holds(t *testing.T, table []exchange) {
	t.Helper()
	for _, x := range table {
		reply := s.Response(t, s.Token, x.method, x.path, x.body)
		what := x.method + " " + x.path + " at " + x.at
		require.Equal(t, x.status, reply.Status, "%s: %s", what, reply.Body)
		if x.status == http.StatusNoContent || x.status == http.StatusNotModified {
			require.Empty(t, reply.Body, what)
			continue
		}
		require.Equal(t, "application/json; charset=utf-8", reply.Header.Get("Content-Type"), what)
		requireFields(t, what, x.fields, valueAt(t, what, reply.Body, x.at))
	}
}

func valueAt(t *testing.T, what, body, path string) any {
	t.Helper()
	var v any
	require.NoError(t, json.Unmarshal([]byte(body), &v), "%s: %s", what, body)
	for _, step := range strings.FieldsFunc(path, func(r rune) bool { return r == '.' }) {
		if i, err := strconv.Atoi(step); err == nil {
			list, ok := v.([]any)
			require.True(t, ok && len(list) > i, "%s: no element %d in %s", what, i, body)
			v = list[i]
			continue
		}
		object, ok := v.(map[string]any)
		require.True(t, ok, "%s: no object with %s in %s", what, step, body)
		v, ok = object[step]
		require.True(t, ok, "%s: no field %s in %s", what, step, body)
	}
	return v
}

func requireFields(t *testing.T, what, fields string, v any) {
	t.Helper()
	if fields == "" {
		return
	}
	object, ok := v.(map[string]any)
	require.True(t, ok, "%s: not an object: %v", what, v)
	known := map[string]bool{}
	for name := range strings.FieldsSeq(strings.ReplaceAll(fields, "|", "")) {
		name, optional := strings.CutSuffix(name, "?")
		known[name] = true
		if !optional {
			require.Contains(t, object, name, what)
		}
	}
	for name := range object {
		require.True(t, known[name], "%s: the reference has no field %s", what, name)
	}
}

func TestWireOfUsers(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	org := s.org.ID.String()
	const password = `,"password":"` + servertest.Password + `"`
	s.holds(t, []exchange{
		{"GET", "/users/first", "", 200, "", "message"},
		{"POST", "/users/first", `{"email":"x@example.com","username":"x"` + password + `}`, 409, "", "message"},
		{"POST", "/users/login", `{"email":"owner@example.com"` + password + `}`, 201, "", "session_token"},
		{"POST", "/users/login", `{"email":"owner@example.com","password":"wrong"}`, 401, "", "message"},
		{"GET", "/users/authmethods", "", 200, "", "terms_of_service_url? password github oidc"},
		{"GET", "/users/authmethods", "", 200, "github", "enabled default_provider_configured"},
		{"GET", "/users/authmethods", "", 200, "oidc", "enabled signInText iconUrl"},
		{"POST", "/users/validate-password", `{"password":"a"}`, 200, "", "valid details"},
		{"POST", "/users", `{"email":"ann@example.com","username":"ann"` + password + `,"organization_ids":["` + org + `"]}`, 201, "", userFields},
		{"POST", "/users", `{"email":"ann@example.com","username":"ann"` + password + `,"organization_ids":["` + org + `"]}`, 409, "validations.0", "field detail"},
		{"POST", "/users", `{"email":"b@example.com","username":"b"` + password + `}`, 400, "validations.0", "field detail"},
		{"POST", "/users", `{"email":"b@example.com","username":"b"` + password + `,"organization_ids":["` + uuid.NewString() + `"]}`, 404, "", "message detail?"},
		{"GET", "/users", "", 200, "", "users count"},
		{"GET", "/users?limit=1", "", 200, "users.0", userFields},
		{"GET", "/users?limit=-1", "", 400, "validations.0", "field detail"},
		{"GET", "/users?q=colour:red", "", 400, "validations.0", "field detail"},
		{"GET", "/users/me", "", 200, "", userFields},
		{"GET", "/users/me", "", 200, "roles.0", "name display_name"},
		{"GET", "/users/nobody", "", 404, "", "message detail"},
		{"PUT", "/users/ann/profile", `{"username":"anna","name":"Anna"}`, 200, "", userFields + " name"},
		{"PUT", "/users/anna/profile", `{"username":"owner"}`, 409, "validations.0", "field detail"},
		{"PUT", "/users/anna/status/suspend", "", 200, "", userFields},
		{"PUT", "/users/anna/status/activate", "", 200, "", userFields},
		{"PUT", "/users/me/status/suspend", "", 400, "", "message"},
		{"GET", "/users/anna/roles", "", 200, "", "roles organization_roles"},
		{"PUT", "/users/anna/roles", `{"roles":["owner"]}`, 200, "", userFields},
		{"PUT", "/users/anna/roles", `{"roles":[]}`, 200, "", userFields},
		{"PUT", "/users/me/roles", `{"roles":[]}`, 400, "", "message"},
		{"GET", "/users/me/login-type", "", 200, "", "login_type"},
		{"GET", "/users/anna/login-type", "", 403, "", "message"},
		{"GET", "/users/anna/organizations", "", 200, "0", organizationFields},
		{"GET", "/users/anna/organizations/data-platform", "", 200, "", organizationFields},
		{"GET", "/users/me/gitsshkey", "", 200, "", "user_id created_at updated_at public_key"},
		{"PUT", "/users/me/gitsshkey", "", 200, "", "user_id created_at updated_at public_key"},
		{"GET", "/users/me/appearance", "", 200, "", "theme_preference terminal_font theme_mode theme_light theme_dark"},
		{"GET", "/users/me/quiet-hours", "", 200, "", "raw_schedule user_set user_can_set time timezone next"},
		{"PUT", "/users/me/quiet-hours", `{"schedule":"CRON_TZ=UTC 30 2 * * *"}`, 200, "", "raw_schedule user_set user_can_set time timezone next"},
		{"GET", "/users/me/autofill-parameters?template_id=" + s.template.ID.String(), "", 200, "", ""},
		{"GET", "/users/me/autofill-parameters", "", 400, "validations.0", "field detail"},
		{"GET", "/users/roles", "", 200, "0", "name organization_id? display_name site_permissions user_permissions organization_permissions organization_member_permissions assignable built_in"},
		{"GET", "/users/roles", "", 200, "0.site_permissions.0", "negate resource_type action"},
		{"PUT", "/users/anna/password", `{"password":"AnotherSecurePassword!"}`, 204, "", ""},
		{"DELETE", "/users/me", "", 403, "", "message"},
		{"DELETE", "/users/anna", "", 200, "", "message"},
		{"GET", "/nothing", "", 404, "", "message detail"},
	})
}

func TestWireOfOrganizations(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.holds(t, []exchange{
		{"GET", "/organizations", "", 200, "0", organizationFields},
		{"GET", "/organizations/default", "", 200, "", organizationFields},
		{"GET", "/organizations/" + uuid.Nil.String(), "", 200, "", organizationFields},
		{"GET", "/organizations/nowhere", "", 404, "", "message detail"},
		{"POST", "/organizations", `{"name":"second"}`, 201, "", organizationFields},
		{"POST", "/organizations", `{"name":"second"}`, 409, "validations.0", "field detail"},
		{"POST", "/organizations", `{"name":"default"}`, 400, "validations.0", "field detail"},
		{"PATCH", "/organizations/second", `{"display_name":"Second","description":"","default_org_member_roles":[]}`, 200, "", organizationFields},
		{"PATCH", "/organizations/second", `{"name":"data-platform"}`, 409, "validations.0", "field detail"},
		{"DELETE", "/organizations/second", "", 200, "", "message"},
		{"DELETE", "/organizations/default", "", 400, "", "message"},
		{"GET", "/organizations/data-platform/groups", "", 200, "0", groupFields},
		{"GET", "/organizations/data-platform/groups", "", 200, "0.members.0", reducedUserFields},
		{"GET", "/groups/" + s.org.ID.String() + "/members", "", 200, "", "users count"},
		{"GET", "/groups?organisation=x", "", 400, "validations.0", "field detail"},
	})
}

func TestWireOfMembers(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	members := "/organizations/data-platform/members"
	_, other := s.MemberUser(t, s.DefaultOrganization(t))
	s.holds(t, []exchange{
		{"GET", members, "", 200, "0", memberUserFields},
		{"GET", members + "?q=dev1", "", 400, "validations.0", "field detail"},
		{"GET", members + "?q=user_id:" + s.user.ID.String(), "", 200, "0", memberUserFields},
		{"GET", "/organizations/data-platform/paginated-members?limit=1&offset=1", "", 200, "", "members count"},
		{"GET", "/organizations/data-platform/paginated-members?q=search:dev1", "", 200, "members.0", memberUserFields},
		{"GET", members + "/dev1", "", 200, "", memberUserFields},
		{"GET", members + "/nobody", "", 404, "", "message detail"},
		{"POST", members + "/" + other.Username, "", 200, "", memberFields},
		{"POST", members + "/" + other.Username, "", 400, "", "message"},
		{"PUT", members + "/dev1/roles", `{"roles":["organization-admin"]}`, 200, "", memberFields},
		{"GET", members + "/dev1", "", 200, "roles.0", "name display_name organization_id"},
		{"PUT", members + "/dev1/roles", `{"roles":["organization-admin:` + s.org.ID.String() + `"]}`, 400, "validations.0", "field detail"},
		{"PUT", members + "/me/roles", `{"roles":[]}`, 400, "", "message"},
		{"GET", members + "/roles", "", 200, "0", "name organization_id? display_name site_permissions user_permissions organization_permissions organization_member_permissions assignable built_in"},
		{"GET", members + "/dev1/workspace-quota", "", 200, "", "credits_consumed budget"},
		{"GET", members + "/dev1/workspaces/available-users", "", 200, "0", "id username name? avatar_url?"},
		{"DELETE", members + "/me", "", 400, "", "message"},
		{"DELETE", members + "/dev1", "", 204, "", ""},
		{"DELETE", members + "/dev1", "", 404, "", "message detail"},
	})
}

func TestWireOfKeys(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	tokens, keys := "/users/me/keys/tokens", "/organizations/data-platform/provisionerkeys"
	id, _, _ := strings.Cut(s.Token, "-")
	s.holds(t, []exchange{
		{"GET", tokens, "", 200, "", ""},
		{"POST", tokens, `{"token_name":"ci","lifetime":3600000000000}`, 201, "", "key"},
		{"POST", tokens, `{"token_name":"ci"}`, 409, "validations.0", "field detail"},
		{"POST", tokens, `{"scopes":["license:read"]}`, 400, "validations.0", "field detail"},
		{"POST", tokens, `{"lifetime":-1}`, 400, "validations.0", "field detail"},
		{"GET", tokens, "", 200, "0", apiKeyFields + " username"},
		{"GET", tokens + "/ci", "", 200, "", apiKeyFields},
		{"GET", tokens + "/none", "", 404, "", "message detail"},
		{"GET", tokens + "/tokenconfig", "", 200, "", "max_token_lifetime"},
		{"POST", "/users/me/keys", "", 201, "", "key"},
		{"GET", "/users/me/keys/" + id, "", 200, "", apiKeyFields},
		{"PUT", "/users/me/keys/0000000000/expire", "", 404, "", "message detail"},
		{"DELETE", "/users/me/keys/0000000000", "", 404, "", "message detail"},
		{"GET", "/auth/scopes", "", 200, "", "external"},
		{"POST", "/authcheck", `{"checks":{"a":{"object":{"resource_type":"user"},"action":"read"}}}`, 200, "", "a"},

		{"POST", keys, `{"name":"k","tags":{"env":"prod"}}`, 201, "", "key"},
		{"POST", keys, `{"name":"k"}`, 409, "validations.0", "field detail"},
		{"POST", keys, `{"name":"Built-In"}`, 400, "validations.0", "field detail"},
		{"GET", keys, "", 200, "1", provisionerKeyFields},
		{"GET", keys + "/daemons", "", 200, "0", "key daemons"},
		{"GET", keys + "/daemons", "", 200, "1.key", provisionerKeyFields},
		{"GET", keys + "/daemons", "", 200, "1.daemons.0", daemonFields},
		{"DELETE", keys + "/k", "", 204, "", ""},
		{"DELETE", keys + "/k", "", 404, "", "message detail"},
		{"DELETE", keys + "/psk", "", 400, "", "message"},
		{"GET", "/provisionerkeys/any", "", 401, "", "message detail"},
	})
}

func TestWireOfFiles(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	send := func(kind string) servertest.Response {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/api/v2/files", bytes.NewReader(archiveOf(t, map[string]string{"main.tf": "# wire"})))
		require.NoError(t, err)
		req.Header.Set(client.HeaderSessionToken, s.Token)
		req.Header.Set("Content-Type", kind)
		return servertest.Do(t, req)
	}
	first, second := send(client.ContentTypeTar), send(client.ContentTypeTar)
	require.Equal(t, []int{201, 200, 400}, []int{first.Status, second.Status, send("text/plain").Status})
	require.Equal(t, first.Body, second.Body)
	requireFields(t, "upload", "hash", valueAt(t, "upload", first.Body, ""))
	id, ok := valueAt(t, "upload", first.Body, "hash").(string)
	require.True(t, ok)
	reply := s.Response(t, s.Token, http.MethodGet, "/files/"+id, "")
	require.Equal(t, []any{200, client.ContentTypeTar}, []any{reply.Status, reply.Header.Get("Content-Type")})
	s.holds(t, []exchange{
		{"GET", "/files/" + uuid.NewString(), "", 404, "", "message detail"},
		{"GET", "/files/word", "", 400, "validations.0", "field detail"},
	})
}

// wholeImport is an import that found one of everything.
func wholeImport() client.ImportResult {
	return client.ImportResult{
		Parameters: []client.TemplateVersionParameter{
			{Name: "size", Type: "number", FormType: "input", DefaultValue: "1", Mutable: true},
			{Name: "once", Type: "string", FormType: "input", DefaultValue: "", Mutable: true, Ephemeral: true},
		},
		Presets:        []client.ImportedPreset{{Name: "small", Parameters: []client.BuildParameter{{Name: "size", Value: "1"}}}},
		StartResources: []client.ProvisionedResource{wholeResource()},
	}
}

func wholeResource() client.ProvisionedResource {
	r := agentResource(3)
	r.Agents[0].Apps = []client.ProvisionedApp{{ID: uuid.NewString(), Slug: "web", Share: "owner"}}
	r.Agents[0].Scripts = []client.ProvisionedScript{{ID: uuid.NewString(), DisplayName: "Startup Script", Script: "true", RunOnStart: true}}
	return r
}

func TestWireOfTemplateVersions(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	v := s.newVersion(t, &s.template.ID, `variable "region" { default = "eu" }`, wholeImport())
	version, waiting := "/templateversions/"+v.ID.String(), "/templateversions/"+s.pendingVersion(t, &s.template.ID, "").ID.String()
	of, named := "/templates/"+s.template.ID.String()+"/versions", "/organizations/data-platform/templates/docker/versions/"+v.Name
	post := "/organizations/data-platform/templateversions"
	s.holds(t, []exchange{
		{"POST", post, `{"storage_method":"file","provisioner":"terraform","example_id":"no-such"}`, 400, "validations.0", "field detail"},
		{"POST", post, `{"storage_method":"file","provisioner":"terraform"}`, 400, "validations.0", "field detail"},
		{"POST", post, `{"storage_method":"file","provisioner":"terraform","file_id":"` + uuid.NewString() + `"}`, 404, "", "message detail"},
		{"POST", post, `{"storage_method":"file","provisioner":"terraform","example_id":"docker","template_id":"` + uuid.Nil.String() + `","file_id":"` + uuid.Nil.String() + `"}`, 201, "", versionFields},
		{"GET", version, "", 200, "", versionFields + " template_id organization_id"},
		{"GET", version, "", 200, "job", jobFields},
		{"GET", version, "", 200, "job.input", "template_version_id"},
		{"GET", version, "", 200, "created_by", "id username name? avatar_url?"},
		{"GET", waiting, "", 200, "matched_provisioners", matchedFields},
		{"GET", "/templateversions/" + uuid.NewString(), "", 404, "", "message detail"},
		{"PATCH", version, `{"name":"second","message":"m"}`, 200, "", versionFields},
		{"GET", of, "", 200, "0", versionFields},
		{"GET", of + "?after_id=" + uuid.NewString(), "", 400, "validations.0", "field detail"},
		{"GET", of + "/second", "", 200, "", versionFields},
		{"GET", strings.ReplaceAll(named, v.Name, "second"), "", 200, "", versionFields},
		{"GET", strings.ReplaceAll(named, v.Name, "second") + "/previous", "", 200, "", versionFields},
		{"GET", version + "/schema", "", 200, "", ""},
		{"GET", version + "/parameters", "", 200, "", ""},
		{"GET", version + "/rich-parameters", "", 200, "0", parameterFields},
		{"GET", waiting + "/rich-parameters", "", 403, "", "message detail"},
		{"GET", version + "/variables", "", 200, "0", variableFields},
		{"GET", waiting + "/variables", "", 403, "", "message detail"},
		{"GET", version + "/presets", "", 200, "0", presetFields},
		{"GET", version + "/presets", "", 200, "0.Parameters.0", "Name Value"},
		{"GET", version + "/external-auth", "", 200, "", ""},
		{"GET", version + "/resources", "", 200, "0", resourceFields + " agents"},
		{"GET", version + "/resources", "", 200, "0.agents.0", agentFields},
		{"GET", waiting + "/resources", "", 400, "", "message detail"},
		{"GET", waiting + "/dynamic-parameters", "", 425, "", "message detail"},
		{"GET", version + "/logs?after=x", "", 400, "validations.0", "field detail"},
		{"GET", version + "/logs?follow&format=text", "", 400, "validations.0", "field detail"},
		{"POST", version + "/dry-run", `{"workspace_name":"try","rich_parameter_values":[],"user_variable_values":[]}`, 201, "", jobFields},
		{"POST", waiting + "/dry-run", `{}`, 400, "", "message detail"},
		{"GET", version + "/dry-run/word", "", 400, "validations.0", "field detail"},
		{"GET", version + "/dry-run/" + v.Job.ID.String(), "", 403, "", "message detail?"},
		{"POST", version + "/archive", "", 200, "", "message"},
		{"POST", version + "/archive", "", 400, "", "message"},
		{"POST", version + "/unarchive", "", 200, "", "message"},
		{"PATCH", version + "/cancel", "", 400, "", "message"},
		{"PATCH", waiting + "/cancel", "", 200, "", "message"},
		{"PATCH", of, `{"id":"` + v.ID.String() + `"}`, 200, "", "message"},
		{"PATCH", of, `{"id":"` + strings.TrimPrefix(waiting, "/templateversions/") + `"}`, 403, "", "message"},
		{"PATCH", of, `{"id":"` + uuid.NewString() + `"}`, 404, "", "message detail"},
		{"POST", of + "/archive", `{"all":false}`, 200, "", "template_id archived_ids"},
	})
}

func TestWireOfTemplates(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	template, in := "/templates/"+s.template.ID.String(), "/organizations/data-platform/templates"
	floating := s.newVersion(t, nil, "", client.ImportResult{}).ID.String()
	s.holds(t, []exchange{
		{"POST", in, `{"name":"docker","template_version_id":"` + floating + `"}`, 409, "validations.0", "field detail"},
		{"POST", in, `{"name":"other","template_version_id":"` + uuid.NewString() + `"}`, 404, "", "message detail"},
		{"POST", in, `{"name":"other","template_version_id":"` + s.template.ActiveVersionID.String() + `"}`, 400, "validations.0", "field detail"},
		{"POST", in, `{"name":"other","template_version_id":"` + floating + `","default_ttl_ms":-1}`, 400, "validations.0", "field detail"},
		{"POST", in, `{"name":"other","template_version_id":"` + floating + `","dormant_ttl_ms":60000,"delete_ttl_ms":60000,"allow_user_cancel_workspace_jobs":null}`, 201, "", templateFields},
		{"GET", in, "", 200, "0", templateFields},
		{"GET", in + "/docker", "", 200, "", templateFields},
		{"GET", "/templates", "", 200, "0", templateFields},
		{"GET", "/templates?q=organization:data-platform+exact_name:docker+deprecated:false", "", 200, "0", templateFields},
		{"GET", "/paginated-templates?limit=1", "", 200, "", "templates count organizations"},
		{"GET", "/paginated-templates?limit=1", "", 200, "templates.0", templateFields},
		{"GET", "/templates?q=colour:red", "", 400, "validations.0", "field detail"},
		{"GET", template, "", 200, "autostop_requirement", "days_of_week weeks"},
		{"GET", template, "", 200, "autostart_requirement", "days_of_week"},
		{"GET", template, "", 200, "build_time_stats", "start stop delete"},
		{"GET", template, "", 200, "build_time_stats.start", "P50 P95"},
		{"PATCH", template, `{"display_name":"Docker","time_til_dormant_ms":60000,"time_til_dormant_autodelete_ms":60000,"use_classic_parameter_flow":true}`, 200, "", templateFields},
		{"PATCH", template, `{"display_name":"Docker"}`, 304, "", ""},
		{"PATCH", template, `{"name":"other"}`, 409, "validations.0", "field detail"},
		{"GET", "/templates/examples", "", 200, "0", exampleFields},
		{"GET", in + "/examples", "", 200, "0", exampleFields},
		{"GET", template + "/acl", "", 200, "", "users group"},
		{"GET", template + "/acl", "", 200, "group.0", groupFields + " role"},
		{"PATCH", template + "/acl", `{"user_perms":{"` + s.user.ID.String() + `":"use"}}`, 200, "", "message"},
		{"GET", template + "/acl", "", 200, "users.0", userFields + " role"},
		{"PATCH", template + "/acl", `{"user_perms":{"` + uuid.NewString() + `":"use"}}`, 400, "validations.0", "field detail"},
		{"GET", template + "/acl/available", "", 200, "", "users groups"},
		{"GET", template + "/acl/available", "", 200, "users.0", reducedUserFields},
		{"GET", template + "/daus", "", 200, "", "entries tz_hour_offset"},
		{"GET", template + "/daus?zone=1", "", 400, "validations.0", "field detail"},
		{"DELETE", in + "/other", "", 405, "", ""},
		{"DELETE", template, "", 200, "", "message"},
		{"GET", template, "", 404, "", "message detail"},
	})
}

func TestWireOfWorkspaces(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.template = s.newTemplate(t, "whole", wholeImport(), nil)
	s.allow(t, 100)
	w := s.create(t, "dev1-box")
	first := s.worker.take(t)
	first.succeed(t, wholeResource())
	key, _, _ := strings.Cut(first.Metadata.OwnerSessionToken, "-")
	of, in := "/workspaces/"+w.ID.String(), "/organizations/data-platform/members/dev1/workspaces"
	const none = `"template_version_id":"00000000-0000-0000-0000-000000000000","template_version_preset_id":"00000000-0000-0000-0000-000000000000"`
	id := s.template.ID.String()
	s.holds(t, []exchange{
		{"POST", in, `{"name":"second","template_id":"` + id + `",` + none + `}`, 201, "", workspaceFields},
		{"POST", in, `{"name":"second","template_id":"` + id + `"}`, 409, "validations.0", "field detail"},
		{"POST", in, `{"name":"third"}`, 400, "validations.0", "field detail"},
		{"POST", in, `{"name":"third","template_id":"` + uuid.NewString() + `"}`, 400, "validations.0", "field detail"},
		{"POST", in, `{"name":"third","template_id":"` + id + `","autostart_schedule":"@daily"}`, 400, "validations.0", "field detail"},
		{"POST", "/organizations/default/members/me/workspaces", `{"name":"third","template_id":"` + id + `"}`, 403, "", "message"},
		{"GET", "/workspaces", "", 200, "", "workspaces count"},
		{"GET", "/workspaces?q=owner:dev1+name:dev1-box+template:whole+status:running+outdated:false+param:size=1", "", 200, "workspaces.0", workspaceFields},
		{"GET", "/workspaces?q=dev1/dev1-box&limit=1", "", 200, "workspaces.0.latest_build", buildFields},
		{"GET", "/workspaces?q=user:me", "", 200, "", "workspaces count"},
		{"GET", "/workspaces?q=colour:red", "", 400, "validations.0", "field detail"},
		{"GET", of, "", 200, "", workspaceFields},
		{"GET", of, "", 200, "health", "healthy failing_agents"},
		{"GET", of, "", 200, "latest_build.resources.0", resourceFields},
		{"GET", of, "", 200, "latest_build.resources.0.metadata.0", "key value sensitive"},
		{"GET", of, "", 200, "latest_build.resources.0.agents.0", agentFields},
		{"GET", of, "", 200, "latest_build.resources.0.agents.0.apps.0", appFields},
		{"GET", of, "", 200, "latest_build.resources.0.agents.0.health", "healthy reason?"},
		{"GET", of, "", 200, "latest_build.resources.0.agents.0.log_sources.0", "workspace_agent_id id created_at display_name icon"},
		{"GET", of, "", 200, "latest_build.resources.0.agents.0.scripts.0", "id log_source_id log_path script cron run_on_start run_on_stop start_blocks_login timeout display_name exit_code? status?"},
		{"GET", "/users/dev1/workspace/dev1-box", "", 200, "", workspaceFields},
		{"GET", "/users/dev1/workspace/none", "", 404, "", "message detail"},
		{"PATCH", of, `{"name":"renamed"}`, 204, "", ""},
		{"PATCH", of, `{"name":"second"}`, 409, "validations.0", "field detail"},
		{"PATCH", of, `{"name":"not a name"}`, 400, "validations.0", "field detail"},
		{"PUT", of + "/autostart", `{"schedule":"CRON_TZ=Europe/Berlin 30 9 * * 1-5"}`, 204, "", ""},
		{"PUT", of + "/autostart", `{"schedule":"30 9 1 * *"}`, 400, "validations.0", "field detail"},
		{"PUT", of + "/autostart", `{"schedule":null}`, 204, "", ""},
		{"PUT", of + "/ttl", `{"ttl_ms":1}`, 400, "validations.0", "field detail"},
		{"PUT", of + "/ttl", `{"ttl_ms":3600000}`, 204, "", ""},
		{"PUT", of + "/ttl", `{"ttl_ms":null}`, 204, "", ""},
		{"PUT", of + "/schedule", `{"schedule":"CRON_TZ=UTC 30 9 * * 1-5","ttl_ms":1}`, 400, "validations.0", "field detail"},
		{"PUT", of + "/schedule", `{"schedule":null,"ttl_ms":3600000}`, 204, "", ""},
		{"PUT", of + "/schedule", `{}`, 204, "", ""},
		{"PUT", of + "/extend", `{"deadline":"2100-01-01T00:00:00Z"}`, 409, "", "message detail?"},
		{"PUT", of + "/autoupdates", `{"automatic_updates":"always"}`, 204, "", ""},
		{"PUT", of + "/autoupdates", `{"automatic_updates":"weekly"}`, 400, "validations.0", "field detail"},
		{"GET", of + "/resolve-autostart", "", 200, "", "parameter_mismatch"},
		{"PUT", of + "/favorite", "", 403, "", "message"},
		{"POST", of + "/usage", "", 204, "", ""},
		{"GET", of + "/timings", "", 200, "", "provisioner_timings agent_script_timings agent_connection_timings"},
		{"GET", of + "/timings", "", 200, "provisioner_timings.0", "job_id started_at ended_at stage source action resource"},
		{"GET", of + "/acl", "", 200, "", "users group"},
		{"GET", of + "/port-share", "", 200, "", "shares"},
		{"PUT", of + "/dormant", `{"dormant":false}`, 304, "", ""},
		{"PUT", of + "/dormant", `{"dormant":true}`, 200, "", workspaceFields},
		{"GET", "/users/dev1/autofill-parameters?template_id=" + id, "", 200, "0", "name value"},
		{"GET", "/users/dev1/keys/" + key, "", 200, "", apiKeyFields},
	})
	status, values := s.Raw(t, s.Token, http.MethodGet, "/users/dev1/autofill-parameters?template_id="+id, "")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `[{"name":"size","value":"1"}]`, values, "an ephemeral value is for one build")
	_, session := s.Raw(t, s.Token, http.MethodGet, "/users/dev1/keys/"+key, "")
	require.Equal(t, []any{"*:*"}, valueAt(t, "a workspace's session", session, "allow_list"))
}

func TestWireOfBuilds(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	w, gone := s.running(t, "dev1-box"), s.running(t, "gone")
	s.build(t, gone.ID, client.TransitionDelete)
	waiting := s.pendingVersion(t, &s.template.ID, "")
	builds, build := "/workspaces/"+w.ID.String()+"/builds", "/workspacebuilds/"+w.LatestBuild.ID.String()
	s.holds(t, []exchange{
		{"POST", builds, `{"transition":"sideways"}`, 400, "validations.0", "field detail"},
		{"POST", builds, `{"transition":"stop","orphan":true}`, 400, "validations.0", "field detail"},
		{"POST", builds, `{"transition":"start","template_version_id":"` + uuid.NewString() + `"}`, 400, "validations.0", "field detail"},
		{"POST", builds, `{"transition":"start","template_version_id":"` + waiting.ID.String() + `"}`, 406, "", "message detail"},
		{"POST", builds, `{"transition":"stop","reason":"cli","template_version_id":"` + uuid.Nil.String() + `","template_version_preset_id":"` + uuid.Nil.String() + `"}`, 201, "", buildFields},
		{"POST", builds, `{"transition":"start"}`, 409, "", "message detail"},
		{"GET", builds, "", 200, "0", buildFields + " matched_provisioners?"},
		{"GET", builds, "", 200, "0.job", jobFields},
		{"GET", builds, "", 200, "0.job.input", "workspace_build_id"},
		{"GET", builds + "?since=yesterday", "", 400, "validations.0", "field detail"},
		{"GET", build, "", 200, "", buildFields},
		{"GET", build + "/parameters", "", 200, "", ""},
		{"GET", build + "/resources", "", 200, "", ""},
		{"GET", build + "/timings", "", 200, "", "provisioner_timings agent_script_timings agent_connection_timings"},
		{"GET", build + "/logs", "", 200, "", ""},
		{"GET", "/users/dev1/workspace/dev1-box/builds/1", "", 200, "", buildFields},
		{"GET", "/users/dev1/workspace/dev1-box/builds/one", "", 400, "validations.0", "field detail"},
		{"GET", "/workspacebuilds/" + uuid.NewString(), "", 404, "", "message detail"},
		{"PATCH", build + "/cancel", "", 400, "", "message"},
		{"GET", "/workspaces/" + gone.ID.String(), "", 410, "", "message detail"},
		{"GET", "/workspaces/" + gone.ID.String() + "?include_deleted=true", "", 200, "latest_build", buildFields},
		{"PATCH", "/workspaces/" + gone.ID.String(), `{"name":"back"}`, 405, "", "message"},
		{"GET", "/users/dev1/workspace/gone", "", 404, "", "message detail"},
		{"GET", "/users/dev1/workspace/gone?include_deleted=true", "", 200, "", workspaceFields},
	})
	states := "/workspaces/" + w.ID.String() + "/states"
	s.holds(t, []exchange{
		{"GET", states, "", 200, "0", stateFields},
		{"GET", "/workspaces/" + w.ID.String() + "/paginated-states?limit=1", "", 200, "", "states count salvage"},
		{"GET", "/workspaces/" + w.ID.String() + "/paginated-states?limit=1", "", 200, "states.0", stateFields},
		{"GET", "/workspaces/" + w.ID.String() + "/paginated-states?limit=-1", "", 400, "validations.0", "field detail"},
		{"GET", states + "/one", "", 400, "validations.0", "field detail"},
		{"GET", states + "/9", "", 404, "", "message detail"},
		{"POST", states + "/1/restore", "", 409, "", "message detail"},
		{"POST", states + "/one/restore", "", 400, "validations.0", "field detail"},
		{"GET", "/workspaces/" + gone.ID.String() + "/states", "", 200, "0", stateFields},
		{"GET", "/workspaces/" + gone.ID.String() + "/states/1", "", 200, "", "version terraform_version serial lineage outputs resources"},
	})
	state := s.Response(t, s.Token, http.MethodGet, build+"/state", "")
	require.Equal(t, []any{200, stateOf(w.LatestBuild.Job.ID)}, []any{state.Status, state.Body})
	refusal := s.Response(t, s.Token, http.MethodPatch, "/workspacebuilds/"+s.read(t, w.ID).LatestBuild.ID.String()+"/cancel?expect_status=running", "")
	require.Equal(t, http.StatusPreconditionFailed, refusal.Status)
}

func TestWireOfDaemonsAndJobs(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	w := s.create(t, "dev1-box")
	j := s.worker.take(t)
	_, err := j.attempt.AppendLogs(t.Context(), client.AppendLogsRequest{Next: 10, Entries: []client.JobLogEntry{{CreatedAt: w.CreatedAt, Source: "provisioner", Level: "info", Stage: "Planning", Output: "hello"}}})
	require.NoError(t, err)
	daemons, jobs := "/organizations/data-platform/provisionerdaemons", "/organizations/data-platform/provisionerjobs"
	logs := "/workspacebuilds/" + w.LatestBuild.ID.String() + "/logs"
	s.holds(t, []exchange{
		{"GET", daemons, "", 200, "0", daemonFields},
		{"GET", daemons + "?status=busy,idle&limit=5&max_age=10m&offline=true", "", 200, "0.current_job", daemonJobFields},
		{"GET", daemons, "", 200, "0.previous_job", daemonJobFields},
		{"GET", daemons + "?limit=0", "", 400, "validations.0", "field detail"},
		{"GET", daemons + "?status=asleep", "", 400, "validations.0", "field detail"},
		{"GET", daemons + "?colour=red", "", 400, "validations.0", "field detail"},
		{"GET", jobs, "", 200, "0", jobFields + " worker_id worker_name"},
		{"GET", jobs + "?status=running&limit=1", "", 200, "0.metadata", jobMetadataFields + " workspace_id workspace_name workspace_build_transition"},
		{"GET", jobs + "?status=walking", "", 400, "validations.0", "field detail"},
		{"GET", jobs + "?colour=red", "", 400, "validations.0", "field detail"},
		{"GET", jobs + "?tags=word", "", 400, "validations.0", "field detail"},
		{"GET", jobs + "/" + j.ID.String(), "", 200, "", jobFields},
		{"GET", jobs + "/" + uuid.NewString(), "", 404, "", "message detail"},
		{"GET", logs, "", 200, "0", jobLogFields},
	})
	s.create(t, "waiting")
	behind := s.create(t, "behind")
	s.holds(t, []exchange{{"GET", jobs + "?status=pending", "", 200, "0", jobFields + " available_workers"}})
	s.holds(t, []exchange{
		{"GET", jobs + "/" + j.ID.String() + "/explain", "", 200, "", explainFields},
		{"GET", jobs + "/" + j.ID.String() + "/explain", "", 200, "daemons.0", verdictFields},
		{"GET", jobs + "/" + j.ID.String() + "/explain", "", 200, "attempts.0", attemptFields},
		{"GET", jobs + "/" + behind.LatestBuild.Job.ID.String() + "/explain", "", 200, "jobs_ahead.0", aheadFields},
		{"GET", jobs + "/" + uuid.NewString() + "/explain", "", 404, "", "message detail"},
		{"GET", jobs + "/word/explain", "", 400, "validations.0", "field detail"},
	})
	text := s.Response(t, s.Token, http.MethodGet, logs+"?format=text", "")
	require.Equal(t, "text/plain; charset=utf-8", text.Header.Get("Content-Type"))
	require.Contains(t, text.Body, "hello")
}
