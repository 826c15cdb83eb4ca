package server

import (
	"context"

	"coder/client"
	"coder/store"
)

// finishImport stores what an import found out, in the transaction that ends it.
func (a *api) finishImport(ctx context.Context, tx *store.Store, job store.ProvisionerJob, result *client.ImportResult, ok bool) error {
	return nil
}

// finishDryRun stores the resources that a plan would make.
func (a *api) finishDryRun(ctx context.Context, tx *store.Store, job store.ProvisionerJob, result *client.DryRunResult) error {
	return nil
}

// versionVariables are the variables of a version with their values.
func (a *api) versionVariables(ctx context.Context, v store.TemplateVersion) ([]client.JobVariable, error) {
	return nil, nil
}
