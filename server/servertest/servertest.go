// Package servertest gives tests a real server on loopback with a fresh
// store, and an owner who is signed in.
package servertest

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server"
	"coder/store"
	"coder/store/storetest"
)

// Password is that of every user made here.
const Password = "SomeSecurePassword!"

// Version is what the server reports.
const Version = "v2.34.0+test"

// Server is a running deployment.
type Server struct {
	// URL is where it listens, without a slash at the end.
	URL string
	// Client is signed in as the first user, Owner.
	Client *client.Client
	Owner  client.User
	// Token is the session token of Client.
	Token string
	// Store is behind the server; tests use it to look, and to make what no
	// route makes.
	Store *store.Store
	// Server gives access to what is not on the wire.
	Server *server.Server
}

type settings struct {
	options server.Options
	fresh   bool
	loops   bool
}

// Option changes the server of a test.
type Option func(*settings)

// WithClock gives the server a clock that only the test moves.
func WithClock(c *Clock) Option { return func(s *settings) { s.options.Now = c.Now } }

// WithOptions changes anything else.
func WithOptions(change func(*server.Options)) Option {
	return func(s *settings) { change(&s.options) }
}

// WithStore uses a store that the test opened.
func WithStore(st *store.Store) Option { return func(s *settings) { s.options.Store = st } }

// WithoutUsers leaves the first user out; Client is then anonymous.
func WithoutUsers() Option { return func(s *settings) { s.fresh = true } }

// WithoutLoops does not run the background loops.
func WithoutLoops() Option { return func(s *settings) { s.loops = false } }

// cheapPassword makes the many users of tests cost little.
const cheapPassword = 64

// New starts a server that stops when the test ends.
func New(t testing.TB, options ...Option) *Server {
	t.Helper()
	s := settings{loops: true, options: server.Options{
		Version: Version, DisableRateLimits: true, PasswordMemory: cheapPassword,
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})),
	}}
	for _, option := range options {
		option(&s)
	}
	if s.options.Store == nil {
		s.options.Store = storetest.New(t)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := "http://" + listener.Addr().String()
	if s.options.AccessURL == nil {
		s.options.AccessURL, err = url.Parse(address)
		require.NoError(t, err)
	}
	srv, err := server.New(t.Context(), s.options)
	require.NoError(t, err)
	serve(t, srv, listener, s.loops)
	out := &Server{URL: address, Store: s.options.Store, Server: srv}
	out.Client = out.Anonymous(t)
	if !s.fresh {
		out.signInOwner(t)
	}
	return out
}

// serve runs the server and its loops until the test ends.
func serve(t testing.TB, srv *server.Server, listener net.Listener, loops bool) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	h := &http.Server{Handler: srv.Handler(), ReadHeaderTimeout: time.Minute, BaseContext: func(net.Listener) context.Context { return ctx }}
	var running sync.WaitGroup
	running.Go(func() {
		if err := h.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	})
	if loops {
		running.Go(func() {
			if err := srv.Run(ctx); err != nil {
				t.Errorf("run background loops: %v", err)
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		stop, done := context.WithTimeout(context.Background(), 10*time.Second)
		defer done()
		if err := h.Shutdown(stop); err != nil {
			t.Errorf("stop the server: requests were still running: %v", err)
		}
		running.Wait()
	})
}

func (s *Server) signInOwner(t testing.TB) {
	t.Helper()
	_, err := s.Client.CreateFirstUser(t.Context(), client.CreateFirstUserRequest{Email: "owner@example.com", Username: "owner", Password: Password})
	require.NoError(t, err)
	s.Token = s.Login(t, "owner@example.com", Password)
	s.Client = s.WithToken(t, s.Token)
	s.Owner, err = s.Client.User(t.Context(), client.Me)
	require.NoError(t, err)
}

// Login opens a session and returns its token.
func (s *Server) Login(t testing.TB, email, password string) string {
	t.Helper()
	r, err := s.Anonymous(t).LoginWithPassword(t.Context(), client.LoginWithPasswordRequest{Email: email, Password: password})
	require.NoError(t, err)
	return r.SessionToken
}

// Anonymous is a client without a credential.
func (s *Server) Anonymous(t testing.TB) *client.Client { return s.WithToken(t, "") }

// WithToken is a client with a session token.
func (s *Server) WithToken(t testing.TB, token string) *client.Client {
	t.Helper()
	c, err := client.New(s.URL, client.Options{Token: token})
	require.NoError(t, err)
	return c
}

// DefaultOrganization is the one that every deployment has.
func (s *Server) DefaultOrganization(t testing.TB) client.Organization {
	t.Helper()
	org, err := s.Client.Organization(t.Context(), client.DefaultOrganization)
	require.NoError(t, err)
	return org
}

// Organization makes one; its only member is the owner.
func (s *Server) Organization(t testing.TB, name string) client.Organization {
	t.Helper()
	org, err := s.Client.CreateOrganization(t.Context(), client.CreateOrganizationRequest{Name: name})
	require.NoError(t, err)
	return org
}

// Member makes a user in one organization, with roles in it, and signs the user in.
func (s *Server) Member(t testing.TB, org client.Organization, roles ...string) *client.Client {
	t.Helper()
	c, _ := s.MemberUser(t, org, roles...)
	return c
}

// MemberUser is Member for tests that need the user too.
func (s *Server) MemberUser(t testing.TB, org client.Organization, roles ...string) (*client.Client, client.User) {
	t.Helper()
	p := s.Person(t, org, roles...)
	return p.Client, p.User
}

// NamedMember is MemberUser with a user name; the address is NAME@example.com.
func (s *Server) NamedMember(t testing.TB, org client.Organization, name string, roles ...string) (*client.Client, client.User) {
	t.Helper()
	p := s.person(t, org, name, roles...)
	return p.Client, p.User
}

// Person is a user who is signed in.
type Person struct {
	Client *client.Client
	User   client.User
	Token  string
}

// Person is Member for tests that need the user and the token too.
func (s *Server) Person(t testing.TB, org client.Organization, roles ...string) Person {
	t.Helper()
	return s.person(t, org, "user-"+strings.ReplaceAll(uuid.NewString(), "-", "")[:12], roles...)
}

func (s *Server) person(t testing.TB, org client.Organization, name string, roles ...string) Person {
	t.Helper()
	active := client.UserActive
	user, err := s.Client.CreateUser(t.Context(), client.CreateUserRequest{
		Email: name + "@example.com", Username: name, Password: Password, UserStatus: &active, OrganizationIDs: []uuid.UUID{org.ID},
	})
	require.NoError(t, err)
	if len(roles) > 0 {
		_, err = s.Client.UpdateOrganizationMemberRoles(t.Context(), org.ID.String(), user.ID.String(), client.UpdateRolesRequest{Roles: roles})
		require.NoError(t, err)
	}
	key, err := s.Client.CreateAPIKey(t.Context(), user.ID.String())
	require.NoError(t, err)
	return Person{Client: s.WithToken(t, key.Key), User: user, Token: key.Key}
}

// Outsider is an administrator of an organization that has nothing to do with any other.
func (s *Server) Outsider(t testing.TB) Person {
	t.Helper()
	return s.Person(t, s.Organization(t, "outside-"+uuid.NewString()[:8]), client.RoleOrgAdmin)
}

// Clock is a time that stands still until Advance.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock stands at a fixed Wednesday noon.
func NewClock() *Clock { return &Clock{now: time.Date(2026, 7, 15, 12, 0, 0, 0, time.UTC)} }

// Now is the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Raw makes one request and returns status and body as they came, with a
// token unless it is empty.
func (s *Server) Raw(t testing.TB, token, method, path, body string) (int, string) {
	t.Helper()
	r := s.Response(t, token, method, path, body)
	return r.Status, r.Body
}

// Response is a reply as it came.
type Response struct {
	Status int
	Header http.Header
	Body   string
}

// Response makes one request and returns the whole reply. A path of the API
// is given without its prefix /api/v2 unless it begins with "//": then it is
// a path from the root.
func (s *Server) Response(t testing.TB, token, method, path, body string) Response {
	t.Helper()
	target := s.URL + "/api/v2" + path
	if rest, ok := strings.CutPrefix(path, "//"); ok {
		target = s.URL + "/" + rest
	}
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	require.NoError(t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set(client.HeaderSessionToken, token)
	}
	return Do(t, req)
}

// Do sends a request that the test built itself; redirects are not followed.
func Do(t testing.TB, req *http.Request) Response {
	t.Helper()
	c := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	reply, err := c.Do(req)
	require.NoError(t, err)
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	require.NoError(t, err)
	return Response{Status: reply.StatusCode, Header: reply.Header, Body: string(body)}
}
