package server

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

func (a *api) workspaceACLRoutes(r *router) {
	share := onObject(authz.Share, authz.Workspace)
	handle(r, get, "/workspaces/{workspace}/acl", "Get with whom a workspace is shared", onObject(authz.Read, authz.Workspace), a.getWorkspaceACL)
	handle(r, patch, "/workspaces/{workspace}/acl", "Share a workspace, or stop to", share, a.updateWorkspaceACL, noContent)
	handle(r, del, "/workspaces/{workspace}/acl", "Stop to share a workspace with anybody", share, a.deleteWorkspaceACL, noContent)
}

type updateWorkspaceACLInput struct {
	WorkspacePath
	Body client.UpdateWorkspaceACLRequest
}

type workspaceSharingInput struct {
	OrganizationPath
	Body client.UpdateWorkspaceSharingSettingsRequest
}

func (a *api) getWorkspaceACL(ctx context.Context, in *WorkspacePath) (*output[client.WorkspaceACL], error) {
	w, err := a.liveWorkspace(ctx, authz.Read, in.Workspace)
	if err != nil {
		return nil, err
	}
	rows, err := a.store.ListWorkspaceACL(ctx, store.ListWorkspaceACLParams{OrganizationID: w.OrganizationID, WorkspaceID: w.ID})
	if err != nil {
		return nil, err
	}
	roles, ids := map[uuid.UUID]string{}, []uuid.UUID{}
	for _, row := range rows {
		roles[row.ActorID] = row.Role
		ids = append(ids, row.ActorID)
	}
	users, err := a.store.ListUsersByIDs(ctx, store.IDs(ids))
	if err != nil {
		return nil, err
	}
	groups, err := a.listedGroups(ctx, w.OrganizationID, func(id uuid.UUID) bool { return roles[id] != "" })
	if err != nil {
		return nil, err
	}
	out := client.WorkspaceACL{Users: []client.WorkspaceUser{}, Groups: []client.WorkspaceGroup{}}
	for _, u := range users {
		user := client.MinimalUser{ID: u.ID, Username: u.Username, Name: u.Name, AvatarURL: u.AvatarURL}
		out.Users = append(out.Users, client.WorkspaceUser{MinimalUser: user, Role: roles[u.ID]})
	}
	for _, g := range groups {
		out.Groups = append(out.Groups, client.WorkspaceGroup{Group: g, Role: roles[g.ID]})
	}
	slices.SortFunc(out.Users, func(x, y client.WorkspaceUser) int { return strings.Compare(x.Username, y.Username) })
	return reply(out), nil
}

// updateWorkspaceACL makes all changes of the list, or none.
func (a *api) updateWorkspaceACL(ctx context.Context, in *updateWorkspaceACLInput) (*empty, error) {
	return a.changeWorkspaceACL(ctx, in.Workspace, func(tx *store.Store, w store.Workspace) error {
		users, groups := aclEntries{"user_roles", "member", in.Body.UserRoles}, aclEntries{"group_roles", "group", in.Body.GroupRoles}
		if err := checkACL(ctx, tx, w.OrganizationID, users, groups); err != nil {
			return err
		}
		if role := mergeACL(nil, in.Body.UserRoles)[w.OwnerID.String()]; role != "" {
			return invalid("user_roles", "The workspace belongs to the user %s; it cannot be shared with its owner.", w.OwnerID)
		}
		for kind, roles := range map[string]map[string]string{actorUser: in.Body.UserRoles, actorGroup: in.Body.GroupRoles} {
			for text, role := range roles {
				if err := a.setWorkspaceRole(ctx, tx, w, kind, uuid.MustParse(text), role); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (a *api) setWorkspaceRole(ctx context.Context, tx *store.Store, w store.Workspace, kind string, actorID uuid.UUID, role string) error {
	if role == "" {
		_, err := tx.DeleteWorkspaceACLEntry(ctx, store.DeleteWorkspaceACLEntryParams{OrganizationID: w.OrganizationID, WorkspaceID: w.ID, ActorID: actorID})
		return err
	}
	at := store.At(a.now())
	return tx.SetWorkspaceACLEntry(ctx, store.SetWorkspaceACLEntryParams{
		WorkspaceID: w.ID, OrganizationID: w.OrganizationID, ActorType: kind, ActorID: actorID, Role: role, CreatedAt: at, UpdatedAt: at,
	})
}

func (a *api) deleteWorkspaceACL(ctx context.Context, in *WorkspacePath) (*empty, error) {
	return a.changeWorkspaceACL(ctx, in.Workspace, func(tx *store.Store, w store.Workspace) error {
		_, err := tx.DeleteWorkspaceACL(ctx, store.DeleteWorkspaceACLParams{OrganizationID: w.OrganizationID, WorkspaceID: w.ID})
		return err
	})
}

// changeWorkspaceACL asks for the organization's setting before the caller's
// own right, because it is the better reason for a refusal.
func (a *api) changeWorkspaceACL(ctx context.Context, id uuid.UUID, change func(*store.Store, store.Workspace) error) (*empty, error) {
	err := a.store.InTx(ctx, func(tx *store.Store) error {
		inner := a.withStore(tx)
		w, err := inner.liveWorkspace(ctx, authz.Read, id)
		if err != nil {
			return err
		}
		org, err := tx.GetOrganization(ctx, w.OrganizationID)
		if err != nil {
			return err
		}
		if err := a.checkSharing(org); err != nil {
			return err
		}
		if err := inner.checkWorkspace(ctx, authz.Share, w); err != nil {
			return err
		}
		before, err := workspaceRoles(ctx, tx, w)
		if err != nil {
			return err
		}
		if err := change(tx, w); err != nil {
			return err
		}
		after, err := workspaceRoles(ctx, tx, w)
		if err != nil || maps.Equal(before, after) {
			return err
		}
		return a.audit(ctx, tx, workspaceACLChanged(w, before, after))
	})
	if err != nil {
		return nil, err
	}
	a.workspaceChanged(id)
	return &empty{}, nil
}

// workspaceRoles are those of the access list by the ids of users and groups.
func workspaceRoles(ctx context.Context, tx *store.Store, w store.Workspace) (map[string]string, error) {
	rows, err := tx.ListWorkspaceACL(ctx, store.ListWorkspaceACLParams{OrganizationID: w.OrganizationID, WorkspaceID: w.ID})
	if err != nil {
		return nil, err
	}
	roles := map[string]string{}
	for _, row := range rows {
		roles[row.ActorID.String()] = row.Role
	}
	return roles, nil
}

// checkSharing refuses, also to owners of the deployment, what the server or
// the organization has ruled out. There are no service accounts.
func (a *api) checkSharing(org store.Organization) error {
	switch {
	case a.options.DisableWorkspaceSharing:
		return forbidden("Workspaces may not be shared in this deployment.")
	case org.ShareableWorkspaceOwners == client.ShareableEveryone:
		return nil
	case org.ShareableWorkspaceOwners == client.ShareableServiceAccounts:
		return forbidden(fmt.Sprintf("In the organization %s only workspaces of service accounts may be shared; this one belongs to a person.", org.Name))
	}
	return forbidden(fmt.Sprintf("Workspaces of the organization %s may not be shared.", org.Name))
}

// sharedWith lists the users and groups of each workspace that is shared, with
// one query for all of them.
func (a *api) sharedWith(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID][]client.SharedWorkspaceActor, error) {
	if len(ids) == 0 {
		return map[uuid.UUID][]client.SharedWorkspaceActor{}, nil
	}
	rows, err := a.store.ListWorkspaceACLNames(ctx, store.IDs(ids))
	if err != nil {
		return nil, fmt.Errorf("read access lists: %w", err)
	}
	out := map[uuid.UUID][]client.SharedWorkspaceActor{}
	for _, row := range rows {
		out[row.WorkspaceID] = append(out[row.WorkspaceID], client.SharedWorkspaceActor{
			ID: row.ActorID, ActorType: row.ActorType, Name: row.Name, AvatarURL: row.AvatarURL, Roles: []string{row.Role},
		})
	}
	return out, nil
}

func (a *api) getWorkspaceSharing(ctx context.Context, _ *OrganizationPath) (*output[client.WorkspaceSharingSettings], error) {
	return reply(a.sharingResponse(organizationFrom(ctx))), nil
}

// updateWorkspaceSharing ends at once what may no longer be shared.
func (a *api) updateWorkspaceSharing(ctx context.Context, in *workspaceSharingInput) (*output[client.WorkspaceSharingSettings], error) {
	owners := in.Body.ShareableWorkspaceOwners
	switch {
	case owners != "":
	case in.Body.SharingDisabled == nil:
		return nil, invalid("shareable_workspace_owners", "Say whose workspaces may be shared: none, everyone or service_accounts.")
	case *in.Body.SharingDisabled:
		owners = client.ShareableNone
	default:
		owners = client.ShareableEveryone
	}
	var updated store.Organization
	err := a.store.InTx(ctx, func(tx *store.Store) error {
		old, err := tx.GetOrganization(ctx, organizationFrom(ctx).ID)
		if err != nil {
			return err
		}
		updated, err = tx.UpdateOrganizationSharing(ctx, store.UpdateOrganizationSharingParams{OrganizationID: old.ID, ShareableWorkspaceOwners: owners, UpdatedAt: store.At(a.now())})
		if err != nil {
			return err
		}
		entry := organizationEntry(client.AuditWrite, updated)
		entry.before, entry.after = auditSharing{old.ShareableWorkspaceOwners}, auditSharing{updated.ShareableWorkspaceOwners}
		if owners != client.ShareableEveryone {
			ended, err := tx.DeleteWorkspaceACLOfOrganization(ctx, old.ID)
			if err != nil {
				return err
			}
			entry.fields = map[string]any{"shares_ended": ended}
		}
		return a.audit(ctx, tx, entry)
	})
	if err != nil {
		return nil, err
	}
	return reply(a.sharingResponse(updated)), nil
}

type auditSharing struct {
	ShareableWorkspaceOwners string `json:"shareable_workspace_owners"`
}

func (a *api) sharingResponse(org store.Organization) client.WorkspaceSharingSettings {
	return client.WorkspaceSharingSettings{
		SharingGloballyDisabled: a.options.DisableWorkspaceSharing, ShareableWorkspaceOwners: org.ShareableWorkspaceOwners,
		SharingDisabled: org.ShareableWorkspaceOwners == client.ShareableNone,
	}
}
