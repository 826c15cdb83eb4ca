//go:build e2e

package starter_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/internal/coderprovider/coderprovidertest"
	"coder/internal/starter"
)

// The docker starter on a real engine, with the provider that tools/build.sh
// made. CODER_TEST_TOOLS names its directory, DOCKER_HOST the engine.
func TestDockerStarterMakesContainers(t *testing.T) {
	t.Parallel()
	tools := os.Getenv("CODER_TEST_TOOLS")
	require.NotEmpty(t, tools, "set CODER_TEST_TOOLS to the directory of tools/build.sh")
	image := "coder-test-starter:" + uuid.NewString()
	build := exec.Command("../../tools/image.sh", image)
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	t.Cleanup(func() { _ = exec.Command("docker", "rmi", "--force", image).Run() })

	for engine, path := range map[string]string{"terraform": "terraform", "tofu": filepath.Join(tools, "tofu")} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			id := uuid.NewString()
			w := workspace{path, t.TempDir(), append(os.Environ(),
				"TF_CLI_CONFIG_FILE="+dockerConfig(t, tools), "CODER_AGENT_URL=http://127.0.0.1:3000",
				"CODER_WORKSPACE_OWNER=dev1", "CODER_WORKSPACE_NAME=Box-"+engine, "CODER_WORKSPACE_ID="+id,
				parameterEnv("image", image), parameterEnv("image_starts_agent", "true"))}
			require.NoError(t, starter.Write("docker", w.dir))
			w.run(t, "start", "init")
			t.Cleanup(func() { w.run(t, "destroy", "destroy", "-auto-approve") })

			w.run(t, "start", "apply", "-auto-approve")
			container := inspect(t, id)
			require.Equal(t, "/coder-dev1-box-"+engine, container.Name)
			require.Equal(t, []string{"/coder", "agent"}, append([]string{container.Path}, container.Args...))
			require.Contains(t, container.Config.Env, "CODER_AGENT_URL=http://host.docker.internal:3000")
			require.True(t, container.State.Running, "the agent waits")
			require.Equal(t, "coder-"+id+"-home", container.Mounts[0].Name)

			w.run(t, "stop", "apply", "-auto-approve")
			require.Empty(t, docker(t, "ps", "--all", "--quiet", "--filter", "label=coder.workspace_id="+id))
			require.Equal(t, "coder-"+id+"-home", docker(t, "volume", "ls", "--quiet", "--filter", "label=coder.workspace_id="+id))

			w.run(t, "start", "apply", "-auto-approve")
			require.True(t, inspect(t, id).State.Running)
			w.run(t, "destroy", "destroy", "-auto-approve")
			require.Empty(t, docker(t, "ps", "--all", "--quiet", "--filter", "label=coder.workspace_id="+id))
			require.Empty(t, docker(t, "volume", "ls", "--quiet", "--filter", "label=coder.workspace_id="+id))
		})
	}
}

// dockerConfig takes the coder provider from this test binary, and all others
// from the mirror that tools/build.sh made.
func dockerConfig(t *testing.T, tools string) string {
	t.Helper()
	mirror := t.TempDir()
	coderprovidertest.Install(t, mirror)
	config := filepath.Join(t.TempDir(), "cli.tfrc")
	const coder = `["registry.terraform.io/coder/coder", "registry.opentofu.org/coder/coder"]`
	text := fmt.Sprintf("provider_installation {\n"+
		"  filesystem_mirror {\n    path = %q\n    include = %s\n  }\n"+
		"  filesystem_mirror {\n    path = %q\n    exclude = %s\n  }\n}\n", mirror, coder, filepath.Join(tools, "mirror"), coder)
	require.NoError(t, os.WriteFile(config, []byte(text), 0o600))
	return config
}

func parameterEnv(name, value string) string {
	sum := sha256.Sum256([]byte(name))
	return "CODER_PARAMETER_" + hex.EncodeToString(sum[:]) + "=" + value
}

func docker(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("docker", args...).Output()
	require.NoError(t, err, "docker %v on %s", args, runtime.GOOS)
	return strings.TrimSpace(string(out))
}

type container struct {
	Name, Path string
	Args       []string
	State      struct{ Running bool }
	Config     struct{ Env []string }
	Mounts     []struct{ Name string }
}

func inspect(t *testing.T, workspace string) container {
	t.Helper()
	id := docker(t, "ps", "--quiet", "--filter", "label=coder.workspace_id="+workspace)
	require.NotEmpty(t, id, "no container of the workspace runs")
	var found []container
	require.NoError(t, json.Unmarshal([]byte(docker(t, "inspect", id)), &found))
	require.Len(t, found, 1)
	return found[0]
}
