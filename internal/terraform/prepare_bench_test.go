package terraform_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"coder/internal/coderprovider"
	"coder/internal/enginetest"
	"coder/internal/terraform"
)

// BenchmarkLayOut is what a build pays for its directory when the cache has
// it: a template of 200 kB in 20 files, with the embedded provider.
func BenchmarkLayOut(b *testing.B) {
	host := terraform.HostEnvironment(os.Environ(), nil)
	engine, err := terraform.Find(b.Context(), terraform.FindOptions{Path: enginetest.Path(b), Environment: host})
	require.NoError(b, err)
	self, err := os.Executable()
	require.NoError(b, err)
	shop, err := terraform.NewWorkshop(b.Context(), terraform.WorkshopOptions{
		CacheDir: b.TempDir(), Engine: engine, Environment: host,
		Provider: terraform.Provider{Binary: self, Version: coderprovider.Version}, Now: time.Now,
	})
	require.NoError(b, err)
	files := map[string]string{"main.tf": coderTemplate}
	for i := range 20 {
		files["scripts/"+strconv.Itoa(i)+".sh"] = strings.Repeat("echo something\n", 700)
	}
	content, hash := archiveOf(b, files)
	out := b.TempDir()
	layOut := func(i int) {
		prepared, err := shop.Prepare(b.Context(), terraform.Request{
			Hash: hash, Output: io.Discard, Folder: out,
			Fetch: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
		})
		require.NoError(b, err)
		require.NoError(b, prepared.Clone(filepath.Join(out, strconv.Itoa(i))))
		require.NoError(b, prepared.Release())
	}
	layOut(-1)
	b.ResetTimer()
	for i := range b.N {
		layOut(i)
	}
}
