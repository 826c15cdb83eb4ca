package store_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/store"
)

// now is an instant with everything that a column keeps.
var now = store.At(time.Date(2026, 3, 4, 5, 6, 7, 8000, time.UTC))

// fixture is an organization with one user who is its member and who has one
// template with a version.
type fixture struct {
	s            *store.Store
	organization store.Organization
	user         store.User
	file         store.InsertFileRow
	template     store.Template
	version      store.TemplateVersion
}

func seedOrganization(t testing.TB, s *store.Store, name string) *fixture {
	t.Helper()
	ctx := t.Context()
	f := &fixture{s: s}
	id := uuid.New()
	err := s.InTx(ctx, func(tx *store.Store) error {
		key, err := tx.NewSealingKey(ctx, id)
		require.NoError(t, err)
		f.organization, err = tx.InsertOrganization(ctx, store.InsertOrganizationParams{ID: id, Name: name, DisplayName: name, SealingKey: key, CreatedAt: now, UpdatedAt: now})
		return err
	})
	require.NoError(t, err)
	f.user = insertUser(t, s, name+"-user", name+"@example.com")
	_, err = s.InsertMember(ctx, store.InsertMemberParams{OrganizationID: id, UserID: f.user.ID, CreatedAt: now, UpdatedAt: now})
	require.NoError(t, err)
	f.file, err = s.InsertFile(ctx, store.InsertFileParams{ID: uuid.New(), CreatedBy: f.user.ID, Hash: name, Mimetype: "application/x-tar", Data: []byte{0, 1}, CreatedAt: now})
	require.NoError(t, err)
	f.version, err = s.InsertTemplateVersion(ctx, store.InsertTemplateVersionParams{
		ID: uuid.New(), OrganizationID: id, JobID: f.job(t).ID, Name: "v1", CreatedBy: f.user.ID, CreatedAt: now, UpdatedAt: now,
	})
	require.NoError(t, err)
	f.template, err = s.InsertTemplate(ctx, store.InsertTemplateParams{
		ID: uuid.New(), OrganizationID: id, Name: name, Provisioner: "terraform", ActiveVersionID: f.version.ID, CreatedBy: f.user.ID,
		MaxPortShareLevel: "owner", CorsBehavior: "simple", CreatedAt: now, UpdatedAt: now,
	})
	require.NoError(t, err)
	return f
}

func insertUser(t testing.TB, s *store.Store, username, email string) store.User {
	t.Helper()
	u, err := s.InsertUser(t.Context(), store.InsertUserParams{
		ID: uuid.New(), Email: email, Username: username, LoginType: "password", Status: "active", SshPrivateKey: []byte{}, CreatedAt: now, UpdatedAt: now,
	})
	require.NoError(t, err)
	return u
}

func (f *fixture) job(t testing.TB) store.ProvisionerJob {
	t.Helper()
	j, err := f.s.InsertProvisionerJob(t.Context(), store.InsertProvisionerJobParams{
		ID: uuid.New(), OrganizationID: f.organization.ID, Type: "workspace_build", Provisioner: "terraform", FileID: f.file.ID,
		InitiatorID: f.user.ID, TemplateVersionID: uuid.New(), Input: "{}", CreatedAt: now, UpdatedAt: now,
	})
	require.NoError(t, err)
	return j
}

// workspace makes one whose first build is pending.
func (f *fixture) workspace(t testing.TB, owner store.User, name string) store.Workspace {
	t.Helper()
	buildID := uuid.New()
	w, err := f.s.InsertWorkspace(t.Context(), store.InsertWorkspaceParams{
		ID: uuid.New(), OrganizationID: f.organization.ID, OwnerID: owner.ID, TemplateID: f.template.ID, Name: name,
		AutomaticUpdates: "never", LastUsedAt: now, LatestBuildID: buildID, CreatedAt: now, UpdatedAt: now,
	})
	require.NoError(t, err)
	_, err = f.s.InsertWorkspaceBuild(t.Context(), store.InsertWorkspaceBuildParams{
		ID: buildID, OrganizationID: f.organization.ID, WorkspaceID: w.ID, TemplateVersionID: f.version.ID, JobID: f.job(t).ID,
		BuildNumber: 1, Transition: "start", Reason: "initiator", InitiatorID: owner.ID, Parameters: "[]", CreatedAt: now, UpdatedAt: now,
	})
	require.NoError(t, err)
	return w
}
