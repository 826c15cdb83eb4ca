package starter_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/internal/archive"
	"coder/internal/coderprovider/coderprovidertest"
	"coder/internal/enginetest"
	"coder/internal/starter"
	"coder/internal/template"
)

func TestMain(m *testing.M) { os.Exit(coderprovidertest.Main(m)) }

func TestEveryStarterIsComplete(t *testing.T) {
	t.Parallel()
	examples, err := starter.List()
	require.NoError(t, err)
	ids := []string{}
	for _, e := range examples {
		ids = append(ids, e.ID)
		require.NotEmpty(t, e.Name, e.ID)
		require.NotEmpty(t, e.Description, e.ID)
		require.LessOrEqual(t, len(e.Description), 128, e.ID)
		require.NotEmpty(t, e.Icon, e.ID)
		require.NotEmpty(t, e.Tags, e.ID)
		require.Contains(t, e.Markdown, "# "+e.Name, e.ID)
		require.NotContains(t, e.Markdown, "display_name:", e.ID)

		again, err := starter.Get(e.ID)
		require.NoError(t, err)
		require.Equal(t, e, again)

		data, err := starter.Tar(e.ID)
		require.NoError(t, err)
		source, err := template.ReadTar(bytes.NewReader(data))
		require.NoError(t, err, e.ID)
		require.NoError(t, source.CheckState())
		require.True(t, slices.ContainsFunc(source.Providers, func(p template.Provider) bool { return p.Source == "coder/coder" }), e.ID)
		for _, v := range source.Variables {
			require.False(t, v.Required, "%s: %s: a starter works as it is", e.ID, v.Name)
			require.NotEmpty(t, v.Description, "%s: %s", e.ID, v.Name)
		}
	}
	require.Equal(t, []string{"docker", "kubernetes", "minimal"}, ids)
	require.Equal(t, ids, starter.IDs())
}

func TestWrite(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "docker")
	require.NoError(t, starter.Write("docker", dir))
	written, err := archive.TarTemplate(dir)
	require.NoError(t, err)
	embedded, err := starter.Tar("docker")
	require.NoError(t, err)
	require.Equal(t, embedded, written, "what init writes is what push sends")

	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.tf"), []byte("mine"), 0o600))
	require.ErrorContains(t, starter.Write("docker", dir), "is there already")
	mine, err := os.ReadFile(filepath.Join(dir, "main.tf"))
	require.NoError(t, err)
	require.Equal(t, "mine", string(mine))
}

func TestUnknownStarters(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"", "nope", "..", "docker/main.tf", "../templates", "."} {
		_, err := starter.Get(id)
		require.ErrorIs(t, err, fs.ErrNotExist, id)
		require.ErrorContains(t, err, "choose one of docker, kubernetes, minimal")
		_, err = starter.Tar(id)
		require.ErrorIs(t, err, fs.ErrNotExist, id)
		require.ErrorIs(t, starter.Write(id, t.TempDir()), fs.ErrNotExist, id)
	}
}

func TestStartersAreFormatted(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("terraform", "fmt", "-check", "-diff", "-recursive", "templates").CombinedOutput()
	require.NoError(t, err, string(out))
}

type resource struct {
	Type      string
	Instances []struct {
		Attributes map[string]any
	}
}

// workspace drives an engine over the minimal starter as a daemon would.
type workspace struct {
	engine, dir string
	env         []string
}

func (w workspace) run(t *testing.T, transition string, args ...string) {
	t.Helper()
	cmd := exec.Command(w.engine, append(args, "-no-color", "-input=false")...)
	cmd.Dir = w.dir
	cmd.Env = append(slices.Clone(w.env), "CODER_WORKSPACE_TRANSITION="+transition)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s %v: %s", w.engine, args, out)
}

func (w workspace) state(t *testing.T) map[string]resource {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, "terraform.tfstate"))
	require.NoError(t, err)
	var state struct {
		Resources []struct {
			Name string
			resource
		}
	}
	require.NoError(t, json.Unmarshal(text, &state))
	out := map[string]resource{}
	for _, r := range state.Resources {
		if len(r.Instances) > 0 {
			out[r.Type+"."+r.Name] = r.resource
		}
	}
	return out
}

func TestMinimalLivesItsLife(t *testing.T) {
	t.Parallel()
	for _, path := range enginetest.Paths(t) {
		engine := filepath.Base(path)
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			w := workspace{path, t.TempDir(), append(os.Environ(),
				"TF_CLI_CONFIG_FILE="+coderprovidertest.CLIConfig(t), "CODER_AGENT_URL=http://127.0.0.1:3000",
				"CODER_WORKSPACE_OWNER=dev1", "CODER_AGENT_SCRIPT_linux_amd64=exec coder agent # ${ACCESS_URL}")}
			require.NoError(t, starter.Write("minimal", w.dir))
			w.run(t, "start", "init")

			w.run(t, "start", "apply", "-auto-approve")
			started := w.state(t)
			home := started["terraform_data.home"].Instances[0].Attributes["id"]
			require.NotEmpty(t, home)
			require.Contains(t, started, "terraform_data.workspace")
			require.Contains(t, started, "coder_metadata.workspace")
			require.Contains(t, started, "coder_app.docs")
			agent := started["coder_agent.main"].Instances[0].Attributes
			require.NotEmpty(t, agent["token"])
			require.Contains(t, agent["startup_script"], "Hello, dev1")

			w.run(t, "stop", "apply", "-auto-approve")
			stopped := w.state(t)
			require.NotContains(t, stopped, "terraform_data.workspace")
			require.Equal(t, home, stopped["terraform_data.home"].Instances[0].Attributes["id"], "home survives a stop")

			w.run(t, "destroy", "destroy", "-auto-approve")
			require.Empty(t, w.state(t))
		})
	}
}
