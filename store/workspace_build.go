package store

import "context"

// InsertWorkspaceBuild adds a build, and returns it as it is stored.
func (s *Store) InsertWorkspaceBuild(ctx context.Context, p InsertWorkspaceBuildParams) (WorkspaceBuild, error) {
	return WorkspaceBuild{
		ID: p.ID, OrganizationID: p.OrganizationID, WorkspaceID: p.WorkspaceID, TemplateVersionID: p.TemplateVersionID, JobID: p.JobID, BuildNumber: p.BuildNumber,
		Transition: p.Transition, Reason: p.Reason, InitiatorID: p.InitiatorID, PresetID: p.PresetID, Parameters: p.Parameters, Orphan: p.Orphan, LogLevel: p.LogLevel,
		OnSuccess: p.OnSuccess, DailyCost: p.DailyCost, StandingCost: p.StandingCost, StandingRunning: p.StandingRunning, CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt,
	}, s.Queries.InsertWorkspaceBuild(ctx, p)
}
