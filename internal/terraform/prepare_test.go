package terraform_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/internal/coderprovider"
	"coder/internal/terraform"
)

const plainTemplate = `resource "terraform_data" "a" {}`

const coderTemplate = `
terraform {
  required_providers {
    coder = { source = "coder/coder" }
  }
}
data "coder_workspace" "me" {}
`

func TestPrepare(t *testing.T) {
	t.Parallel()

	t.Run("an initialised directory is used again", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		first, err := b.prepare(map[string]string{"main.tf": coderTemplate})
		require.NoError(t, err, b.output.String())
		require.True(t, first.Fresh)
		second, err := b.prepare(map[string]string{"main.tf": coderTemplate})
		require.NoError(t, err)
		require.False(t, second.Fresh)
		require.Equal(t, first.Dir, second.Dir)
		require.Equal(t, 1, b.fetched)
	})

	t.Run("of many at once one initialises", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		content, hash := archiveOf(t, map[string]string{"main.tf": plainTemplate})
		fetched := atomic.Int64{}
		group := sync.WaitGroup{}
		for range 6 {
			group.Go(func() {
				prepared, err := b.shop.Prepare(t.Context(), terraform.Request{Hash: hash, Output: io.Discard, Fetch: func(context.Context) (io.ReadCloser, error) {
					fetched.Add(1)
					return io.NopCloser(bytes.NewReader(content)), nil
				}})
				if err == nil {
					err = prepared.Release()
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		require.EqualValues(t, 1, fetched.Load())
	})

	t.Run("a clone can be written to without changing the cache", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		files := map[string]string{"main.tf": plainTemplate, "scripts/run.sh": "echo one"}
		dir, prepared := b.clone(files)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "scripts", "run.sh"), []byte("echo two"), 0o600))
		b.run(dir, prepared, client.AcquiredJob{}, "start", b.options.Engine.ApplyArguments("", false))
		again, _ := b.clone(files)
		content, err := os.ReadFile(filepath.Join(again, "scripts", "run.sh"))
		require.NoError(t, err)
		require.Equal(t, "echo one", string(content))
		require.NoFileExists(t, filepath.Join(again, terraform.StateFile))
	})

	t.Run("what a crash left half-made is made again", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		first, err := b.prepare(map[string]string{"main.tf": plainTemplate})
		require.NoError(t, err)
		outer := filepath.Dir(first.Dir)
		require.NoError(t, os.WriteFile(filepath.Join(outer, "complete"), []byte("an earlier run of the host\n"), 0o600))
		require.NoError(t, os.MkdirAll(outer+".making/work", 0o700))
		require.NoError(t, first.Release())
		second, err := b.prepare(map[string]string{"main.tf": plainTemplate})
		require.NoError(t, err)
		require.True(t, second.Fresh)
	})

	t.Run("what was synced outlives a restart of the host", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		first, err := b.prepare(map[string]string{"main.tf": plainTemplate})
		require.NoError(t, err)
		require.NoError(t, first.Sync())
		require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(first.Dir), "complete"), []byte("an earlier run of the host\n"), 0o600))
		second, err := b.prepare(map[string]string{"main.tf": plainTemplate})
		require.NoError(t, err)
		require.False(t, second.Fresh)
	})

	t.Run("what nobody used for a month is removed, and what is used is not", func(t *testing.T) {
		t.Parallel()
		now := time.Now()
		b := newBench(t, func(o *terraform.WorkshopOptions) { o.Now = func() time.Time { return now } })
		used, err := b.prepare(map[string]string{"main.tf": plainTemplate})
		require.NoError(t, err)
		unused, err := b.prepare(map[string]string{"main.tf": plainTemplate + "\n"})
		require.NoError(t, err)
		require.NoError(t, unused.Release())
		now = now.Add(31 * 24 * time.Hour)
		// A process that another test forks holds a copy of the released lock
		// until it runs its program; what is locked stays for the next time.
		require.Eventually(t, func() bool {
			require.NoError(t, b.shop.Cache().Prune(t.Context()))
			_, err := os.Stat(unused.Dir)
			return errors.Is(err, fs.ErrNotExist)
		}, 30*time.Second, 10*time.Millisecond)
		require.DirExists(t, used.Dir)
	})
}

func TestPrepareRefuses(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a backend block": {map[string]string{"main.tf": "\n\nterraform {\n  backend \"s3\" {}\n}\n"}, "main.tf:4: a template cannot have a backend or cloud block"},
		"a cloud block":   {map[string]string{"a.tf": plainTemplate, "b.tf": "terraform {\n  cloud {\n  }\n}\n"}, "b.tf:2: a template cannot have a backend or cloud block"},
		"a backend in JSON": {
			map[string]string{"main.tf.json": "{\n  \"terraform\": {\n    \"backend\": {\"s3\": {}}\n  }\n}\n"}, "main.tf.json:3: a template cannot have a backend",
		},
		"no configuration":      {map[string]string{"README.md": "x"}, "no .tf file at its root"},
		"a path that leaves it": {map[string]string{"../main.tf": plainTemplate}, "unpack the template"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			_, err := b.prepare(test.files)
			require.ErrorContains(t, err, test.want)
			fault := (*terraform.SourceError)(nil)
			require.ErrorAs(t, err, &fault)
		})
	}

	t.Run("bytes of another hash", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		content, _ := archiveOf(t, map[string]string{"main.tf": plainTemplate})
		_, err := b.shop.Prepare(t.Context(), terraform.Request{Hash: "abc", Output: io.Discard, Fetch: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(content)), nil
		}})
		require.ErrorContains(t, err, "its bytes have the hash")
	})

	t.Run("a syntax error, with its place", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		_, err := b.prepare(map[string]string{"main.tf": "resource {\n"})
		fault := (*terraform.InitError)(nil)
		require.ErrorAs(t, err, &fault)
		require.Contains(t, b.output.String(), `"filename":"main.tf"`)
	})

	t.Run("a provider that is nowhere", func(t *testing.T) {
		t.Parallel()
		config := filepath.Join(t.TempDir(), "rc")
		require.NoError(t, os.WriteFile(config, []byte("provider_installation {\n  filesystem_mirror {\n    path = \"/nowhere\"\n  }\n}\n"), 0o600))
		b := newBench(t, func(o *terraform.WorkshopOptions) { o.Operator.Files = []string{config} })
		_, err := b.prepare(map[string]string{"main.tf": `resource "nothing_here" "a" {}`})
		require.Error(t, err)
		require.Contains(t, b.output.String(), "hashicorp/nothing")
	})
}

func TestLockFile(t *testing.T) {
	t.Parallel()
	lock := func(version string) string {
		return "provider \"registry.terraform.io/coder/coder\" {\n  version = \"" + version + "\"\n  hashes = [\n    \"h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\",\n  ]\n}\n"
	}

	t.Run("the embedded provider takes the place of the locked build of its version", func(t *testing.T) {
		t.Parallel()
		b := newBench(t)
		_, err := b.prepare(map[string]string{"main.tf": coderTemplate, ".terraform.lock.hcl": lock(coderprovider.Version)})
		require.NoError(t, err, b.output.String())
	})

	t.Run("a template that asks for another version gets it from where the operator says", func(t *testing.T) {
		t.Parallel()
		config := filepath.Join(t.TempDir(), "rc")
		require.NoError(t, os.WriteFile(config, []byte("provider_installation {\n  filesystem_mirror {\n    path = \"/nowhere\"\n  }\n}\n"), 0o600))
		b := newBench(t, func(o *terraform.WorkshopOptions) { o.Operator.Files = []string{config} })
		_, err := b.prepare(map[string]string{"main.tf": coderTemplate, ".terraform.lock.hcl": lock("1.0.0")})
		require.Error(t, err)
		require.Contains(t, b.output.String(), "coder/coder")
	})
}

func TestVariables(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	dir, prepared := b.clone(map[string]string{"main.tf": `
variable "name" {}
variable "count_of" { type = number }
variable "zones" { type = list(string) }
variable "on" { type = bool }
resource "terraform_data" "a" {
  input = jsonencode([var.name, var.count_of + 1, var.zones, var.on])
}
`})
	file := filepath.Join(t.TempDir(), "values.json")
	require.NoError(t, prepared.WriteVariables(file, []client.JobVariable{
		{Name: "name", Value: `["not a list"]`}, {Name: "count_of", Value: "2"}, {Name: "zones", Value: `["a", "b"]`}, {Name: "on", Value: "true"},
	}))
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	b.run(dir, prepared, client.AcquiredJob{}, "start", b.options.Engine.ApplyArguments(file, false))
	state, err := terraform.ReadState(dir)
	require.NoError(t, err)
	require.Contains(t, string(state), `"[\"[\\\"not a list\\\"]\",3,[\"a\",\"b\"],true]"`)
	require.ErrorContains(t, prepared.WriteVariables(file, []client.JobVariable{{Name: "zones", Value: "["}}), "variable zones")
}
