package store_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"coder/store"
	"coder/store/storetest"
)

// secrets is one of each kind that an organization's key seals.
type secrets struct {
	f         *fixture
	workspace store.Workspace
	attempt   uuid.UUID
	dryRun    uuid.UUID
}

func newSecrets(t testing.TB, s *store.Store, name string) *secrets {
	t.Helper()
	ctx := t.Context()
	x := &secrets{f: seedOrganization(t, s, name), attempt: uuid.New(), dryRun: uuid.New()}
	id := x.f.organization.ID
	x.workspace = x.f.workspace(t, x.f.user, name+"-box")
	x.addState(t, s, 1)
	require.NoError(t, s.InTx(ctx, func(tx *store.Store) error {
		seal := func(purpose string) []byte {
			out, err := tx.Seal(ctx, id, purpose, []byte(purpose+" of "+name))
			require.NoError(t, err)
			return out
		}
		err := tx.InsertTemplateVersionVariable(ctx, store.InsertTemplateVersionVariableParams{
			TemplateVersionID: x.f.version.ID, OrganizationID: id, Name: "v", Value: seal(store.PurposeVariable), DefaultValue: seal(store.PurposeVariable),
		})
		require.NoError(t, err)
		err = tx.InsertAttempt(ctx, store.InsertAttemptParams{
			ID: x.attempt, OrganizationID: id, JobID: x.f.version.JobID, RequestID: uuid.New(), HashedSecret: []byte{1}, Clocks: "{}", Reply: seal(store.PurposeHandOut), HandedAt: now, RenewedAt: now,
		})
		require.NoError(t, err)
		_, err = tx.InsertProvisionerJob(ctx, store.InsertProvisionerJobParams{
			ID: x.dryRun, OrganizationID: id, Type: "template_version_dry_run", FileID: x.f.file.ID, Input: "{}", SealedInput: seal(store.PurposeVariable), CreatedAt: now, UpdatedAt: now,
		})
		require.NoError(t, err)
		resource := uuid.New()
		err = tx.InsertWorkspaceResource(ctx, store.InsertWorkspaceResourceParams{ID: resource, OrganizationID: id, JobID: x.dryRun, Metadata: seal(store.PurposeMetadata), CreatedAt: now})
		require.NoError(t, err)
		return tx.InsertWorkspaceAgent(ctx, store.InsertWorkspaceAgentParams{
			ID: uuid.New(), OrganizationID: id, ResourceID: resource, JobID: x.dryRun, HashedToken: []byte{}, Spec: seal(store.PurposeAgent), CreatedAt: now, UpdatedAt: now,
		})
	}))
	return x
}

// addState seals and stores one, as an upload does.
func (x *secrets) addState(t testing.TB, s *store.Store, n int64) {
	t.Helper()
	ctx := t.Context()
	require.NoError(t, s.InTx(ctx, func(tx *store.Store) error {
		packed, err := store.PackState(fmt.Append(nil, "state ", n))
		if err != nil {
			return err
		}
		data, err := tx.SealState(ctx, x.f.organization.ID, packed)
		if err != nil {
			return err
		}
		_, err = tx.InsertWorkspaceState(ctx, store.InsertWorkspaceStateParams{WorkspaceID: x.workspace.ID, OrganizationID: x.f.organization.ID, Fence: 1, N: n, Data: data, CreatedAt: now})
		return err
	}))
}

// requireOpen reads all of them, with states up to n.
func (x *secrets) requireOpen(t testing.TB, s *store.Store, n int64) {
	t.Helper()
	ctx, id, name := t.Context(), x.f.organization.ID, x.f.organization.Name
	for i := int64(1); i <= n; i++ {
		data, err := s.GetWorkspaceStateData(ctx, store.GetWorkspaceStateDataParams{OrganizationID: id, WorkspaceID: x.workspace.ID, Fence: 1, N: i})
		require.NoError(t, err)
		state, err := s.UnsealState(ctx, id, data)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint("state ", i), string(state))
	}
	variables, err := s.ListTemplateVersionVariables(ctx, store.ListTemplateVersionVariablesParams{OrganizationID: id, TemplateVersionID: x.f.version.ID})
	require.NoError(t, err)
	require.Len(t, variables, 1)
	attempt, err := s.GetAttempt(ctx, x.attempt)
	require.NoError(t, err)
	dryRun, err := s.GetProvisionerJob(ctx, x.dryRun)
	require.NoError(t, err)
	resources, err := s.ListResourcesOfJobs(ctx, store.IDs([]uuid.UUID{x.dryRun}))
	require.NoError(t, err)
	require.Len(t, resources, 1)
	agents, err := s.ListAgentsOfJobs(ctx, store.IDs([]uuid.UUID{x.dryRun}))
	require.NoError(t, err)
	require.Len(t, agents, 1)
	for _, c := range []struct {
		purpose string
		sealed  []byte
	}{
		{store.PurposeVariable, variables[0].Value}, {store.PurposeVariable, variables[0].DefaultValue}, {store.PurposeHandOut, attempt.Reply}, {store.PurposeVariable, dryRun.SealedInput},
		{store.PurposeMetadata, resources[0].Metadata}, {store.PurposeAgent, agents[0].Spec},
	} {
		plain, err := s.Unseal(ctx, id, c.purpose, c.sealed)
		require.NoError(t, err)
		require.Equal(t, c.purpose+" of "+name, string(plain))
	}
}

func rotateOrganization(t testing.TB, s *store.Store, id uuid.UUID, at time.Time) {
	t.Helper()
	require.NoError(t, s.InTx(t.Context(), func(tx *store.Store) error {
		_, err := tx.RotateSealingKey(t.Context(), id, at)
		return err
	}))
}

func TestRotatingAnOrganizationsKeySealsEverythingAgain(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		ctx := t.Context()
		s := storetest.Open(t, o)
		x, other := newSecrets(t, s, "a"), newSecrets(t, s, "b")
		id := x.f.organization.ID
		for n := int64(2); n <= 45; n++ { // more than one batch
			x.addState(t, s, n)
		}
		before := storedSecrets(t, s, id)
		require.Len(t, before, 45+2+1+1+1+1)

		rotateOrganization(t, s, id, now.Time)
		x.requireOpen(t, s, 45)
		left, err := s.DropSealingKeys(ctx, id, now.Add(time.Hour))
		require.NoError(t, err)
		require.Equal(t, 1, left, "rows need the earlier key")

		organizations, err := s.OrganizationsWithOldKeys(ctx)
		require.NoError(t, err)
		require.Equal(t, []uuid.UUID{id}, organizations)
		done, err := s.Reseal(ctx, id)
		require.NoError(t, err)
		require.Equal(t, store.Resealed{States: 45, Variables: 1, HandOuts: 1, DryRuns: 1, Resources: 1, Agents: 1}, done)
		left, err = s.DropSealingKeys(ctx, id, now.Time)
		require.NoError(t, err)
		require.Equal(t, 1, left, "too early")
		left, err = s.DropSealingKeys(ctx, id, now.Add(time.Microsecond))
		require.NoError(t, err)
		require.Zero(t, left)
		require.NoError(t, s.Close())

		s = storetest.Open(t, o) // without the earlier key in memory
		x.requireOpen(t, s, 45)
		other.requireOpen(t, s, 1)
		for _, old := range before {
			for _, purpose := range []string{store.PurposeState, store.PurposeVariable, store.PurposeHandOut, store.PurposeMetadata, store.PurposeAgent} {
				_, err := s.Unseal(ctx, id, purpose, old)
				require.Error(t, err, "the earlier key is gone")
			}
		}
		for _, row := range storedSecrets(t, s, id) {
			for _, old := range before {
				require.False(t, bytes.Equal(row, old))
			}
		}
	})
}

// storedSecrets are all sealed values of an organization, as they lie there.
func storedSecrets(t testing.TB, s *store.Store, id uuid.UUID) (all [][]byte) {
	t.Helper()
	for _, query := range []string{
		"SELECT data FROM workspace_states WHERE organization_id = $1", "SELECT value FROM template_version_variables WHERE organization_id = $1",
		"SELECT default_value FROM template_version_variables WHERE organization_id = $1", "SELECT reply FROM job_attempts WHERE organization_id = $1",
		"SELECT sealed_input FROM provisioner_jobs WHERE organization_id = $1 AND sealed_input IS NOT NULL",
		"SELECT metadata FROM workspace_resources WHERE organization_id = $1", "SELECT spec FROM workspace_agents WHERE organization_id = $1",
	} {
		rows, err := s.Raw().QueryContext(t.Context(), query, id.String())
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			var b []byte
			require.NoError(t, rows.Scan(&b))
			all = append(all, b)
		}
		require.NoError(t, rows.Err())
	}
	return all
}

// Builds write while keys are rotated, sealed again and destroyed, at the
// same server and at another; a cut-off in between is made up for.
func TestStatesArriveWhileTheKeyIsRotated(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		one := storetest.Open(t, o)
		other := one
		if o.PostgresURL != "" {
			other = storetest.Open(t, o)
		}
		x := newSecrets(t, one, "a")
		id := x.f.organization.ID
		const states = 60
		var g errgroup.Group
		for worker := range 4 {
			g.Go(func() error {
				for n := int64(2 + worker); n <= states; n += 4 {
					x.addState(t, []*store.Store{one, other}[worker%2], n)
				}
				return nil
			})
		}
		for range 4 {
			rotateOrganization(t, one, id, now.Time)
			cut, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
			_, _ = other.Reseal(cut, id) // cut off anywhere
			cancel()
			_, err := one.DropSealingKeys(t.Context(), id, now.Add(time.Hour))
			require.NoError(t, err)
		}
		require.NoError(t, g.Wait())
		_, err := one.Reseal(t.Context(), id)
		require.NoError(t, err)
		left, err := other.DropSealingKeys(t.Context(), id, now.Add(time.Hour))
		require.NoError(t, err)
		require.Zero(t, left)
		require.NoError(t, one.Close())
		if other != one {
			require.NoError(t, other.Close())
		}
		x.requireOpen(t, storetest.Open(t, o), states)
	})
}

// Another replica has the key in memory that is rotated out and destroyed here.
func TestNothingIsSealedWithADestroyedKey(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		if o.PostgresURL == "" {
			return // SQLite has one server
		}
		one, other := storetest.Open(t, o), storetest.Open(t, o)
		x := newSecrets(t, one, "a")
		id := x.f.organization.ID
		x.addState(t, other, 2)
		rotateOrganization(t, one, id, now.Time)
		_, err := one.Reseal(t.Context(), id)
		require.NoError(t, err)
		left, err := one.DropSealingKeys(t.Context(), id, now.Add(time.Hour))
		require.NoError(t, err)
		require.Zero(t, left)
		x.addState(t, other, 3)
		x.requireOpen(t, other, 3)
		require.NoError(t, one.Close())
		x.requireOpen(t, storetest.Open(t, o), 3)
	})
}

func TestAnOrganizationHasFewKeysAtATime(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		id := newSecrets(t, s, "a").f.organization.ID
		for range 7 {
			rotateOrganization(t, s, id, now.Time)
		}
		err := s.InTx(t.Context(), func(tx *store.Store) error {
			_, err := tx.RotateSealingKey(t.Context(), id, now.Time)
			return err
		})
		require.ErrorIs(t, err, store.ErrTooManyKeys)
	})
}

// With its organization a key is gone: what was sealed with it opens no more,
// by the server or by who finds the database and the deployment key.
func TestAnOrganizationsKeyIsDestroyedWithIt(t *testing.T) {
	storetest.EachOptions(t, func(t *testing.T, o store.Options) {
		ctx := t.Context()
		s := storetest.Open(t, o)
		x := newSecrets(t, s, "a")
		id := x.f.organization.ID
		wrapped, err := s.GetSealingKey(ctx, id)
		require.NoError(t, err)
		_, err = s.DeleteOrganization(ctx, store.DeleteOrganizationParams{OrganizationID: id, SealingKey: []byte{}, UpdatedAt: now})
		require.NoError(t, err)
		var length int
		require.NoError(t, s.Raw().QueryRowContext(ctx, "SELECT length(sealing_key) FROM organizations WHERE id = $1", id.String()).Scan(&length))
		require.Zero(t, length)
		require.NoError(t, s.Close())

		s = storetest.Open(t, o)
		for _, row := range storedSecrets(t, s, id) {
			_, err := s.Unseal(ctx, id, store.PurposeState, row)
			require.True(t, store.IsNotFound(err), "%v", err)
		}
		require.NoError(t, s.Close())
		if o.Dir == "" {
			return
		}
		files, err := os.ReadDir(o.Dir)
		require.NoError(t, err)
		for _, f := range files {
			data, err := os.ReadFile(filepath.Join(o.Dir, f.Name()))
			require.NoError(t, err)
			require.False(t, bytes.Contains(data, wrapped[len(wrapped)-20:]), "%s still has the wrapped key", f.Name())
		}
	})
}
