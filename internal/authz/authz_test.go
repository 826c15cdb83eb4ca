package authz_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"coder/internal/authz"
)

var update = flag.Bool("update", false, "write the golden files anew")

const matrixFile = "../../docs/roles.md"

// holder is a member of one organization with the given roles.
func holder(site []string, organization uuid.UUID, roles ...string) *authz.Subject {
	return &authz.Subject{
		ID: uuid.New(), Roles: authz.SiteRoles(site),
		Organizations: map[uuid.UUID]authz.Membership{
			organization: {Roles: authz.OrganizationRoles(organization, authz.SharingEveryone, roles, nil, nil), Groups: []uuid.UUID{organization}},
		},
	}
}

func TestCan(t *testing.T) {
	t.Parallel()
	home, away := uuid.New(), uuid.New()
	someone := uuid.New()
	workspace := func(org, owner uuid.UUID) authz.Object {
		return authz.Object{Type: authz.Workspace, OrganizationID: org, OwnerID: owner}
	}

	t.Run("an owner may in every organization", func(t *testing.T) {
		t.Parallel()
		s := holder([]string{authz.RoleOwner}, home)
		require.True(t, s.Can(authz.Delete, workspace(away, someone)))
		require.False(t, s.Can(authz.Read, authz.Object{Type: authz.UserSecret, OwnerID: someone}))
	})

	t.Run("an organization admin may at home and nowhere else", func(t *testing.T) {
		t.Parallel()
		s := holder(nil, home, authz.RoleOrganizationAdmin)
		require.True(t, s.Can(authz.Delete, workspace(home, someone)))
		require.False(t, s.Can(authz.SSH, workspace(home, someone)), "but not enter other people's workspaces")
		require.False(t, s.Can(authz.Read, workspace(away, someone)))
		require.False(t, s.Can(authz.Read, authz.Object{Type: authz.Organization, OrganizationID: away}))
		require.False(t, s.Can(authz.Create, authz.Object{Type: authz.Organization}))
	})

	t.Run("a member may with workspace access on what is theirs", func(t *testing.T) {
		t.Parallel()
		s := holder(nil, home, authz.RoleOrganizationWorkspaceAccess)
		require.True(t, s.Can(authz.Create, workspace(home, s.ID)))
		require.False(t, s.Can(authz.Read, workspace(home, someone)))
		require.False(t, s.Can(authz.Create, workspace(away, s.ID)), "not where they are no member, whoever owns it")
		require.False(t, holder(nil, home).Can(authz.Create, workspace(home, uuid.Nil)))
	})

	t.Run("without the role members have no workspaces", func(t *testing.T) {
		t.Parallel()
		s := holder(nil, home)
		require.False(t, s.Can(authz.Create, workspace(home, s.ID)))
		require.True(t, s.Can(authz.Read, authz.Object{Type: authz.Organization, OrganizationID: home}))
	})

	t.Run("a denial at the organization beats the member's own, a site's allowance beats both", func(t *testing.T) {
		t.Parallel()
		ban := authz.Role{Name: "ban", Organization: []authz.Permission{{Negate: true, Resource: authz.Workspace, Action: authz.Create}}}
		s := holder(nil, home, authz.RoleOrganizationWorkspaceAccess)
		m := s.Organizations[home]
		m.Roles = append(m.Roles, ban)
		s.Organizations[home] = m
		require.False(t, s.Can(authz.Create, workspace(home, s.ID)))
		s.Roles = authz.SiteRoles([]string{authz.RoleOwner})
		require.True(t, s.Can(authz.Create, workspace(home, s.ID)))
	})

	t.Run("an access list opens to a group, for members only", func(t *testing.T) {
		t.Parallel()
		template := authz.Object{Type: authz.Template, OrganizationID: home, GroupACL: map[string][]authz.Action{home.String(): {authz.Read, authz.Use}}}
		require.True(t, holder(nil, home).Can(authz.Use, template))
		require.False(t, holder(nil, home).Can(authz.Update, template))
		require.False(t, holder(nil, away).Can(authz.Use, template))
	})

	t.Run("a token's scope and allow list narrow its user", func(t *testing.T) {
		t.Parallel()
		s := holder([]string{authz.RoleOwner}, home)
		s.Allow = []authz.Permission{{Resource: authz.Workspace, Action: authz.Read}}
		require.True(t, s.Can(authz.Read, workspace(away, someone)))
		require.False(t, s.Can(authz.Delete, workspace(away, someone)))
		object := workspace(home, someone)
		object.ID = "a"
		s.AllowIDs = map[authz.Resource][]string{authz.Workspace: {"b"}}
		require.False(t, s.Can(authz.Read, object))
		s.Allow = nil
		template := authz.Object{Type: authz.Template, OrganizationID: home}
		require.False(t, s.Can(authz.Read, template), "a type that is not named")
		require.Empty(t, s.Only(authz.Template))
		require.NotNil(t, s.Only(authz.Template))
		s.AllowIDs[authz.Template] = []string{"a"}
		require.True(t, s.Can(authz.Read, template), "a list")
		require.False(t, s.Can(authz.Create, template), "a new one is not on the list")
		s.AllowIDs[authz.Template] = []string{authz.Star}
		require.True(t, s.Can(authz.Create, template))
		require.Nil(t, s.Only(authz.Template))
		self := authz.Object{Type: authz.User, ID: s.ID.String(), OwnerID: s.ID}
		require.True(t, s.Can(authz.Read, self))
		require.False(t, s.Can(authz.Update, self))
	})

	t.Run("nobody may nothing", func(t *testing.T) {
		t.Parallel()
		var s *authz.Subject
		require.False(t, s.Can(authz.Read, authz.Object{Type: authz.Organization}))
		require.False(t, s.Everywhere(authz.Read, authz.Organization))
	})
}

// Rights at home say nothing about any other organization, whatever roles
// somebody holds there, as long as none of them is of the site.
func TestNoRoleReachesAnotherOrganization(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		home, away := uuid.New(), uuid.New()
		names := organizationRoles(home)
		s := holder(nil, home, rapid.SliceOf(rapid.SampledFrom(names)).Draw(t, "roles")...)
		resource := rapid.SampledFrom(resources()).Draw(t, "resource")
		action := rapid.SampledFrom(authz.Actions[resource]).Draw(t, "action")
		owner := rapid.SampledFrom([]uuid.UUID{uuid.Nil, s.ID, uuid.New()}).Draw(t, "owner")
		if resource == authz.User || resource == authz.AssignRole || resource == authz.OAuth2App || resource == authz.WorkspaceProxy {
			return // objects of the deployment: they have no organization
		}
		if s.Can(action, authz.Object{Type: resource, OrganizationID: away, OwnerID: owner}) {
			t.Fatalf("may %s %s in another organization", action, resource)
		}
	})
}

func TestNobodyHandsOutMoreThanTheTableSays(t *testing.T) {
	t.Parallel()
	home, away := uuid.New(), uuid.New()
	owner, admin, member := holder([]string{authz.RoleOwner}, home), holder(nil, home, authz.RoleOrganizationAdmin), holder(nil, home)
	require.True(t, owner.CanAssign(authz.RoleOwner, uuid.Nil))
	require.True(t, owner.CanAssign(authz.RoleOrganizationAdmin, away))
	require.True(t, admin.CanAssign(authz.RoleOrganizationAdmin, home))
	require.False(t, admin.CanAssign(authz.RoleOrganizationAdmin, away))
	require.False(t, admin.CanAssign(authz.RoleOwner, uuid.Nil))
	require.False(t, member.CanAssign(authz.RoleOrganizationWorkspaceAccess, home))
}

func denies(roles []authz.Role, r authz.Resource, a authz.Action) bool {
	return slices.ContainsFunc(roles, func(role authz.Role) bool {
		return slices.Contains(role.Organization, authz.Permission{Negate: true, Resource: r, Action: a})
	})
}

func organizationRoles(organization uuid.UUID) []string {
	var names []string
	for _, role := range authz.AssignableOrganizationRoles(organization) {
		names = append(names, role.Name)
	}
	return names
}

func resources() []authz.Resource {
	var out []authz.Resource
	for r := range authz.Actions {
		out = append(out, r)
	}
	slices.Sort(out)
	return out
}

// The matrix is the documentation: a change of a permission is a changed cell.
func TestRoleMatrix(t *testing.T) {
	t.Parallel()
	got := matrix()
	if *update {
		require.NoError(t, os.WriteFile(matrixFile, []byte(got), 0o644))
	}
	want, err := os.ReadFile(matrixFile)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "run: make test-update, and read the diff")
}

func matrix() string {
	home := uuid.New()
	type column struct {
		name    string
		subject *authz.Subject
	}
	columns := []column{
		{"member of the site", &authz.Subject{ID: uuid.New(), Roles: authz.SiteRoles(nil)}},
		{"owner", &authz.Subject{ID: uuid.New(), Roles: authz.SiteRoles([]string{authz.RoleOwner})}},
	}
	for _, role := range authz.AssignableSiteRoles()[1:] {
		columns = append(columns, column{role.Name, &authz.Subject{ID: uuid.New(), Roles: authz.SiteRoles([]string{role.Name})}})
	}
	columns = append(columns, column{authz.RoleOrganizationMember, holder(nil, home)})
	for _, role := range organizationRoles(home) {
		columns = append(columns, column{role, holder(nil, home, role)})
	}
	var b strings.Builder
	b.WriteString("# Roles\n\nWhat each built-in role may do. `all`: in every organization. `org`: in the role's own organization, to whatever is there. `own`: to what\nthe person owns, in an organization only as its member. `denied`: not even with another role of the organization. Written by the tests of internal/authz.\n\n| permission |")
	for _, c := range columns {
		b.WriteString(" " + c.name + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(columns)) + "\n")
	for _, r := range resources() {
		for _, a := range authz.Actions[r] {
			fmt.Fprintf(&b, "| %s:%s |", r, a)
			for _, c := range columns {
				b.WriteString(" " + reach(c.subject, home, r, a) + " |")
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

func reach(s *authz.Subject, home uuid.UUID, r authz.Resource, a authz.Action) string {
	can := func(org, owner uuid.UUID) bool {
		return s.Can(a, authz.Object{Type: r, OrganizationID: org, OwnerID: owner})
	}
	membership, member := s.Organizations[home]
	switch {
	case denies(membership.Roles, r, a):
		return "denied"
	case can(uuid.New(), uuid.Nil):
		return "all"
	case member && can(home, uuid.Nil):
		return "org"
	case can(uuid.Nil, s.ID) || (member && can(home, s.ID)):
		return "own"
	}
	return ""
}

func TestWhoMayShare(t *testing.T) {
	organization, me := uuid.New(), uuid.New()
	member := func(sharing authz.Sharing, roles ...string) *authz.Subject {
		return &authz.Subject{ID: me, Roles: authz.SiteRoles(nil), Organizations: map[uuid.UUID]authz.Membership{
			organization: {Roles: authz.OrganizationRoles(organization, sharing, append(roles, authz.RoleOrganizationWorkspaceAccess), nil, nil)},
		}}
	}
	of := func(r authz.Resource, owner uuid.UUID) authz.Object {
		return authz.Object{Type: r, OrganizationID: organization, OwnerID: owner}
	}
	for sharing, c := range map[authz.Sharing]struct{ own, admin, members, groups bool }{
		authz.SharingEveryone:        {true, true, true, true},
		authz.SharingServiceAccounts: {false, true, true, false},
		authz.SharingNone:            {false, false, false, false},
		"friends":                    {false, false, false, false},
	} {
		plain, admin := member(sharing), member(sharing, authz.RoleOrganizationAdmin)
		require.Equal(t, c.own, plain.Can(authz.Share, of(authz.Workspace, me)), sharing)
		require.Equal(t, c.admin, admin.Can(authz.Share, of(authz.Workspace, uuid.New())), sharing)
		require.Equal(t, c.members, plain.Can(authz.Read, of(authz.OrganizationMember, uuid.New())), sharing)
		require.Equal(t, c.groups, plain.Can(authz.Read, of(authz.Group, uuid.Nil)), sharing)
		require.True(t, plain.Can(authz.Read, of(authz.OrganizationMember, me)), sharing)
		require.True(t, plain.Can(authz.Update, of(authz.Workspace, me)), "nothing else changes")
	}
	owner := &authz.Subject{ID: me, Roles: authz.SiteRoles([]string{authz.RoleOwner})}
	require.True(t, owner.Can(authz.Share, of(authz.Workspace, uuid.New())))
	owner.Roles = append(owner.Roles, authz.SharingDisabled())
	require.False(t, owner.Can(authz.Share, of(authz.Workspace, uuid.New())), "the deployment's word binds owners")
}

func TestASettledSubjectMayTheSame(t *testing.T) {
	subject := func(site []string, roles ...string) *authz.Subject {
		s := &authz.Subject{ID: uuid.New(), Roles: authz.SiteRoles(site), Organizations: map[uuid.UUID]authz.Membership{}}
		for _, role := range append(roles, authz.RoleOrganizationWorkspaceAccess) {
			id := uuid.New()
			s.Organizations[id] = authz.Membership{Roles: authz.OrganizationRoles(id, authz.SharingEveryone, []string{role}, nil, nil)}
		}
		return s
	}
	for _, s := range []*authz.Subject{
		subject(nil), subject(nil, authz.RoleOrganizationAdmin, authz.RoleOrganizationUserAdmin, authz.RoleOrganizationAdmin),
		subject([]string{authz.RoleOwner}, authz.RoleOrganizationAdmin), subject([]string{authz.RoleAuditor}, authz.RoleOrganizationUserAdmin),
	} {
		settled := *s
		settled.Settle()
		elsewhere := uuid.New()
		for resource, actions := range authz.Actions {
			for _, action := range actions {
				require.Equal(t, s.Everywhere(action, resource), settled.Everywhere(action, resource), "%s:%s", resource, action)
				for id := range s.Organizations {
					for _, o := range []authz.Object{{Type: resource}, {Type: resource, OrganizationID: id}, {Type: resource, OrganizationID: id, OwnerID: s.ID}, {Type: resource, OrganizationID: elsewhere, OwnerID: s.ID}} {
						require.Equal(t, s.Can(action, o), settled.Can(action, o), "%s:%s %v", resource, action, o)
					}
				}
			}
		}
	}
}
