package store

import (
	"strings"

	"github.com/google/uuid"
)

// ReadableWorkspaces is what a list of workspaces may show somebody: every
// workspace of some organizations, the Owner's own ones in others, and those
// that others share with one of the Actors, the user and the groups they are in.
type ReadableWorkspaces struct {
	All    []uuid.UUID
	Own    []uuid.UUID
	Owner  uuid.UUID
	Actors []uuid.UUID
}

// Condition narrows a query of workspaces w to them. Each part of it is found
// by an index, so that a member's list costs what the member may see, however
// large the organization is.
func (r ReadableWorkspaces) Condition() (string, []any) {
	if len(r.All) == 0 && len(r.Actors) == 0 {
		return `w.owner_id = ? AND w.organization_id IN (SELECT value FROM json_list(?)) AND w.deleted = FALSE`, []any{r.Owner, IDs(r.Own)}
	}
	var parts []string
	var args []any
	if len(r.All) > 0 {
		parts = append(parts, `SELECT whole.id FROM workspaces whole WHERE whole.organization_id IN (SELECT value FROM json_list(?)) AND whole.deleted = FALSE`)
		args = append(args, IDs(r.All))
	}
	if len(r.Actors) > 0 {
		parts = append(parts, `SELECT a.workspace_id FROM workspace_acl a JOIN workspaces shared ON shared.id = a.workspace_id
			WHERE a.actor_id IN (SELECT value FROM json_list(?)) AND shared.owner_id <> ?`)
		args = append(args, IDs(r.Actors), r.Owner)
	}
	parts = append(parts, `SELECT own.id FROM workspaces own WHERE own.owner_id = ? AND own.organization_id IN (SELECT value FROM json_list(?)) AND own.deleted = FALSE`)
	args = append(args, r.Owner, IDs(r.Own))
	return "w.id IN (" + strings.Join(parts, " UNION ALL ") + ")", args
}
