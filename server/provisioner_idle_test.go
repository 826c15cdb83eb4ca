package server_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
)

// Nothing tells a waiting daemon that time has ended its key: it looks itself.
func TestAKeyThatExpiresEndsAnOpenPoll(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	s := servertest.New(t, servertest.WithClock(clock))
	s.Organization(t, "team")
	end := clock.Now().Add(time.Hour)
	key, err := s.Client.CreateProvisionerKey(t.Context(), "team", client.CreateProvisionerKeyRequest{Name: "k", ExpiresAt: &end})
	require.NoError(t, err)
	d, outcome := joinDaemon(t, s, key.Key, "worker"), make(chan error, 1)
	go func() {
		_, err := withDaemonKey(t, s, key.Key).AcquireJob(context.WithoutCancel(t.Context()), d.ID, client.AcquireJobRequest{RequestID: uuid.New()})
		outcome <- err
	}()
	require.Eventually(t, func() bool { return s.Server.Waits(d.ID) }, waitLong, time.Millisecond)
	clock.Advance(time.Hour)
	refused(t, <-outcome, http.StatusUnauthorized)
}
