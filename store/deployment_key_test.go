package store_test

import (
	"encoding/hex"
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"coder/internal/seal"
	"coder/store"
	"coder/store/storetest"
)

var second, third = seal.Key{0: 2}, seal.Key{0: 3}

func rotate(t testing.TB, s *store.Store, to seal.Key) (done store.DeploymentKeyRotation) {
	t.Helper()
	require.NoError(t, s.InTx(t.Context(), func(tx *store.Store) (err error) {
		done, err = tx.RotateDeploymentKey(t.Context(), to)
		return err
	}))
	return done
}

// sealedWorld is one secret of each kind that the deployment key protects.
type sealedWorld struct {
	organization uuid.UUID
	user         store.User
	state        []byte
	file         uuid.UUID
	audit        store.AuditMark
}

func newSealedWorld(t testing.TB, s *store.Store, name string) sealedWorld {
	t.Helper()
	ctx := t.Context()
	w := sealedWorld{organization: seedOrganization(t, s, name).organization.ID}
	w.state = sealed(t, s, w.organization, store.PurposeState, "state of "+name)
	w.file = uuid.New()
	by, err := s.GetUserByUsername(ctx, name+"-user")
	require.NoError(t, err)
	_, err = s.AddFile(ctx, store.InsertFileParams{ID: w.file, CreatedBy: by.ID, Hash: "source of " + name, Mimetype: "x", Data: []byte("source of " + name), CreatedAt: now})
	require.NoError(t, err)
	require.NoError(t, s.InTx(ctx, func(tx *store.Store) error {
		key, err := tx.Seal(ctx, uuid.Nil, store.PurposeSSHKey, []byte("ssh of "+name))
		if err != nil {
			return err
		}
		w.user, err = tx.InsertUser(ctx, store.InsertUserParams{
			ID: uuid.New(), Email: "ssh@" + name, Username: "ssh-" + name, LoginType: "password", Status: "active", SshPrivateKey: key, CreatedAt: now, UpdatedAt: now,
		})
		if err != nil {
			return err
		}
		return tx.AppendAudit(ctx, store.InsertAuditLogParams{OrganizationID: w.organization, ID: uuid.New(), CreatedAt: now, Diff: "{}", AdditionalFields: "{}"})
	}))
	w.audit, err = s.AuditMarkOf(ctx, w.organization)
	require.NoError(t, err)
	return w
}

// requireOpen reads all of it.
func (w sealedWorld) requireOpen(t testing.TB, s *store.Store, name string) {
	t.Helper()
	ctx := t.Context()
	plain, err := s.Unseal(ctx, w.organization, store.PurposeState, w.state)
	require.NoError(t, err)
	require.Equal(t, "state of "+name, string(plain))
	user, err := s.GetUser(ctx, w.user.ID)
	require.NoError(t, err)
	plain, err = s.Unseal(ctx, uuid.Nil, store.PurposeSSHKey, user.SshPrivateKey)
	require.NoError(t, err)
	require.Equal(t, "ssh of "+name, string(plain))
	file, err := s.ReadFile(ctx, w.file)
	require.NoError(t, err)
	require.Equal(t, "source of "+name, string(file.Data))
	_, _, fault, err := s.VerifyAudit(ctx, w.organization, store.AuditPart{Known: &w.audit})
	require.NoError(t, err)
	require.Nil(t, fault)
}

func TestRotatingTheDeploymentKeyLosesNothing(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		s := storetest.Open(t, o)
		a, b := newSealedWorld(t, s, "a"), newSealedWorld(t, s, "b")
		s.LearnDeploymentKey(second)
		unused, err := s.UnusedDeploymentKeys(t.Context())
		require.NoError(t, err)
		require.Equal(t, []seal.Key{second}, unused)

		done := rotate(t, s, second)
		require.Equal(t, store.DeploymentKeyRotation{From: storetest.Key().ID(), To: second.ID(), Organizations: 2, SSHKeys: 2}, done)
		a.requireOpen(t, s, "a")
		c := newSealedWorld(t, s, "c") // goes on under the new key
		unused, err = s.UnusedDeploymentKeys(t.Context())
		require.NoError(t, err)
		require.Empty(t, unused, "a key that was in use does not come back")
		require.NoError(t, s.Close())

		_, err = store.Open(t.Context(), o)
		require.ErrorIs(t, err, store.ErrDeploymentKey, "the old key alone opens nothing any more")
		require.ErrorContains(t, err, second.ID())
		require.NotContains(t, err.Error(), hex.EncodeToString(second[:]))

		for name, keys := range map[string][]seal.Key{"the new key alone": {second}, "both": {storetest.Key(), second}, "a third waits": {third, second}} {
			o.DeploymentKeys = keys
			s = storetest.Open(t, o)
			for world, w := range map[string]sealedWorld{"a": a, "b": b, "c": c} {
				w.requireOpen(t, s, world)
			}
			require.NoError(t, s.Close(), name)
		}
	})
}

// What the old key has wrapped must be gone from every row.
func TestAfterARotationTheOldKeyOpensNoRow(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		newSealedWorld(t, s, "a")
		s.LearnDeploymentKey(second)
		rotate(t, s, second)
		tried := 0
		for _, query := range []string{
			"SELECT id, sealing_key FROM organizations", "SELECT id, ssh_private_key FROM users WHERE length(ssh_private_key) > 0",
			"SELECT name, value FROM settings WHERE name LIKE '%key%' AND name <> 'deployment_key_history'",
		} {
			rows, err := s.Raw().QueryContext(t.Context(), query)
			require.NoError(t, err)
			defer rows.Close()
			for rows.Next() {
				var id string
				var wrapped []byte
				require.NoError(t, rows.Scan(&id, &wrapped))
				if raw, err := hex.DecodeString(string(wrapped)); err == nil {
					wrapped = raw
				}
				for _, purpose := range []string{"organization:" + id, store.PurposeSSHKey, "audit key", "file key", "history key", "deployment_key_check"} {
					_, err := storetest.Key().Open(wrapped, purpose)
					require.ErrorIs(t, err, seal.ErrOpen, "%s %s", query, id)
				}
				tried++
			}
			require.NoError(t, rows.Err())
		}
		require.Equal(t, 6, tried)
	})
}

// A rotation that fails, or is cut off before its commit, has changed nothing.
func TestARotationHappensWholeOrNotAtAll(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		s := storetest.Open(t, o)
		a := newSealedWorld(t, s, "a")
		s.LearnDeploymentKey(second)
		err := s.InTx(t.Context(), func(tx *store.Store) error {
			_, err := tx.RotateDeploymentKey(t.Context(), second)
			require.NoError(t, err)
			return fmt.Errorf("cut off")
		})
		require.ErrorContains(t, err, "cut off")
		a.requireOpen(t, s, "a")
		_, err = s.Raw().ExecContext(t.Context(), "UPDATE users SET ssh_private_key = $1 WHERE id = $2", []byte("broken"), a.user.ID.String())
		require.NoError(t, err)
		err = s.InTx(t.Context(), func(tx *store.Store) error {
			_, err := tx.RotateDeploymentKey(t.Context(), second)
			return err
		})
		require.ErrorContains(t, err, a.user.ID.String(), "a row that does not open is named, not skipped")
		require.NoError(t, s.Close())
		storetest.Open(t, o) // the old key is still the key
	})
}

// Replicas of one database: what one of them seals while another rotates is
// readable under the new key, whoever came first.
func TestRotationsMeetThoseWhoSeal(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		o.DeploymentKeys = []seal.Key{storetest.Key(), second, third}
		one := storetest.Open(t, o)
		other := one
		if o.PostgresURL != "" {
			other = storetest.Open(t, o)
		}
		var worlds [20]sealedWorld
		var g errgroup.Group
		for i := range worlds {
			g.Go(func() error {
				worlds[i] = newSealedWorld(t, []*store.Store{one, other}[i%2], fmt.Sprint("w", i))
				return nil
			})
		}
		for _, to := range []seal.Key{second, third} {
			rotate(t, one, to)
		}
		require.NoError(t, g.Wait())
		require.NoError(t, one.Close())
		if other != one {
			require.NoError(t, other.Close())
		}

		o.DeploymentKeys = []seal.Key{third}
		s := storetest.Open(t, o)
		for i, w := range worlds {
			w.requireOpen(t, s, fmt.Sprint("w", i))
		}
	})
}

// A replica without the new key says so, and writes nothing that nobody could read.
func TestAReplicaWithoutTheNewKeyRefuses(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		if o.PostgresURL == "" {
			return // SQLite has one server
		}
		behind := storetest.Open(t, o)
		a := newSealedWorld(t, behind, "a")
		o.DeploymentKeys = slices.Concat(o.DeploymentKeys, []seal.Key{second})
		ahead := storetest.Open(t, o)
		rotate(t, ahead, second)
		err := behind.InTx(t.Context(), func(tx *store.Store) error {
			_, err := tx.Seal(t.Context(), uuid.Nil, store.PurposeSSHKey, []byte("x"))
			return err
		})
		require.ErrorIs(t, err, store.ErrDeploymentKey)
		require.ErrorContains(t, err, second.ID())
		err = behind.InTx(t.Context(), func(tx *store.Store) error {
			_, err := tx.NewSealingKey(t.Context(), uuid.New())
			return err
		})
		require.ErrorIs(t, err, store.ErrDeploymentKey)
		user, err := behind.GetUser(t.Context(), a.user.ID)
		require.NoError(t, err)
		_, err = behind.Unseal(t.Context(), uuid.Nil, store.PurposeSSHKey, user.SshPrivateKey)
		require.ErrorIs(t, err, store.ErrDeploymentKey)
		require.ErrorIs(t, behind.CheckDeploymentKey(t.Context()), store.ErrDeploymentKey)
		a.requireOpen(t, ahead, "a")
	})
}
