package store_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"coder/store"
	"coder/store/storetest"
)

// What lists tell beside their rows is kept by triggers: it must be what
// counting the rows would give, however many people make and delete at once.
func TestCountsOfWorkspacesAreTrue(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f, other := seedOrganization(t, s, "counted"), seedOrganization(t, s, "other")
		users := []uuid.UUID{f.user.ID, other.user.ID, insertUser(t, s, "third", "third@example.com").ID}
		agree := func(workspaces, templateUsers int64) {
			t.Helper()
			ids := store.IDs([]uuid.UUID{f.organization.ID})
			rows, err := s.CountWorkspaces(t.Context(), ids)
			require.NoError(t, err)
			require.Equal(t, workspaces, rows)
			kept, err := s.CountAllWorkspaces(t.Context(), ids)
			require.NoError(t, err)
			require.Equal(t, rows, kept, "workspaces")
			everywhere, err := s.CountWorkspacesEverywhere(t.Context())
			require.NoError(t, err)
			require.Equal(t, rows, everywhere, "workspaces of all organizations")
			counts, err := s.CountTemplateUsers(t.Context(), ids)
			require.NoError(t, err)
			var found int64
			for _, c := range counts {
				require.Equal(t, f.template.ID, c.TemplateID)
				found += c.Users
			}
			require.Equal(t, templateUsers, found, "users of the template")
		}
		agree(0, 0)
		made := make([][]uuid.UUID, len(users))
		together := func(fn func(ctx context.Context, i int) error) {
			g, ctx := errgroup.WithContext(t.Context())
			for i := range users {
				g.Go(func() error { return fn(ctx, i) })
			}
			require.NoError(t, g.Wait())
		}
		together(func(ctx context.Context, i int) error {
			for n := range 4 {
				id := uuid.New()
				err := s.InTx(ctx, func(tx *store.Store) error {
					_, err := tx.InsertWorkspace(ctx, store.InsertWorkspaceParams{
						ID: id, OrganizationID: f.organization.ID, OwnerID: users[i], TemplateID: f.template.ID, Name: fmt.Sprintf("w-%d", n),
						AutomaticUpdates: "never", LastUsedAt: now, LatestBuildID: uuid.New(), CreatedAt: now, UpdatedAt: now,
					})
					return err
				})
				if err != nil {
					return err
				}
				made[i] = append(made[i], id)
			}
			return nil
		})
		agree(12, 3)
		together(func(ctx context.Context, i int) error {
			for _, id := range made[i][:4-i] { // all of the first one's, three, two
				for range 2 { // what is deleted already counts once
					if err := s.DeleteWorkspace(ctx, store.DeleteWorkspaceParams{OrganizationID: f.organization.ID, ID: id, UpdatedAt: now}); err != nil {
						return err
					}
				}
			}
			return nil
		})
		agree(3, 2)
	})
}
