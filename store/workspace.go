package store

import "context"

// InsertWorkspace adds a workspace whose first build is asked for, and returns
// it as it is stored.
func (s *Store) InsertWorkspace(ctx context.Context, p InsertWorkspaceParams) (Workspace, error) {
	owner, err := s.Queries.InsertWorkspace(ctx, p)
	return Workspace{
		ID: p.ID, OrganizationID: p.OrganizationID, OwnerID: p.OwnerID, OwnerName: owner, TemplateID: p.TemplateID, Name: p.Name,
		AutostartSchedule: p.AutostartSchedule, TTLMs: p.TTLMs, AutomaticUpdates: p.AutomaticUpdates, LastUsedAt: p.LastUsedAt, NextStartAt: p.NextStartAt,
		DailyCost: p.DailyCost, Running: p.Running, LatestBuildID: p.LatestBuildID, LatestBuildNumber: 1, LatestStatus: "pending",
		CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt,
	}, err
}
