package terraform

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/agentscript"
)

// emptyHash is the hex SHA-256 of the empty string, under which the provider
// looks for the token of a running agent.
const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// HostEnvironment is what engines see of the daemon's own environment: all of
// it, because cloud credentials, HOME and proxies are why the daemon stands
// where it stands, less what would change the engine's way of working. allow,
// when not empty, narrows it to the names and name patterns listed.
func HostEnvironment(host, allow []string) []string {
	env := []string{}
	for _, entry := range host {
		name, _, found := strings.Cut(entry, "=")
		if !found || hidden(name) || (len(allow) > 0 && !allowed(name, allow)) {
			continue
		}
		env = append(env, entry)
	}
	return env
}

// HostVariables describes the variables of the host that change what the
// engine does, for a job's log. Values that may be secret are left out.
func HostVariables(environment []string) []string {
	shown := []string{"TF_LOG", "TF_LOG_PATH", "TF_IN_AUTOMATION", "TF_REGISTRY_DISCOVERY_RETRY", "TF_REGISTRY_CLIENT_TIMEOUT", "TF_IGNORE", "TF_PLUGIN_CACHE_DIR"}
	found := []string{}
	for _, entry := range environment {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, "TF_") {
			continue
		}
		if !slices.Contains(shown, name) {
			value = "(hidden)"
		}
		found = append(found, name+"="+value)
	}
	slices.Sort(found)
	return found
}

func hidden(name string) bool {
	return name == "" || strings.HasPrefix(name, "CODER_") || strings.HasPrefix(name, "TF_CLI_ARGS") ||
		slices.Contains([]string{"TF_DATA_DIR", "TF_WORKSPACE", "TF_CLI_CONFIG_FILE", "TF_INPUT", "TF_REATTACH_PROVIDERS", "NOTIFY_SOCKET"}, name)
}

// allowed always lets through what no process can do without.
func allowed(name string, allow []string) bool {
	for _, pattern := range append([]string{"PATH", "HOME", "USER", "TMPDIR", "LANG", "LC_*", "SSL_CERT_*"}, allow...) {
		if matched, err := path.Match(pattern, name); err == nil && matched {
			return true
		}
	}
	return false
}

// EngineEnvironment adds to the host's environment what every engine call gets.
func EngineEnvironment(host []string, cliConfig string) []string {
	return append(slices.Clone(host),
		"CHECKPOINT_DISABLE=1",
		"TF_IN_AUTOMATION=1",
		"TF_CLI_CONFIG_FILE="+cliConfig,
	)
}

// JobEnvironment is what the provider reads of one job, section 3.5 of the
// contract. transition overrides that of the metadata, because an import
// plans both start and stop.
func JobEnvironment(job client.AcquiredJob, transition string) ([]string, error) {
	m := job.Metadata
	groups, err := json.Marshal(nonNil(m.OwnerGroups))
	if err != nil {
		return nil, fmt.Errorf("write the owner's groups: %w", err)
	}
	roles, err := json.Marshal(nonNil(m.OwnerRoles))
	if err != nil {
		return nil, fmt.Errorf("write the owner's roles: %w", err)
	}
	env := []string{
		"CODER_AGENT_URL=" + job.AccessURL,
		"CODER_WORKSPACE_TRANSITION=" + providerTransition(transition),
		"CODER_WORKSPACE_BUILD_ID=" + optionalID(m.WorkspaceBuildID),
		"CODER_WORKSPACE_OWNER_GROUPS=" + string(groups),
		"CODER_WORKSPACE_OWNER_RBAC_ROLES=" + string(roles),
		"CODER_WORKSPACE_OWNER_LOGIN_TYPE=" + m.OwnerLoginType,
		"CODER_WORKSPACE_OWNER_SSH_PUBLIC_KEY=" + m.OwnerSSHPublicKey,
		"CODER_WORKSPACE_OWNER_SSH_PRIVATE_KEY=" + m.OwnerSSHPrivateKey,
		"CODER_WORKSPACE_OWNER_SESSION_TOKEN=" + m.OwnerSessionToken,
		"CODER_WORKSPACE_OWNER_OIDC_ACCESS_TOKEN=" + m.OwnerOIDCAccessToken,
	}
	env = appendSet(env, "CODER_WORKSPACE_NAME", m.WorkspaceName)
	env = appendSet(env, "CODER_WORKSPACE_ID", optionalID(m.WorkspaceID))
	env = appendSet(env, "CODER_WORKSPACE_TEMPLATE_ID", optionalID(m.TemplateID))
	env = appendSet(env, "CODER_WORKSPACE_TEMPLATE_NAME", m.TemplateName)
	env = appendSet(env, "CODER_WORKSPACE_TEMPLATE_VERSION", m.TemplateVersion)
	env = appendSet(env, "CODER_WORKSPACE_OWNER", m.OwnerName)
	env = appendSet(env, "CODER_WORKSPACE_OWNER_ID", optionalID(m.OwnerID))
	env = appendSet(env, "CODER_WORKSPACE_OWNER_NAME", m.OwnerFullName)
	env = appendSet(env, "CODER_WORKSPACE_OWNER_EMAIL", m.OwnerEmail)
	if m.IsPrebuild {
		env = append(env, "CODER_WORKSPACE_IS_PREBUILD=true")
	}
	if m.IsPrebuildClaim {
		env = append(env, "CODER_WORKSPACE_IS_PREBUILD_CLAIM=true")
		env = appendSet(env, "CODER_RUNNING_WORKSPACE_AGENT_TOKEN_"+emptyHash, runningAgentToken(job.State))
	}
	for _, p := range job.Parameters {
		env = append(env, "CODER_PARAMETER_"+nameHash(p.Name)+"="+p.Value)
	}
	for _, p := range job.PreviousParameters {
		env = append(env, "CODER_PARAMETER_PREVIOUS_"+nameHash(p.Name)+"="+p.Value)
	}
	for _, token := range job.ExternalAuth {
		env = append(env,
			"CODER_EXTERNAL_AUTH_ACCESS_TOKEN_"+token.ID+"="+token.AccessToken,
			"CODER_GIT_AUTH_ACCESS_TOKEN_"+token.ID+"="+token.AccessToken)
	}
	for _, p := range agentscript.Platforms() {
		env = append(env, "CODER_AGENT_SCRIPT_"+p.OS+"_"+p.Arch+"="+agentscript.Script(p.OS, p.Arch))
	}
	return env, nil
}

// providerTransition: the provider's word for delete is destroy.
func providerTransition(transition string) string {
	switch transition {
	case client.TransitionDelete:
		return "destroy"
	case "":
		return client.TransitionStart
	}
	return transition
}

func optionalID(id *uuid.UUID) string {
	if id == nil {
		return ""
	}
	return id.String()
}

// appendSet leaves out an empty value, for which the provider has a default.
func appendSet(env []string, name, value string) []string {
	if value == "" {
		return env
	}
	return append(env, name+"="+value)
}

func nameHash(name string) string {
	sum := sha256.Sum256([]byte(name))
	return hex.EncodeToString(sum[:])
}

func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// runningAgentToken is the token of the first agent in a state: a claimed
// workspace keeps it, so that its resource is not replaced.
func runningAgentToken(state []byte) string {
	parsed, err := ParseState(state)
	if err != nil {
		return ""
	}
	for _, o := range parsed.objects() {
		if o.Mode == managed && o.Type == "coder_agent" {
			return o.Values.text("token")
		}
	}
	return ""
}
