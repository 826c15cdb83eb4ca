// Package coderprovidertest lets a test binary be the coder/coder provider,
// so that tests run real engines against it without a network.
package coderprovidertest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/internal/coderprovider"
	"coder/internal/executable"
)

// Main runs the tests, or the provider when Terraform started the binary. Call
// it from TestMain and exit with its result.
func Main(m *testing.M) int {
	if coderprovider.IsProvider(os.Args[0]) {
		coderprovider.Serve()
		return 0
	}
	return m.Run()
}

// CLIConfig lays the running test binary into a filesystem mirror, for both
// registries, and returns the path of a CLI configuration that knows this
// mirror only. It belongs into TF_CLI_CONFIG_FILE.
func CLIConfig(t *testing.T) string {
	t.Helper()
	mirror := t.TempDir()
	Install(t, mirror)
	config := filepath.Join(t.TempDir(), "cli.tfrc")
	text := fmt.Sprintf("provider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror)
	require.NoError(t, os.WriteFile(config, []byte(text), 0o600))
	return config
}

// Install lays the running test binary into the filesystem mirror at dir.
func Install(t *testing.T, dir string) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	for _, host := range []string{"registry.terraform.io", "registry.opentofu.org"} {
		platform := filepath.Join(dir, host, "coder", "coder", coderprovider.Version, runtime.GOOS+"_"+runtime.GOARCH)
		require.NoError(t, os.MkdirAll(platform, 0o755))
		linkOrCopy(t, self, filepath.Join(platform, coderprovider.FileName))
	}
}

func linkOrCopy(t *testing.T, from, to string) {
	t.Helper()
	if os.Link(from, to) == nil {
		return
	}
	in, err := os.Open(from)
	require.NoError(t, err)
	defer in.Close()
	require.NoError(t, executable.Write(to, in, 0o755))
}
