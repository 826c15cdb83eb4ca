package chaos

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	known, salvaged := map[string]bool{"in-state": true}, map[string]bool{"in-salvage": true}
	world := map[string]string{
		"in-state": "chaos_object.a[0]", "in-salvage": "chaos_object.a[1]", "named": "chaos_object.a[2]", "excused": "chaos_object.a[3]",
	}
	judge := func(world map[string]string, exact ...string) *result {
		named := doubts{exact: exact}
		w := &workspace{name: "w", excused: map[string]bool{"excused": true}}
		r := &result{}
		for id, address := range world {
			w.judge(r, id, address, known, salvaged, &named)
		}
		return r
	}

	t.Run("what is known, kept, named or was told before is no problem", func(t *testing.T) {
		t.Parallel()
		r := judge(world, "chaos_object.a[2]")
		require.Empty(t, r.Problems)
		require.Equal(t, 1, r.Doubted)
		require.Equal(t, 1, r.Salvaged)
	})

	t.Run("what nobody names is unknown", func(t *testing.T) {
		t.Parallel()
		require.True(t, judge(world).has(unknownResource))
		require.True(t, judge(world, "chaos_object.a[1]").has(unknownResource))
	})

	t.Run("a doubt stands for one object", func(t *testing.T) {
		t.Parallel()
		twice := map[string]string{"one": "chaos_object.a[2]", "other": "chaos_object.a[2]"}
		r := judge(twice, "chaos_object.a[2]")
		require.Len(t, r.Problems, 1)
		require.Equal(t, 1, r.Doubted)
	})
}

// A name for every instance stands for one object at each address.
func TestDoubts(t *testing.T) {
	t.Parallel()
	d := doubts{exact: []string{"chaos_object.a[0]"}, every: []string{"chaos_object.web"}, found: map[string]bool{}}
	require.True(t, d.take("chaos_object.a[0]"))
	require.False(t, d.take("chaos_object.a[0]"))
	require.False(t, d.take("chaos_object.a[1]"))
	require.True(t, d.take("chaos_object.web[0]"))
	require.True(t, d.take("chaos_object.web[1]"))
	require.False(t, d.take("chaos_object.web[1]"))
	require.False(t, d.take("chaos_object.website[0]"))
	require.False(t, (&doubts{}).take("chaos_object.a[0]"))
}

func TestOverlaps(t *testing.T) {
	t.Parallel()
	entries := func(attempts ...string) []entry {
		all := []entry{}
		for _, a := range attempts {
			all = append(all, entry{attempt: a, verb: verbMade})
		}
		return all
	}
	require.Empty(t, overlaps(entries("a", "a", "b", "c")))
	require.Len(t, overlaps(entries("a", "b", "a")), 1)
}

func TestStates(t *testing.T) {
	t.Parallel()
	_, err := parseState([]byte(`{"version": 4, "ser`))
	require.Error(t, err)
	_, err = parseState([]byte(`{"version": 4}`))
	require.Error(t, err)
	s, err := parseState([]byte(`{"version":4,"serial":7,"lineage":"l","resources":[
		{"mode":"managed","type":"chaos_object","instances":[{"attributes":{"id":"new"}},{"deposed":"1234","attributes":{"id":"old"}}]},
		{"mode":"data","type":"chaos_object","instances":[{"attributes":{"id":"read"}}]}]}`))
	require.NoError(t, err)
	require.Equal(t, map[string]bool{"new": true, "old": true}, s.ids())
	require.True(t, s.olderThan(state{Serial: 8, Lineage: "l"}))
	require.True(t, state{}.olderThan(s), "an empty state after one with resources")
	require.False(t, s.olderThan(s))
	require.False(t, s.olderThan(state{}))
}

func TestWallClock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "clock")
	none, err := WallClock(func(string) string { return "" })
	require.NoError(t, err)
	require.Nil(t, none, "nobody else's clock is touched")
	now, err := WallClock(func(name string) string { return map[string]string{clockVariable: path}[name] })
	require.NoError(t, err)
	before := now()
	require.WithinDuration(t, time.Now(), before, time.Minute)
	for _, jump := range []time.Duration{5 * time.Hour, -5 * time.Hour} {
		require.NoError(t, setClock(path, jump))
		after := now()
		require.WithinDuration(t, before.Round(0).Add(jump), after.Round(0), time.Minute, "the wall reading jumps")
		require.InDelta(t, 0, after.Sub(before), float64(time.Minute), "and the monotonic one does not")
	}
	for run := range 1000 {
		jump := planOf(7, run, faults(), time.Minute).jump.Abs()
		require.True(t, jump >= shortestJump && jump <= longestJump, jump)
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	const runs, horizon = 1000, 30 * time.Second
	between, kinds := 0, map[string]int{}
	for run := range runs {
		p := planOf(7, run, faults(), horizon)
		again := planOf(7, run, faults(), horizon)
		require.Equal(t, [5]any{p.fault.name, p.lands, p.share, p.wait, p.lasts}, [5]any{again.fault.name, again.lands, again.share, again.wait, again.lasts})
		if p.lands == landsBetween {
			between++
		}
		kinds[p.fault.name]++
		require.True(t, !p.fault.beyond || p.lasts > horizon)
	}
	require.Greater(t, between, runs*65/100)
	require.Len(t, kinds, len(faults()))
	_, err := selectFaults([]string{"flood"})
	require.ErrorContains(t, err, "daemon-kill")
}
