package server_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server"
	"coder/server/servertest"
)

// callCounter is a log that counts the calls of the API.
type callCounter struct {
	slog.Handler
	calls *atomic.Int64
}

func (c callCounter) Enabled(context.Context, slog.Level) bool { return true }

func (c callCounter) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if r.Message == "request" && a.Key == "path" && strings.HasPrefix(a.Value.String(), "/api/") {
			c.calls.Add(1)
		}
		return true
	})
	return nil
}

// maxCalls is how many calls of the API a list may cost.
const maxCalls = 4

func TestAListPageCostsFewCalls(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	s := newScene(t, servertest.WithOptions(func(o *server.Options) { o.Logger = slog.New(callCounter{slog.DiscardHandler, &calls}) }))
	s.running(t, "box")
	b := s.SignedIn(t, "owner@example.com")
	org := "/organizations/" + s.org.Name
	for _, path := range []string{"/workspaces?q=", "/templates", "/organizations", "/users", "/audit", org + "/members", org + "/groups", org + "/roles", org + "/provisioners", org + "/jobs", org + "/keys", org + "/audit"} {
		calls.Store(0)
		require.Equal(t, http.StatusOK, b.Open(path).Status, path)
		require.LessOrEqual(t, calls.Load(), int64(maxCalls), path)
		require.Positive(t, calls.Load(), path)
	}
}

// BenchmarkListPages opens list pages over 100,000 workspaces, alone and fifty
// at a time, as an owner who sees all of them and as a member with twenty.
// The member's organization has 30 more people, and 30 groups.
func BenchmarkListPages(b *testing.B) {
	s := servertest.New(b, servertest.WithoutLoops(), servertest.WithOptions(func(o *server.Options) {
		o.Logger, o.DisableRateLimits = slog.New(slog.DiscardHandler), true
	}))
	org := s.Organization(b, "data-platform")
	member := s.Person(b, org)
	seedWorkspaces(b, s, []uuid.UUID{member.User.ID}, org.ID, 20)
	for i := range 30 {
		s.NamedMember(b, org, fmt.Sprintf("colleague-%d", i))
		_, err := s.Client.CreateGroup(b.Context(), org.Name, client.CreateGroupRequest{Name: fmt.Sprintf("group-%d", i)})
		require.NoError(b, err)
	}
	for i := range 100 {
		other := s.Organization(b, fmt.Sprintf("org-%d", i))
		_, owner := s.MemberUser(b, other)
		seedWorkspaces(b, s, []uuid.UUID{owner.ID}, other.ID, 1000)
	}
	in := "/organizations/" + org.Name
	for _, page := range []struct{ who, token, path string }{
		{"owner", s.Token, "/workspaces?q="}, {"owner", s.Token, "/templates"}, {"owner", s.Token, "/organizations"}, {"owner", s.Token, "/users"},
		{"owner", s.Token, "/audit"}, {"owner", s.Token, in + "/members"}, {"owner", s.Token, in + "/groups"}, {"owner", s.Token, in + "/groups/group-0"}, {"owner", s.Token, "/organizations/org-0/jobs"},
		{"member", member.Token, "/workspaces?q="}, {"member", member.Token, "/templates"}, {"member", member.Token, "/organizations"},
	} {
		for _, connections := range []int{1, 50} {
			b.Run(fmt.Sprintf("%s%s at %d", page.who, strings.TrimSuffix(page.path, "?q="), connections), func(b *testing.B) {
				openPages(b, s.URL+page.path, page.token, 1)
				before := processTime(b)
				times := openPages(b, s.URL+page.path, page.token, connections)
				slices.Sort(times)
				b.ReportMetric(float64((processTime(b)-before).Microseconds())/1000/float64(len(times)), "cpu-ms/page") // what asks is in it
				b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "p50-ms")
				b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms")
			})
		}
	}
}

// openPages opens a page many times at once, and returns how long each took.
func openPages(b *testing.B, url, token string, connections int) []time.Duration {
	b.Helper()
	h := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	defer h.CloseIdleConnections()
	var mu sync.Mutex
	var times []time.Duration
	var left atomic.Int64
	left.Store(int64(max(b.N, 10*connections)))
	var wg sync.WaitGroup
	for range connections {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				begun := time.Now()
				req, _ := http.NewRequest(http.MethodGet, url, nil)
				req.AddCookie(&http.Cookie{Name: client.SessionCookie, Value: token})
				reply, err := h.Do(req)
				if err != nil || reply.StatusCode != http.StatusOK {
					b.Errorf("%s: %v %v", url, reply, err)
					return
				}
				_, _ = io.Copy(io.Discard, reply.Body)
				reply.Body.Close()
				mu.Lock()
				times = append(times, time.Since(begun))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return times
}
