package store_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"coder/store"
	"coder/store/storetest"
)

func put(ctx context.Context, s *store.Store, name string) error {
	return s.PutSetting(ctx, store.PutSettingParams{Name: name, Value: "1"})
}

func has(t *testing.T, s *store.Store, name string) bool {
	t.Helper()
	_, err := s.GetSetting(t.Context(), name)
	require.True(t, err == nil || store.IsNotFound(err), "%v", err)
	return err == nil
}

// inGroup runs first and second so that the second one waits when the first
// has done its part.
func inGroup(t *testing.T, s *store.Store, first, second func(tx *store.Store) error) (errFirst, errSecond error) {
	t.Helper()
	var g errgroup.Group
	entered, again := make(chan struct{}), false
	g.Go(func() error {
		errFirst = s.InTx(t.Context(), func(tx *store.Store) error {
			if !again {
				again = true
				close(entered)
				for s.Waiting() == 0 {
					time.Sleep(time.Millisecond)
				}
			}
			return first(tx)
		})
		return nil
	})
	<-entered
	g.Go(func() error {
		errSecond = s.InTx(t.Context(), second)
		return nil
	})
	require.NoError(t, g.Wait())
	return errFirst, errSecond
}

func TestTransactionsThatWaitShareACommit(t *testing.T) {
	s := storetest.Open(t, storetest.SQLiteOptions(t))
	errFirst, errSecond := inGroup(t, s, func(tx *store.Store) error { return put(t.Context(), tx, "first") }, func(tx *store.Store) error {
		require.True(t, has(t, tx, "first"), "it runs behind the first")
		require.False(t, has(t, s, "first"), "which is not committed yet")
		return put(t.Context(), tx, "second")
	})
	require.NoError(t, errors.Join(errFirst, errSecond))
	require.True(t, has(t, s, "first"))
	require.True(t, has(t, s, "second"))
}

func TestWhatFailsInAGroupLeavesTheOthers(t *testing.T) {
	sentinel := errors.New("changed my mind")
	fail := func(t *testing.T, tx *store.Store, name string) error {
		return errors.Join(put(t.Context(), tx, name), sentinel)
	}
	t.Run("the second", func(t *testing.T) {
		s := storetest.Open(t, storetest.SQLiteOptions(t))
		errFirst, errSecond := inGroup(t, s, func(tx *store.Store) error { return put(t.Context(), tx, "first") }, func(tx *store.Store) error { return fail(t, tx, "second") })
		require.NoError(t, errFirst)
		require.ErrorIs(t, errSecond, sentinel)
		require.True(t, has(t, s, "first"))
		require.False(t, has(t, s, "second"))
	})
	t.Run("the first", func(t *testing.T) {
		s := storetest.Open(t, storetest.SQLiteOptions(t))
		errFirst, errSecond := inGroup(t, s, func(tx *store.Store) error { return fail(t, tx, "first") }, func(tx *store.Store) error { return put(t.Context(), tx, "second") })
		require.ErrorIs(t, errFirst, sentinel)
		require.NoError(t, errSecond)
		require.False(t, has(t, s, "first"))
		require.True(t, has(t, s, "second"))
	})
}

// A full disk can make SQLite drop the whole transaction at any statement.
func TestAGroupThatIsLostIsDoneAgain(t *testing.T) {
	s := storetest.Open(t, storetest.SQLiteOptions(t))
	sentinel := errors.New("no room")
	runs := 0
	errFirst, errSecond := inGroup(t, s, func(tx *store.Store) error {
		runs++
		return put(t.Context(), tx, "first")
	}, func(tx *store.Store) error {
		return errors.Join(put(t.Context(), tx, "second"), tx.GiveUp(t.Context()), sentinel)
	})
	require.NoError(t, errFirst)
	require.ErrorIs(t, errSecond, sentinel)
	require.Equal(t, 2, runs, "the first was lost with the second, and done again by itself")
	require.True(t, has(t, s, "first"))
	require.False(t, has(t, s, "second"))
}

// Many at once, of which some fail, panic, are canceled or lose the group, add
// up to what those did that succeeded.
func TestManyTransactionsAddUp(t *testing.T) {
	s := storetest.Open(t, storetest.SQLiteOptions(t))
	require.NoError(t, s.PutSetting(t.Context(), store.PutSettingParams{Name: "counter", Value: "0"}))
	var done atomic.Int64
	var g errgroup.Group
	for seed := range uint64(8) {
		g.Go(func() error {
			chance := rand.New(rand.NewPCG(seed, 1))
			for range 60 {
				if hurt(t.Context(), s, chance.IntN(8)) == nil {
					done.Add(1)
				}
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	got, err := s.GetSetting(t.Context(), "counter")
	require.NoError(t, err)
	require.Equal(t, strconv.FormatInt(done.Load(), 10), got)
	require.Greater(t, done.Load(), int64(8*60/4), "most are not hurt")
}

var errHurt = errors.New("hurt")

// hurt adds one to the counter in a transaction that may be hurt in a way.
func hurt(ctx context.Context, s *store.Store, way int) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer func() {
		if recover() != nil {
			err = errHurt
		}
	}()
	if way == 0 {
		time.AfterFunc(time.Millisecond, cancel)
	}
	return s.InTx(ctx, func(tx *store.Store) error {
		if err := increment(ctx, tx); err != nil {
			return err
		}
		switch way {
		case 1:
			return errHurt
		case 2:
			panic("half-way")
		case 3:
			return errors.Join(tx.GiveUp(ctx), errHurt)
		}
		return nil
	})
}
