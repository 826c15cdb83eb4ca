package ui

import (
	"fmt"
	"maps"

	"github.com/google/uuid"

	"coder/client"
)

// checks are questions to the API: what may the person at the browser do? What
// would be refused is not offered.
type checks map[string]client.AuthorizationCheck

// and joins questions.
func (c checks) and(others checks) checks {
	all := maps.Clone(c)
	maps.Copy(all, others)
	return all
}

func onSite(action, resource string) client.AuthorizationCheck {
	return client.AuthorizationCheck{Action: action, Object: client.AuthorizationObject{ResourceType: resource}}
}

func inSomeOrganization(action, resource string) client.AuthorizationCheck {
	return client.AuthorizationCheck{Action: action, Object: client.AuthorizationObject{ResourceType: resource, AnyOrg: true}}
}

func inOrganization(id uuid.UUID, action, resource string) client.AuthorizationCheck {
	return client.AuthorizationCheck{Action: action, Object: client.AuthorizationObject{ResourceType: resource, OrganizationID: id.String()}}
}

func onObject(id uuid.UUID, action, resource string) client.AuthorizationCheck {
	return client.AuthorizationCheck{Action: action, Object: client.AuthorizationObject{ResourceType: resource, ResourceID: id.String()}}
}

// siteChecks are what the top bar depends on.
func siteChecks() checks {
	return checks{
		"create organizations": onSite("create", "organization"),
		"read users":           onSite("read", "user"),
		"read audit":           inSomeOrganization("read", "audit_log"),
		"read health":          onSite("read", "debug_info"),
		"create templates":     inSomeOrganization("create", "template"),
	}
}

// organizationChecks are what the pages of an organization depend on.
func organizationChecks(id uuid.UUID) checks {
	in := func(action, resource string) client.AuthorizationCheck { return inOrganization(id, action, resource) }
	return checks{
		"change organization":  {Action: "update", Object: client.AuthorizationObject{ResourceType: "organization", OrganizationID: id.String(), ResourceID: id.String()}},
		"delete organization":  {Action: "delete", Object: client.AuthorizationObject{ResourceType: "organization", OrganizationID: id.String(), ResourceID: id.String()}},
		"read members":         in("read", "organization_member"),
		"add members":          in("create", "organization_member"),
		"remove members":       in("delete", "organization_member"),
		"read roles":           in("read", "assign_org_role"),
		"assign roles":         in("assign", "assign_org_role"),
		"create roles":         in("create", "assign_org_role"),
		"change roles":         in("update", "assign_org_role"),
		"delete roles":         in("delete", "assign_org_role"),
		"create groups":        in("create", "group"),
		"change groups":        in("update", "group"),
		"delete groups":        in("delete", "group"),
		"read provisioners":    in("read", "provisioner_jobs"),
		"change provisioners":  in("update", "provisioner_daemon"),
		"read keys":            in("read", "provisioner_daemon"),
		"create keys":          in("create", "provisioner_daemon"),
		"delete keys":          in("delete", "provisioner_daemon"),
		"audit organization":   in("read", "audit_log"),
		"create its templates": in("create", "template"),
		"read workspaces":      in("read", "workspace"),
	}
}

// rights are the API's answers.
type rights map[string]bool

// Can answers a question that the page asked. One that it did not ask is a
// mistake in the page.
func (r rights) Can(what string) (bool, error) {
	allowed, asked := r[what]
	if !asked {
		return false, fmt.Errorf("the page never asked whether its person may %s", what)
	}
	return allowed, nil
}
