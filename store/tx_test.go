package store_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"coder/store"
	"coder/store/storetest"
)

func TestReadThenWriteLosesNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		const workers, each = 50, 4
		require.NoError(t, s.PutSetting(t.Context(), store.PutSettingParams{Name: "counter", Value: "0"}))
		g, ctx := errgroup.WithContext(t.Context())
		for range workers {
			g.Go(func() error {
				for range each {
					if err := s.InTx(ctx, func(tx *store.Store) error { return increment(ctx, tx) }); err != nil {
						return err
					}
				}
				return nil
			})
		}
		require.NoError(t, g.Wait())
		got, err := s.GetSetting(t.Context(), "counter")
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(workers*each), got)
	})
}

func increment(ctx context.Context, tx *store.Store) error {
	text, err := tx.GetSetting(ctx, "counter")
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return err
	}
	return tx.PutSetting(ctx, store.PutSettingParams{Name: "counter", Value: strconv.Itoa(n + 1)})
}

// Two transactions that each read what the other writes are the case that
// weaker isolation lets through.
func TestTransactionsRunAsIfOneAfterTheOther(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		for round := range 20 {
			a, b := fmt.Sprint("a", round), fmt.Sprint("b", round)
			claim := func(mine, other string) error {
				return s.InTx(t.Context(), func(tx *store.Store) error {
					_, err := tx.GetSetting(t.Context(), other)
					if store.IsNotFound(err) {
						return tx.PutSetting(t.Context(), store.PutSettingParams{Name: mine, Value: "claimed"})
					}
					return err
				})
			}
			var g errgroup.Group
			g.Go(func() error { return claim(a, b) })
			g.Go(func() error { return claim(b, a) })
			require.NoError(t, g.Wait())
			_, errA := s.GetSetting(t.Context(), a)
			_, errB := s.GetSetting(t.Context(), b)
			require.NotEqual(t, errA == nil, errB == nil, "exactly one claim may stand")
		}
	})
}

func TestClaimHasOneWinner(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		const jobs, claimers = 10, 20
		f := seedOrganization(t, s, "claim")
		var ids []uuid.UUID
		for range jobs {
			ids = append(ids, f.job(t).ID)
		}
		var wins atomic.Int64
		var g errgroup.Group
		for range claimers {
			g.Go(func() error {
				for _, id := range ids {
					worker, attempt := uuid.New(), uuid.New()
					_, err := s.ClaimProvisionerJob(t.Context(), store.ClaimProvisionerJobParams{
						OrganizationID: f.organization.ID, ID: id, WorkerID: &worker, AttemptID: &attempt,
						StartedAt: store.At(time.Now()), UpdatedAt: store.At(time.Now()),
					})
					switch {
					case err == nil:
						wins.Add(1)
					case !store.IsNotFound(err):
						return err
					}
				}
				return nil
			})
		}
		require.NoError(t, g.Wait())
		require.EqualValues(t, jobs, wins.Load())
	})
}

func TestInTxRunsAgainWhenTransactionsMeet(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		require.NoError(t, s.PutSetting(t.Context(), store.PutSettingParams{Name: "counter", Value: "0"}))
		runs := 0
		err := s.InTx(t.Context(), func(tx *store.Store) error {
			runs++
			if err := increment(t.Context(), tx); err != nil {
				return err
			}
			if runs == 1 && s.Dialect() == store.PostgreSQL {
				// Somebody else changes what this transaction read.
				return tx.Meet(t.Context())
			}
			return nil
		})
		require.NoError(t, err)
		if s.Dialect() == store.PostgreSQL {
			require.Equal(t, 2, runs)
		}
		got, err := s.GetSetting(t.Context(), "counter")
		require.NoError(t, err)
		require.Equal(t, "1", got, "the first run must leave nothing")
	})
}

func TestInTxKeepsAllOrNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		put := func(tx *store.Store, name string) error {
			return tx.PutSetting(t.Context(), store.PutSettingParams{Name: name, Value: "1"})
		}
		sentinel := errors.New("changed my mind")
		err := s.InTx(t.Context(), func(tx *store.Store) error {
			return errors.Join(put(tx, "one"), tx.InTx(t.Context(), func(tx *store.Store) error { return put(tx, "two") }), sentinel)
		})
		require.ErrorIs(t, err, sentinel)
		require.Panics(t, func() {
			_ = s.InTx(t.Context(), func(tx *store.Store) error {
				require.NoError(t, put(tx, "two"))
				panic("half-way")
			})
		})
		ctx, cancel := context.WithCancel(t.Context())
		err = s.InTx(ctx, func(tx *store.Store) error {
			require.NoError(t, put(tx, "three"))
			cancel()
			return nil
		})
		require.ErrorIs(t, err, context.Canceled)
		for _, name := range []string{"one", "two", "three"} {
			_, err := s.GetSetting(t.Context(), name)
			require.True(t, store.IsNotFound(err), name)
		}
	})
}

// PostgreSQL does nothing more in a transaction after an error. SQLite would,
// and code tried on SQLite only would break in production.
func TestInTxRefusesToGoOnAfterAnError(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := seedOrganization(t, s, "once")
		err := s.InTx(t.Context(), func(tx *store.Store) error {
			_, err := tx.InsertMember(t.Context(), store.InsertMemberParams{OrganizationID: f.organization.ID, UserID: f.user.ID, CreatedAt: now, UpdatedAt: now})
			require.True(t, store.IsConflict(err), "%v", err)
			return nil
		})
		require.Error(t, err)
	})
}

func TestStatementsArePreparedOnce(t *testing.T) {
	s := storetest.Open(t, storetest.SQLiteOptions(t))
	use := func() {
		for i := range int64(10) {
			var f store.Filter
			f.Where("w.name = ?", fmt.Sprint("name", i))
			_, err := s.Filtered(f).ListWorkspaceIDs(t.Context(), store.ListWorkspaceIDsParams{OrganizationIds: store.IDs(nil), MaxRows: 10, SkipRows: int32(i)})
			require.NoError(t, err)
			require.NoError(t, s.InTx(t.Context(), func(tx *store.Store) error {
				_, err := tx.GetSetting(t.Context(), fmt.Sprint(i))
				require.True(t, store.IsNotFound(err))
				return nil
			}))
		}
	}
	require.Eventually(t, func() bool {
		before := s.Prepared()
		use()
		return s.Prepared() == before
	}, 10*time.Second, time.Millisecond)
	// Three of opening, the list, the transaction: values and pages must not count.
	require.LessOrEqual(t, s.Prepared(), 5)
}
