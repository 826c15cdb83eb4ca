package storetest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"coder/store"
	"coder/store/storetest"
)

func TestEachGivesAnEmptyStoreOfEachDatabase(t *testing.T) {
	var seen []store.Dialect
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		seen = append(seen, s.Dialect())
		users, err := s.ListUsers(t.Context(), store.ListUsersParams{MaxRows: 10})
		require.NoError(t, err)
		require.Empty(t, users)
	})
	require.Contains(t, seen, store.SQLite)
	if storetest.Installed() {
		require.Contains(t, seen, store.PostgreSQL)
	}
}

func TestStoresShareNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		o := storetest.SQLiteOptions(t)
		if s.Dialect() == store.PostgreSQL {
			o = storetest.PostgresOptions(t)
		}
		other := storetest.Open(t, o)
		require.NoError(t, s.PutSetting(t.Context(), store.PutSettingParams{Name: "mine", Value: "1"}))
		_, err := other.GetSetting(t.Context(), "mine")
		require.True(t, store.IsNotFound(err))
	})
}
