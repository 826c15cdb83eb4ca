package server

import (
	"context"
	"net/http"
	"strings"
	"time"

	"coder/store"
)

// Severities of the health report.
const (
	healthOK      = "ok"
	healthWarning = "warning"
	healthError   = "error"
)

type healthReport struct {
	Time               time.Time      `json:"time"`
	Healthy            bool           `json:"healthy"`
	Severity           string         `json:"severity" enum:"ok,warning,error"`
	CoderVersion       string         `json:"coder_version"`
	Database           databaseHealth `json:"database"`
	ProvisionerDaemons daemonsHealth  `json:"provisioner_daemons"`
}

type healthBase struct {
	Healthy   bool            `json:"healthy"`
	Severity  string          `json:"severity" enum:"ok,warning,error"`
	Warnings  []healthMessage `json:"warnings"`
	Dismissed bool            `json:"dismissed"`
	Error     *string         `json:"error"`
}

type healthMessage struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

type databaseHealth struct {
	healthBase
	Reachable bool   `json:"reachable"`
	Latency   string `json:"latency"`
	LatencyMS int64  `json:"latency_ms"`
}

type daemonsHealth struct {
	healthBase
	Items []daemonHealth `json:"items"`
}

type daemonHealth struct {
	Daemon   healthDaemon    `json:"provisioner_daemon"`
	Warnings []healthMessage `json:"warnings"`
}

// silentKept is how long a daemon that has fallen silent is warned of.
const silentKept = time.Hour

type healthDaemon struct {
	ID             string `json:"id"`
	OrganizationID string `json:"organization_id"`
	Name           string `json:"name"`
	Version        string `json:"version"`
	APIVersion     string `json:"api_version"`
}

// healthz is for load balancers: it answers while the process serves requests
// and its database answers.
func (a *api) healthz(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	text := "OK"
	if err := a.store.Ping(r.Context()); err != nil {
		a.logger.ErrorContext(r.Context(), "health check: the database does not answer", "error", err)
		w.WriteHeader(http.StatusServiceUnavailable)
		text = "The database does not answer."
	}
	_, _ = w.Write([]byte(text)) // the client is gone; nobody is left to tell
}

func (a *api) debugHealth(ctx context.Context, _ *struct{}) (*output[healthReport], error) {
	daemons, err := a.store.ListDaemonsSeenSince(ctx, store.At(a.now().Add(-silentKept)))
	if err != nil {
		return nil, err
	}
	report := healthReport{Time: a.now().UTC(), CoderVersion: a.version, Database: a.databaseHealth(ctx), ProvisionerDaemons: a.daemonsHealth(daemons)}
	report.Severity = worst(report.Database.Severity, report.ProvisionerDaemons.Severity)
	report.Healthy = report.Severity != healthError
	return reply(report), nil
}

func (a *api) databaseHealth(ctx context.Context) databaseHealth {
	started := time.Now()
	err := a.store.Ping(ctx)
	took := time.Since(started)
	out := databaseHealth{healthBase: healthy(), Reachable: err == nil, Latency: took.String(), LatencyMS: took.Milliseconds()}
	if err != nil {
		out.fail("The database does not answer: " + err.Error())
	}
	return out
}

// daemonsHealth says what is wrong with the daemons that are there, and which
// have fallen silent lately.
func (a *api) daemonsHealth(daemons []store.ProvisionerDaemon) daemonsHealth {
	out := daemonsHealth{healthBase: healthy(), Items: []daemonHealth{}}
	for _, d := range daemons {
		warnings := a.healthMessages(d)
		if len(warnings) > 0 {
			out.Severity = worst(out.Severity, healthWarning)
		}
		if !a.isOnline(d.LastSeenAt, d.StoppedAt) {
			out.Warnings = append(out.Warnings, warnings...)
			continue
		}
		out.Items = append(out.Items, daemonHealth{Daemon: healthDaemon{d.ID.String(), d.OrganizationID.String(), d.Name, d.Version, d.ApiVersion}, Warnings: warnings})
	}
	if len(out.Items) == 0 {
		out.Warnings = append(out.Warnings, healthMessage{"EPD01", "No provisioner is running: workspaces cannot be built. Start one with: coder provisioner start"})
		out.fail("no provisioner is running")
	}
	return out
}

func (a *api) healthMessages(d store.ProvisionerDaemon) []healthMessage {
	out := []healthMessage{}
	for _, w := range a.daemonWarnings(d) {
		out = append(out, healthMessage(w))
	}
	return out
}

func healthy() healthBase {
	return healthBase{Healthy: true, Severity: healthOK, Warnings: []healthMessage{}}
}

func (h *healthBase) fail(text string) {
	h.Healthy, h.Severity, h.Error = false, healthError, &text
}

func worst(severities ...string) string {
	out := healthOK
	for _, s := range severities {
		if s == healthError || (s == healthWarning && out == healthOK) {
			out = s
		}
	}
	return out
}

// majorMinor is v2.34 of v2.34.0+0.1.0.
func majorMinor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}
