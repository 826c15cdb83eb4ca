package server

import (
	"net/http"

	"coder/internal/authz"
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
	handle(r, get, "/users/{user}/organizations", "List a user's organizations", onObject(authz.Read, authz.User), a.listUserOrganizations)
	handle(r, get, "/users/{user}/organizations/{name}", "Get an organization by name", onObject(authz.Read, authz.Organization), a.getUserOrganization)
	a.provisionerJobRoutes(r)
	a.provisionerProtocolRoutes(r)
}
