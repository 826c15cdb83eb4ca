package client

import (
	"context"
	"net/http"

	"github.com/google/uuid"
)

// Roles of a template's access list. An empty role in an update removes the entry.
const (
	TemplateRoleAdmin = "admin"
	TemplateRoleUse   = "use"
)

// TemplateACL is who may do what with a template apart from roles. The field
// of the groups is called group, as in the reference.
type TemplateACL struct {
	Users  []TemplateUser  `json:"users"`
	Groups []TemplateGroup `json:"group"`
}

// TemplateUser is a user with a role on a template.
type TemplateUser struct {
	User
	Role string `json:"role" enum:"admin,use"`
}

// TemplateGroup is a group with a role on a template.
type TemplateGroup struct {
	Group
	Role string `json:"role" enum:"admin,use"`
}

// UpdateTemplateACLRequest changes the entries named, by user and group id,
// and keeps the others.
type UpdateTemplateACLRequest struct {
	UserPerms  map[string]string `json:"user_perms,omitempty" doc:"User id to admin, use, or empty to remove"`
	GroupPerms map[string]string `json:"group_perms,omitempty" doc:"Group id to admin, use, or empty to remove"`
}

// TemplateACLAvailable is who could be put on a template's access list.
type TemplateACLAvailable struct {
	Users  []ReducedUser `json:"users"`
	Groups []Group       `json:"groups"`
}

// TemplateACL reads the access list of a template.
func (c *Client) TemplateACL(ctx context.Context, template uuid.UUID) (TemplateACL, error) {
	return get[TemplateACL](ctx, c, apiPath("templates", template, "acl"))
}

// UpdateTemplateACL changes the access list of a template.
func (c *Client) UpdateTemplateACL(ctx context.Context, template uuid.UUID, req UpdateTemplateACLRequest) error {
	return c.exec(ctx, http.MethodPatch, apiPath("templates", template, "acl"), req)
}

// TemplateACLAvailable lists who could be put on the access list of a template.
func (c *Client) TemplateACLAvailable(ctx context.Context, template uuid.UUID, query string) (TemplateACLAvailable, error) {
	return get[TemplateACLAvailable](ctx, c, withQuery(apiPath("templates", template, "acl", "available"), searchQuery(query)))
}
