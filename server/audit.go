package server

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/audit"
	"coder/store"
)

// auditEntry is something that happened, for the audit log. Who, from where
// and the request's id and status come from the request.
type auditEntry struct {
	// organization is whose log it goes to; uuid.Nil is the deployment's.
	organization uuid.UUID
	// kind and action are of the constants client.Audit….
	kind, action string
	id           uuid.UUID
	target, icon string
	// before and after are what is compared: responses of the API, or small
	// structs with JSON names; nil for a creation and a deletion. What they
	// hold under the name of a secret is never recorded.
	before, after any
	// secrets are names of fields that changed and are not to be shown.
	secrets []string
	// fields are told beside the difference.
	fields map[string]any
	// status is 0 for that of the operation's success.
	status int
	// user is who did it where no session says so.
	user *store.User
}

// audit records entries in the transaction of the change that they are about:
// both happen, or neither. Call it once in a transaction, as its last step,
// with all entries, so that transactions that meet take the logs in one order.
func (a *api) audit(ctx context.Context, tx *store.Store, entries ...auditEntry) error {
	slices.SortStableFunc(entries, func(x, y auditEntry) int { return cmp.Compare(x.organization.String(), y.organization.String()) })
	rows := make([]store.InsertAuditLogParams, len(entries))
	for i, e := range entries {
		var err error
		if rows[i], err = a.auditRow(ctx, e); err != nil {
			return err
		}
	}
	for len(rows) > 0 {
		chain := 1
		for chain < len(rows) && rows[chain].OrganizationID == rows[0].OrganizationID {
			chain++
		}
		if err := tx.AppendAudit(ctx, rows[:chain]...); err != nil {
			return err
		}
		rows = rows[chain:]
	}
	return nil
}

func (a *api) auditRow(ctx context.Context, e auditEntry) (store.InsertAuditLogParams, error) {
	diff, err := audit.Diff(e.before, e.after, e.secrets...)
	if err != nil {
		return store.InsertAuditLogParams{}, fmt.Errorf("audit: %w", err)
	}
	if e.fields == nil {
		e.fields = map[string]any{}
	}
	req := requestFrom(ctx)
	if req.daemon != nil || req.attempt != nil {
		req = &request{id: req.id} // a daemon's report: what follows from it the server does by itself
	}
	row := store.InsertAuditLogParams{
		OrganizationID: e.organization, ID: uuid.New(), CreatedAt: store.At(a.now()), RequestID: req.uuid(), IP: req.ip, UserAgent: req.agent,
		ResourceType: e.kind, ResourceID: e.id, ResourceTarget: e.target, ResourceIcon: e.icon, Action: e.action,
		StatusCode: int64(cmp.Or(e.status, req.success(), http.StatusOK)), Diff: store.JSON(diff), AdditionalFields: store.JSON(e.fields),
	}
	if who := cmp.Or(e.user, req.user); who != nil {
		row.UserID, row.Username = &who.ID, who.Username
	}
	return row, nil
}

// auditKeyChange records what happened to a key of somebody.
func (a *api) auditKeyChange(ctx context.Context, tx *store.Store, action string, before, after *store.ApiKey) error {
	key := either(before, after)
	owner, err := tx.GetUserIncludingDeleted(ctx, key.UserID)
	if err != nil {
		return err
	}
	entry := apiKeyEntry(action, key, owner)
	entry.before, entry.after = shape(before, auditKey), shape(after, auditKey)
	return a.audit(ctx, tx, entry)
}

// auditCancel records that somebody asked for the end of a build or an import.
func (a *api) auditCancel(ctx context.Context, tx *store.Store, before, after store.ProvisionerJob) error {
	e := auditEntry{
		organization: after.OrganizationID, kind: client.AuditTemplateVersion, action: client.AuditWrite, id: after.TemplateVersionID,
		before: auditCanceled{before.Cancel}, after: auditCanceled{after.Cancel}, fields: map[string]any{"job_id": after.ID, "job_type": after.Type},
	}
	if after.WorkspaceID != nil && after.WorkspaceBuildID != nil {
		w, err := workspaceOfLoop(ctx, tx, *after.WorkspaceID)
		if err != nil {
			return err
		}
		e.kind, e.id, e.target = client.AuditWorkspaceBuild, *after.WorkspaceBuildID, w.Name
		e.fields["workspace_id"], e.fields["workspace_owner"] = w.ID, w.OwnerName
	}
	return a.audit(ctx, tx, e)
}

type auditCanceled struct {
	Cancel string `json:"cancel"`
}
