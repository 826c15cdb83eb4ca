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
	for _, e := range entries {
		row, err := a.auditRow(ctx, e)
		if err != nil {
			return err
		}
		if err := tx.AppendAudit(ctx, row); err != nil {
			return err
		}
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
	row := store.InsertAuditLogParams{
		OrganizationID: e.organization, ID: uuid.New(), CreatedAt: store.At(a.now()), RequestID: req.uuid(), IP: req.ip, UserAgent: req.agent,
		ResourceType: e.kind, ResourceID: e.id, ResourceTarget: e.target, ResourceIcon: e.icon, Action: e.action,
		StatusCode: int64(cmp.Or(e.status, req.success, http.StatusOK)), Diff: store.JSON(diff), AdditionalFields: store.JSON(e.fields),
	}
	if who := cmp.Or(e.user, req.user); who != nil {
		row.UserID, row.Username = &who.ID, who.Username
	}
	return row, nil
}

// The entries of the nouns, and the shapes that are compared where a response
// of the API says too much.

func userEntry(action string, u store.User) auditEntry {
	return auditEntry{kind: client.AuditUser, action: action, id: u.ID, target: u.Username, icon: u.AvatarURL}
}

func userChanged(before, after store.User) auditEntry {
	e := userEntry(client.AuditWrite, after)
	e.before, e.after = auditUser(before), auditUser(after)
	return e
}

func auditUser(u store.User) client.User {
	return client.User{ReducedUser: reducedUserResponse(u), OrganizationIDs: []uuid.UUID{}, Roles: siteRoleResponses(u.Roles)}
}

type auditSSHKey struct {
	PublicKey string `json:"public_key"`
}

func organizationEntry(action string, o store.Organization) auditEntry {
	return auditEntry{organization: o.ID, kind: client.AuditOrganization, action: action, id: o.ID, target: o.Name, icon: o.Icon}
}

func organizationCreated(o store.Organization) auditEntry {
	e := organizationEntry(client.AuditCreate, o)
	e.after = organizationResponse(o)
	return e
}

// auditMember has the names of roles only.
type auditMember struct {
	UserID   uuid.UUID `json:"user_id"`
	Username string    `json:"username"`
	Roles    []string  `json:"roles"`
}

func memberEntry(action string, m store.OrganizationMember, u store.User) auditEntry {
	return auditEntry{organization: m.OrganizationID, kind: client.AuditOrganizationMember, action: action, id: u.ID, target: u.Username, icon: u.AvatarURL}
}

func memberCreated(m store.OrganizationMember, u store.User) auditEntry {
	e := memberEntry(client.AuditCreate, m, u)
	e.after = auditMember{u.ID, u.Username, m.Roles}
	return e
}

func memberDeleted(m store.OrganizationMember, u store.User) auditEntry {
	e := memberEntry(client.AuditDelete, m, u)
	e.before = auditMember{u.ID, u.Username, m.Roles}
	return e
}

func memberChanged(before, after store.OrganizationMember, u store.User) auditEntry {
	e := memberEntry(client.AuditWrite, after, u)
	e.before, e.after = auditMember{u.ID, u.Username, nonNil(before.Roles)}, auditMember{u.ID, u.Username, nonNil(after.Roles)}
	return e
}
