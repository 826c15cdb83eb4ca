package server

import (
	"bytes"
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"coder/internal/authz"
	"coder/store"
)

// request is what the gate knows about a request, and all that travels in its context.
type request struct {
	id      string
	started time.Time
	path    string
	// operation and permission are of the route; nil and zero before it is found.
	operation  *huma.Operation
	permission permission
	// admit asks for the caller's right to the request, as often as it is called.
	admit func(context.Context) error
	ip    string
	agent string
	// subject, user and key are those of the session; nil without one.
	subject *authz.Subject
	user    *store.User
	key     *store.ApiKey
	// memberships are the user's, as the gate read them.
	memberships []store.ListMembershipsAndGroupsOfUserRow
	// stamps are what the session's row told of them.
	stamps stamps
	// organization is the one in the path, already checked.
	organization *store.Organization
	// daemon is set on calls of a joined daemon, attempt on calls of an attempt.
	daemon  *daemonCredential
	attempt *store.Attempt
	// page is the request of a page that calls the API for its person; nil for
	// a call from outside.
	page   *request
	method string
	// session is who a page's first call found behind its token.
	session *pageSession
}

// self is the caller as the gate has just read them, where nothing can have
// been changed since.
func (r *request) self() (store.User, bool) {
	if r.method != http.MethodGet || r.user == nil {
		return store.User{}, false
	}
	return *r.user, true
}

// organizationsStamp is that of all organizations when the request was let in;
// empty where the request may have changed them since.
func (r *request) organizationsStamp() string {
	if r.method != http.MethodGet {
		return ""
	}
	return r.stamps.organizations
}

// joined are the organizations of self, in the order in which they were joined.
func (r *request) joined() []uuid.UUID {
	rows := slices.Clone(r.memberships)
	slices.SortFunc(rows, func(x, y store.ListMembershipsAndGroupsOfUserRow) int {
		return cmp.Or(x.CreatedAt.Compare(y.CreatedAt.Time), bytes.Compare(x.OrganizationID[:], y.OrganizationID[:]))
	})
	ids := make([]uuid.UUID, len(rows))
	for i, row := range rows {
		ids[i] = row.OrganizationID
	}
	return slices.Compact(ids)
}

// pageSession is what a token stood for when a page first called the API.
type pageSession struct {
	token       string
	at          time.Time
	subject     *authz.Subject
	user        *store.User
	key         *store.ApiKey
	memberships []store.ListMembershipsAndGroupsOfUserRow
	stamps      stamps
}

// recall is what the page's token stood for a moment ago, so that a page looks
// it up once and not once for each of its calls. What is posted may change what
// its own person may do, and looks every time.
func (r *request) recall(token string, now time.Time) bool {
	if r.page == nil || r.page.method != http.MethodGet || r.page.session == nil {
		return false
	}
	s := r.page.session
	if s.token != token || now.Sub(s.at) > askAgain {
		return false
	}
	r.subject, r.user, r.key, r.memberships, r.stamps = s.subject, s.user, s.key, s.memberships, s.stamps
	return true
}

// remember keeps it for the page's next call.
func (r *request) remember(token string, now time.Time) {
	if r.page != nil {
		r.page.session = &pageSession{token: token, at: now, subject: r.subject, user: r.user, key: r.key, memberships: r.memberships, stamps: r.stamps}
	}
}

type requestKey struct{}

func withRequest(ctx context.Context, r *request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// success is the status of the reply when all goes well; 0 where none is declared.
func (r *request) success() int {
	if r.operation == nil {
		return 0
	}
	return r.operation.DefaultStatus
}

// requestFrom never returns nil; outside of a request it is an empty one.
func requestFrom(ctx context.Context) *request {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		return r
	}
	return &request{id: "none"}
}

// subjectFrom is who asks. A handler behind a permission always has one; nil
// can do nothing, because authz denies it everything.
func subjectFrom(ctx context.Context) *authz.Subject { return requestFrom(ctx).subject }

// callerID is the signed-in user's id.
func callerID(ctx context.Context) uuid.UUID {
	if s := subjectFrom(ctx); s != nil {
		return s.ID
	}
	return uuid.Nil
}

// organizationFrom is the organization in the path.
func organizationFrom(ctx context.Context) store.Organization {
	return *requestFrom(ctx).organization
}

func newRequestID() string { return uuid.NewString() }

// uuid is the request's id for the audit log; zero outside of a request.
func (r *request) uuid() uuid.UUID {
	id, err := uuid.Parse(r.id)
	if err != nil {
		return uuid.Nil
	}
	return id
}
