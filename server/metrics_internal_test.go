package server

import (
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"coder/internal/provisioner"
)

// Anybody may send a method of their own making: it is no time series.
func TestMadeUpMethodsShareALabel(t *testing.T) {
	t.Parallel()
	require.Equal(t, http.MethodPatch, methodLabel(http.MethodPatch))
	require.Equal(t, "other", methodLabel("ATTACK"))
	require.Equal(t, "other", methodLabel("get"))
}

// The dashboard asks for nothing that nobody serves.
func TestTheDashboardAsksForWhatIsServed(t *testing.T) {
	t.Parallel()
	served := map[string]bool{}
	descriptions := make(chan *prometheus.Desc, 100)
	newMetrics().Describe(descriptions)
	queueMetrics{}.Describe(descriptions)
	provisioner.NewMetrics().Describe(descriptions)
	close(descriptions)
	for d := range descriptions {
		served[regexp.MustCompile(`fqName: "(\w+)"`).FindStringSubmatch(d.String())[1]] = true
	}
	dashboard, err := os.ReadFile("../deploy/grafana/coder.json")
	require.NoError(t, err)
	require.True(t, json.Valid(dashboard))
	asked := regexp.MustCompile(`coderd_\w+`).FindAllString(string(dashboard), -1)
	require.Greater(t, len(asked), 10)
	for _, name := range asked {
		require.True(t, served[regexp.MustCompile(`_(bucket|count|sum)$`).ReplaceAllString(name, "")], "nobody serves %s", name)
	}
}
