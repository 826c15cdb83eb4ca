package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"coder/internal/chaos"
	"coder/internal/enginetest"
)

// TestChaos runs a few seeded faults, so that the proof itself keeps working;
// `make chaos` runs many.
func TestChaos(t *testing.T) {
	t.Parallel()
	engine := enginetest.Path(t)
	cmd := exec.Command(filepath.Join(buildBinary(t), "coder"), "exp", "chaos", "--runs", "5", "--seed", "1", "--workspaces", "1", "-o", "json",
		"--fault", "daemon-kill", "--fault", "daemon-engine-kill", "--fault", "host-crash", "--fault", "server-kill", "--fault", "link-cut")
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir(), "PATH="+filepath.Dir(engine)+string(os.PathListSeparator)+os.Getenv("PATH"))
	out, said := &bytes.Buffer{}, &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, said
	require.NoError(t, cmd.Run(), "%s%s", said, out)
	report := chaos.Report{}
	require.NoError(t, json.Unmarshal(out.Bytes(), &report), out)
	require.Empty(t, report.Problems)
	total := report.Total()
	require.Equal(t, 5, total.Runs)
	require.Equal(t, 5, total.Succeeded+total.Failed)
	require.Positive(t, total.Between)
	require.Equal(t, 5, strings.Count(said.String(), "the writes ("), "each run is told of: %s", said)
}
