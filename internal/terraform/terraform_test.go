package terraform_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/internal/coderprovider"
	"coder/internal/coderprovider/coderprovidertest"
	"coder/internal/enginetest"
	"coder/internal/terraform"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 6 && os.Args[1] == layOutLoop {
		if err := layOutMain(os.Args[2], os.Args[3], os.Args[4], os.Args[5]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(coderprovidertest.Main(m))
}

// bench is a workshop with the real engine, and what a test gives to it.
type bench struct {
	t       *testing.T
	options terraform.WorkshopOptions
	shop    *terraform.Workshop
	fetched int
	output  bytes.Buffer
	// folder of the job that prepares; empty for none.
	folder string
}

func newBench(t *testing.T, change ...func(*terraform.WorkshopOptions)) *bench {
	t.Helper()
	host := terraform.HostEnvironment(os.Environ(), nil)
	engine, err := terraform.Find(t.Context(), terraform.FindOptions{Path: enginetest.Path(t), Environment: host})
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	b := &bench{t: t, options: terraform.WorkshopOptions{
		CacheDir: t.TempDir(), Engine: engine, Environment: host,
		Provider: terraform.Provider{Binary: self, Version: coderprovider.Version}, Now: time.Now,
	}}
	for _, c := range change {
		c(&b.options)
	}
	b.shop, err = terraform.NewWorkshop(t.Context(), b.options)
	require.NoError(t, err)
	return b
}

func archiveOf(t testing.TB, files map[string]string) ([]byte, string) {
	t.Helper()
	return packed(files)
}

// packed is the same archive for the same files.
func packed(files map[string]string) ([]byte, string) {
	var content bytes.Buffer
	writer := tar.NewWriter(&content)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		// A buffer takes all that it is given.
		_ = writer.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(files[name])), Typeflag: tar.TypeReg})
		_, _ = writer.Write([]byte(files[name]))
	}
	_ = writer.Close()
	sum := sha256.Sum256(content.Bytes())
	return content.Bytes(), hex.EncodeToString(sum[:])
}

func (b *bench) prepare(files map[string]string) (*terraform.Prepared, error) {
	b.t.Helper()
	content, hash := archiveOf(b.t, files)
	prepared, err := b.shop.Prepare(b.t.Context(), terraform.Request{
		Hash: hash, Output: &b.output, Folder: b.folder,
		Fetch: func(context.Context) (io.ReadCloser, error) {
			b.fetched++
			return io.NopCloser(bytes.NewReader(content)), nil
		},
	})
	if prepared != nil {
		b.t.Cleanup(func() { _ = prepared.Release() })
	}
	return prepared, err
}

// clone returns a job directory of a template.
func (b *bench) clone(files map[string]string) (string, *terraform.Prepared) {
	b.t.Helper()
	prepared, err := b.prepare(files)
	require.NoError(b.t, err, b.output.String())
	dir := filepath.Join(b.t.TempDir(), "work")
	require.NoError(b.t, prepared.Clone(dir))
	return dir, prepared
}

// run calls the engine in a job directory.
func (b *bench) run(dir string, prepared *terraform.Prepared, job client.AcquiredJob, transition string, arguments []string) []byte {
	b.t.Helper()
	environment, err := terraform.JobEnvironment(job, transition)
	require.NoError(b.t, err)
	cmd := exec.CommandContext(b.t.Context(), arguments[0], arguments[1:]...)
	cmd.Dir, cmd.Env = dir, append(environment, prepared.Environment...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(b.t, err, "%s\n%s", out, stderr.String())
	return out
}

// planned is what the engine says about a template.
type planned struct {
	plan  []byte
	graph *terraform.Graph
}

func (b *bench) plan(files map[string]string, job client.AcquiredJob, transition string) planned {
	b.t.Helper()
	dir, prepared := b.clone(files)
	b.run(dir, prepared, job, transition, b.options.Engine.PlanArguments("", false))
	shown := b.run(dir, prepared, job, transition, b.options.Engine.ShowArguments())
	dot := b.run(dir, prepared, job, transition, b.options.Engine.GraphArguments())
	graph, err := terraform.ParseDOT(string(dot))
	require.NoError(b.t, err)
	return planned{shown, graph}
}

// apply builds a template and returns its state.
func (b *bench) apply(files map[string]string, job client.AcquiredJob, transition string) *terraform.State {
	b.t.Helper()
	dir, prepared := b.clone(files)
	b.run(dir, prepared, job, transition, b.options.Engine.ApplyArguments("", false))
	content, err := os.ReadFile(filepath.Join(dir, terraform.StateFile))
	require.NoError(b.t, err)
	state, err := terraform.ParseState(content)
	require.NoError(b.t, err)
	return state
}
