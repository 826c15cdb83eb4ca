package server

import (
	"context"
	"maps"
	"net/http"
	"net/mail"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

// How many refusals are recorded, so that nobody fills the disk with them: of
// each user or address a burst and then one in a while, and of all together
// the same on a larger scale. What is left out is counted in the next one.
const (
	refusalBurst    = 30
	refusalEvery    = 30 * time.Second
	allRefusalBurst = 600
	allRefusalEvery = time.Second
	maxRefusers     = 10_000
)

// refusals decides which refusals are recorded.
type refusals struct {
	mu    sync.Mutex
	by    map[string]*allowance
	total allowance
}

func newRefusals() *refusals { return &refusals{by: map[string]*allowance{}} }

// allowance is how many may come at once, less those of the time since.
type allowance struct {
	used    int
	since   time.Time
	omitted int
}

func (l *allowance) take(now time.Time, burst int, every time.Duration) bool {
	if back := int(now.Sub(l.since) / every); back > 0 || l.used == 0 {
		l.used, l.since = max(0, l.used-back), now
	}
	if l.used >= burst {
		l.omitted++
		return false
	}
	l.used++
	return true
}

// take tells whether to record a refusal of who, and how many of theirs were
// left out before it.
func (r *refusals) take(now time.Time, who string) (omitted int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.by) >= maxRefusers {
		r.forget(now)
	}
	one, known := r.by[who]
	if !known {
		one = &allowance{}
		r.by[who] = one
	}
	if !one.take(now, refusalBurst, refusalEvery) {
		return 0, false
	}
	if !r.total.take(now, allRefusalBurst, allRefusalEvery) {
		one.omitted++
		return 0, false
	}
	omitted, one.omitted = one.omitted, 0
	return omitted, true
}

// forget drops those who have been quiet long enough, and all when there are
// none: then the total holds.
func (r *refusals) forget(now time.Time) {
	maps.DeleteFunc(r.by, func(_ string, l *allowance) bool { return now.Sub(l.since) > refusalBurst*refusalEvery })
	if len(r.by) >= maxRefusers {
		clear(r.by)
	}
}

// auditRefusal records that somebody signed in tried a write that they may
// not do. The entry goes to the organization in the path when they may see it,
// else to the deployment: what they tried to reach learns nothing of them.
func (a *api) auditRefusal(ctx context.Context, refused *client.Error) {
	req := requestFrom(ctx)
	denied := refused.StatusCode == http.StatusForbidden || refused.StatusCode == http.StatusNotFound
	if !denied || req.user == nil || req.daemon != nil || req.operation == nil || req.operation.Method == http.MethodGet {
		return
	}
	omitted, ok := a.refusals.take(a.now(), req.user.ID.String())
	if !ok {
		return
	}
	e := auditEntry{
		kind: refusedKind(req.permission.resource), action: client.AuditWrite, target: req.path, status: refused.StatusCode,
		fields: map[string]any{"operation": req.operation.Method + " " + req.operation.Path, "reason": refused.Message},
	}
	switch req.operation.Method {
	case http.MethodPost:
		e.action = client.AuditCreate
	case http.MethodDelete:
		e.action = client.AuditDelete
	}
	if req.organization != nil {
		e.organization = req.organization.ID
	}
	a.auditLater(ctx, e, omitted)
}

// auditLater records what changed nothing. The request has been refused
// already: where recording fails, that stands, and the log of the server says so.
func (a *api) auditLater(ctx context.Context, e auditEntry, omitted int) {
	if omitted > 0 {
		e.fields["omitted_before"] = omitted
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()
	err := a.store.InTx(ctx, func(tx *store.Store) error { return a.audit(ctx, tx, e) })
	if err != nil {
		a.logger.ErrorContext(ctx, "a refusal is missing in the audit log", "error", err)
	}
}

// refusedKind is the nearest kind of the audit log.
func refusedKind(r authz.Resource) string {
	switch r {
	case authz.AssignRole:
		return client.AuditUser
	case authz.AssignOrgRole:
		return client.AuditCustomRole
	case authz.WorkspaceDormant, authz.PrebuiltWorkspace:
		return client.AuditWorkspace
	case authz.GroupMember:
		return client.AuditGroup
	case authz.IDPSyncSettings:
		return client.AuditIDPSyncOrg
	}
	if slices.Contains(client.AuditResourceTypes(), string(r)) {
		return string(r)
	}
	return client.AuditOrganization
}

// auditFailedLogin records an attempt to sign in and returns its refusal. A
// name that is no address is not recorded: people type passwords there.
func (a *api) auditFailedLogin(ctx context.Context, user store.User, email string, refused *client.Error) error {
	omitted, ok := a.refusals.take(a.now(), "login:"+requestFrom(ctx).ip)
	if !ok {
		return refused
	}
	e := auditEntry{
		kind: client.AuditAPIKey, action: client.AuditLogin, id: user.ID, target: user.Username, status: refused.StatusCode,
		fields: map[string]any{"reason": refused.Message},
	}
	if user.ID == uuid.Nil {
		e.fields["reason"] = "There is no such account."
		if _, err := mail.ParseAddress(email); err == nil {
			e.target = email
		}
	}
	a.auditLater(ctx, e, omitted)
	return refused
}
