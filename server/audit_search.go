package server

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

// auditScope is whose entries the caller may read.
type auditScope struct {
	// everywhere is for auditors of the deployment: its own log and those of
	// all organizations, deleted ones too.
	everywhere    bool
	organizations []uuid.UUID
	// only is the ids of entries that a token is narrowed to; nil is no limit.
	only []string
}

// auditReader refuses who may read no log at all.
func (a *api) auditReader(ctx context.Context) (auditScope, error) {
	subject := subjectFrom(ctx)
	everywhere, memberships := subject.May(authz.Read, authz.AuditLog)
	s := auditScope{everywhere: everywhere, only: subject.Only(authz.AuditLog)}
	for _, id := range memberships {
		if subject.Can(authz.Read, authz.Object{Type: authz.AuditLog, OrganizationID: id}) {
			s.organizations = append(s.organizations, id)
		}
	}
	if !everywhere && len(s.organizations) == 0 {
		return s, forbidden("You need the permission audit_log:read on the deployment or in an organization.")
	}
	return s, nil
}

func (s auditScope) reads(organizationID uuid.UUID) bool {
	return s.everywhere || slices.Contains(s.organizations, organizationID)
}

// restrict names the readable set.
func (s auditScope) restrict(f *store.Filter) {
	if !s.everywhere {
		f.Where("l.organization_id IN (SELECT value FROM json_list(?))", store.IDs(s.organizations))
	}
	if s.only != nil {
		f.Where("l.id IN (SELECT value FROM json_list(?))", store.JSON(s.only))
	}
}

// auditFilter turns a search into conditions on the table l. What it asks of
// people is answered from what the caller may know: in the log of an
// organization, of those who are members now.
func (a *api) auditFilter(ctx context.Context, scope auditScope, q string) (store.Filter, error) {
	var f store.Filter
	scope.restrict(&f)
	s := parseSearch(q, "resource_type", "resource_id", "resource_target", "action", "username", "email", "date_from", "date_to", "build_reason",
		"organization", "request_id")
	if s.term != "" {
		s.values["resource_type"] = append(s.values["resource_type"], s.term)
	}
	if kind, given := s.oneOf("resource_type", client.AuditResourceTypes()...); given {
		f.Where("l.resource_type = ?", kind)
	}
	if action, given := s.oneOf("action", client.AuditActions()...); given {
		f.Where("l.action = ?", action)
	}
	for _, key := range []string{"resource_id", "request_id"} {
		if _, given := s.one(key); given {
			f.Where("l."+key+" IN (SELECT value FROM json_list(?))", store.IDs(s.ids(key)))
		}
	}
	if target, given := s.text("resource_target"); given {
		f.Where("l.resource_target = ?", target)
	}
	if reason, given := s.oneOf("build_reason", auditBuildReasons()...); given {
		f.Where(`l.additional_fields LIKE ? ESCAPE '\'`, likePattern(`"build_reason":"`+reason+`"`))
	}
	auditPeople(&f, scope, s, callerID(ctx))
	auditDates(&f, s)
	if err := a.auditOrganization(ctx, &f, scope, s); err != nil {
		return f, err
	}
	return f, s.err()
}

func auditBuildReasons() []string {
	return append(askableReasons()[1:], client.BuildReasonAutostart, client.BuildReasonAutostop, client.BuildReasonDormancy, "autodelete", "task_auto_pause")
}

// auditPeople finds who did it: by the name that stands in the entry, by the
// present name, or by address.
func auditPeople(f *store.Filter, scope auditScope, s *search, caller uuid.UUID) {
	known := "SELECT u.id FROM users u JOIN organization_members m ON m.user_id = u.id WHERE m.organization_id = l.organization_id"
	if scope.everywhere {
		known = "SELECT u.id FROM users u WHERE TRUE"
	}
	if name, given := s.one("username"); given && name == client.Me {
		f.Where("l.user_id = ?", caller.String())
	} else if given {
		f.Where("lower(l.username) = ? OR l.user_id IN ("+known+" AND lower(u.username) = ?)", name, name)
	}
	if email, given := s.one("email"); given {
		f.Where("l.user_id IN ("+known+" AND lower(u.email) = ?)", email)
	}
}

// auditDates reads whole days in UTC.
func auditDates(f *store.Filter, s *search) {
	day := func(key string) (time.Time, bool) {
		text, given := s.one(key)
		if !given {
			return time.Time{}, false
		}
		t, err := time.Parse(time.DateOnly, text)
		if err != nil {
			s.refuse(key, "%q is not a date such as 2026-01-31", text)
		}
		return t, err == nil
	}
	if from, ok := day("date_from"); ok {
		f.Where("l.created_at >= ?", store.At(from))
	}
	if to, ok := day("date_to"); ok {
		f.Where("l.created_at < ?", store.At(to.AddDate(0, 0, 1)))
	}
}

// auditOrganization narrows to one organization. One that is hidden and one
// that does not exist have no entries alike.
func (a *api) auditOrganization(ctx context.Context, f *store.Filter, scope auditScope, s *search) error {
	ref, given := s.one("organization")
	if !given {
		return nil
	}
	id, err := a.auditChain(ctx, scope, ref)
	if client.IsNotFound(err) {
		f.Where("l.organization_id = ''")
		return nil
	}
	if err != nil {
		return err
	}
	f.Where("l.organization_id = ?", id.String())
	return nil
}

// auditChain finds the log of an organization by name or id, of a deleted one
// by id; empty is that of the deployment.
func (a *api) auditChain(ctx context.Context, scope auditScope, ref string) (uuid.UUID, error) {
	if ref == "" {
		if !scope.everywhere {
			return uuid.Nil, forbidden("Only auditors of the deployment may read its own log; name an organization.")
		}
		return uuid.Nil, nil
	}
	org, err := a.findOrganization(ctx, ref)
	if err == nil && scope.reads(org.ID) {
		return org.ID, nil
	}
	if err != nil && !store.IsNotFound(err) {
		return uuid.Nil, err
	}
	id, invalid := uuid.Parse(strings.TrimSpace(ref))
	if !scope.everywhere || invalid != nil {
		return uuid.Nil, errNotFound()
	}
	head, err := a.store.AuditMarkOf(ctx, id)
	if err == nil && head.Entries == 0 {
		err = errNotFound()
	}
	return id, err
}
