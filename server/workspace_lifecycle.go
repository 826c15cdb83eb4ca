package server

import "context"

// runLifecycle acts on schedules, dormancy and failed builds.
func (a *api) runLifecycle(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
