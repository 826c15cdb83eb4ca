package server

import (
	"context"
	"time"

	"coder/store"
)

const cleanUpInterval = time.Hour

// keyKept is how long an expired key stays visible in the lists.
const keyKept = 30 * 24 * time.Hour

// cleanUp removes what only time has ended: keys and attempts long expired.
func (a *api) cleanUp(ctx context.Context) error {
	return every(ctx, cleanUpInterval, func(ctx context.Context) error {
		if _, err := a.store.DeleteExpiredAPIKeys(ctx, store.At(a.now().Add(-keyKept))); err != nil {
			return err
		}
		_, err := a.store.PruneAttempts(ctx, store.At(a.now()))
		return err
	})
}
