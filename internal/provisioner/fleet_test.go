package provisioner_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"coder/client"
	"coder/internal/provisioner"
)

// runFleet runs one and returns how it ends.
func (p *controlPlane) runFleet(ctx context.Context, opts provisioner.Options, n int) (*provisioner.Fleet, <-chan error) {
	p.t.Helper()
	fleet, err := provisioner.NewFleet(opts, n)
	require.NoError(p.t, err)
	ended := make(chan error, 1)
	go func() { ended <- fleet.Run(ctx) }()
	return fleet, ended
}

func endsWell(t *testing.T, ended <-chan error) {
	t.Helper()
	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(patience):
		require.Fail(t, "the fleet does not end")
	}
}

func TestAFleetTakesSoManyJobsTogether(t *testing.T) {
	t.Parallel()
	p := newControlPlane(t)
	hash := p.template(map[string]string{"main.tf": workspaceTemplate})
	submit := func() *handout {
		return p.submit(client.AcquiredJob{Type: client.JobTemplateVersionImport, SourceHash: hash, Metadata: client.JobMetadata{Transition: client.TransitionStart}})
	}
	jobs := []*handout{submit(), submit(), submit()}
	beyond := submit()
	opts := p.options(t.TempDir())
	opts.MaxJobs = len(jobs)
	_, ended := p.runFleet(t.Context(), opts, 2)
	endsWell(t, ended)
	for _, h := range jobs {
		p.untilEnded(h)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	require.False(t, beyond.confirmed)
}

func TestAFleetEndsWhenAllHaveBeenIdle(t *testing.T) {
	t.Parallel()
	p := newControlPlane(t)
	var log syncBuffer
	opts := p.options(t.TempDir())
	opts.IdleTimeout, opts.Logger = 2*time.Second, slog.New(slog.NewTextHandler(&log, nil))
	_, ended := p.runFleet(t.Context(), opts, 3)
	endsWell(t, ended)
	require.Equal(t, 1, strings.Count(log.String(), "no job has come for long"))
	require.Equal(t, 3, strings.Count(log.String(), "provisioner daemon registered"))
}

func TestAFleetHasTheNamesOfItsDaemons(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"host"}, provisioner.FleetNames("host", 1))
	require.Equal(t, []string{"host-1", "host-2", "host-3"}, provisioner.FleetNames("host", 3))
	for _, n := range []int{0, -1, provisioner.MaxFleet + 1} {
		_, err := provisioner.NewFleet(provisioner.Options{}, n)
		require.ErrorContains(t, err, "from 1 to 100")
	}
}
