//go:build e2e

package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEndToEnd takes a platform team with a Docker host through the guide, on
// Terraform and on OpenTofu, with the real docker provider on a real engine.
// CODER_TEST_TOOLS is the directory that tools/build.sh made; the image of the
// workspaces is our own binary, so no image registry is asked.
func TestEndToEnd(t *testing.T) {
	tools := os.Getenv("CODER_TEST_TOOLS")
	require.NotEmpty(t, tools, "set CODER_TEST_TOOLS to what tools/build.sh made: make test-all does")
	out, err := exec.Command("docker", "version", "--format", "{{.Server.Version}}").CombinedOutput()
	require.NoError(t, err, "a Docker engine must answer; .ci/docker.sh starts one: %s", out)
	terraform, err := exec.LookPath("terraform")
	require.NoError(t, err, "terraform must be on PATH")
	const image = "coder-test-workspace"
	out, err = exec.Command("../tools/image.sh", image).CombinedOutput()
	require.NoError(t, err, "make the workspaces' image: %s", out)
	bin := buildBinary(t)
	for name, engine := range map[string]string{"Terraform": terraform, "OpenTofu": filepath.Join(tools, "tofu")} {
		t.Run(name, func(t *testing.T) {
			runStories(t, "testdata/e2e", bin, map[string]string{
				"ENGINE": engine, "IMAGE": image, "TF_CLI_CONFIG_FILE": filepath.Join(tools, "mirror.tfrc"), "DOCKER_HOST": os.Getenv("DOCKER_HOST"),
				"BOX": "box-" + map[string]string{"Terraform": "tf", "OpenTofu": "tofu"}[name],
			})
		})
	}
}
