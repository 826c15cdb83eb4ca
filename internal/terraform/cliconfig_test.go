package terraform_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/internal/terraform"
)

func TestMergeConfig(t *testing.T) {
	t.Parallel()
	write := func(t *testing.T, text string) terraform.OperatorConfig {
		path := filepath.Join(t.TempDir(), "rc")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return terraform.OperatorConfig{Files: []string{path}}
	}

	t.Run("without the operator's, direct leaves coder/coder to the mirror", func(t *testing.T) {
		t.Parallel()
		config, err := terraform.MergeConfig(terraform.OperatorConfig{}, "/mirror", true)
		require.NoError(t, err)
		require.Contains(t, config, `"/mirror"`)
		require.Contains(t, config, `exclude = ["registry.opentofu.org/coder/coder", "registry.terraform.io/coder/coder"]`)
	})

	t.Run("what the host's plugin directories hold still comes from there", func(t *testing.T) {
		t.Parallel()
		plugins := t.TempDir()
		require.NoError(t, os.MkdirAll(filepath.Join(plugins, "registry.terraform.io", "acme", "rocket"), 0o700))
		config, err := terraform.MergeConfig(terraform.OperatorConfig{PluginDirs: []string{plugins}}, "/mirror", true)
		require.NoError(t, err)
		require.Contains(t, config, `include = ["registry.terraform.io/acme/rocket"]`)
		require.Contains(t, config, `exclude = ["registry.opentofu.org/coder/coder", "registry.terraform.io/acme/rocket", "registry.terraform.io/coder/coder"]`)
	})

	t.Run("the operator's methods stay, without coder/coder", func(t *testing.T) {
		t.Parallel()
		config, err := terraform.MergeConfig(write(t, `
credentials "app.example.com" { token = "s3cret" }
provider_installation {
  network_mirror {
    url     = "https://mirror.example.com/"
    exclude = ["example.com/*/*"]
  }
  direct {}
}
`), "/mirror", true)
		require.NoError(t, err)
		require.Contains(t, config, `token = "s3cret"`)
		require.Contains(t, config, `url = "https://mirror.example.com/"`)
		require.Contains(t, config, `"example.com/*/*"`)
		require.Contains(t, config, `"/mirror"`)
		require.Equal(t, 2, count(config, "exclude"))
	})

	t.Run("with another version of coder/coder the mirror is left out", func(t *testing.T) {
		t.Parallel()
		config, err := terraform.MergeConfig(write(t, `disable_checkpoint = true`), "/mirror", false)
		require.NoError(t, err)
		require.NotContains(t, config, "/mirror")
		require.Contains(t, config, "disable_checkpoint")
	})

	t.Run("a broken configuration is named", func(t *testing.T) {
		t.Parallel()
		operator := write(t, `provider_installation {`)
		_, err := terraform.MergeConfig(operator, "/mirror", true)
		require.ErrorContains(t, err, operator.Files[0])
	})
}

func count(text, part string) int {
	found := 0
	for i := 0; i+len(part) <= len(text); i++ {
		if text[i:i+len(part)] == part {
			found++
		}
	}
	return found
}

func TestFindOperatorConfig(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	rc := filepath.Join(home, ".terraformrc")
	require.NoError(t, os.WriteFile(rc, nil, 0o600))
	getenv := func(values map[string]string) func(string) string {
		return func(name string) string { return values[name] }
	}
	found := terraform.FindOperatorConfig(getenv(map[string]string{"HOME": home}), terraform.ProductTerraform)
	require.Equal(t, []string{rc}, found.Files)
	found = terraform.FindOperatorConfig(getenv(map[string]string{"HOME": home, "TF_CLI_CONFIG_FILE": "/nowhere/rc"}), terraform.ProductTerraform)
	require.Empty(t, found.Files, "a file that is not there counts as none")
}

func TestHostEnvironment(t *testing.T) {
	t.Parallel()
	host := []string{
		"HOME=/home/p", "AWS_PROFILE=prod", "CODER_PROVISIONER_DAEMON_KEY=k", "TF_DATA_DIR=x", "TF_WORKSPACE=x",
		"TF_CLI_ARGS=-x", "TF_CLI_ARGS_plan=-x", "TF_VAR_zone=a", "DOCKER_HOST=tcp://d",
	}
	require.Equal(t, []string{"HOME=/home/p", "AWS_PROFILE=prod", "TF_VAR_zone=a", "DOCKER_HOST=tcp://d"}, terraform.HostEnvironment(host, nil))
	require.Equal(t, []string{"HOME=/home/p", "AWS_PROFILE=prod"}, terraform.HostEnvironment(host, []string{"AWS_*"}))
}
