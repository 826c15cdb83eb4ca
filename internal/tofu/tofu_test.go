package tofu_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opentofu/tofudl/mockmirror"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"coder/internal/tofu"
)

const script = "#!/bin/sh\necho OpenTofu v1.0.0\n"

// mirror is a signed release of the test's own behind a counting proxy.
type mirror struct {
	tofu.Options
	archives *atomic.Int32
	server   *httptest.Server
	tamper   *atomic.Bool
}

func newMirror(t *testing.T) mirror {
	t.Helper()
	release := mockmirror.NewFromBinary(t, []byte(script))
	target, err := url.Parse(strings.TrimSuffix(release.APIURL(), "/api.json"))
	require.NoError(t, err)
	m := mirror{archives: &atomic.Int32{}, tamper: &atomic.Bool{}}
	proxy := httputil.NewSingleHostReverseProxy(target)
	m.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, ".tar.gz") {
			m.archives.Add(1)
			if m.tamper.Load() {
				_, _ = w.Write([]byte("something else"))
				return
			}
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(m.server.Close)
	m.Options = tofu.Options{Version: "1.0.0", MirrorURL: m.server.URL + "/", SigningKey: release.GPGKey()}
	return m
}

func runs(t *testing.T, path string) {
	t.Helper()
	out, err := exec.Command(path).Output()
	require.NoError(t, err)
	require.Equal(t, "OpenTofu v1.0.0\n", string(out))
}

func TestEnsureFetchesOnce(t *testing.T) {
	t.Parallel()
	m, cache := newMirror(t), t.TempDir()
	path, err := tofu.Ensure(t.Context(), cache, m.Options)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(cache, "opentofu", "1.0.0", "tofu"), path)
	runs(t, path)

	m.server.Close()
	again, err := tofu.Ensure(t.Context(), cache, m.Options)
	require.NoError(t, err, "the second time needs no network")
	require.Equal(t, path, again)
}

func TestEnsureFromManySides(t *testing.T) {
	t.Parallel()
	m, cache := newMirror(t), t.TempDir()
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			path, err := tofu.Ensure(t.Context(), cache, m.Options)
			if err != nil {
				t.Error(err)
				return
			}
			if content, err := os.ReadFile(path); err != nil || string(content) != script {
				t.Errorf("half a binary: %q, %v", content, err)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 1, m.archives.Load())
}

func TestEnsureMendsWhatACrashLeft(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(t *testing.T, path string){
		"half a download": func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(path), ".tofu.1"), []byte("#!/b"), 0o600))
		},
		"a sum without binary": func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path+".sha256", []byte("00\n"), 0o644))
		},
		"a binary without sum":  func(t *testing.T, path string) { require.NoError(t, os.WriteFile(path, []byte(script), 0o755)) },
		"a binary that is torn": func(t *testing.T, path string) { require.NoError(t, os.WriteFile(path, nil, 0o755)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, cache := newMirror(t), t.TempDir()
			path := filepath.Join(cache, "opentofu", "1.0.0", "tofu")
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
			leave(t, path)
			got, err := tofu.Ensure(t.Context(), cache, m.Options)
			require.NoError(t, err)
			require.Equal(t, path, got)
			runs(t, path)
			require.EqualValues(t, 1, m.archives.Load())
			left, err := os.ReadDir(filepath.Dir(path))
			require.NoError(t, err)
			require.Len(t, left, 3, "the binary, its sum and the lock: %v", left)
		})
	}
}

// A program that this process starts while the binary is written has it open,
// until it is that program: the binary could not be run so long.
func TestEnsureGivesABinaryThatRuns(t *testing.T) {
	t.Parallel()
	m := newMirror(t)
	ctx, cancel := context.WithCancel(t.Context())
	var others sync.WaitGroup
	defer others.Wait()
	defer cancel()
	for range 4 {
		others.Go(func() {
			for ctx.Err() == nil {
				_ = exec.CommandContext(ctx, "true").Run()
			}
		})
	}
	for range 100 {
		path, err := tofu.Ensure(t.Context(), t.TempDir(), m.Options)
		require.NoError(t, err)
		runs(t, path)
	}
}

func TestEnsureRefusesWhatIsNotSigned(t *testing.T) {
	t.Parallel()
	refused := func(t *testing.T, options tofu.Options, why string) {
		cache := t.TempDir()
		_, err := tofu.Ensure(t.Context(), cache, options)
		require.ErrorContains(t, err, "is not what the project signed")
		require.ErrorContains(t, err, why)
		require.NoFileExists(t, filepath.Join(cache, "opentofu", "1.0.0", "tofu"))
	}
	t.Run("a key that is not the release's", func(t *testing.T) {
		t.Parallel()
		options := newMirror(t).Options
		options.SigningKey = newMirror(t).SigningKey
		refused(t, options, "Signature")
	})
	t.Run("the project's key, where no other is given", func(t *testing.T) {
		t.Parallel()
		options := newMirror(t).Options
		options.SigningKey = ""
		refused(t, options, "Signature")
	})
	t.Run("another archive", func(t *testing.T) {
		t.Parallel()
		m := newMirror(t)
		m.tamper.Store(true)
		refused(t, m.Options, "checksum")
	})
}

func TestEnsureSaysWhatToDo(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	for name, mirrorURL := range map[string]string{"no such release": gone.URL, "nobody there": "http://127.0.0.1:1"} {
		_, err := tofu.Ensure(t.Context(), t.TempDir(), tofu.Options{MirrorURL: mirrorURL})
		require.ErrorContains(t, err, "OpenTofu "+tofu.Version+" could not be fetched from "+mirrorURL, name)
		require.ErrorContains(t, err, "Install Terraform or OpenTofu", name)
		require.ErrorContains(t, err, "--terraform-path", name)
	}
	gone.Close()
}

func TestEnsureWaitsNoLongerThanItsContext(t *testing.T) {
	t.Parallel()
	m, cache := newMirror(t), t.TempDir()
	dir := filepath.Join(cache, "opentofu", "1.0.0")
	require.NoError(t, os.MkdirAll(dir, 0o755))
	other, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	require.NoError(t, err)
	require.NoError(t, unix.Flock(int(other.Fd()), unix.LOCK_EX))

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = tofu.Ensure(ctx, cache, m.Options)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "another process is fetching it")

	require.NoError(t, other.Close())
	path, err := tofu.Ensure(t.Context(), cache, m.Options)
	require.NoError(t, err)
	runs(t, path)
}
