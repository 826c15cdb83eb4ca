package server

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"coder/client"
	"coder/store"
)

// Bounds of what a scrape may cost and bring.
const (
	scrapeTime = 5 * time.Second
	maxTagSets = 50 // of an organization; the jobs of further ones count as otherTags
	otherTags  = "other"
)

// provisionerMetrics are what the jobs of organizations do. An organization is
// named, and the tags are those of its daemons: the address that serves them
// is the operator's alone.
type provisionerMetrics struct {
	handed, lost, retried, states *prometheus.CounterVec
	wait, run                     *prometheus.HistogramVec
	names                         shared[uuid.UUID, string]
}

func newProvisionerMetrics() provisionerMetrics {
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "coderd", Subsystem: "provisioner", Name: name, Help: help}, []string{"organization"})
	}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "coderd", Subsystem: "provisioner", Name: name, Help: help, Buckets: []float64{0.05, 0.25, 1, 5, 15, 60, 300, 900, 3600},
		}, labels)
	}
	return provisionerMetrics{
		handed:  counter("jobs_handed_out_total", "Attempts handed out to daemons."),
		lost:    counter("attempts_lost_total", "Attempts whose daemon went silent for a whole lease."),
		retried: counter("jobs_retried_total", "Attempts after which the job went back into the queue."),
		states:  counter("states_stored_total", "Versions of workspace states that daemons have handed in."),
		wait:    histogram("job_wait_seconds", "Time from asking for a job to its first hand-out, by the tags of the daemon that took it.", "organization", "tags"),
		run:     histogram("job_run_seconds", "Time from the first hand-out of a job to its end.", "organization", "type", "status"),
		names:   newShared[uuid.UUID, string](),
	}
}

func (m provisionerMetrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.handed, m.lost, m.retried, m.states, m.wait, m.run}
}

// handedOut notes that a daemon was given a job.
func (a *api) handedOut(job store.ProvisionerJob, d store.ProvisionerDaemon, organization string) {
	a.metrics.jobs.handed.WithLabelValues(organization).Inc()
	if job.Attempts == 1 {
		a.metrics.jobs.wait.WithLabelValues(organization, showTags(d.Tags)).Observe(a.now().Sub(job.CreatedAt.Time).Seconds())
	}
}

// jobSettled notes how an attempt has ended.
func (a *api) jobSettled(ctx context.Context, job store.ProvisionerJob, settled client.SettledJob) {
	organization := a.organizationLabel(ctx, job.OrganizationID)
	if settled.Retry {
		a.metrics.jobs.retried.WithLabelValues(organization).Inc()
		return
	}
	a.metrics.jobs.run.WithLabelValues(organization, job.Type, settled.Status).Observe(a.now().Sub(job.StartedAt.Time).Seconds())
}

// organizationLabel is the name of an organization, as it was a moment ago, or
// its id where the name cannot be read: a metric must not fail what it counts.
func (a *api) organizationLabel(ctx context.Context, id uuid.UUID) string {
	name, err := a.metrics.jobs.names.get(id, func() (string, error) {
		org, err := a.store.GetOrganization(context.WithoutCancel(ctx), id)
		return org.Name, err
	})
	if err != nil {
		return id.String()
	}
	return name
}

var (
	waitingJobs = prometheus.NewDesc("coderd_provisioner_jobs", "Jobs that have not ended, by the tags that they ask for.", []string{"organization", "tags", "status"}, nil)
	oldestJob   = prometheus.NewDesc("coderd_provisioner_oldest_wait_seconds", "How long the oldest pending job has waited.", []string{"organization", "tags"}, nil)
)

// queueMetrics reads the queues when it is asked.
type queueMetrics struct{ api *api }

// Describe implements prometheus.Collector.
func (queueMetrics) Describe(ch chan<- *prometheus.Desc) { ch <- waitingJobs; ch <- oldestJob }

// Collect implements prometheus.Collector.
func (q queueMetrics) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTime)
	defer cancel()
	rows, err := q.api.store.CountJobsByTags(ctx)
	if err != nil {
		q.api.logger.WarnContext(ctx, "metrics of the queues could not be read", "error", err)
		ch <- prometheus.NewInvalidMetric(waitingJobs, err)
		return
	}
	depths, oldest := map[[3]string]int64{}, map[[2]string]float64{}
	sets := map[string]map[string]bool{}
	for _, r := range rows {
		tags := showTags(r.Tags)
		if sets[r.Name] == nil {
			sets[r.Name] = map[string]bool{}
		}
		if len(sets[r.Name]) >= maxTagSets && !sets[r.Name][tags] {
			tags = otherTags
		}
		sets[r.Name][tags] = true
		depths[[3]string{r.Name, tags, r.Status}] += r.Jobs
		if r.Status == client.JobPending {
			key := [2]string{r.Name, tags}
			oldest[key] = max(oldest[key], q.api.now().Sub(time.UnixMicro(r.Oldest)).Seconds())
		}
	}
	for key, n := range depths {
		ch <- prometheus.MustNewConstMetric(waitingJobs, prometheus.GaugeValue, float64(n), key[:]...)
	}
	for key, seconds := range oldest {
		ch <- prometheus.MustNewConstMetric(oldestJob, prometheus.GaugeValue, seconds, key[:]...)
	}
}
