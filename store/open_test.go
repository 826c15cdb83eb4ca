package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"coder/store"
	"coder/store/storetest"
)

func BenchmarkOpen(b *testing.B) {
	b.Run("empty", func(b *testing.B) {
		for b.Loop() {
			s, err := store.Open(b.Context(), storetest.SQLiteOptions(b))
			require.NoError(b, err)
			require.NoError(b, s.Close())
		}
	})
	b.Run("migrated", func(b *testing.B) {
		o := storetest.SQLiteOptions(b)
		require.NoError(b, storetest.Open(b, o).Close())
		for b.Loop() {
			s, err := store.Open(b.Context(), o)
			require.NoError(b, err)
			require.NoError(b, s.Close())
		}
	})
}
