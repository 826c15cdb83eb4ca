package server

import (
	"context"
	"fmt"
	"strings"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

// namedContents is how many of each kind are named.
const namedContents = 50

// organizationContents tells what a delete would be refused for, and changes nothing.
func (a *api) organizationContents(ctx context.Context, _ *OrganizationPath) (*output[client.OrganizationContents], error) {
	org := organizationFrom(ctx)
	counts, err := a.store.CountOrganizationContents(ctx, org.ID)
	if err != nil {
		return nil, fmt.Errorf("count what is in the organization: %w", err)
	}
	rows, err := a.store.ListOrganizationContents(ctx, store.ListOrganizationContentsParams{OrganizationID: org.ID, MaxRows: namedContents})
	if err != nil {
		return nil, fmt.Errorf("list what is in the organization: %w", err)
	}
	blocking := inTheWay(counts)
	for i, content := range blocking {
		for _, row := range rows {
			if row.Kind == content.Kind && mayName(ctx, org, row.Kind) {
				blocking[i].Names = append(blocking[i].Names, row.Name)
			}
		}
	}
	return reply(client.OrganizationContents{OrganizationID: org.ID, Deletable: !org.IsDefault && len(blocking) == 0, InTheWay: blocking}), nil
}

// contentResources are what must be readable for a kind to be named.
var contentResources = map[string]authz.Resource{
	client.ContentWorkspace: authz.Workspace, client.ContentTemplate: authz.Template, client.ContentProvisionerKey: authz.ProvisionerDaemon,
	client.ContentMember: authz.OrganizationMember, client.ContentGroup: authz.Group,
}

// mayName: the right to delete an organization is not the right to read all
// that is in it, and a token's allow list may name a part of it only.
func mayName(ctx context.Context, org store.Organization, kind string) bool {
	subject, resource := subjectFrom(ctx), contentResources[kind]
	return subject.Only(resource) == nil && subject.Can(authz.Read, authz.Object{Type: resource, OrganizationID: org.ID})
}

// inTheWay is what has to be deleted first; the last member goes with the
// organization.
func inTheWay(c store.CountOrganizationContentsRow) []client.OrganizationContent {
	blocking := []client.OrganizationContent{}
	for _, content := range []client.OrganizationContent{
		{Kind: client.ContentWorkspace, Count: c.Workspaces}, {Kind: client.ContentTemplate, Count: c.Templates},
		{Kind: client.ContentProvisionerKey, Count: c.ProvisionerKeys}, {Kind: client.ContentMember, Count: c.Members, Stay: 1},
		{Kind: client.ContentGroup, Count: c.Groups},
	} {
		if content.Count > content.Stay {
			content.Names = []string{}
			blocking = append(blocking, content)
		}
	}
	return blocking
}

// countContents is the kinds with their numbers, as people say it.
func countContents(blocking []client.OrganizationContent) string {
	parts := make([]string, len(blocking))
	for i, content := range blocking {
		parts[i] = plural(content.Count, strings.ReplaceAll(content.Kind, "_", " "))
		if content.Stay > 0 {
			parts[i] += " (one may stay)"
		}
	}
	return strings.Join(parts, ", ")
}
