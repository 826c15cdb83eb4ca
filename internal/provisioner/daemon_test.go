package provisioner_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/internal/coderprovider/coderprovidertest"
	"coder/internal/enginetest"
	"coder/internal/provisioner"
)

const (
	patience = 3 * time.Minute
	tick     = 10 * time.Millisecond
)

// runDaemon is the first argument of a test binary that is a daemon, for
// tests that kill one. Server, spool and cache follow.
const runDaemon = "run-daemon"

func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == runDaemon {
		os.Exit(daemonMain(os.Args[2], os.Args[3], os.Args[4]))
	}
	os.Exit(coderprovidertest.Main(m))
}

func daemonMain(url, spool, cache string) int {
	caller, err := client.New(url, client.Options{Header: http.Header{client.HeaderDaemonKey: {"key"}}})
	if err != nil {
		return 1
	}
	daemon, err := provisioner.New(provisioner.Options{
		Client: caller, Name: "host-1", TerraformPath: os.Getenv(enginetest.Variable), CacheDir: cache, SpoolDir: spool, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil || daemon.Run(context.Background()) != nil {
		return 1
	}
	return 0
}

// template makes an archive known to the server, and returns its hash.
func (p *controlPlane) template(files map[string]string) string {
	p.t.Helper()
	var content bytes.Buffer
	writer := tar.NewWriter(&content)
	for name, text := range files {
		require.NoError(p.t, writer.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(text)), Typeflag: tar.TypeReg}))
		_, err := writer.Write([]byte(text))
		require.NoError(p.t, err)
	}
	require.NoError(p.t, writer.Close())
	sum := sha256.Sum256(content.Bytes())
	hash := hex.EncodeToString(sum[:])
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sources[hash] = content.Bytes()
	return hash
}

func (p *controlPlane) options(spool string) provisioner.Options {
	p.t.Helper()
	caller, err := client.New(p.url, client.Options{Header: http.Header{client.HeaderDaemonKey: {"key"}}})
	require.NoError(p.t, err)
	return provisioner.Options{
		Client: caller, Name: "host-1", TerraformPath: enginetest.Path(p.t), CacheDir: p.t.TempDir(), SpoolDir: spool, Version: "v0.1.0",
		Logger: slog.New(slog.NewTextHandler(p.t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

// startDaemon runs one until the test ends; stop ends it earlier and waits.
func (p *controlPlane) startDaemon(opts provisioner.Options) (stop func()) {
	p.t.Helper()
	daemon, err := provisioner.New(opts)
	require.NoError(p.t, err)
	ctx, cancel := context.WithCancel(p.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- daemon.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-ended:
			require.NoError(p.t, err)
		case <-time.After(patience):
			require.Fail(p.t, "the daemon does not stop")
		}
	}
	p.t.Cleanup(stop)
	return stop
}

const workspaceTemplate = `
terraform {
  required_providers {
    coder = { source = "coder/coder" }
  }
}
variable "greeting" {
  default = "hello"
}
data "coder_workspace" "me" {}
data "coder_parameter" "size" {
  name    = "size"
  type    = "number"
  default = 2
  mutable = true
}
resource "coder_agent" "main" {
  os   = "linux"
  arch = "amd64"
}
resource "coder_app" "web" {
  agent_id = coder_agent.main.id
  slug     = "web"
  url      = "http://localhost:8080"
}
resource "terraform_data" "home" {
  input = var.greeting
}
resource "terraform_data" "machine" {
  count = data.coder_workspace.me.start_count
  input = [coder_agent.main.token, data.coder_parameter.size.value]
}
resource "coder_metadata" "machine" {
  count       = data.coder_workspace.me.start_count
  resource_id = terraform_data.machine[0].id
  daily_cost  = 7
  item {
    key   = "size"
    value = data.coder_parameter.size.value
  }
}
`

func buildOf(hash, transition string) client.AcquiredJob {
	workspace, build, template := uuid.New(), uuid.New(), uuid.New()
	return client.AcquiredJob{
		Type: client.JobWorkspaceBuild, SourceHash: hash, Fence: 1,
		Metadata: client.JobMetadata{
			Transition: transition, WorkspaceID: &workspace, WorkspaceName: "box", WorkspaceBuildID: &build,
			TemplateID: &template, TemplateName: "tpl", TemplateVersion: "v1", OwnerName: "dev1",
		},
	}
}

func TestImportThenBuild(t *testing.T) {
	t.Parallel()
	p := newControlPlane(t)
	hash := p.template(map[string]string{"main.tf": workspaceTemplate, "README.md": "# Box\n"})
	p.startDaemon(p.options(t.TempDir()))

	imported := p.submit(client.AcquiredJob{Type: client.JobTemplateVersionImport, SourceHash: hash, Metadata: client.JobMetadata{Transition: client.TransitionStart}})
	p.untilEnded(imported)
	require.Nil(t, imported.fail, p.text(imported))
	result := imported.complete.Import
	require.Equal(t, "# Box\n", result.Readme)
	require.Len(t, result.Parameters, 1)
	require.Len(t, result.Variables, 1)
	require.Len(t, result.StartResources, 2)
	require.Len(t, result.StopResources, 1)
	require.Equal(t, "terraform_data.machine[0]", result.StartResources[1].Address)
	require.Len(t, result.StartResources[1].Agents, 1)
	require.Equal(t, "web", result.StartResources[1].Agents[0].Apps[0].Slug)
	require.Equal(t, 7, result.StartResources[1].DailyCost)

	build := buildOf(hash, client.TransitionStart)
	build.Graph = result.Graph
	build.Parameters = []client.BuildParameter{{Name: "size", Value: "5"}}
	built := p.submit(build)
	p.untilEnded(built)
	require.Nil(t, built.fail, p.text(built))
	resources := built.complete.Build.Resources
	require.Len(t, resources, 2)
	require.NotEmpty(t, resources[1].Agents[0].Token)
	require.Equal(t, "5", resources[1].Metadata[0].Value)
	require.Equal(t, 1, built.engine)
	t.Log(p.text(built))
}

func TestAServerThatForgetsItsDaemonsIsNotFlooded(t *testing.T) {
	t.Parallel()
	p := newControlPlane(t)
	p.forgetful = true
	var log syncBuffer
	opts := p.options(t.TempDir())
	opts.Logger = slog.New(slog.NewTextHandler(&log, nil))
	p.startDaemon(opts)
	count := func() []time.Time {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.registered
	}
	const tries = 7
	require.Eventually(t, func() bool { return len(count()) >= tries }, patience, tick)
	times := count()
	// Each of the six waits is at least half of 50 ms doubled.
	require.GreaterOrEqual(t, times[tries-1].Sub(times[0]), (25+50+100+200+400+800)*time.Millisecond)
	require.Contains(t, log.String(), "another server answers at its address")

	p.mu.Lock()
	p.forgetful = false
	p.mu.Unlock()
	h := p.submit(buildOf(p.template(map[string]string{"main.tf": workspaceTemplate}), client.TransitionStart))
	p.until(h, "the job is taken", func(h *handout) bool { return h.confirmed })
}

// syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(text)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
