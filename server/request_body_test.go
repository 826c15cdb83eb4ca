package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
)

// sender is a client that sends its request as it likes.
type sender struct {
	net.Conn
	replies *bufio.Reader
}

func newSender(t *testing.T, s *servertest.Server) sender {
	t.Helper()
	connection, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { connection.Close() })
	return sender{connection, bufio.NewReader(connection)}
}

// head sends all of a request but its body.
func (s sender) head(t *testing.T, path, token, kind string, size int, more ...string) {
	t.Helper()
	_, err := fmt.Fprintf(s, "POST /api/v2%s HTTP/1.1\r\nHost: coder\r\n%s: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n",
		path, client.HeaderSessionToken, token, kind, size, strings.Join(more, "\r\n"))
	require.NoError(t, err)
}

// body sends so many bytes in parts, and waits after each.
func (s sender) body(t *testing.T, parts, size int, wait time.Duration) {
	t.Helper()
	for range parts {
		_, err := io.WriteString(s, strings.Repeat(" ", size))
		require.NoError(t, err, "the connection ended before the request was sent")
		time.Sleep(wait)
	}
}

func (s sender) status(t *testing.T) int {
	t.Helper()
	reply, err := http.ReadResponse(s.replies, nil)
	require.NoError(t, err, "no reply came")
	_, err = io.Copy(io.Discard, reply.Body)
	require.NoError(t, err)
	require.NoError(t, reply.Body.Close())
	return reply.StatusCode
}

// A result of many megabytes may take as long as its line needs.
func TestABodyMayComeSlowly(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	request := `{"name":"slowly"}`
	slow := newSender(t, s)
	slow.head(t, "/organizations", s.Token, "application/json", len(request)+7<<16)
	slow.body(t, 7, 1<<16, time.Second)
	_, err := io.WriteString(slow, request)
	require.NoError(t, err)
	require.Equal(t, http.StatusCreated, slow.status(t))
}

// Whoever holds a connection without sending is told, and loses it.
func TestABodyMustCome(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	stuck := newSender(t, s)
	stuck.head(t, "/organizations", s.Token, "application/json", 1000)
	stuck.body(t, 1, 10, 0)
	require.NoError(t, stuck.SetReadDeadline(time.Now().Add(time.Minute)))
	require.Equal(t, http.StatusRequestTimeout, stuck.status(t))
	_, err := stuck.replies.ReadByte()
	require.ErrorIs(t, err, io.EOF)
}

// A refusal is read by whoever is still sending, whether or not the
// connection lives on.
func TestARefusalReachesWhoIsStillSending(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	for name, c := range map[string]struct {
		path, token, kind string
		size, status      int
		more              []string
	}{
		"too much":              {"/organizations", s.Token, "application/json", 8 << 20, http.StatusRequestEntityTooLarge, nil},
		"too much, and close":   {"/organizations", s.Token, "application/json", 8 << 20, http.StatusRequestEntityTooLarge, []string{"Connection: close", ""}},
		"not signed in":         {"/files", "", client.ContentTypeTar, 8 << 20, http.StatusUnauthorized, nil},
		"not a type":            {"/files", s.Token, "text/plain", 8 << 20, http.StatusBadRequest, []string{"Connection: close", ""}},
		"a file that is larger": {"/files", s.Token, client.ContentTypeTar, client.MaxUpload + 4<<20, http.StatusBadRequest, nil},
		"nowhere":               {"/nowhere", s.Token, "application/json", 8 << 20, http.StatusNotFound, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			slow := newSender(t, s)
			slow.head(t, c.path, c.token, c.kind, c.size, c.more...)
			slow.body(t, 4, c.size/4, 300*time.Millisecond)
			require.Equal(t, c.status, slow.status(t))
		})
	}
}

// A session that ends while a body is on its way is not good for what follows.
func TestASlowBodyOutlivesNoSession(t *testing.T) {
	t.Parallel()
	s := servertest.New(t)
	owner := s.WithToken(t, s.Login(t, "owner@example.com", servertest.Password))
	key, err := owner.CreateToken(t.Context(), client.Me, client.CreateTokenRequest{TokenName: "lost"})
	require.NoError(t, err)
	request := `{"name":"too-late"}`
	slow := newSender(t, s)
	slow.head(t, "/organizations", key.Key, "application/json", len(request)+5)
	slow.body(t, 4, 1, time.Second)
	require.NoError(t, owner.DeleteAPIKey(t.Context(), client.Me, strings.Split(key.Key, "-")[0]))
	slow.body(t, 1, 1, 0)
	_, err = io.WriteString(slow, request)
	require.NoError(t, err)
	require.Equal(t, http.StatusUnauthorized, slow.status(t))
	_, err = s.Client.Organization(t.Context(), "too-late")
	require.Equal(t, http.StatusNotFound, client.StatusCode(err))
}
