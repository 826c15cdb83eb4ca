package server

import (
	"net/http"
	"slices"

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
