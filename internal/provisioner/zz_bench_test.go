package provisioner_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/internal/supervisor"
)

func TestZZLatency(t *testing.T) {
	p := newControlPlane(t)
	hash := p.template(map[string]string{"main.tf": `resource "terraform_data" "a" {}`})
	spool := t.TempDir()
	p.startDaemon(p.options(spool))
	for i := range 12 {
		job := buildOf(hash, client.TransitionStart)
		start := time.Now()
		h := p.submit(job)
		p.untilEnded(h)
		end := time.Now()
		folder := filepath.Join(spool, "attempts", h.job.AttemptID.String())
		content, err := os.ReadFile(filepath.Join(folder, "exit.json"))
		require.NoError(t, err)
		var exit supervisor.Exit
		require.NoError(t, json.Unmarshal(content, &exit))
		s := exit.Steps[0]
		t.Log(i, "to engine", s.StartedAt.Sub(start), "engine", s.EndedAt.Sub(s.StartedAt), "after", end.Sub(s.EndedAt))
	}
}
