package server

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSearch(t *testing.T) {
	t.Parallel()
	t.Run("keys, bare words and quotes", func(t *testing.T) {
		s := parseSearch(`  Me/Box owner:ME param:"Region=eu west" param:size=1 id:a,b x`, "owner", "param", "id")
		require.NoError(t, s.err())
		require.Equal(t, "me/box x", s.term)
		require.Equal(t, []string{"region=eu west", "size=1"}, s.values["param"])
		require.Equal(t, []string{"a", "b"}, s.list("id"))
		owner, ok := s.one("owner")
		require.True(t, ok)
		require.Equal(t, "me", owner)
	})
	t.Run("a colon inside quotes is part of the value", func(t *testing.T) {
		s := parseSearch(`after:"2026-01-31T12:00:00Z"`, "after")
		at, ok := s.time("after")
		require.NoError(t, s.err())
		require.True(t, ok)
		require.Equal(t, time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC), at)
	})
	for _, bad := range []string{"a:b:c", ":a", "a:", "other:1", "flag:maybe", "id:nope", "after:soon", "flag:true flag:false"} {
		t.Run("refused: "+bad, func(t *testing.T) {
			s := parseSearch(bad, "a", "flag", "id", "after")
			s.bool("flag")
			s.ids("id")
			s.time("after")
			require.Error(t, s.err())
		})
	}
	t.Run("each unknown key has its own validation", func(t *testing.T) {
		s := parseSearch("one:1 two:2")
		require.Len(t, s.problems, 2)
		require.Equal(t, "two", s.problems[1].Field)
	})
}
