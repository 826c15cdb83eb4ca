package server

import (
	"fmt"
	"net/http"

	"coder/internal/authz"
)

// scope says how an operation is guarded.
type scope string

const (
	scopePublic       scope = "public"       // anybody
	scopeSession      scope = "session"      // anybody signed in; the rows are cut to what they may read
	scopeSite         scope = "site"         // the permission on the deployment
	scopeOrganization scope = "organization" // the permission in the organization in the path
	scopeObject       scope = "object"       // the permission on the object in the path, asked by load.go
	scopeDaemon       scope = "daemon"       // a provisioner key, a session, or the built-in secret
	scopeAttempt      scope = "attempt"      // the secret of one attempt
)

// permission is what an operation declares; there is no way to register one without.
type permission struct {
	scope    scope
	action   authz.Action
	resource authz.Resource
	// refusal is the status for a caller who sees the organization but lacks
	// the permission in it: 404, unless the reference says 403.
	refusal int
}

func public() permission  { return permission{scope: scopePublic} }
func session() permission { return permission{scope: scopeSession} }
func daemon() permission  { return permission{scope: scopeDaemon} }
func attempt() permission { return permission{scope: scopeAttempt} }

func onSite(a authz.Action, r authz.Resource) permission {
	return permission{scope: scopeSite, action: a, resource: r, refusal: http.StatusForbidden}
}

func inOrganization(a authz.Action, r authz.Resource) permission {
	return permission{scope: scopeOrganization, action: a, resource: r, refusal: http.StatusNotFound}
}

func onObject(a authz.Action, r authz.Resource) permission {
	return permission{scope: scopeObject, action: a, resource: r}
}

// visibly answers 403 where the default is 404.
func (p permission) visibly() permission {
	p.refusal = http.StatusForbidden
	return p
}

// String is how the OpenAPI document and the matrix name it.
func (p permission) String() string {
	if p.action == "" {
		return string(p.scope)
	}
	return fmt.Sprintf("%s %s:%s", p.scope, p.resource, p.action)
}
