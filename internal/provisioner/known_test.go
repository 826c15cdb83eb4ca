package provisioner_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/internal/provisioner"
)

// startedBefore is a daemon that has run on its host once, and whose engine
// can be told what to say: files in dir have it wait, and speak for it.
type startedBefore struct {
	*controlPlane
	opts provisioner.Options
	dir  string
}

func newStartedBefore(t *testing.T) *startedBefore {
	t.Helper()
	s := &startedBefore{controlPlane: newControlPlane(t), dir: t.TempDir()}
	s.opts = s.options(t.TempDir())
	s.opts.TerraformPath = engineScript(t, `cd `+s.dir+`/.; [ "$1" = version ] && { touch asked; while [ -e hold ]; do sleep 0.01; done; [ -e says ] && exec sh says; }; cd "$OLDPWD"`)
	stop := s.startDaemon(s.opts)
	s.untilRegistered(1)
	stop()
	require.NoError(t, os.Remove(s.path("asked")))
	// What the server has not seen end would be given the next job.
	require.Eventually(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.asking == 0
	}, patience, tick)
	return s
}

func (s *startedBefore) path(name string) string { return filepath.Join(s.dir, name) }

func (s *startedBefore) write(name, text string) {
	s.t.Helper()
	require.NoError(s.t, os.WriteFile(s.path(name), []byte(text), 0o600))
}

func (s *startedBefore) untilRegistered(times int) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.registered) >= times
	}, patience, tick)
}

func (s *startedBefore) build() *handout {
	s.t.Helper()
	return s.submit(buildOf(s.template(map[string]string{"main.tf": "resource \"terraform_data\" \"a\" {}\n"}), client.TransitionStart))
}

// A daemon that starts again joins before its engine has said who it is, and
// does no job before.
func TestASecondStartWaitsForNoEngine(t *testing.T) {
	t.Parallel()
	s := newStartedBefore(t)
	s.write("hold", "")
	s.startDaemon(s.opts)
	s.untilRegistered(2)
	h := s.build()
	require.Eventually(t, func() bool { _, err := os.Stat(s.path("asked")); return err == nil }, patience, tick)
	require.NoError(t, os.Remove(s.path("hold")))
	s.untilEnded(h)
	require.Nil(t, h.fail, s.text(h))
}

func TestWhatIsKnownOfAnEngineIsNotTrustedBlindly(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*testing.T, *startedBefore){
		"its file has changed": func(t *testing.T, s *startedBefore) {
			require.NoError(t, os.Chtimes(s.opts.TerraformPath, time.Time{}, time.Now().Add(-time.Hour)))
		},
		"another file of its size and times": func(t *testing.T, s *startedBefore) {
			info, err := os.Stat(s.opts.TerraformPath)
			require.NoError(t, err)
			content, err := os.ReadFile(s.opts.TerraformPath)
			require.NoError(t, err)
			other := filepath.Join(t.TempDir(), "terraform")
			require.NoError(t, os.WriteFile(other, content, info.Mode()))
			require.NoError(t, os.Chtimes(other, info.ModTime(), info.ModTime()))
			require.NoError(t, os.Rename(other, s.opts.TerraformPath))
		},
		"written to within its times": func(t *testing.T, s *startedBefore) {
			info, err := os.Stat(s.opts.TerraformPath)
			require.NoError(t, err)
			require.NoError(t, os.Chmod(s.opts.TerraformPath, 0o755)) //nolint:gosec // it is an engine
			require.NoError(t, os.Chtimes(s.opts.TerraformPath, info.ModTime(), info.ModTime()))
		},
		"the record is torn": func(t *testing.T, s *startedBefore) {
			s.damage(t, func(text string) string { return text[:len(text)/2] })
		},
		"the record is empty": func(t *testing.T, s *startedBefore) { s.damage(t, func(string) string { return "" }) },
		"the record is of another engine": func(t *testing.T, s *startedBefore) {
			s.damage(t, func(text string) string { return strings.Replace(text, s.opts.TerraformPath, "/bin/sh", 1) })
		},
		"the record's engine is too old": func(t *testing.T, s *startedBefore) {
			s.damage(t, func(text string) string {
				return regexp.MustCompile(`"version":"[^"]*"`).ReplaceAllString(text, `"version":"1.0.0"`)
			})
		},
		"the record's provider is another": func(t *testing.T, s *startedBefore) {
			s.damage(t, func(text string) string {
				return regexp.MustCompile(`[0-9a-f]{64}`).ReplaceAllString(text, strings.Repeat("a", 64))
			})
		},
		"a job was left behind": func(t *testing.T, s *startedBefore) {
			require.NoError(t, os.Mkdir(filepath.Join(s.opts.SpoolDir, "attempts", "left"), 0o700))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStartedBefore(t)
			change(t, s)
			asked := make(chan error, 1)
			s.opts.Registered = func(client.RegisteredDaemon) {
				_, err := os.Stat(s.path("asked"))
				asked <- err
			}
			s.startDaemon(s.opts)
			require.NoError(t, <-asked, "it has joined before its engine was asked")
		})
	}
}

// damage changes what each record says.
func (s *startedBefore) damage(t *testing.T, change func(string) string) {
	t.Helper()
	records, err := filepath.Glob(filepath.Join(s.opts.CacheDir, "known", "*"))
	require.NoError(t, err)
	require.NotEmpty(t, records)
	for _, path := range records {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		changed := change(string(content))
		require.NotEqual(t, string(content), changed)
		require.NoError(t, os.WriteFile(path, []byte(changed), 0o600))
	}
}

// A shim is the same file whatever engine it leads to.
func TestAnEngineBehindAShimIsAskedBeforeAJob(t *testing.T) {
	t.Parallel()
	s := newStartedBefore(t)
	s.write("says", "echo OpenTofu v1.9.0")
	stop := s.startDaemon(s.opts)
	h := s.build()
	s.untilEnded(h)
	require.Nil(t, h.fail, s.text(h))
	by := map[string]string{}
	for _, timing := range h.complete.Timings {
		by[timing.Stage] = timing.Source
	}
	require.Equal(t, "opentofu", by["init"])
	stop()

	s.write("says", "echo it is broken >&2; exit 1")
	daemon, err := provisioner.New(s.opts)
	require.NoError(t, err)
	require.ErrorContains(t, daemon.Run(t.Context()), "run version")
}
