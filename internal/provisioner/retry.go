package provisioner

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"coder/client"
)

// backoff doubles from 50 ms to 10 s, with jitter, so that a returning server
// is not met by all daemons at once.
type backoff struct{ next time.Duration }

func newBackoff() *backoff { return &backoff{next: 50 * time.Millisecond} }

// step is how long to wait this time.
func (b *backoff) step() time.Duration {
	wait := b.next/2 + rand.N(b.next)
	b.next = min(2*b.next, 10*time.Second)
	return wait
}

func (b *backoff) sleep(ctx context.Context) { pause(ctx, b.step()) }

// pause waits, or until ctx ends.
func pause(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// isFinal tells whether the server itself refused, so that asking again is of
// no use. 404 is not final: a proxy answers so while the server restarts.
func isFinal(err error) bool {
	var refused *client.Error
	if !errors.As(err, &refused) || !refused.FromServer() {
		return false
	}
	switch refused.StatusCode {
	case http.StatusNotFound, http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusTooEarly:
		return false
	}
	return refused.StatusCode >= 400 && refused.StatusCode < 500
}

// isRefusal tells whether the server refuses this daemon: its key is gone, or
// never was one.
func isRefusal(err error) bool {
	status := client.StatusCode(err)
	return isFinal(err) && (status == http.StatusUnauthorized || status == http.StatusForbidden)
}

// retry calls until it succeeds, is refused for good, or ctx ends.
func retry(ctx context.Context, logger *slog.Logger, what string, call func() error) error {
	wait := newBackoff()
	for {
		err := call()
		if err == nil || isFinal(err) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		logger.Warn(what+": no success, trying again", "error", err)
		wait.sleep(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// isOver tells whether the attempt is no business of ours any more: its
// secret is dead, or the job has ended another way.
func isOver(err error) bool {
	switch client.StatusCode(err) {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusConflict, http.StatusGone:
		return isFinal(err)
	}
	return false
}
