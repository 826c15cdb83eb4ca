package store_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/internal/seal"
	"coder/store"
	"coder/store/storetest"
)

// sealed seals in a transaction of its own.
func sealed(t testing.TB, s *store.Store, organizationID uuid.UUID, purpose, plain string) (out []byte) {
	t.Helper()
	require.NoError(t, s.InTx(t.Context(), func(tx *store.Store) (err error) {
		out, err = tx.Seal(t.Context(), organizationID, purpose, []byte(plain))
		return err
	}))
	return out
}

func TestSealing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		a, b := seedOrganization(t, s, "a").organization.ID, seedOrganization(t, s, "b").organization.ID
		text := sealed(t, s, a, "state", "state of a\x00")
		require.NotContains(t, string(text), "state of a")

		plain, err := s.Unseal(ctx, a, "state", text)
		require.NoError(t, err)
		require.Equal(t, "state of a\x00", string(plain))

		_, err = s.Unseal(ctx, a, "variable", text)
		require.ErrorIs(t, err, seal.ErrOpen, "another purpose")
		_, err = s.Unseal(ctx, b, "state", text)
		require.ErrorIs(t, err, seal.ErrOpen, "another organization")
		_, err = s.Unseal(ctx, uuid.Nil, "state", text)
		require.ErrorIs(t, err, seal.ErrOpen, "the deployment")
		for i := range text {
			_, err = s.Unseal(ctx, a, "state", text[:i])
			require.ErrorIs(t, err, seal.ErrOpen, "cut at %d", i)
		}
		_, err = s.Seal(ctx, a, "state", nil)
		require.ErrorContains(t, err, "transaction", "a rotation could come in between")
		err = s.InTx(ctx, func(tx *store.Store) error {
			_, err := tx.Seal(ctx, uuid.New(), "state", nil)
			return err
		})
		require.True(t, store.IsNotFound(err), "an organization that does not exist: %v", err)

		own := sealed(t, s, uuid.Nil, "idp", "ours")
		plain, err = s.Unseal(ctx, uuid.Nil, "idp", own)
		require.NoError(t, err)
		require.Equal(t, "ours", string(plain))
	})
}

func TestSealedDataOpensAfterARestart(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		s := storetest.Open(t, o)
		id := seedOrganization(t, s, "a").organization.ID
		text := sealed(t, s, id, "state", "kept")
		require.NoError(t, s.Close())

		again := storetest.Open(t, o)
		plain, err := again.Unseal(t.Context(), id, "state", text)
		require.NoError(t, err)
		require.Equal(t, "kept", string(plain))
	})
}

func TestSealingInTheTransactionThatMakesTheOrganization(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		id := uuid.New()
		err := s.InTx(t.Context(), func(tx *store.Store) error {
			key, err := tx.NewSealingKey(t.Context(), id)
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
		for name, keys := range map[string][]seal.Key{"another": {{9}}, "none": nil, "an empty one": {storetest.Key(), {}}} {
			wrong := o
			wrong.DeploymentKeys = keys
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
		err = s.InTx(t.Context(), func(tx *store.Store) error {
			_, err := tx.Seal(t.Context(), b.ID, "state", nil)
			return err
		})
		require.ErrorIs(t, err, seal.ErrOpen)
	})
}
