package provisioner

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"coder/client"
	"coder/internal/supervisor"
)

// Outcomes of attempts that are no status of their job.
const (
	outcomeRetry     = "retry"      // the job goes back into the queue
	outcomeGivenBack = "given_back" // before anything was begun
	outcomeOver      = "over"       // the server had ended the attempt
	outcomeKept      = "kept"       // the server could not be told yet
)

// Metrics are what daemons count of their jobs. Daemons of one process may
// share them.
type Metrics struct {
	running *prometheus.GaugeVec
	ended   *prometheus.CounterVec
	engine  *prometheus.HistogramVec
}

// NewMetrics makes them, with a zero for what has not happened yet; register
// the result to serve it.
func NewMetrics() *Metrics {
	const namespace, subsystem = "coderd", "provisionerd"
	m := &Metrics{
		running: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "jobs_current", Help: "Jobs that run now.",
		}, []string{"type"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "jobs_total", Help: "Attempts at jobs that have ended, by how.",
		}, []string{"type", "outcome"}),
		engine: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "engine_seconds", Help: "Time that the engine has run for a job.",
			Buckets: prometheus.ExponentialBuckets(0.1, 3, 10),
		}, []string{"type"}),
	}
	for _, jobType := range []string{client.JobTemplateVersionImport, client.JobTemplateVersionDryRun, client.JobWorkspaceBuild} {
		m.running.WithLabelValues(jobType)
		m.engine.WithLabelValues(jobType)
		for _, outcome := range []string{client.JobSucceeded, client.JobFailed, client.JobCanceled} {
			m.ended.WithLabelValues(jobType, outcome)
		}
	}
	return m
}

func (m *Metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.running, m.ended, m.engine}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.all() {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.all() {
		c.Collect(ch)
	}
}

// begin counts a job as running until the result is called with its outcome.
func (m *Metrics) begin(jobType string) (end func(outcome string)) {
	running := m.running.WithLabelValues(jobType)
	running.Inc()
	return func(outcome string) {
		running.Dec()
		m.ended.WithLabelValues(jobType, outcome).Inc()
	}
}

func (m *Metrics) engineRan(jobType string, steps []supervisor.StepExit) {
	var total time.Duration
	for _, s := range steps {
		if !s.EndedAt.IsZero() {
			total += s.EndedAt.Sub(s.StartedAt)
		}
	}
	m.engine.WithLabelValues(jobType).Observe(total.Seconds())
}

func outcomeOf(settled client.SettledJob) string {
	if settled.Retry {
		return outcomeRetry
	}
	return settled.Status
}
