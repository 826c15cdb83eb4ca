package server

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

func (a *api) createGroup(ctx context.Context, in *createGroupInput) (*output[client.Group], error) {
	if err := checkGroupName(in.Body.Name); err != nil {
		return nil, err
	}
	if err := checkName("display_name", client.NameDisplay, in.Body.DisplayName); err != nil {
		return nil, err
	}
	at := store.At(a.now())
	row := store.InsertGroupParams{
		ID: uuid.New(), OrganizationID: organizationFrom(ctx).ID, Name: in.Body.Name, DisplayName: in.Body.DisplayName, AvatarURL: in.Body.AvatarURL,
		QuotaAllowance: int64(in.Body.QuotaAllowance), Source: "user", CreatedAt: at, UpdatedAt: at,
	}
	var g store.Group
	err := a.store.InTx(ctx, func(tx *store.Store) (err error) {
		if g, err = tx.InsertGroup(ctx, row); err != nil {
			return err
		}
		entry := groupEntry(client.AuditCreate, g)
		entry.after = auditGroupOf(g)
		return a.audit(ctx, tx, entry)
	})
	if store.IsConflict(err) {
		return nil, taken("Group", in.Body.Name, "name")
	}
	if err != nil {
		return nil, fmt.Errorf("create group: %w", err)
	}
	return a.replyGroup(ctx, g, false)
}

func checkGroupName(name string) error {
	if strings.EqualFold(name, everyoneGroup) {
		return invalid("name", "%q is the name of the group of all members; choose another one.", name)
	}
	return checkName("name", client.NameGroup, name)
}

// updateGroup changes the row and its members together, or nothing.
func (a *api) updateGroup(ctx context.Context, in *updateGroupInput) (*output[client.Group], error) {
	var updated store.Group
	err := a.store.InTx(ctx, func(tx *store.Store) error {
		inner := a.withStore(tx)
		g, err := inner.group(ctx, authz.Update, in.Group)
		if err != nil {
			return err
		}
		row, err := groupUpdate(g, in.Body)
		if err != nil {
			return err
		}
		added, removed, err := inner.changeGroupMembers(ctx, g, in.Body)
		if err != nil {
			return err
		}
		row.UpdatedAt = store.At(a.now())
		updated, err = tx.UpdateGroup(ctx, row)
		if store.IsConflict(err) {
			return taken("Group", row.Name, "name")
		}
		if err != nil {
			return err
		}
		return inner.auditGroupChange(ctx, g, updated, added, removed)
	})
	if err != nil {
		return nil, err
	}
	return a.replyGroup(ctx, updated, false)
}

func isEveryone(g store.Group) bool { return g.ID == g.OrganizationID }

// groupUpdate is the row as the request wants it: section 7.3 of the reference.
func groupUpdate(g store.Group, req client.UpdateGroupRequest) (store.UpdateGroupParams, error) {
	row := store.UpdateGroupParams{
		OrganizationID: g.OrganizationID, ID: g.ID, Name: g.Name, DisplayName: g.DisplayName, AvatarURL: g.AvatarURL, QuotaAllowance: g.QuotaAllowance,
	}
	if req.Name != "" && req.Name != g.Name {
		if isEveryone(g) {
			return row, invalid("name", "The group %s of all members cannot be renamed.", g.Name)
		}
		if err := checkGroupName(req.Name); err != nil {
			return row, err
		}
		row.Name = req.Name
	}
	if req.DisplayName != nil {
		if isEveryone(g) && *req.DisplayName != "" {
			return row, invalid("display_name", "The group %s of all members cannot be renamed.", g.Name)
		}
		if err := checkName("display_name", client.NameDisplay, *req.DisplayName); err != nil {
			return row, err
		}
		row.DisplayName = *req.DisplayName
	}
	if req.AvatarURL != nil {
		row.AvatarURL = *req.AvatarURL
	}
	if req.QuotaAllowance != nil {
		row.QuotaAllowance = int64(*req.QuotaAllowance)
	}
	return row, nil
}

// changeGroupMembers adds and removes users inside a transaction.
func (a *api) changeGroupMembers(ctx context.Context, g store.Group, req client.UpdateGroupRequest) (add, remove []uuid.UUID, err error) {
	if len(req.AddUsers)+len(req.RemoveUsers) == 0 {
		return nil, nil, nil
	}
	if isEveryone(g) {
		return nil, nil, forbidden("Every member of the organization is in the group " + g.Name + "; nobody can be added to it or removed.")
	}
	if add, remove, err = a.checkGroupMembers(ctx, g, req); err != nil {
		return nil, nil, err
	}
	if slices.Contains(add, callerID(ctx)) {
		if err := a.checkJoining(ctx, g); err != nil {
			return nil, nil, err
		}
	}
	for _, id := range add {
		if err := a.store.InsertGroupMember(ctx, store.InsertGroupMemberParams{GroupID: g.ID, OrganizationID: g.OrganizationID, UserID: id}); err != nil {
			return nil, nil, fmt.Errorf("add to group: %w", err)
		}
	}
	for _, id := range remove {
		if _, err := a.store.DeleteGroupMember(ctx, store.DeleteGroupMemberParams{OrganizationID: g.OrganizationID, GroupID: g.ID, UserID: id}); err != nil {
			return nil, nil, fmt.Errorf("remove from group: %w", err)
		}
	}
	return add, remove, nil
}

// checkGroupMembers wants each user once: members of the organization to add,
// members of the group to remove. All that is wrong is named at once.
func (a *api) checkGroupMembers(ctx context.Context, g store.Group, req client.UpdateGroupRequest) (add, remove []uuid.UUID, err error) {
	rows, err := a.store.ListMembersOfGroups(ctx, store.ListMembersOfGroupsParams{OrganizationID: g.OrganizationID, Ids: store.IDs([]uuid.UUID{g.ID})})
	if err != nil {
		return nil, nil, err
	}
	inGroup := map[uuid.UUID]bool{}
	for _, row := range rows {
		inGroup[row.User.ID] = true
	}
	named := map[uuid.UUID]bool{}
	var wrong []client.ValidationError
	read := func(field string, texts []string, problem func(uuid.UUID) (string, error)) (ids []uuid.UUID, err error) {
		for _, text := range texts {
			id, parseErr := uuid.Parse(text)
			reason := fmt.Sprintf("%q is not a UUID.", text)
			if parseErr == nil {
				if reason, err = problem(id); err != nil {
					return nil, err
				}
			}
			if parseErr == nil && named[id] {
				reason = fmt.Sprintf("The user %s is named twice.", id)
			}
			if reason != "" {
				wrong = append(wrong, client.ValidationError{Field: field, Detail: reason})
			}
			named[id] = true
			ids = append(ids, id)
		}
		return ids, nil
	}
	add, err = read("add_users", req.AddUsers, func(id uuid.UUID) (string, error) { return a.addProblem(ctx, g, inGroup, id) })
	if err != nil {
		return nil, nil, err
	}
	remove, err = read("remove_users", req.RemoveUsers, func(id uuid.UUID) (string, error) {
		if inGroup[id] {
			return "", nil
		}
		return fmt.Sprintf("The user %s is not in the group.", id), nil
	})
	if err != nil {
		return nil, nil, err
	}
	if wrong != nil {
		return nil, nil, badRequest("The request is not valid.", wrong...)
	}
	return add, remove, nil
}

func (a *api) addProblem(ctx context.Context, g store.Group, inGroup map[uuid.UUID]bool, id uuid.UUID) (string, error) {
	if inGroup[id] {
		return fmt.Sprintf("The user %s is in the group already.", id), nil
	}
	member, err := isMember(ctx, a.store, g.OrganizationID, id)
	if err != nil || member {
		return "", err
	}
	return fmt.Sprintf("The organization has no member %s.", id), nil
}

// isMember does not tell a user who does not exist from one of elsewhere.
func isMember(ctx context.Context, s *store.Store, organizationID, userID uuid.UUID) (bool, error) {
	_, err := s.GetMember(ctx, store.GetMemberParams{OrganizationID: organizationID, UserID: userID})
	if store.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// checkJoining refuses to let callers put themselves into a group through
// which they could do what they may not do already, to objects that they do
// not manage anyway.
func (a *api) checkJoining(ctx context.Context, g store.Group) error {
	templates, err := a.store.ListTemplates(ctx, store.ListTemplatesParams{OrganizationIds: store.IDs([]uuid.UUID{g.OrganizationID})})
	if err != nil {
		return err
	}
	subject := subjectFrom(ctx)
	for _, t := range templates {
		object := templateObject(t)
		if !subject.Can(authz.Update, object) && !canAll(subject, object.GroupACL[g.ID.String()], object) {
			return errJoining(g, "template")
		}
	}
	rows, err := a.store.ListACLOfWorkspacesOfActor(ctx, store.ListACLOfWorkspacesOfActorParams{OrganizationID: g.OrganizationID, ActorID: g.ID})
	if err != nil {
		return err
	}
	for len(rows) > 0 {
		w, acl := rows[0].Workspace, []store.WorkspaceACL{}
		for len(rows) > 0 && rows[0].Workspace.ID == w.ID {
			acl, rows = append(acl, rows[0].WorkspaceACL), rows[1:]
		}
		object := a.listedObject(ctx, w, acl)
		if !subject.Can(authz.Share, object) && !canAll(subject, object.GroupACL[g.ID.String()], object) {
			return errJoining(g, "workspace")
		}
	}
	return nil
}

func canAll(subject *authz.Subject, actions []authz.Action, object authz.Object) bool {
	if slices.Contains(actions, authz.Star) {
		actions = authz.Actions[object.Type]
	}
	return !slices.ContainsFunc(actions, func(action authz.Action) bool { return !subject.Can(action, object) })
}

func errJoining(g store.Group, what string) error {
	return forbidden(fmt.Sprintf("The members of the group %s may do more with a %s than you may; somebody else has to add you.", g.Name, what))
}

// deleteGroup takes the group off every access list first.
func (a *api) deleteGroup(ctx context.Context, in *GroupPath) (*output[message], error) {
	var g store.Group
	err := a.store.InTx(ctx, func(tx *store.Store) (err error) {
		inner := a.withStore(tx)
		if g, err = inner.group(ctx, authz.Delete, in.Group); err != nil {
			return err
		}
		if isEveryone(g) {
			return badRequest("The group of all members cannot be deleted.")
		}
		dropped, err := inner.dropFromAccessLists(ctx, g.OrganizationID, g.ID)
		if err != nil {
			return err
		}
		if _, err := tx.DeleteGroup(ctx, store.DeleteGroupParams{OrganizationID: g.OrganizationID, ID: g.ID}); err != nil {
			return err
		}
		entry := groupEntry(client.AuditDelete, g)
		entry.before = auditGroupOf(g)
		return a.audit(ctx, tx, append(dropped, entry)...)
	})
	if err != nil {
		return nil, err
	}
	return said(fmt.Sprintf("Group %s has been deleted.", g.Name)), nil
}

func groupEntry(action string, g store.Group) auditEntry {
	return auditEntry{organization: g.OrganizationID, kind: client.AuditGroup, action: action, id: g.ID, target: g.Name, icon: g.AvatarURL}
}

// auditGroup names the members that were added and removed, not those who stay.
type auditGroup struct {
	Name           string   `json:"name"`
	DisplayName    string   `json:"display_name"`
	AvatarURL      string   `json:"avatar_url"`
	QuotaAllowance int64    `json:"quota_allowance"`
	AddedMembers   []string `json:"added_members,omitempty"`
	RemovedMembers []string `json:"removed_members,omitempty"`
}

func auditGroupOf(g store.Group) auditGroup {
	return auditGroup{Name: g.Name, DisplayName: g.DisplayName, AvatarURL: g.AvatarURL, QuotaAllowance: g.QuotaAllowance}
}

func (a *api) auditGroupChange(ctx context.Context, before, after store.Group, added, removed []uuid.UUID) error {
	users, err := a.store.ListUsersByIDs(ctx, store.IDs(slices.Concat(added, removed)))
	if err != nil {
		return err
	}
	now := auditGroupOf(after)
	for _, u := range users {
		if slices.Contains(added, u.ID) {
			now.AddedMembers = append(now.AddedMembers, u.Username)
		} else {
			now.RemovedMembers = append(now.RemovedMembers, u.Username)
		}
	}
	entry := groupEntry(client.AuditWrite, after)
	entry.before, entry.after = auditGroupOf(before), now
	return a.audit(ctx, a.store, entry)
}
