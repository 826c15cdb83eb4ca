package server

import (
	"net/http"

	"coder/internal/authz"
	"coder/server/ui"
)

const (
	get   = http.MethodGet
	post  = http.MethodPost
	put   = http.MethodPut
	patch = http.MethodPatch
	del   = http.MethodDelete
)

// routes is the whole API, one row an operation: method, path, what it does,
// who may, and the handler.
func (a *api) routes(r *router) {
	handle(r, get, "/organizations", "List organizations", session(), a.listOrganizations)
	handle(r, post, "/organizations", "Create an organization", onSite(authz.Create, authz.Organization), a.createOrganization, created)
	handle(r, get, "/organizations/{organization}", "Get an organization", inOrganization(authz.Read, authz.Organization), a.getOrganization)
	handle(r, patch, "/organizations/{organization}", "Change an organization", inOrganization(authz.Update, authz.Organization), a.updateOrganization)
	handle(r, del, "/organizations/{organization}", "Delete an empty organization", inOrganization(authz.Delete, authz.Organization), a.deleteOrganization)
	handle(r, get, "/organizations/{organization}/contents", "List what stands in the way of deleting an organization", inOrganization(authz.Delete, authz.Organization), a.organizationContents)
	handle(r, get, "/organizations/{organization}/settings/workspace-sharing", "Tell whose workspaces may be shared", inOrganization(authz.Read, authz.Organization).visibly(), a.getWorkspaceSharing)
	handle(r, patch, "/organizations/{organization}/settings/workspace-sharing", "Say whose workspaces may be shared", inOrganization(authz.Update, authz.Organization).visibly(), a.updateWorkspaceSharing)
	handle(r, get, "/users/{user}/organizations", "List a user's organizations", onObject(authz.Read, authz.User), a.listUserOrganizations)
	handle(r, get, "/users/{user}/organizations/{name}", "Get an organization by name", onObject(authz.Read, authz.Organization), a.getUserOrganization)
	a.provisionerJobRoutes(r)
	a.provisionerProtocolRoutes(r)
	a.sessionRoutes(r)
	a.userRoutes(r)
	a.tokenRoutes(r)
	a.memberRoutes(r)
	a.roleRoutes(r)
	a.workspaceRoutes(r)
	a.fileRoutes(r)
	a.templateRoutes(r)
	a.templateVersionRoutes(r)
	a.templateACLRoutes(r)
	a.insightsRoutes(r)
	a.groupRoutes(r)
	a.provisionerKeyRoutes(r)
	a.provisionerDaemonRoutes(r)
	a.deploymentRoutes(r)
	a.userSettingRoutes(r)
	a.auditRoutes(r)
	a.quotaRoutes(r)
	a.keyRoutes(r)
	a.recoveryRoutes(r)
}

// rootRoutes are the few paths outside of the API that every client and load
// balancer looks for, and the answer below the API where there is no route.
func (a *api) rootRoutes(r *router) error {
	r.mux.HandleFunc("GET /healthz", a.healthz)
	r.mux.HandleFunc("GET /latency-check", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	r.mux.HandleFunc("GET /bin/{file}", a.agentBinary)
	r.mux.HandleFunc(apiPrefix+"/", r.noRoute)
	cookie := a.sessionCookie("", 0)
	pages, err := ui.New(ui.Options{
		API: a.wrap(r.mux), AccessURL: a.accessURL, Version: a.version, Logger: a.logger, Now: a.now,
		ListsAtOnce: 2 * a.store.ParallelReads(), SecureCookie: cookie.Secure,
	})
	if err != nil {
		return err
	}
	pages.Register(r.mux)
	return nil
}

func (a *api) sessionRoutes(r *router) {
	handle(r, get, "/users/first", "Tell whether the deployment has users", public(), a.getFirstUser)
	handle(r, post, "/users/first", "Create the first user", public(), a.createFirstUser, created)
	handle(r, post, "/users/login", "Sign in with a password", public(), a.login, created, evenFull())
	handle(r, post, "/users/logout", "Sign out", session(), a.logout, evenFull())
	handle(r, get, "/users/authmethods", "List the ways to sign in", public(), a.authMethods)
	handle(r, post, "/users/validate-password", "Tell whether a password is good enough", public(), a.validatePassword)
	handle(r, put, "/users/{user}/password", "Change a password", onObject(authz.UpdatePersonal, authz.User), a.updatePassword, noContent)
}

func (a *api) userRoutes(r *router) {
	handle(r, get, "/users", "List users", session(), a.listUsers)
	handle(r, post, "/users", "Create a user", onSite(authz.Create, authz.User), a.createUser, created)
	handle(r, get, "/users/{user}", "Get a user", onObject(authz.Read, authz.User), a.getUser)
	handle(r, del, "/users/{user}", "Delete a user who owns no workspaces", onObject(authz.Delete, authz.User), a.deleteUser)
	handle(r, put, "/users/{user}/profile", "Change the names of a user", onObject(authz.UpdatePersonal, authz.User), a.updateProfile)
	handle(r, put, "/users/{user}/status/suspend", "Suspend a user", onObject(authz.Update, authz.User), a.suspendUser)
	handle(r, put, "/users/{user}/status/activate", "Activate a user", onObject(authz.Update, authz.User), a.activateUser)
	handle(r, get, "/users/{user}/roles", "Get the roles of a user", onObject(authz.ReadPersonal, authz.User), a.userRoles)
	handle(r, put, "/users/{user}/roles", "Replace the site roles of a user", onObject(authz.Assign, authz.AssignRole), a.updateUserRoles)
	handle(r, get, "/users/{user}/login-type", "Tell how the caller signs in", session(), a.userLoginType)
	handle(r, get, "/users/{user}/gitsshkey", "Get a user's public SSH key", onObject(authz.ReadPersonal, authz.User), a.getGitSSHKey)
	handle(r, put, "/users/{user}/gitsshkey", "Replace a user's SSH key", onObject(authz.UpdatePersonal, authz.User), a.regenerateGitSSHKey)
}

func (a *api) tokenRoutes(r *router) {
	handle(r, get, "/users/{user}/keys", "List where a user is signed in", onObject(authz.Read, authz.APIKey), a.listSessions)
	handle(r, post, "/users/{user}/keys", "Open a session for a user", onObject(authz.Create, authz.APIKey), a.createAPIKey, created)
	handle(r, post, "/users/{user}/keys/tokens", "Create a token", onObject(authz.Create, authz.APIKey), a.createToken, created)
	handle(r, get, "/users/{user}/keys/tokens", "List tokens", onObject(authz.Read, authz.APIKey), a.listTokens)
	handle(r, get, "/users/{user}/keys/tokens/tokenconfig", "Get the longest lifetime of a user's tokens", onObject(authz.Read, authz.APIKey), a.tokenConfig)
	handle(r, get, "/users/{user}/keys/tokens/{keyname}", "Get a token by name", onObject(authz.Read, authz.APIKey), a.getTokenByName)
	handle(r, get, "/users/{user}/keys/{keyid}", "Get a session or token by id", onObject(authz.Read, authz.APIKey), a.getAPIKey)
	handle(r, del, "/users/{user}/keys/{keyid}", "Delete a session or token", onObject(authz.Delete, authz.APIKey), a.deleteAPIKey, noContent)
	handle(r, put, "/users/{user}/keys/{keyid}/expire", "End a session or token and keep its record", onObject(authz.Update, authz.APIKey), a.expireAPIKey, noContent)
	handle(r, get, "/auth/scopes", "List the scopes that tokens may have", public(), a.listScopes)
}

func (a *api) memberRoutes(r *router) {
	handle(r, get, "/organizations/{organization}/members", "List members", inOrganization(authz.Read, authz.OrganizationMember), a.listMembers, deprecated())
	handle(r, get, "/organizations/{organization}/paginated-members", "List members by pages", inOrganization(authz.Read, authz.OrganizationMember), a.pageMembers)
	handle(r, get, "/organizations/{organization}/members/{user}", "Get a member", inOrganization(authz.Read, authz.Organization), a.getMember)
	handle(r, post, "/organizations/{organization}/members/{user}", "Add a member", inOrganization(authz.Create, authz.OrganizationMember), a.addMember)
	handle(r, del, "/organizations/{organization}/members/{user}", "Remove a member", inOrganization(authz.Delete, authz.OrganizationMember), a.removeMember, noContent)
	handle(r, put, "/organizations/{organization}/members/{user}/roles", "Replace the roles of a member", inOrganization(authz.Assign, authz.AssignOrgRole).visibly(), a.updateMemberRoles)
}

func (a *api) roleRoutes(r *router) {
	handle(r, get, "/users/roles", "List the site roles", onSite(authz.Read, authz.AssignRole), a.listSiteRoles)
	handle(r, get, "/organizations/{organization}/members/roles", "List the roles of an organization", inOrganization(authz.Read, authz.AssignOrgRole), a.listOrganizationRoles)
	handle(r, post, "/organizations/{organization}/members/roles", "Make a custom role", inOrganization(authz.Create, authz.AssignOrgRole), a.createRole)
	handle(r, put, "/organizations/{organization}/members/roles", "Change a custom role", inOrganization(authz.Update, authz.AssignOrgRole), a.updateRole)
	handle(r, del, "/organizations/{organization}/members/roles/{role}", "Delete a custom role", inOrganization(authz.Delete, authz.AssignOrgRole).visibly(), a.deleteRole, noContent)
}

func (a *api) groupRoutes(r *router) {
	handle(r, get, "/organizations/{organization}/groups", "List the groups of an organization", inOrganization(authz.Read, authz.Organization), a.listOrganizationGroups)
	handle(r, get, "/organizations/{organization}/groups/{groupName}", "Get a group by name", inOrganization(authz.Read, authz.Organization), a.getGroupByName)
	handle(r, get, "/organizations/{organization}/groups/{groupName}/members", "List the members of a group by its name", inOrganization(authz.Read, authz.Organization), a.listGroupMembersByName)
	handle(r, get, "/organizations/{organization}/paginated-groups", "List the groups of an organization by pages", inOrganization(authz.Read, authz.Organization), a.pageGroups, strictQuery())
	handle(r, post, "/organizations/{organization}/groups", "Create a group", inOrganization(authz.Create, authz.Group), a.createGroup, created)
	handle(r, patch, "/groups/{group}", "Change a group and its members", onObject(authz.Update, authz.Group), a.updateGroup)
	handle(r, del, "/groups/{group}", "Delete a group", onObject(authz.Delete, authz.Group), a.deleteGroup)
	handle(r, get, "/groups", "List groups of all organizations", session(), a.listGroups, strictQuery())
	handle(r, get, "/groups/{group}", "Get a group", onObject(authz.Read, authz.Group), a.getGroup)
	handle(r, get, "/groups/{group}/members", "List the members of a group", onObject(authz.Read, authz.Group), a.listGroupMembers)
}

func (a *api) provisionerKeyRoutes(r *router) {
	handle(r, post, "/organizations/{organization}/provisionerkeys", "Create a provisioner key", inOrganization(authz.Create, authz.ProvisionerDaemon), a.createProvisionerKey, created)
	handle(r, get, "/organizations/{organization}/provisionerkeys", "List provisioner keys", inOrganization(authz.Read, authz.ProvisionerDaemon), a.listProvisionerKeys)
	handle(r, get, "/organizations/{organization}/provisionerkeys/daemons", "List provisioner keys with their daemons", inOrganization(authz.Read, authz.ProvisionerDaemon), a.listProvisionerKeyDaemons)
	handle(r, del, "/organizations/{organization}/provisionerkeys/{name}", "Delete a provisioner key", inOrganization(authz.Delete, authz.ProvisionerDaemon), a.deleteProvisionerKey, noContent)
	handle(r, post, "/organizations/{organization}/provisionerkeys/{name}/rotate", "Give a provisioner key another secret", inOrganization(authz.Create, authz.ProvisionerDaemon), a.rotateProvisionerKey)
	handle(r, post, "/organizations/{organization}/provisionerkeys/{name}/jointokens", "Create a token that one daemon may join with", inOrganization(authz.Create, authz.ProvisionerDaemon), a.createJoinToken, created)
	handle(r, post, "/provisionerkeys/join", "Make a provisioner key of a join token", public(), a.joinProvisioner)
	handle(r, get, "/provisionerkeys/{anything}", "Get the provisioner key in the header", public(), a.presentedProvisionerKey)
}

func (a *api) provisionerDaemonRoutes(r *router) {
	handle(r, get, "/organizations/{organization}/provisionerdaemons/demand", "Tell how many provisioner daemons are wanted", readJobs, a.provisionerDemand, strictQuery())
	handle(r, get, "/organizations/{organization}/provisionerdaemons", "List provisioner daemons", inOrganization(authz.Read, authz.ProvisionerJobs), a.listProvisionerDaemons, strictQuery())
	handle(r, post, "/organizations/{organization}/provisionerdaemons/{daemon}/drain", "Let a provisioner daemon finish its job and take no other", inOrganization(authz.Update, authz.ProvisionerDaemon), a.drainProvisionerDaemon, evenFull())
	handle(r, post, "/organizations/{organization}/provisionerdaemons/{daemon}/resume", "Let a drained provisioner daemon take jobs again", inOrganization(authz.Update, authz.ProvisionerDaemon), a.resumeProvisionerDaemon, evenFull())
}

func (a *api) deploymentRoutes(r *router) {
	handle(r, get, "/", "Say what this is", public(), a.greet)
	handleRaw(r, get, "/openapi.json", "Get this description of the API", public(), r.document())
	handle(r, get, "/buildinfo", "Get versions and addresses", public(), a.buildInfo)
	handle(r, get, "/updatecheck", "Tell whether a newer release is known", public(), a.updateCheck)
	handle(r, get, "/entitlements", "List what may be used: everything", public(), a.getEntitlements)
	handle(r, get, "/licenses", "List licences: there are none", session(), a.listLicenses)
	handle(r, post, "/licenses", "Not needed: everything is entitled", onSite(authz.Create, authz.License), a.addLicense, created)
	handle(r, post, "/licenses/refresh-entitlements", "Not needed: everything is entitled", onSite(authz.Create, authz.License), a.refreshEntitlements)
	handle(r, del, "/licenses/{id}", "There are no licences to delete", onSite(authz.Delete, authz.License), a.deleteLicense)
	handle(r, get, "/experiments", "List the experiments that are switched on", session(), a.listExperiments)
	handle(r, get, "/experiments/available", "List the experiments that could be", session(), a.availableExperiments)
	handle(r, get, "/deployment/config", "Get the server's settings", onSite(authz.Read, authz.DeploymentConfig), a.getDeploymentConfig)
	handle(r, get, "/deployment/stats", "Count workspaces and sessions", onSite(authz.Read, authz.DeploymentStats), a.getDeploymentStats)
	handle(r, get, "/deployment/ssh", "Get what an SSH configuration needs", session(), a.getSSHConfig)
	handle(r, get, "/regions", "List regions", session(), a.listRegions)
	handle(r, get, "/replicas", "List replicas", onSite(authz.Read, authz.Replicas), a.listReplicas)
	handle(r, get, "/applications/host", "Get the host name of applications", session(), a.getApplicationsHost)
	handle(r, get, "/appearance", "Get how the deployment presents itself", session(), a.getAppearance)
	handle(r, put, "/appearance", "Change how the deployment presents itself", onSite(authz.Update, authz.DeploymentConfig), a.updateAppearance)
	handleRaw(r, post, "/csp/reports", "Take a browser's report", public(), a.takeCSPReport)
	handle(r, post, "/authcheck", "Ask what the caller may do", session(), a.authCheck, evenFull())
	handle(r, get, "/debug/health", "Report on the deployment's parts", onSite(authz.Read, authz.DebugInfo), a.debugHealth)
	handleRaw(r, get, "/init-script/{os}/{arch}", "Get the script that starts an agent", public(), a.initScript)
}

func (a *api) userSettingRoutes(r *router) {
	handle(r, get, "/users/{user}/appearance", "Get how pages look for a user", onObject(authz.ReadPersonal, authz.User), a.getUserAppearance)
	handle(r, put, "/users/{user}/appearance", "Change how pages look for a user", onObject(authz.UpdatePersonal, authz.User), a.updateUserAppearance)
	handle(r, get, "/users/{user}/preferences", "Get a user's preferences", onObject(authz.ReadPersonal, authz.User), a.getUserPreferences)
	handle(r, put, "/users/{user}/preferences", "Change a user's preferences", onObject(authz.UpdatePersonal, authz.User), a.updateUserPreferences)
	handle(r, get, "/users/{user}/quiet-hours", "Get a user's quiet hours", onObject(authz.ReadPersonal, authz.User), a.getQuietHours)
	handle(r, put, "/users/{user}/quiet-hours", "Change a user's quiet hours", onObject(authz.UpdatePersonal, authz.User), a.updateQuietHours)
	handle(r, get, "/users/{user}/notifications/preferences", "List a user's notification preferences", onObject(authz.ReadPersonal, authz.User), a.getNotificationPreferences)
	handle(r, put, "/users/{user}/notifications/preferences", "Change a user's notification preferences", onObject(authz.UpdatePersonal, authz.User), a.updateNotificationPreferences)
}
