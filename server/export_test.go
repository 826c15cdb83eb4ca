package server

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"coder/internal/authz"
)

// Gate does what stands before the handler of the list of workspaces, and
// nothing else, so that a benchmark can tell what it costs.
func (s *Server) Gate(w http.ResponseWriter, r *http.Request) error {
	ctx := withRequest(r.Context(), &request{ip: remoteIP(r)})
	p := onObject(authz.Read, authz.Workspace)
	if err := s.api.admit(ctx, r, p); err != nil {
		return err
	}
	return s.api.limit(w, r.WithContext(ctx), p, &huma.Operation{OperationID: "list-workspaces", Path: apiPrefix + "/workspaces"})
}

// Waits says whether a daemon's question for a job is open at this replica.
func (s *Server) Waits(daemon uuid.UUID) bool {
	d := s.api.dispatch
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, waiting := range d.waiting {
		if slices.ContainsFunc(waiting, func(w *waiter) bool { return w.daemon == daemon }) {
			return true
		}
	}
	return false
}

// LeaseClock gives the leases a clock that the test moves, before anything runs.
func (s *Server) LeaseClock(now func() time.Time) {
	s.api.leases.clock, s.api.leases.looked = now, now()
}

// LookAtLeases is one turn of the loop that acts on silence.
func (s *Server) LookAtLeases(ctx context.Context) error { return s.api.lookAtLeases(ctx) }

// KeepSchedule is what the life cycle does for one workspace.
func (s *Server) KeepSchedule(ctx context.Context, workspace uuid.UUID) error {
	return s.api.keepSchedule(ctx, workspace)
}

// StoppedPass reads what is due for a workspace, as a pass of the life cycle
// does, and returns what that pass does when its process goes on.
func (s *Server) StoppedPass(ctx context.Context, workspace uuid.UUID) (goOn func() error, err error) {
	l, err := s.api.readLife(ctx, workspace)
	act := l.decide(s.api.now())
	return func() error {
		if act.follow {
			return s.api.startAfterStop(ctx, l)
		}
		return s.api.buildAutomatically(ctx, l, act)
	}, err
}

// AcquireWait sets how long a daemon's question for a job stays open.
func (s *Server) AcquireWait(d time.Duration) { s.api.acquireWait = d }
