package server

import (
	"context"
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
	// organization is the one in the path, already checked.
	organization *store.Organization
	// daemon is set on calls of a joined daemon, attempt on calls of an attempt.
	daemon  *daemonCredential
	attempt *store.JobAttempt
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
