package store_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/internal/seal"
	"coder/store"
	"coder/store/storetest"
)

func TestSealing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		a, b := seedOrganization(t, s, "a").organization.ID, seedOrganization(t, s, "b").organization.ID
		secret := []byte("state of a\x00")
		sealed, err := s.Seal(ctx, a, "state", secret)
		require.NoError(t, err)
		require.NotContains(t, string(sealed), "state of a")

		plain, err := s.Unseal(ctx, a, "state", sealed)
		require.NoError(t, err)
		require.Equal(t, secret, plain)

		_, err = s.Unseal(ctx, a, "variable", sealed)
		require.ErrorIs(t, err, seal.ErrOpen, "another purpose")
		_, err = s.Unseal(ctx, b, "state", sealed)
		require.ErrorIs(t, err, seal.ErrOpen, "another organization")
		_, err = s.Unseal(ctx, uuid.Nil, "state", sealed)
		require.ErrorIs(t, err, seal.ErrOpen, "the deployment")
		_, err = s.Seal(ctx, uuid.New(), "state", secret)
		require.True(t, store.IsNotFound(err), "an organization that does not exist: %v", err)

		own, err := s.Seal(ctx, uuid.Nil, "idp", secret)
		require.NoError(t, err)
		plain, err = s.Unseal(ctx, uuid.Nil, "idp", own)
		require.NoError(t, err)
		require.Equal(t, secret, plain)
	})
}

func TestSealedDataOpensAfterARestart(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		s := storetest.Open(t, o)
		id := seedOrganization(t, s, "a").organization.ID
		sealed, err := s.Seal(t.Context(), id, "state", []byte("kept"))
		require.NoError(t, err)
		require.NoError(t, s.Close())

		again := storetest.Open(t, o)
		plain, err := again.Unseal(t.Context(), id, "state", sealed)
		require.NoError(t, err)
		require.Equal(t, "kept", string(plain))
	})
}

func TestSealingInTheTransactionThatMakesTheOrganization(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		id := uuid.New()
		err := s.InTx(t.Context(), func(tx *store.Store) error {
			key, err := tx.NewSealingKey(id)
			require.NoError(t, err)
			_, err = tx.InsertOrganization(t.Context(), store.InsertOrganizationParams{ID: id, Name: "new", SealingKey: key, CreatedAt: now, UpdatedAt: now})
			require.NoError(t, err)
			_, err = tx.Seal(t.Context(), id, "state", []byte("x"))
			return err
		})
		require.NoError(t, err)
	})
}

func TestOpenRefusesAnotherDeploymentKey(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		require.NoError(t, storetest.Open(t, o).Close())
		for name, key := range map[string]seal.Key{"another": {9}, "none": {}} {
			wrong := o
			wrong.DeploymentKey = key
			_, err := store.Open(t.Context(), wrong)
			require.ErrorIs(t, err, store.ErrDeploymentKey, name)
		}
		storetest.Open(t, o) // refusing must not keep the directory locked
	})
}

// The key of an organization is bound to it: a row copied over another one
// opens nothing.
func TestSealingKeyBelongsToItsOrganization(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		s := storetest.Open(t, o)
		a, b := seedOrganization(t, s, "a").organization, seedOrganization(t, s, "b").organization
		_, err := s.Raw().ExecContext(t.Context(), "UPDATE organizations SET sealing_key = $1 WHERE id = $2", a.SealingKey, b.ID.String())
		require.NoError(t, err)
		_, err = s.Seal(t.Context(), b.ID, "state", nil)
		require.ErrorIs(t, err, store.ErrDeploymentKey)
	})
}
