package server

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"coder/client"
	"coder/store"
)

// Kinds of entries of access lists.
const (
	actorUser  = "user"
	actorGroup = "group"
)

// aclEntries are changes of an access list as a request names them.
type aclEntries struct {
	field string
	// what is either member or group.
	what  string
	roles map[string]string
}

// checkACL wants members and groups of the organization, each named once, and
// names all that is wrong. Entries that only go away are not looked up: their
// user or group may be gone.
func checkACL(ctx context.Context, tx *store.Store, organizationID uuid.UUID, lists ...aclEntries) error {
	var wrong []client.ValidationError
	for _, list := range lists {
		named := map[uuid.UUID]bool{}
		for _, text := range slices.Sorted(maps.Keys(list.roles)) {
			problem, err := list.problem(ctx, tx, organizationID, text, named)
			if err != nil {
				return err
			}
			if problem != "" {
				wrong = append(wrong, client.ValidationError{Field: list.field, Detail: problem})
			}
		}
	}
	if wrong != nil {
		return badRequest("The request is not valid.", wrong...)
	}
	return nil
}

func (l aclEntries) problem(ctx context.Context, tx *store.Store, organizationID uuid.UUID, text string, named map[uuid.UUID]bool) (string, error) {
	id, err := uuid.Parse(text)
	if err != nil {
		return fmt.Sprintf("%q is not a UUID.", text), nil
	}
	if named[id] {
		return fmt.Sprintf("The %s %s is named twice.", l.what, id), nil
	}
	named[id] = true
	switch role := l.roles[text]; role {
	case "":
		return "", nil
	case client.TemplateRoleUse, client.TemplateRoleAdmin:
	default:
		return fmt.Sprintf("%q is not a role; use %s, %s, or nothing to remove the entry.", role, client.TemplateRoleAdmin, client.TemplateRoleUse), nil
	}
	known, err := l.known(ctx, tx, organizationID, id)
	if err != nil || known {
		return "", err
	}
	return fmt.Sprintf("The organization has no %s %s.", l.what, id), nil
}

func (l aclEntries) known(ctx context.Context, tx *store.Store, organizationID, id uuid.UUID) (bool, error) {
	if l.what == "member" {
		return isMember(ctx, tx, organizationID, id)
	}
	return isGroup(ctx, tx, organizationID, id)
}

func mergeACL(acl store.StringMap, changes map[string]string) store.StringMap {
	out := cloneMap(acl)
	for text, role := range changes {
		id, err := uuid.Parse(text)
		if err != nil {
			continue // checkACL has refused it
		}
		if role == "" {
			delete(out, id.String())
		} else {
			out[id.String()] = role
		}
	}
	return out
}

// listedGroups are the groups of an organization that stand on an access list.
func (a *api) listedGroups(ctx context.Context, organizationID uuid.UUID, listed func(uuid.UUID) bool) ([]client.Group, error) {
	org, err := a.store.GetOrganization(ctx, organizationID)
	if err != nil {
		return nil, err
	}
	groups, err := a.store.ListGroups(ctx, org.ID)
	if err != nil {
		return nil, err
	}
	return a.groupResponses(ctx, org, slices.DeleteFunc(groups, func(g store.Group) bool { return !listed(g.ID) }))
}

// dropFromAccessLists forgets a user or a group of an organization in the
// access lists of its templates and workspaces, inside a transaction, and
// returns what the audit log says about it.
func (a *api) dropFromAccessLists(ctx context.Context, organizationID, actorID uuid.UUID) ([]auditEntry, error) {
	templates, err := a.store.ListTemplates(ctx, store.ListTemplatesParams{OrganizationIds: store.IDs([]uuid.UUID{organizationID})})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(templates, func(x, y store.Template) int { return bytes.Compare(x.ID[:], y.ID[:]) })
	var entries []auditEntry
	id := actorID.String()
	for _, t := range templates {
		if t.UserACL[id] == "" && t.GroupACL[id] == "" {
			continue
		}
		gone := map[string]string{id: ""}
		entry, err := a.storeTemplateACL(ctx, t, mergeACL(t.UserACL, gone), mergeACL(t.GroupACL, gone))
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry)
	}
	shared, err := a.store.ListWorkspacesOfActor(ctx, store.ListWorkspacesOfActorParams{OrganizationID: organizationID, ActorID: actorID})
	if err != nil {
		return nil, err
	}
	for _, row := range shared {
		entries = append(entries, workspaceACLChanged(row.Workspace, map[string]string{id: row.Role}, nil))
	}
	_, err = a.store.DeleteWorkspaceACLOfActor(ctx, store.DeleteWorkspaceACLOfActorParams{OrganizationID: organizationID, ActorID: actorID})
	return entries, err
}

// auditTemplateACL is the access list of a template, by the ids on it.
type auditTemplateACL struct {
	Users  store.StringMap `json:"user_acl"`
	Groups store.StringMap `json:"group_acl"`
}

func (a *api) storeTemplateACL(ctx context.Context, t store.Template, users, groups store.StringMap) (auditEntry, error) {
	entry := auditEntry{organization: t.OrganizationID, kind: client.AuditTemplate, action: client.AuditWrite, id: t.ID, target: t.Name, icon: t.Icon}
	entry.before, entry.after = auditTemplateACL{t.UserACL, t.GroupACL}, auditTemplateACL{users, groups}
	return entry, a.store.UpdateTemplateACL(ctx, store.UpdateTemplateACLParams{
		OrganizationID: t.OrganizationID, ID: t.ID, UserACL: users, GroupACL: groups, UpdatedAt: store.At(a.now()),
	})
}

// auditWorkspaceACL has the entries that changed, by the ids of users and groups.
type auditWorkspaceACL struct {
	SharedWith map[string]string `json:"shared_with"`
}

func workspaceACLChanged(w store.Workspace, before, after map[string]string) auditEntry {
	return auditEntry{
		organization: w.OrganizationID, kind: client.AuditWorkspace, action: client.AuditWrite, id: w.ID, target: w.Name,
		before: auditWorkspaceACL{before}, after: auditWorkspaceACL{after},
	}
}
