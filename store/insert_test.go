package store_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/store"
	"coder/store/storetest"
)

// What is returned of a new row is not read back, and is what is read later.
func TestInsertsReturnWhatIsStored(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		f, ctx := seedOrganization(t, s, "inserts"), t.Context()
		ttl, preset, at := int64(5), uuid.New(), store.At(time.Now())
		w, err := s.InsertWorkspace(ctx, store.InsertWorkspaceParams{
			ID: uuid.New(), OrganizationID: f.organization.ID, OwnerID: f.user.ID, TemplateID: f.template.ID, Name: "box", AutostartSchedule: "30 9 * * 1-5", TTLMs: &ttl,
			AutomaticUpdates: "always", LastUsedAt: at, NextStartAt: at, DailyCost: 3, Running: true, LatestBuildID: uuid.New(), CreatedAt: at, UpdatedAt: at,
		})
		require.NoError(t, err)
		stored, err := s.GetWorkspace(ctx, w.ID)
		require.NoError(t, err)
		require.Equal(t, stored, w)

		job, err := s.InsertProvisionerJob(ctx, store.InsertProvisionerJobParams{
			ID: uuid.New(), OrganizationID: f.organization.ID, Type: "workspace_build", Provisioner: "terraform", Tags: store.StringMap{"a": "b"}, FileID: f.file.ID,
			InitiatorID: f.user.ID, Automated: true, TemplateVersionID: f.version.ID, WorkspaceID: &w.ID, WorkspaceBuildID: &w.LatestBuildID, Input: `{"x":1}`,
			SealedInput: []byte{1}, CreatedAt: at, UpdatedAt: at,
		})
		require.NoError(t, err)
		storedJob, err := s.GetProvisionerJob(ctx, job.ID)
		require.NoError(t, err)
		require.Equal(t, storedJob, job)

		build, err := s.InsertWorkspaceBuild(ctx, store.InsertWorkspaceBuildParams{
			ID: w.LatestBuildID, OrganizationID: f.organization.ID, WorkspaceID: w.ID, TemplateVersionID: f.version.ID, JobID: job.ID, BuildNumber: 1, Transition: "stop",
			Reason: "autostop", InitiatorID: f.user.ID, PresetID: &preset, Parameters: `[{"name":"a","value":"b"}]`, Orphan: true, LogLevel: "debug", OnSuccess: "{}",
			DailyCost: 3, StandingCost: 2, StandingRunning: true, CreatedAt: at, UpdatedAt: at,
		})
		require.NoError(t, err)
		storedBuild, err := s.GetWorkspaceBuild(ctx, build.ID)
		require.NoError(t, err)
		require.Equal(t, storedBuild, build)
	})
}
