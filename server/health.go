package server

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

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
	organizations, err := a.store.ListOrganizations(ctx)
	if err != nil {
		return nil, err
	}
	recovering, err := a.recoveringMessages(ctx)
	if err != nil {
		return nil, err
	}
	report := client.HealthReport{Time: a.now().UTC(), CoderVersion: a.version, Database: a.databaseHealth(ctx), ProvisionerDaemons: a.daemonsHealth(daemons, organizations)}
	if len(recovering) > 0 {
		report.Database.Warnings = append(report.Database.Warnings, recovering...)
		report.Database.Severity = worst(report.Database.Severity, client.HealthWarning)
	}
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
	if since := a.room.shortSince(); !since.IsZero() {
		fail(&out.HealthSection, "The server's disk is full or cannot be written since "+since.UTC().Format(time.RFC3339)+": no job is handed out, lines of logs are dropped, and only what provisioners hand in is still taken. Make room.")
	}
	return out
}

// recoveringMessages are of the organizations whose builds wait because the
// database is an older copy.
func (a *api) recoveringMessages(ctx context.Context) ([]client.HealthMessage, error) {
	rows, err := a.store.ListOpenRecoveries(ctx)
	out := []client.HealthMessage{}
	for _, r := range rows {
		out = append(out, client.HealthMessage{Code: client.HealthRecovering, Message: fmt.Sprintf(
			"The database was restored from an older copy, which was noticed at %s: no build of %s starts until its provisioners have told what was built since. See what is missing with: coder provisioner recovery --org %[2]s", showTime(r.StartedAt), r.Name)})
	}
	return out, err
}

// daemonsHealth says what is wrong with the daemons that are there, which have
// fallen silent lately, and which are not apart from other organizations.
func (a *api) daemonsHealth(daemons []store.ProvisionerDaemon, organizations []store.Organization) client.DaemonsReport {
	out := client.DaemonsReport{HealthSection: healthy(), Items: []client.DaemonReport{}}
	online := slices.DeleteFunc(slices.Clone(daemons), func(d store.ProvisionerDaemon) bool { return !a.isOnline(d.LastSeenAt, d.StoppedAt) })
	if out.Warnings = togetherness(online, organizations); len(out.Warnings) > 0 {
		out.Severity = client.HealthWarning
	}
	names := organizationNames(organizations)
	for _, d := range daemons {
		warnings := a.healthMessages(d, names[d.OrganizationID])
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

// togetherness warns of daemons whose templates can read what belongs to other
// organizations: engines of one user of a host are not apart. The built-in
// daemons serve one organization, as the user whose files the server's are.
func togetherness(online []store.ProvisionerDaemon, organizations []store.Organization) []client.HealthMessage {
	out, names := []client.HealthMessage{}, organizationNames(organizations)
	builtIn := slices.IndexFunc(online, func(d store.ProvisionerDaemon) bool { return d.KeyID == client.ProvisionerKeyBuiltInID })
	if builtIn >= 0 && len(organizations) > 1 {
		out = append(out, client.HealthMessage{Code: client.HealthBuiltIn, Message: fmt.Sprintf(
			"Built-in provisioners run the templates of %s as the server's own user, who can read the database and the deployment key: whoever writes these templates can reach what every organization has. Start the server with --provisioner-daemons 0, and the provisioners of %[1]s as a user of their own.",
			names[online[builtIn].OrganizationID])})
	}
	hosts := map[string][]string{}
	for _, d := range online {
		if name := names[d.OrganizationID]; d.HostID != "" && !slices.Contains(hosts[d.HostID], name) {
			hosts[d.HostID] = append(hosts[d.HostID], name)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(hosts)) {
		if len(hosts[id]) > 1 {
			out = append(out, client.HealthMessage{Code: client.HealthSharedHost, Message: fmt.Sprintf(
				"Provisioners of several organizations share a spool directory, and so a host and its user: %s. Their templates can read each other's states and credentials. Give each organization's provisioners a user of their own.", strings.Join(hosts[id], ", "))})
		}
	}
	return out
}

func organizationNames(organizations []store.Organization) map[uuid.UUID]string {
	names := map[uuid.UUID]string{}
	for _, org := range organizations {
		names[org.ID] = org.Name
	}
	return names
}

func (a *api) healthMessages(d store.ProvisionerDaemon, organization string) []client.HealthMessage {
	out := []client.HealthMessage{}
	for _, w := range a.daemonWarnings(d, organization) {
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
