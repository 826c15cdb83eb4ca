package server_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/internal/seal"
	"coder/server"
	"coder/server/servertest"
	"coder/store"
	"coder/store/storetest"
)

func withKeyFile(path string) servertest.Option {
	return servertest.WithOptions(func(o *server.Options) { o.DeploymentKeyFile = path })
}

// keyFile is a data directory's file of keys, and the store that it opens.
func keyFile(t *testing.T) (string, store.Options) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "deployment.key")
	keys, err := seal.LoadOrCreate(path)
	require.NoError(t, err)
	o := storetest.SQLiteOptions(t)
	o.DeploymentKeys = keys
	return path, o
}

func TestRotateTheServersOwnDeploymentKey(t *testing.T) {
	t.Parallel()
	path, o := keyFile(t)
	st := storetest.Open(t, o)
	s := servertest.New(t, servertest.WithStore(st), withKeyFile(path))
	s.Organization(t, "data-platform")
	done, err := s.Client.RotateDeploymentKey(t.Context())
	require.NoError(t, err)
	keys, err := seal.Load(path)
	require.NoError(t, err)
	require.Len(t, keys, 2, "the old key stays for the backups of before")
	require.Equal(t, client.RotatedDeploymentKey{From: o.DeploymentKeys[0].ID(), To: keys[0].ID(), Organizations: 2, SSHKeys: 1, KeyFile: path}, done)

	again, err := s.Client.RotateDeploymentKey(t.Context())
	require.NoError(t, err)
	require.Equal(t, done.To, again.From)
	_, err = s.Client.CreateOrganization(t.Context(), client.CreateOrganizationRequest{Name: "later"})
	require.NoError(t, err)

	log, err := s.Client.AuditLogs(t.Context(), client.AuditLogsRequest{Query: "resource_type:organization resource_target:deployment action:write", Limit: 10})
	require.NoError(t, err)
	require.Len(t, log.AuditLogs, 2)
	require.Equal(t, client.AuditDiffField{Old: done.To, New: again.To}, log.AuditLogs[0].Diff["key_id"])
}

// A file with a key that was made before a crash, and not used yet.
func TestAKeyThatACrashHasLeftIsTakenNext(t *testing.T) {
	t.Parallel()
	path, o := keyFile(t)
	left, err := seal.AddToFile(path)
	require.NoError(t, err)
	o.DeploymentKeys, err = seal.Load(path)
	require.NoError(t, err)
	old := o
	old.DeploymentKeys = o.DeploymentKeys[1:]
	require.NoError(t, storetest.Open(t, old).Close())

	s := servertest.New(t, servertest.WithStore(storetest.Open(t, o)), withKeyFile(path))
	done, err := s.Client.RotateDeploymentKey(t.Context())
	require.NoError(t, err)
	require.Equal(t, left.ID(), done.To)
	keys, err := seal.Load(path)
	require.NoError(t, err)
	require.Equal(t, o.DeploymentKeys, keys)
}

// A full disk or a lost directory: nothing has changed, and it says why.
func TestARotationThatCannotKeepItsKeyChangesNothing(t *testing.T) {
	t.Parallel()
	path, o := keyFile(t)
	s := servertest.New(t, servertest.WithStore(storetest.Open(t, o)), withKeyFile(path))
	require.NoError(t, os.Rename(path, path+".gone"))
	_, err := s.Client.RotateDeploymentKey(t.Context())
	require.Equal(t, http.StatusInternalServerError, client.StatusCode(err))
	require.NoError(t, s.Store.CheckDeploymentKey(t.Context()))
	require.Equal(t, []string{o.DeploymentKeys[0].ID()}, s.Store.KnownDeploymentKeys())
	require.NoError(t, os.Rename(path+".gone", path))
	_, err = s.Client.RotateDeploymentKey(t.Context())
	require.NoError(t, err)
}

func TestRotateToAGivenDeploymentKey(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	_, err := s.Client.RotateDeploymentKey(t.Context())
	require.Equal(t, http.StatusConflict, client.StatusCode(err))
	require.ErrorContains(t, err, "CODER_DEPLOYMENT_KEY=<current>,<new>")
	s.Store.LearnDeploymentKey(seal.Key{1: 1})
	s.Store.LearnDeploymentKey(seal.Key{1: 2})
	_, err = s.Client.RotateDeploymentKey(t.Context())
	require.Equal(t, http.StatusConflict, client.StatusCode(err))
	require.ErrorContains(t, err, seal.Key{1: 2}.ID())
}

// Replicas that share a database: a rotation waits for the last of them to have the
// new key, and then disturbs none.
func TestReplicasThroughARotation(t *testing.T) {
	t.Parallel()
	if os.Getenv("CODER_TEST_POSTGRES") == "" && !storetest.Installed() {
		t.Skip("only PostgreSQL has replicas, and it is not installed")
	}
	old, next := storetest.Key(), seal.Key{5: 5}
	o := storetest.PostgresOptions(t)
	clock := servertest.NewClock()
	behind := o
	one := servertest.New(t, servertest.WithStore(storetest.Open(t, behind)), servertest.WithClock(clock), servertest.WithoutLoops())
	o.DeploymentKeys = []seal.Key{old, next}
	two := servertest.New(t, servertest.WithStore(storetest.Open(t, o)), servertest.WithoutUsers(), servertest.WithClock(clock))
	three := servertest.New(t, servertest.WithStore(storetest.Open(t, o)), servertest.WithoutUsers(), servertest.WithClock(clock))
	at := func(s *servertest.Server) *client.Client { return s.WithToken(t, one.Token) }

	_, err := at(two).RotateDeploymentKey(t.Context())
	require.Equal(t, http.StatusConflict, client.StatusCode(err))
	require.ErrorContains(t, err, "1 replica of this deployment does not have the new deployment key "+next.ID())
	require.NoError(t, one.Store.CheckDeploymentKey(t.Context()), "nothing was changed")

	// That one is gone without a word.
	clock.Advance(2 * time.Minute)
	require.Eventually(t, func() bool {
		_, err := at(two).RotateDeploymentKey(t.Context())
		return err == nil
	}, time.Minute, 50*time.Millisecond)
	for _, s := range []*servertest.Server{two, three} {
		_, err = at(s).CreateUser(t.Context(), client.CreateUserRequest{
			Email: "a" + s.URL[len(s.URL)-4:] + "@example.com", Username: "a" + s.URL[len(s.URL)-4:], Password: servertest.Password,
			OrganizationIDs: []uuid.UUID{one.Owner.OrganizationIDs[0]},
		})
		require.NoError(t, err)
	}
	// It was not gone, only silent: it writes nothing that nobody could read.
	_, err = one.Client.CreateOrganization(t.Context(), client.CreateOrganizationRequest{Name: "unreadable"})
	require.Equal(t, http.StatusServiceUnavailable, client.StatusCode(err))
	require.ErrorContains(t, err, "CODER_DEPLOYMENT_KEY=<current>,<new>")
	_, err = server.New(t.Context(), server.Options{Store: one.Store})
	require.ErrorIs(t, err, store.ErrDeploymentKey, "nor does it start again")
	_, err = at(three).CreateOrganization(t.Context(), client.CreateOrganizationRequest{Name: "readable"})
	require.NoError(t, err)
}

func TestOnlyOwnersRotateKeys(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "data-platform")
	admin := s.Member(t, org, client.RoleOrgAdmin)
	_, err := admin.RotateDeploymentKey(t.Context())
	require.Equal(t, http.StatusForbidden, client.StatusCode(err))
	_, err = admin.RotateOrganizationKey(t.Context(), org.Name)
	require.Equal(t, http.StatusForbidden, client.StatusCode(err))
	_, err = s.Outsider(t).Client.RotateOrganizationKey(t.Context(), org.Name)
	require.Equal(t, http.StatusForbidden, client.StatusCode(err), "whether it exists or not")
}

func TestRotateTheKeyOfAnOrganization(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	s := servertest.New(t, servertest.WithClock(clock), servertest.WithoutLoops())
	org := s.Organization(t, "data-platform")
	done, err := s.Client.RotateOrganizationKey(t.Context(), org.Name)
	require.NoError(t, err)
	require.Equal(t, client.RotatedOrganizationKey{Number: 2}, done)
	for range 6 {
		_, err = s.Client.RotateOrganizationKey(t.Context(), org.ID.String())
		require.NoError(t, err)
	}
	_, err = s.Client.RotateOrganizationKey(t.Context(), org.Name)
	require.Equal(t, http.StatusConflict, client.StatusCode(err))
	_, err = s.Client.RotateOrganizationKey(t.Context(), "nowhere")
	require.Equal(t, http.StatusNotFound, client.StatusCode(err))

	// Earlier keys are destroyed an hour later.
	clock.Advance(time.Hour + time.Second)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Server.Run(ctx) }()
	require.Eventually(t, func() bool {
		old, err := s.Store.OrganizationsWithOldKeys(t.Context())
		return err == nil && len(old) == 0
	}, time.Minute, 20*time.Millisecond)
	stop()
	require.NoError(t, <-ended)
}

func TestDeletingAnOrganizationDestroysItsKey(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	org := s.Organization(t, "data-platform")
	before, err := s.Store.ListSealingKeys(t.Context())
	require.NoError(t, err)
	require.Len(t, before, 2)
	require.NoError(t, s.Client.DeleteOrganization(t.Context(), org.ID.String()))
	after, err := s.Store.ListSealingKeys(t.Context())
	require.NoError(t, err)
	require.Len(t, after, 1)
	require.NotEqual(t, org.ID, after[0].ID)
}
