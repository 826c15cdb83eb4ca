package server_test

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/server/servertest"
	"coder/store"
	"coder/store/storetest"
)

// good tells whether a provisioner key's secret is accepted now.
func (p *protocol) good(t *testing.T, key string) bool {
	t.Helper()
	_, err := p.withKey(t, key).PresentedProvisionerKey(t.Context())
	if err != nil {
		refused(t, err, http.StatusUnauthorized)
	}
	return err == nil
}

func (p *protocol) onlyKey(t *testing.T) client.ProvisionerKey {
	t.Helper()
	keys, err := p.Client.ProvisionerKeys(t.Context(), p.org.Name)
	require.NoError(t, err)
	require.Len(t, keys, 1)
	return keys[0]
}

func (p *protocol) rotate(t *testing.T, req client.RotateProvisionerKeyRequest) string {
	t.Helper()
	made, err := p.Client.RotateProvisionerKey(t.Context(), p.org.Name, "Data-Cluster-Key", req)
	require.NoError(t, err)
	return made.Key
}

func TestRotatingAProvisionerKey(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		clock := servertest.NewClock()
		p := newProtocol(t, servertest.WithStore(st), servertest.WithClock(clock))
		first := p.key
		hour := int64(3600)
		second := p.rotate(t, client.RotateProvisionerKeyRequest{OverlapSeconds: &hour})
		require.Len(t, second, client.ProvisionerKeyLength)
		require.True(t, p.good(t, first) && p.good(t, second), "both within the overlap")
		require.WithinDuration(t, clock.Now().Add(time.Hour), *p.onlyKey(t).PreviousExpiresAt, time.Second)

		clock.Advance(time.Minute)
		third := p.rotate(t, client.RotateProvisionerKeyRequest{OverlapSeconds: &hour})
		require.False(t, p.good(t, first), "there are two at most")
		require.True(t, p.good(t, second) && p.good(t, third))
		clock.Advance(time.Hour)
		require.False(t, p.good(t, second), "the overlap is over")
		require.True(t, p.good(t, third))
		require.Nil(t, p.onlyKey(t).PreviousExpiresAt)

		now := int64(0)
		fourth := p.rotate(t, client.RotateProvisionerKeyRequest{OverlapSeconds: &now})
		require.False(t, p.good(t, third))
		require.True(t, p.good(t, fourth))
	})
}

func TestProvisionerKeysExpire(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	p := newProtocol(t, servertest.WithClock(clock))
	require.Nil(t, p.onlyKey(t).ExpiresAt)
	end, never := clock.Now().Add(time.Hour), time.Time{}
	second := p.rotate(t, client.RotateProvisionerKeyRequest{ExpiresAt: &end})
	require.WithinDuration(t, end, *p.onlyKey(t).ExpiresAt, time.Millisecond)
	third := p.rotate(t, client.RotateProvisionerKeyRequest{})
	require.NotNil(t, p.onlyKey(t).ExpiresAt, "a rotation that says nothing leaves the end as it is")
	clock.Advance(59 * time.Minute)
	require.True(t, p.good(t, second) && p.good(t, third))
	clock.Advance(time.Minute)
	require.False(t, p.good(t, third))
	_, err := p.withKey(t, third).PresentedProvisionerKey(t.Context())
	require.ErrorContains(t, err, `The provisioner key "data-cluster-key" expired at`)

	_, err = p.Client.RotateProvisionerKey(t.Context(), p.org.Name, "data-cluster-key", client.RotateProvisionerKeyRequest{})
	refused(t, err, http.StatusBadRequest, "expires_at")
	_, err = p.Client.CreateJoinToken(t.Context(), p.org.Name, "data-cluster-key", client.CreateJoinTokenRequest{})
	refused(t, err, http.StatusBadRequest)
	fourth := p.rotate(t, client.RotateProvisionerKeyRequest{ExpiresAt: &never})
	require.Nil(t, p.onlyKey(t).ExpiresAt)
	clock.Advance(100 * 365 * 24 * time.Hour)
	require.True(t, p.good(t, fourth))
}

// An expired key stops new work within five seconds; what runs is
// interrupted, and hands in what it has.
func TestAnExpiredKeyInterruptsWhatRuns(t *testing.T) {
	t.Parallel()
	p := newProtocol(t)
	end := time.Now().Add(3 * time.Second)
	p.rotate(t, client.RotateProvisionerKeyRequest{ExpiresAt: &end})
	p.version(t)
	h := p.begun(t)
	_, err := p.daemon.AcquireJob(t.Context(), p.joined.ID, client.AcquireJobRequest{RequestID: uuid.New()})
	refused(t, err, http.StatusUnauthorized)
	require.WithinDuration(t, end, time.Now(), 5*time.Second, "a long poll ends with the key")
	require.Eventually(t, func() bool {
		word, err := h.Renew(t.Context(), client.RenewRequest{})
		return err == nil && word.Revoked
	}, 5*time.Second, 50*time.Millisecond)
	_, err = h.Complete(t.Context(), client.CompleteJobRequest{Import: &client.ImportResult{}})
	require.NoError(t, err)
}

func TestProvisionerKeysAreForTheirNetworks(t *testing.T) {
	t.Parallel()
	p := newProtocol(t)
	create := func(name string, allow ...string) (string, error) {
		made, err := p.Client.CreateProvisionerKey(t.Context(), p.org.Name, client.CreateProvisionerKeyRequest{Name: name, AllowList: allow})
		return made.Key, err
	}
	near, err := create("near", "10.1.2.3", "127.9.9.9/8", "::ffff:192.0.2.1")
	require.NoError(t, err)
	far, err := create("far", "2001:db8::/32")
	require.NoError(t, err)
	key, err := p.withKey(t, near).PresentedProvisionerKey(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"10.1.2.3/32", "127.0.0.0/8", "192.0.2.1/32"}, key.AllowList)
	_, err = p.withKey(t, far).PresentedProvisionerKey(t.Context())
	e := refused(t, err, http.StatusForbidden)
	require.Contains(t, e.Message, "may not be used from the address 127.0.0.1")
	require.NotContains(t, e.Message+e.Detail, "2001:db8", "whoever has found a key learns nothing of the networks")
	_, err = p.withKey(t, far).RegisterDaemon(t.Context(), client.RegisterDaemonRequest{Name: "d", Provisioners: []string{"terraform"}, Version: "v0", APIVersion: "1.0"})
	refused(t, err, http.StatusForbidden)
	for _, wrong := range []string{"localhost", "10.0.0.0/33", "10.0.0", "fe80::1%eth0/64", "::ffff:10.0.0.0/104"} {
		_, err := create("wrong", wrong)
		refused(t, err, http.StatusBadRequest, "allow_list")
	}

	// Narrowing it reaches who waits for a job already.
	p.version(t)
	h := p.begun(t)
	go func() {
		_, _ = p.Client.RotateProvisionerKey(t.Context(), p.org.Name, "data-cluster-key", client.RotateProvisionerKeyRequest{AllowList: &[]string{"192.0.2.0/24"}})
	}()
	_, err = p.daemon.AcquireJob(t.Context(), p.joined.ID, client.AcquireJobRequest{RequestID: uuid.New()})
	refused(t, err, http.StatusForbidden)
	_, err = h.AppendLogs(t.Context(), lines(0, "still heard"))
	require.NoError(t, err)
}

func TestProvisionerKeysTellTheirLastUse(t *testing.T) {
	t.Parallel()
	clock := servertest.NewClock()
	p := newProtocol(t, servertest.WithClock(clock))
	_, err := p.Client.CreateProvisionerKey(t.Context(), p.org.Name, client.CreateProvisionerKeyRequest{Name: "unused"})
	require.NoError(t, err)
	clock.Advance(time.Hour)
	require.True(t, p.good(t, p.key))
	keys, err := p.Client.ProvisionerKeys(t.Context(), p.org.Name)
	require.NoError(t, err)
	require.WithinDuration(t, clock.Now(), *keys[0].LastUsedAt, time.Minute)
	require.Nil(t, keys[1].LastUsedAt)
}

// madeUp is a key that a daemon makes up.
func madeUp(letter string) string { return strings.Repeat(letter, client.ProvisionerKeyLength) }

func TestJoinTokens(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		clock := servertest.NewClock()
		p := newProtocol(t, servertest.WithStore(st), servertest.WithClock(clock))
		token := func() string {
			made, err := p.Client.CreateJoinToken(t.Context(), p.org.Name, "data-cluster-key", client.CreateJoinTokenRequest{})
			require.NoError(t, err)
			return made.JoinToken
		}
		join := func(token, key string) error {
			_, err := p.Anonymous(t).JoinProvisioner(t.Context(), client.JoinProvisionerRequest{JoinToken: token, Key: key})
			return err
		}
		one := token()
		require.NoError(t, join(one, madeUp("a")))
		require.NoError(t, join(one, madeUp("a")), "asked again, it answers the same")
		require.ErrorContains(t, join(one, madeUp("b")), "was used at")
		require.True(t, p.good(t, madeUp("a")))
		require.False(t, p.good(t, madeUp("b")))
		require.False(t, p.good(t, token()), "a token is no key")
		require.ErrorContains(t, join(p.key, madeUp("b")), "This is a provisioner key")
		require.ErrorContains(t, join(madeUp("x"), madeUp("b")), "not known")
		for _, bad := range []string{"", "short", madeUp("-"), madeUp("aa")} {
			refused(t, join(token(), bad), http.StatusBadRequest, "key")
		}

		late := token()
		clock.Advance(time.Hour)
		require.ErrorContains(t, join(late, madeUp("b")), "This join token ended at")
		require.True(t, p.good(t, madeUp("a")), "what has joined stays")

		unused, now := token(), int64(0)
		p.rotate(t, client.RotateProvisionerKeyRequest{OverlapSeconds: &now})
		require.False(t, p.good(t, madeUp("a")), "a rotation ends what joined before")
		refused(t, join(unused, madeUp("b")), http.StatusUnauthorized)
		refused(t, join(one, madeUp("a")), http.StatusUnauthorized)

		last := token()
		require.NoError(t, p.Client.DeleteProvisionerKey(t.Context(), p.org.Name, "data-cluster-key"))
		require.ErrorContains(t, join(last, madeUp("b")), "not known")
	})
}

func TestAJoinTokenIsForOne(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		t.Parallel()
		p := newProtocol(t, servertest.WithStore(st))
		made, err := p.Client.CreateJoinToken(t.Context(), p.org.Name, "data-cluster-key", client.CreateJoinTokenRequest{})
		require.NoError(t, err)
		var joined atomic.Int32
		var all sync.WaitGroup
		for _, letter := range strings.Split("abcdefghijklmnop", "") {
			all.Go(func() {
				_, err := p.Anonymous(t).JoinProvisioner(t.Context(), client.JoinProvisionerRequest{JoinToken: made.JoinToken, Key: madeUp(letter)})
				if err == nil {
					joined.Add(1)
				}
			})
		}
		all.Wait()
		require.EqualValues(t, 1, joined.Load())
	})
}
