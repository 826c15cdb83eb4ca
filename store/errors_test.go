package store_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"coder/store"
	"coder/store/storetest"
)

// kinds of an error, as the server sees them.
func kinds(err error) map[string]bool {
	return map[string]bool{
		"not found": store.IsNotFound(err), "conflict": store.IsConflict(err),
		"referenced": store.IsReferenced(err), "full": store.IsFull(err),
	}
}

func requireKind(t *testing.T, err error, want string) {
	t.Helper()
	require.Error(t, err)
	for kind, is := range kinds(err) {
		require.Equal(t, kind == want, is, "%s: %v", kind, err)
	}
}

func TestErrorsHaveOneKind(t *testing.T) {
	storetest.Each(t, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		f := seedOrganization(t, s, "Kinds")

		_, err := s.GetUser(ctx, uuid.New())
		requireKind(t, err, "not found")

		_, err = s.InsertUser(ctx, store.InsertUserParams{ID: uuid.New(), Username: "KINDS-user", Email: "other@example.com", SshPrivateKey: []byte{}, CreatedAt: now, UpdatedAt: now})
		requireKind(t, err, "conflict") // an index on an expression
		_, err = s.InsertMember(ctx, store.InsertMemberParams{OrganizationID: f.organization.ID, UserID: f.user.ID, CreatedAt: now, UpdatedAt: now})
		requireKind(t, err, "conflict") // a primary key

		_, err = s.InsertMember(ctx, store.InsertMemberParams{OrganizationID: f.organization.ID, UserID: uuid.New(), CreatedAt: now, UpdatedAt: now})
		requireKind(t, err, "referenced") // points to nothing
		_, err = s.Raw().ExecContext(ctx, "DELETE FROM users WHERE id = $1", f.user.ID.String())
		requireKind(t, err, "referenced") // is pointed to

		_, err = s.InsertMember(ctx, store.InsertMemberParams{OrganizationID: f.organization.ID, UserID: f.user.ID})
		requireKind(t, err, "none") // NOT NULL

		require.NoError(t, s.InTx(ctx, func(tx *store.Store) error { _, err := tx.GetUser(ctx, f.user.ID); return err }))
		err = s.InTx(ctx, func(tx *store.Store) error { _, err := tx.GetUser(ctx, uuid.New()); return err })
		requireKind(t, err, "not found")
	})
}

func TestFullDiskLosesNothing(t *testing.T) {
	s := storetest.Open(t, storetest.SQLiteOptions(t))
	ctx := t.Context()
	f := seedOrganization(t, s, "full")
	_, err := s.Raw().ExecContext(ctx, "PRAGMA max_page_count = 1") // no more than now
	require.NoError(t, err)
	big := store.InsertFileParams{ID: uuid.New(), CreatedBy: f.user.ID, Hash: "big", Mimetype: "x", Data: make([]byte, 1<<20), CreatedAt: now}
	err = s.InTx(ctx, func(tx *store.Store) error {
		if err := tx.PutSetting(ctx, store.PutSettingParams{Name: "half", Value: "1"}); err != nil {
			return err
		}
		_, err := tx.InsertFile(ctx, big)
		return err
	})
	requireKind(t, err, "full")
	_, err = s.InsertFile(ctx, big)
	requireKind(t, err, "full")
	_, err = s.GetSetting(ctx, "half")
	requireKind(t, err, "not found")
	_, err = s.GetUser(ctx, f.user.ID)
	require.NoError(t, err, "reading goes on")

	_, err = s.Raw().ExecContext(ctx, "PRAGMA max_page_count = 1000000")
	require.NoError(t, err)
	_, err = s.InsertFile(ctx, big)
	require.NoError(t, err, "with room again, so does writing")
}

// Filling a disk under PostgreSQL takes a file system of its own, so its code
// stands for it.
func TestFullDiskOfPostgreSQL(t *testing.T) {
	require.True(t, store.IsFull(&pgconn.PgError{Code: "53100"}))
}
