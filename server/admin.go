package server

import (
	"context"

	"github.com/google/uuid"

	"coder/store"
)

// AddAdminUser is CreateAdminUser in the database of a server that is
// configured like c; with SQLite that server must not be running.
func AddAdminUser(ctx context.Context, c Config, req CreateAdminUserRequest) (uuid.UUID, error) {
	keys, err := deploymentKeys(c)
	if err != nil {
		return uuid.Nil, err
	}
	db, err := store.Open(ctx, store.Options{Dir: c.DataDir, PostgresURL: c.PostgresURL, DeploymentKeys: keys, Logger: c.Logger})
	if err != nil {
		return uuid.Nil, err
	}
	defer db.Close() //nolint:errcheck // what was to be kept is committed
	return CreateAdminUser(ctx, db, req)
}
