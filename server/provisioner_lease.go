package server

import "context"

// leases notices attempts that have gone silent.
type leases struct{}

func newLeases() *leases { return &leases{} }

func (a *api) watchLeases(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
