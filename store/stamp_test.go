package store_test

import (
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/store"
	"coder/store/storetest"
)

// Whatever changes what a user is in, or an organization, draws its stamp
// anew, and that of nobody else.
func TestChangesDrawStamps(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		f, other := seedOrganization(t, s, "stamped"), seedOrganization(t, s, "other")
		org, user := f.organization.ID, f.user.ID
		keys := map[uuid.UUID]string{}
		for i, u := range []uuid.UUID{user, other.user.ID} {
			keys[u] = []string{"aaaaaaaaaa", "bbbbbbbbbb"}[i]
			err := s.InsertAPIKey(ctx, store.InsertAPIKeyParams{ID: keys[u], UserID: u, HashedSecret: []byte{1}, LoginType: "password", LastUsedAt: now, ExpiresAt: now, CreatedAt: now, UpdatedAt: now})
			require.NoError(t, err)
		}
		stamps := func(u uuid.UUID) (memberships, organizations string) {
			row, err := s.GetAPIKeyWithUser(ctx, keys[u])
			require.NoError(t, err)
			return row.MembershipsStamp, row.OrganizationsStamp
		}
		group := store.InsertGroupParams{ID: uuid.New(), OrganizationID: org, Name: "builders", Source: "user", CreatedAt: now, UpdatedAt: now}
		_, err := s.InsertGroup(ctx, group)
		require.NoError(t, err)
		enter := func(tx *store.Store) error {
			return tx.InsertGroupMember(ctx, store.InsertGroupMemberParams{GroupID: group.ID, OrganizationID: org, UserID: user})
		}
		of := func(_ any, err error) error { return err }
		role := store.InsertCustomRoleParams{OrganizationID: org, Name: "watcher", Permissions: "[]", CreatedAt: now, UpdatedAt: now}
		for _, c := range []struct {
			name                string
			member, deployments bool
			change              func(tx *store.Store) error
		}{
			{"roles of a member", true, false, func(tx *store.Store) error {
				return of(tx.UpdateMemberRoles(ctx, store.UpdateMemberRolesParams{OrganizationID: org, UserID: user, Roles: []string{"organization-admin"}, UpdatedAt: now}))
			}},
			{"into a group", true, false, enter},
			{"out of a group", true, false, func(tx *store.Store) error {
				return of(tx.DeleteGroupMember(ctx, store.DeleteGroupMemberParams{OrganizationID: org, GroupID: group.ID, UserID: user}))
			}},
			{"into a group again", true, false, enter},
			{"a group that goes", true, false, func(tx *store.Store) error { return tx.DeleteOrganizationGroups(ctx, org) }},
			{"no member any more", true, false, func(tx *store.Store) error {
				return of(tx.DeleteMember(ctx, store.DeleteMemberParams{OrganizationID: org, UserID: user}))
			}},
			{"a member", true, false, func(tx *store.Store) error {
				return of(tx.InsertMember(ctx, store.InsertMemberParams{OrganizationID: org, UserID: user, CreatedAt: now, UpdatedAt: now}))
			}},
			{"a role", false, true, func(tx *store.Store) error { return of(tx.InsertCustomRole(ctx, role)) }},
			{"another role", false, true, func(tx *store.Store) error {
				return of(tx.UpdateCustomRole(ctx, store.UpdateCustomRoleParams{OrganizationID: org, Name: role.Name, Permissions: "[{}]", UpdatedAt: now}))
			}},
			{"no role", false, true, func(tx *store.Store) error {
				return of(tx.DeleteCustomRole(ctx, store.DeleteCustomRoleParams{OrganizationID: org, Name: role.Name}))
			}},
			{"an organization's name", false, true, func(tx *store.Store) error {
				return of(tx.UpdateOrganization(ctx, store.UpdateOrganizationParams{OrganizationID: org, Name: "renamed", UpdatedAt: now}))
			}},
			{"sharing", false, true, func(tx *store.Store) error {
				return of(tx.UpdateOrganizationSharing(ctx, store.UpdateOrganizationSharingParams{OrganizationID: org, ShareableWorkspaceOwners: "none", UpdatedAt: now}))
			}},
			{"a new organization", false, true, func(tx *store.Store) error {
				return of(tx.InsertOrganization(ctx, store.InsertOrganizationParams{ID: uuid.New(), Name: "third", SealingKey: []byte{}, CreatedAt: now, UpdatedAt: now}))
			}},
			{"no organization any more", false, true, func(tx *store.Store) error {
				return of(tx.DeleteOrganization(ctx, store.DeleteOrganizationParams{OrganizationID: org, SealingKey: []byte{}, UpdatedAt: now}))
			}},
			{"what is none of it", false, false, func(tx *store.Store) error {
				return of(tx.UpdateGroup(ctx, store.UpdateGroupParams{OrganizationID: other.organization.ID, ID: uuid.New(), Name: "x", UpdatedAt: now}))
			}},
		} {
			before, organizations := stamps(user)
			others, _ := stamps(other.user.ID)
			require.NotEmpty(t, before)
			undone := errors.New("undone")
			require.ErrorIs(t, s.InTx(ctx, func(tx *store.Store) error {
				if err := c.change(tx); err != nil && !store.IsNotFound(err) {
					return err
				}
				return undone
			}), undone, c.name)
			same, _ := stamps(user)
			require.Equal(t, before, same, "%s, undone", c.name)
			require.NoError(t, s.InTx(ctx, func(tx *store.Store) error {
				if err := c.change(tx); !store.IsNotFound(err) {
					return err
				}
				return nil
			}), c.name)
			after, organizationsAfter := stamps(user)
			require.Equal(t, c.member, before != after, "%s: the user's", c.name)
			require.Equal(t, c.deployments, organizations != organizationsAfter, "%s: that of organizations", c.name)
			othersAfter, _ := stamps(other.user.ID)
			require.Equal(t, others, othersAfter, "%s: somebody else's", c.name)
		}
	})
}
