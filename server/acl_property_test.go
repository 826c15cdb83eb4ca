package server_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"coder/client"
	"coder/server/servertest"
)

// accessWorld are the objects that a run of the property below is about, put
// back at the start of each run.
type accessWorld struct {
	*scene
	templates  []uuid.UUID
	workspaces []uuid.UUID
	groups     []uuid.UUID
	context    func() context.Context
}

func newAccessWorld(t *testing.T) *accessWorld {
	w := &accessWorld{scene: newScene(t, servertest.WithoutLoops()), context: t.Context}
	w.templates = []uuid.UUID{w.template.ID, w.newTemplate(t, "private", client.ImportResult{}, func(r *client.CreateTemplateRequest) { r.DisableEveryoneGroupAccess = true }).ID}
	w.workspaces = []uuid.UUID{w.running(t, "box").ID, w.running(t, "hut").ID}
	return w
}

// reset leaves three groups with nobody in them, each of which may do
// something that not everybody may.
func (w *accessWorld) reset(t *rapid.T) {
	ctx := w.context
	groups, err := w.Client.OrganizationGroups(ctx(), w.org.Name)
	require.NoError(t, err)
	for _, g := range groups {
		if !g.IsEveryone() {
			require.NoError(t, w.Client.DeleteGroup(ctx(), g.ID))
		}
	}
	w.groups = nil
	for i := range 3 {
		g, err := w.Client.CreateGroup(ctx(), w.org.Name, client.CreateGroupRequest{Name: fmt.Sprintf("group-%d", i)})
		require.NoError(t, err)
		w.groups = append(w.groups, g.ID)
	}
	for i, id := range w.templates {
		acl, err := w.Client.TemplateACL(ctx(), id)
		require.NoError(t, err)
		users := map[string]string{}
		for _, u := range acl.Users {
			users[u.ID.String()] = ""
		}
		require.NoError(t, w.Client.UpdateTemplateACL(ctx(), id, client.UpdateTemplateACLRequest{UserPerms: users, GroupPerms: map[string]string{w.groups[i].String(): "admin"}}))
	}
	for i, id := range w.workspaces {
		require.NoError(t, w.Client.DeleteWorkspaceACL(ctx(), id))
		require.NoError(t, w.Client.UpdateWorkspaceACL(ctx(), id, client.UpdateWorkspaceACLRequest{GroupRoles: map[string]string{w.groups[i+1].String(): []string{"use", "admin"}[i]}}))
	}
}

// questions are every action on every object, by kind, action and id.
func (w *accessWorld) questions() map[string]client.AuthorizationCheck {
	out := map[string]client.AuthorizationCheck{}
	for kind, of := range map[string]struct {
		ids     []uuid.UUID
		actions []string
	}{
		"template":  {w.templates, []string{"create", "read", "update", "delete", "use", "view_insights"}},
		"workspace": {w.workspaces, []string{"application_connect", "delete", "delete_agent", "read", "share", "ssh", "start", "stop", "update", "update_agent"}},
		"group":     {w.groups, []string{"read", "update", "delete"}},
	} {
		for _, id := range of.ids {
			for _, action := range of.actions {
				out[question(kind, action, id)] = client.AuthorizationCheck{Action: action, Object: client.AuthorizationObject{ResourceType: kind, ResourceID: id.String()}}
			}
		}
	}
	return out
}

func question(kind, action string, id uuid.UUID) string {
	return kind + ":" + action + " " + id.String()
}

// managed tells whether an object was the author's to give away.
func (w *accessWorld) managed(before map[string]bool, asked client.AuthorizationCheck) bool {
	id := uuid.MustParse(asked.Object.ResourceID)
	return before[question("template", "update", id)] || before[question("workspace", "share", id)]
}

// No sequence of changes of groups and access lists by somebody who is no
// owner raises that person's own rights to objects that they did not manage.
func TestGroupAndAccessListEditsNeverRaiseOnesOwnRights(t *testing.T) {
	t.Parallel()
	w := newAccessWorld(t)
	roles := []string{"organization-user-admin", "organization-template-admin", "organization-auditor", "organization-workspace-creation-ban"}
	author := w.Person(t, w.org)
	friend := w.Person(t, w.org)
	ctx := t.Context()
	rapid.Check(t, func(r *rapid.T) {
		w.reset(r)
		held := rapid.SliceOfNDistinct(rapid.SampledFrom(roles), 0, 2, rapid.ID).Draw(r, "held")
		_, err := w.Client.UpdateOrganizationMemberRoles(ctx, w.org.Name, author.User.ID.String(), client.UpdateRolesRequest{Roles: held})
		require.NoError(r, err)
		entry := map[string]string{author.User.ID.String(): rapid.SampledFrom([]string{"", "use", "admin"}).Draw(r, "listed")}
		require.NoError(r, w.Client.UpdateTemplateACL(ctx, rapid.SampledFrom(w.templates).Draw(r, "on"), client.UpdateTemplateACLRequest{UserPerms: entry}))
		require.NoError(r, w.Client.UpdateWorkspaceACL(ctx, rapid.SampledFrom(w.workspaces).Draw(r, "shared"), client.UpdateWorkspaceACLRequest{UserRoles: entry}))
		questions := w.questions()
		before, err := author.Client.AuthCheck(ctx, client.AuthorizationRequest{Checks: questions})
		require.NoError(r, err)
		for range rapid.IntRange(1, 8).Draw(r, "edits") {
			w.edit(r, author, friend)
			after, err := author.Client.AuthCheck(ctx, client.AuthorizationRequest{Checks: questions})
			require.NoError(r, err)
			for asked, can := range after {
				if can && !before[asked] && !w.managed(before, questions[asked]) {
					r.Fatalf("%v now may %s", held, asked)
				}
			}
		}
	})
}

// edit tries one change, which may well be refused: what is asked is what it
// leaves behind.
func (w *accessWorld) edit(r *rapid.T, author, friend servertest.Person) {
	ctx, c := w.context(), author.Client
	who := rapid.SampledFrom([]uuid.UUID{author.User.ID, friend.User.ID}).Draw(r, "who").String()
	group := rapid.SampledFrom(append([]uuid.UUID{w.org.ID}, w.groups...)).Draw(r, "group")
	role := rapid.SampledFrom([]string{"", "use", "admin"}).Draw(r, "role")
	switch rapid.SampledFrom([]string{"create", "add", "add", "remove", "rename", "delete", "template", "workspace"}).Draw(r, "edit") {
	case "create":
		_, _ = c.CreateGroup(ctx, w.org.Name, client.CreateGroupRequest{Name: "group-new"})
	case "add":
		_, _ = c.UpdateGroup(ctx, group, client.UpdateGroupRequest{AddUsers: []string{who}})
	case "remove":
		_, _ = c.UpdateGroup(ctx, group, client.UpdateGroupRequest{RemoveUsers: []string{who}})
	case "rename":
		_, _ = c.UpdateGroup(ctx, group, client.UpdateGroupRequest{Name: "group-0"})
	case "delete":
		_ = c.DeleteGroup(ctx, group)
	case "template":
		id := rapid.SampledFrom(w.templates).Draw(r, "template")
		_ = c.UpdateTemplateACL(ctx, id, client.UpdateTemplateACLRequest{UserPerms: map[string]string{who: role}, GroupPerms: map[string]string{group.String(): role}})
	case "workspace":
		id := rapid.SampledFrom(w.workspaces).Draw(r, "workspace")
		_ = c.UpdateWorkspaceACL(ctx, id, client.UpdateWorkspaceACLRequest{UserRoles: map[string]string{who: role}, GroupRoles: map[string]string{group.String(): role}})
	}
}
