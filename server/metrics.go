package server

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the server's own figures.
type metrics struct {
	requests *prometheus.HistogramVec
	jobs     provisionerMetrics
}

func newMetrics() *metrics {
	return &metrics{
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "coderd", Subsystem: "api", Name: "request_latencies_seconds", Help: "Time to answer a request, by method and status class.",
			Buckets: []float64{0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 10, 30},
		}, []string{"method", "code"}),
		jobs: newProvisionerMetrics(),
	}
}

func (m *metrics) all() []prometheus.Collector {
	return append(m.jobs.all(), m.requests)
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.all() {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.all() {
		c.Collect(ch)
	}
}
