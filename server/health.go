package server

import (
	"context"
	"net/http"
	"strings"
	"time"

	"coder/client"
	"coder/store"
)

// silentKept is how long a daemon that has fallen silent is warned of.
const silentKept = time.Hour

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

func (a *api) debugHealth(ctx context.Context, _ *struct{}) (*output[client.HealthReport], error) {
	daemons, err := a.store.ListDaemonsSeenSince(ctx, store.At(a.now().Add(-silentKept)))
	if err != nil {
		return nil, err
	}
	report := client.HealthReport{Time: a.now().UTC(), CoderVersion: a.version, Database: a.databaseHealth(ctx), ProvisionerDaemons: a.daemonsHealth(daemons)}
	report.Severity = worst(report.Database.Severity, report.ProvisionerDaemons.Severity)
	report.Healthy = report.Severity != client.HealthError
	return reply(report), nil
}

func (a *api) databaseHealth(ctx context.Context) client.DatabaseReport {
	started := time.Now()
	err := a.store.Ping(ctx)
	took := time.Since(started)
	out := client.DatabaseReport{HealthSection: healthy(), Reachable: err == nil, Latency: took.String(), LatencyMS: took.Milliseconds()}
	if err != nil {
		fail(&out.HealthSection, "The database does not answer: "+err.Error())
	}
	return out
}

// daemonsHealth says what is wrong with the daemons that are there, and which
// have fallen silent lately.
func (a *api) daemonsHealth(daemons []store.ProvisionerDaemon) client.DaemonsReport {
	out := client.DaemonsReport{HealthSection: healthy(), Items: []client.DaemonReport{}}
	for _, d := range daemons {
		warnings := a.healthMessages(d)
		if len(warnings) > 0 {
			out.Severity = worst(out.Severity, client.HealthWarning)
		}
		if !a.isOnline(d.LastSeenAt, d.StoppedAt) {
			out.Warnings = append(out.Warnings, warnings...)
			continue
		}
		out.Items = append(out.Items, client.DaemonReport{Daemon: client.ReportedDaemon{
			ID: d.ID.String(), OrganizationID: d.OrganizationID.String(), Name: d.Name, Version: d.Version, APIVersion: d.ApiVersion,
		}, Warnings: warnings})
	}
	if len(out.Items) == 0 {
		out.Warnings = append(out.Warnings, client.HealthMessage{Code: "EPD01", Message: "No provisioner is running: workspaces cannot be built. Start one with: coder provisioner start"})
		fail(&out.HealthSection, "no provisioner is running")
	}
	return out
}

func (a *api) healthMessages(d store.ProvisionerDaemon) []client.HealthMessage {
	out := []client.HealthMessage{}
	for _, w := range a.daemonWarnings(d) {
		out = append(out, client.HealthMessage(w))
	}
	return out
}

func healthy() client.HealthSection {
	return client.HealthSection{Healthy: true, Severity: client.HealthOK, Warnings: []client.HealthMessage{}}
}

func fail(h *client.HealthSection, text string) {
	h.Healthy, h.Severity, h.Error = false, client.HealthError, &text
}

func worst(severities ...string) string {
	out := client.HealthOK
	for _, s := range severities {
		if s == client.HealthError || (s == client.HealthWarning && out == client.HealthOK) {
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
