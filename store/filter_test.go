package store_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/store"
	"coder/store/storetest"
)

func TestFilterNarrowsOrdersAndPages(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		a, b := seedOrganization(t, s, "a"), seedOrganization(t, s, "b")
		upper := insertUser(t, s, "Zoe", "zoe@example.com")
		names := map[uuid.UUID]string{}
		for _, w := range []store.Workspace{
			a.workspace(t, a.user, "beta"), a.workspace(t, a.user, "Alpha"), a.workspace(t, upper, "it's 100%"), a.workspace(t, upper, "delta"), b.workspace(t, b.user, "alpha"),
		} {
			names[w.ID] = w.Name
		}
		list := func(f store.Filter, organizations []uuid.UUID, limit, offset int32) (found []string) {
			ids, err := s.Filtered(f).ListWorkspaceIDs(t.Context(), store.ListWorkspaceIDsParams{
				OrganizationIds: store.IDs(organizations), ViewerID: a.user.ID.String(), MaxRows: limit, SkipRows: offset,
			})
			require.NoError(t, err)
			for _, id := range ids {
				found = append(found, names[id])
			}
			return found
		}
		both, none := []uuid.UUID{a.organization.ID, b.organization.ID}, store.Filter{}
		all := []string{"Alpha", "beta", "alpha", "delta", "it's 100%"} // by owner, then by name
		require.Equal(t, all, list(none, both, 100, 0))
		require.Equal(t, []string{"Alpha", "beta", "delta", "it's 100%"}, list(none, both[:1], 100, 0))
		require.Empty(t, list(none, nil, 100, 0))
		require.Equal(t, all[1:3], list(none, both, 2, 1))
		require.Empty(t, list(none, both, 100, 5))

		var named store.Filter
		named.Where("lower(w.name) = lower(?)", "ALPHA")
		require.Equal(t, []string{"Alpha", "alpha"}, list(named, both, 100, 0))
		require.Equal(t, []string{"alpha"}, list(named, both, 1, 1))
		narrower := named
		narrower.Where("w.owner_name = ? OR w.owner_name = ?", "b-user", "nobody")
		require.Equal(t, []string{"alpha"}, list(narrower, both, 100, 0))
		require.Equal(t, []string{"Alpha", "alpha"}, list(named, both, 100, 0), "a copy must not change what it was made from")

		for _, text := range []string{"it's 100%", "' OR 1=1 --", "\x00", "$1", "?"} {
			var f store.Filter
			f.Where("w.name = ?", text)
			want := slices.DeleteFunc(slices.Clone(all), func(name string) bool { return name != text })
			require.Equal(t, len(want), len(list(f, both, 100, 0)), "%q", text)
			n, err := s.Filtered(f).CountWorkspaces(t.Context(), store.IDs(both))
			require.NoError(t, err)
			require.EqualValues(t, len(want), n, "%q", text)
		}
	})
}

// Forgetting a condition would show rows that the caller may not see.
func TestFilterIsNeverDropped(t *testing.T) {
	s := storetest.Open(t, storetest.SQLiteOptions(t))
	var f store.Filter
	f.Where("u.id = ?", "nobody")
	require.Panics(t, func() { _, _ = s.Filtered(f).ListOrganizations(t.Context()) })
	require.Panics(t, func() { _, _ = s.Filtered(f).CountUsers(t.Context()) })
}

func TestManyFiltersDoNotFillTheMemory(t *testing.T) {
	s := storetest.Open(t, storetest.SQLiteOptions(t))
	for i := range 1100 {
		var f store.Filter
		f.Where(fmt.Sprintf("w.name = ? AND %d = %d", i, i), "x")
		n, err := s.Filtered(f).CountWorkspaces(t.Context(), store.IDs(nil))
		require.NoError(t, err)
		require.Zero(t, n)
	}
	require.LessOrEqual(t, s.Prepared(), 1000)
}
