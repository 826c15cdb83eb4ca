package store_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// query is one of queries/*.sql as it is written.
type query struct {
	name, kind, text string
	params           []string // in order of their first use
}

var (
	queryHead  = regexp.MustCompile(`(?m)^-- name: (\w+) :(\w+)$`)
	queryParam = regexp.MustCompile(`(?:@|sqlc\.arg\()(\w+)`)
)

func readQueries(t testing.TB) map[string]query {
	t.Helper()
	files, err := filepath.Glob("queries/*.sql")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	all := map[string]query{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		text := string(data)
		heads := queryHead.FindAllStringSubmatchIndex(text, -1)
		require.NotEmpty(t, heads, file)
		for i, h := range heads {
			end := len(text)
			if i+1 < len(heads) {
				end = heads[i+1][0]
			}
			q := query{name: text[h[2]:h[3]], kind: text[h[4]:h[5]], text: text[h[1]:end]}
			q.params = paramsOf(q.text)
			all[q.name] = q
		}
	}
	return all
}

func paramsOf(text string) []string {
	var params []string
	seen := map[string]bool{}
	for _, m := range queryParam.FindAllStringSubmatch(text, -1) {
		if !seen[m[1]] {
			seen[m[1]] = true
			params = append(params, m[1])
		}
	}
	return params
}

var (
	namesOne    = regexp.MustCompile(`\borganization_id = @organization_id\b`)
	namesSet    = regexp.MustCompile(`\borganization_id IN \(SELECT value FROM json_list\(@organization_ids\)\)`)
	namesItself = regexp.MustCompile(`(?s)\b(FROM|UPDATE) organizations\b.*\bid = @organization_id\b`)
	insertsOne  = regexp.MustCompile(`(?s)\bINSERT INTO \w+ \([^)]*\borganization_id\b[^)]*\)\s*VALUES \([^)]*@organization_id\b`)
)

func (q query) namesOrganization() bool {
	for _, form := range []*regexp.Regexp{namesOne, namesSet, namesItself, insertsOne} {
		if form.MatchString(q.text) {
			return true
		}
	}
	return false
}

func (q query) isDeploymentWide() bool { return strings.Contains(q.text, "-- scope: deployment\n") }

// Why a query may do without an organization. Adding one here is a decision
// about who sees what: say which code stands between it and a person.
const (
	reasonUser       = "users belong to the deployment, not to an organization; answers are cut to what the caller may read"
	reasonOwnToken   = "tokens belong to users"
	reasonByID       = "the id of a request that names no organization; server/load.go authorizes the row before anything is shown"
	reasonAuthorized = "ids of rows that were authorized, or read in an authorized list, just before"
	reasonCredential = "the credential says which organization it is"
	reasonLoop       = "a background loop acts on every organization and shows nothing to anybody"
	reasonMembership = "what a user may read is worked out from all of the user's own memberships"
	reasonFile       = "files are uploaded before any organization is named; server/load.go authorizes by uploader or by template"
	reasonHealth     = "health and statistics of the deployment, which only its own administrators may read"
	reasonSetting    = "settings of the deployment"
	reasonAudit      = "the log of several organizations; server/audit_search.go names the readable set in the filter"
	reasonKeys       = "what the deployment key wraps, to wrap it with another one; nothing is shown"
	reasonTemplates  = "templates of several organizations; server/template_search.go leaves those of the readable ones"
	reasonCounts     = "a number of all, asked for by those who may read all"
	reasonOrgs       = "the list of organizations itself; the server cuts it to the readable ones"
)

var deploymentWide = map[string]string{
	"ListAuditLogs":                  reasonAudit,
	"CountAuditLogs":                 reasonAudit,
	"ListAuditHeads":                 "for those who may read the whole audit log of the deployment",
	"ListCustomRolesOfUser":          "a subject has roles in several organizations; the user is the caller, or the owner of what is built",
	"InsertFile":                     reasonFile,
	"GetFile":                        reasonFile,
	"GetFileInfo":                    reasonFile,
	"GetFileByHash":                  reasonFile,
	"ListTemplatesOfFile":            reasonFile,
	"GetGroup":                       reasonByID,
	"ListMembershipsAndGroupsOfUser": reasonMembership,
	"ListMembershipsOfUser":          reasonMembership,
	"ListMembershipsOfUsers":         "organization_ids of listed users; the server cuts them to the readable ones",
	"DeleteMemberships":              "deleting a user takes every membership",
	"ListTemplateNames":              reasonTemplates,
	"ListTemplateUse":                reasonTemplates,
	"CountWorkspacesEverywhere":      reasonCounts,
	"InsertOrganization":             reasonOrgs,
	"GetOrganizationByName":          reasonOrgs,
	"GetDefaultOrganization":         reasonOrgs,
	"ListOrganizations":              reasonOrgs,
	"GetAttempt":                     reasonCredential,
	"GetAttemptOfCall":               reasonCredential,
	"GetAttemptByRequest":            reasonCredential,
	"ListCurrentAttempts":            reasonLoop,
	"ListOpenRecoveries":             reasonHealth,
	"RenewAttempts":                  reasonLoop,
	"DeleteExpiredAttempts":          reasonLoop,
	"RememberPrunedAttempts":         reasonLoop,
	"ForgetPrunedAttempts":           reasonLoop,
	"GetProvisionerDaemon":           reasonByID,
	"TouchProvisionerDaemons":        reasonLoop,
	"StopProvisionerDaemon":          reasonAuthorized,
	"GetProvisionerJob":              reasonByID,
	"LockProvisionerJob":             reasonAuthorized,
	"ListProvisionerJobsByIDs":       reasonAuthorized,
	"GetProvisionerKeyBySecret":      reasonCredential,
	"CountJobsByTags":                "the operator's metrics",
	"GetSetting":                     reasonSetting,
	"PutSetting":                     reasonSetting,
	"PutSettingOnce":                 reasonSetting,
	"AcquireLease":                   reasonLoop,
	"ListLeases":                     reasonLoop,
	"DeleteLease":                    reasonLoop,
	"DeleteExpiredLeases":            reasonLoop,
	"ListSealingKeys":                reasonKeys,
	"ListSSHKeys":                    reasonKeys,
	"SetSSHPrivateKey":               reasonKeys,
	"GetTemplate":                    reasonByID,
	"ListTemplatesByIDs":             reasonAuthorized,
	"GetTemplateVersion":             reasonByID,
	"InsertAPIKey":                   reasonOwnToken,
	"GetAPIKey":                      reasonOwnToken,
	"GetAPIKeyWithUser":              reasonCredential,
	"GetTokenByName":                 reasonOwnToken,
	"ListSessions":                   reasonOwnToken,
	"ListTokens":                     reasonOwnToken,
	"TouchAPIKey":                    reasonOwnToken,
	"ExpireAPIKey":                   reasonOwnToken,
	"DeleteAPIKey":                   reasonOwnToken,
	"DeleteAPIKeysOfUser":            reasonOwnToken,
	"DeleteAPIKeysOfWorkspace":       reasonAuthorized,
	"DeleteExpiredAPIKeys":           reasonLoop,
	"InsertUser":                     reasonUser,
	"GetUser":                        reasonUser,
	"GetUserIncludingDeleted":        reasonUser,
	"GetUserByUsername":              reasonUser,
	"GetUserByEmail":                 reasonUser,
	"CountUsers":                     reasonUser,
	"CountActiveUsers":               reasonUser,
	"ListUsers":                      reasonUser,
	"ListUsersByIDs":                 reasonUser,
	"ListUserNames":                  reasonUser,
	"UpdateUserProfile":              reasonUser,
	"UpdateUserRoles":                reasonUser,
	"UpdateUserStatus":               reasonUser,
	"UpdateUserPassword":             reasonUser,
	"UpdateUserSSHKey":               reasonUser,
	"TouchUser":                      reasonUser,
	"DeleteUser":                     reasonUser,
	"ListOwners":                     reasonUser,
	"CountUsersMatching":             reasonUser,
	"GetUserSetting":                 reasonUser,
	"PutUserSetting":                 reasonUser,
	"DeleteGroupMembershipsOfUser":   "deleting a user takes every membership",
	"ListWorkspaceDetails":           reasonAuthorized,
	"HasSharedWorkspaces":            reasonAuthorized,
	"ListWorkspaceACLNames":          reasonAuthorized,
	"ListFavoriteWorkspaces":         "the caller's own; server/workspace_search.go keeps those of readable organizations",
	"ListOtherWorkspaceIDs":          "for those who may read every workspace of the deployment",
	"RenameWorkspaceOwner":           "a user owns workspaces in several organizations; nothing is shown",
	"ListDaemonsSeenSince":           reasonHealth,
	"CountWorkspacesByStatus":        reasonHealth,
	"CountOwnedWorkspaces":           "deleting a user is refused while any organization has a workspace of theirs",
	"GetWorkspace":                   reasonByID,
	"GetWorkspaceByName":             "by owner and name, as the API and its URLs have it; server/load.go authorizes the row",
	"GetDeletedWorkspaceByName":      "by owner and name, as the API and its URLs have it; server/load.go authorizes the row",
	"ListWorkspacesByIDs":            reasonAuthorized,
	"ListWorkspacesForLifecycle":     reasonLoop,
	"GetWorkspaceBuild":              reasonByID,
	"ListAutofillParameters":         "a user's own builds of one authorized template",
	"ListResourcesOfJobs":            reasonAuthorized,
	"ListAgentsOfJobs":               reasonAuthorized,
	"GetWorkspaceAgent":              reasonByID,
}

func TestEveryQueryNamesItsOrganization(t *testing.T) {
	all := readQueries(t)
	for name, q := range all {
		switch {
		case q.isDeploymentWide() && deploymentWide[name] == "":
			t.Errorf("%s says \"scope: deployment\" and is not on the reviewed list of this test: name the organization, or add it with a reason", name)
		case !q.isDeploymentWide() && deploymentWide[name] != "":
			t.Errorf("%s is on the reviewed list and does not say \"scope: deployment\"", name)
		case q.isDeploymentWide() && q.namesOrganization():
			t.Errorf("%s names its organization: it needs no \"scope: deployment\"", name)
		case !q.isDeploymentWide() && !q.namesOrganization():
			t.Errorf("%s names no organization: add organization_id = @organization_id (or IN (SELECT value FROM json_list(@organization_ids))), or say \"-- scope: deployment\"", name)
		}
	}
	for name := range deploymentWide {
		require.Contains(t, all, name, "the reviewed list names a query that is gone")
	}
}
