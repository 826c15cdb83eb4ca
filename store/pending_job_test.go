package store_test

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/store"
	"coder/store/storetest"
)

// Whatever is done to jobs, and taken back, those that are followed are those
// that the database has.
func TestPendingJobsAreThoseOfTheDatabase(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f := seedOrganization(t, s, "pending")
		chance := rand.New(rand.NewPCG(7, 7))
		var ids []uuid.UUID
		for range 120 {
			if chance.IntN(3) == 0 || len(ids) == 0 {
				ids = append(ids, f.job(t).ID)
			}
			changeJob(t, s, f.organization.ID, ids[chance.IntN(len(ids))], chance)
			requirePending(t, s, f.organization.ID)
		}
	})
}

// changeJob does one thing to a job, in a transaction that may fail.
func changeJob(t *testing.T, s *store.Store, organization, id uuid.UUID, chance *rand.Rand) {
	t.Helper()
	ctx, errBack := t.Context(), errors.New("taken back")
	what, back := chance.IntN(4), chance.IntN(3) == 0
	err := s.InTx(ctx, func(tx *store.Store) error {
		job, err := tx.GetProvisionerJob(ctx, id)
		require.NoError(t, err)
		attempt, now := uuid.New(), store.At(time.Now())
		switch what {
		case 0:
			_, err = tx.ClaimProvisionerJob(ctx, store.ClaimProvisionerJobParams{OrganizationID: organization, ID: id, AttemptID: &attempt, StartedAt: now, UpdatedAt: now})
		case 1:
			_, err = tx.RequeueProvisionerJob(ctx, store.RequeueProvisionerJobParams{OrganizationID: organization, ID: id, AttemptID: job.AttemptID, UpdatedAt: now})
		case 2:
			_, err = tx.CancelProvisionerJob(ctx, store.CancelProvisionerJobParams{OrganizationID: organization, ID: id, CanceledAt: now.Micro(), Cancel: "graceful", UpdatedAt: now})
		default:
			err = tx.FinishProvisionerJob(ctx, store.FinishProvisionerJobParams{OrganizationID: organization, ID: id, Status: "failed", InDoubt: "[]", Timings: "[]", CompletedAt: now})
		}
		if back {
			return errBack
		}
		return err
	})
	require.True(t, err == nil || errors.Is(err, errBack) || store.IsNotFound(err), "%v", err)
}

func requirePending(t *testing.T, s *store.Store, organization uuid.UUID) {
	t.Helper()
	want, err := s.ListPendingJobs(t.Context(), organization)
	require.NoError(t, err)
	got, err := s.PendingJobs(t.Context(), organization, true)
	require.NoError(t, err)
	rows := make([]store.ListPendingJobsRow, len(got))
	for i, j := range got {
		rows[i] = j.ListPendingJobsRow
	}
	require.Equal(t, want, rows)
}
