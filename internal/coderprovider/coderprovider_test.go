package coderprovider_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/internal/coderprovider"
	"coder/internal/coderprovider/coderprovidertest"
	"coder/internal/enginetest"
)

func TestMain(m *testing.M) { os.Exit(coderprovidertest.Main(m)) }

func TestVersionIsTheLinkedModules(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "github.com/coder/terraform-provider-coder/v2").Output()
	require.NoError(t, err)
	require.Equal(t, "v"+coderprovider.Version+"\n", string(out))
}

func TestIsProvider(t *testing.T) {
	t.Parallel()
	require.True(t, coderprovider.IsProvider("/m/registry.terraform.io/coder/coder/2.19.0/linux_amd64/"+coderprovider.FileName))
	require.True(t, coderprovider.IsProvider("terraform-provider-coder"))
	require.False(t, coderprovider.IsProvider("/usr/bin/coder"))
	require.False(t, coderprovider.IsProvider("/terraform-provider-coder/coder"))
}

const template = `
terraform {
  required_providers {
    coder = { source = "coder/coder" }
  }
}
data "coder_workspace" "me" {}
resource "coder_agent" "main" {
  os   = "linux"
  arch = "amd64"
}
output "name" { value = data.coder_workspace.me.name }
output "start_count" { value = data.coder_workspace.me.start_count }
`

func TestEnginesUseTheLinkedProvider(t *testing.T) {
	t.Parallel()
	for _, path := range enginetest.Paths(t) {
		engine := filepath.Base(path)
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "main.tf"), []byte(template), 0o600))
			env := append(os.Environ(),
				"TF_CLI_CONFIG_FILE="+coderprovidertest.CLIConfig(t),
				"CODER_WORKSPACE_NAME=box", "CODER_WORKSPACE_TRANSITION=stop")
			run := func(args ...string) []byte {
				cmd := exec.Command(path, args...)
				cmd.Dir, cmd.Env = dir, env
				out, err := cmd.CombinedOutput()
				require.NoError(t, err, "%s %v: %s", engine, args, out)
				return out
			}
			run("init", "-no-color", "-input=false")
			run("apply", "-no-color", "-input=false", "-auto-approve")
			var outputs map[string]struct{ Value any }
			require.NoError(t, json.Unmarshal(run("output", "-json"), &outputs))
			require.Equal(t, "box", outputs["name"].Value)
			require.EqualValues(t, 0, outputs["start_count"].Value)
		})
	}
}
