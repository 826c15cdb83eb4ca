package server

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"coder/client"
	"coder/store"
)

// Versions that clients compare. The agent API is not served yet; its version
// is that of the level we speak.
const (
	agentAPIVersion       = "2.6"
	provisionerAPIVersion = "1.11"
)

// statsAge is how long counted statistics are said to hold.
const statsAge = time.Minute

type deploymentConfig struct {
	Config  map[string]string `json:"config"`
	Options []configOption    `json:"options"`
}

type configOption struct {
	Name  string `json:"name"`
	Flag  string `json:"flag"`
	Value string `json:"value"`
}

type deploymentStats struct {
	AggregatedFrom time.Time      `json:"aggregated_from"`
	CollectedAt    time.Time      `json:"collected_at"`
	NextUpdateAt   time.Time      `json:"next_update_at"`
	Workspaces     workspaceStats `json:"workspaces"`
	SessionCount   sessionStats   `json:"session_count"`
}

type workspaceStats struct {
	Pending             int64   `json:"pending"`
	Building            int64   `json:"building"`
	Running             int64   `json:"running"`
	Failed              int64   `json:"failed"`
	Stopped             int64   `json:"stopped"`
	ConnectionLatencyMS latency `json:"connection_latency_ms"`
	RxBytes             int64   `json:"rx_bytes"`
	TxBytes             int64   `json:"tx_bytes"`
}

// latency has capital names in JSON, as the reference says.
type latency struct {
	P50 float64 `json:"P50"`
	P95 float64 `json:"P95"`
}

type sessionStats struct {
	VSCode          int64 `json:"vscode"`
	SSH             int64 `json:"ssh"`
	JetBrains       int64 `json:"jetbrains"`
	ReconnectingPTY int64 `json:"reconnecting_pty"`
}

type applicationsHost struct {
	Host string `json:"host"`
}

func (a *api) greet(context.Context, *struct{}) (*output[message], error) {
	return said("This is the API of a Coder deployment; its description is at /api/v2/openapi.json."), nil
}

func (a *api) buildInfo(context.Context, *struct{}) (*output[client.BuildInfo], error) {
	return reply(client.BuildInfo{
		ExternalURL: a.accessURL.String(), Version: a.version, DashboardURL: a.accessURL.String(),
		AgentAPIVersion: agentAPIVersion, ProvisionerAPIVersion: provisionerAPIVersion, DeploymentID: a.deploymentID,
		UpgradeMessage: "This client and the deployment at " + a.accessURL.String() + " are different versions. Get the deployment's own binary from " + a.accessURL.JoinPath("bin").String() + "/.",
	}), nil
}

// updateCheck asks nobody: the server makes no calls of its own.
func (a *api) updateCheck(context.Context, *struct{}) (*output[client.UpdateCheck], error) {
	return reply(client.UpdateCheck{Current: true, Version: a.version}), nil
}

func (a *api) listExperiments(context.Context, *struct{}) (*output[[]string], error) {
	return reply([]string{}), nil
}

func (a *api) availableExperiments(context.Context, *struct{}) (*output[client.AvailableExperiments], error) {
	return reply(client.AvailableExperiments{Safe: []string{}}), nil
}

func (a *api) getDeploymentConfig(context.Context, *struct{}) (*output[deploymentConfig], error) {
	out := deploymentConfig{Config: map[string]string{}, Options: []configOption{}}
	for flag, value := range a.options.Advertised {
		out.Config[flag] = value
		out.Options = append(out.Options, configOption{Name: flag, Flag: flag, Value: value})
	}
	slices.SortFunc(out.Options, func(x, y configOption) int { return strings.Compare(x.Flag, y.Flag) })
	return reply(out), nil
}

func (a *api) getDeploymentStats(ctx context.Context, _ *struct{}) (*output[deploymentStats], error) {
	rows, err := a.store.CountWorkspacesByStatus(ctx)
	if err != nil {
		return nil, err
	}
	now := a.now()
	out := deploymentStats{AggregatedFrom: now.Add(-statsAge), CollectedAt: now, NextUpdateAt: now.Add(statsAge)}
	for _, row := range rows {
		out.Workspaces.add(row)
	}
	return reply(out), nil
}

func (s *workspaceStats) add(row store.CountWorkspacesByStatusRow) {
	switch row.LatestStatus {
	case "pending":
		s.Pending += row.Workspaces
	case "running":
		s.Running += row.Workspaces
	case "stopped":
		s.Stopped += row.Workspaces
	case "failed", "canceled":
		s.Failed += row.Workspaces
	default:
		s.Building += row.Workspaces
	}
}

func (a *api) getSSHConfig(context.Context, *struct{}) (*output[client.SSHConfig], error) {
	return reply(client.SSHConfig{HostnamePrefix: "coder.", HostnameSuffix: "coder", SSHConfigOptions: map[string]string{}}), nil
}

// listRegions has the server itself, under the deployment's own id.
func (a *api) listRegions(context.Context, *struct{}) (*output[client.Regions], error) {
	id, err := uuid.Parse(a.deploymentID)
	if err != nil {
		return nil, err
	}
	return reply(client.Regions{Regions: []client.Region{{
		ID: id, Name: "primary", DisplayName: "Default", Healthy: true, PathAppURL: a.accessURL.String(),
	}}}), nil
}

func (a *api) listReplicas(context.Context, *struct{}) (*output[[]struct{}], error) {
	return reply([]struct{}{}), nil
}

func (a *api) getApplicationsHost(context.Context, *struct{}) (*output[applicationsHost], error) {
	return reply(applicationsHost{}), nil
}

// takeCSPReport logs what a browser refused on one of our pages.
func (a *api) takeCSPReport(w http.ResponseWriter, r *http.Request) {
	report, err := io.ReadAll(io.LimitReader(r.Body, 16<<10))
	if err != nil {
		return // the browser went away
	}
	a.logger.WarnContext(r.Context(), "browser reported a blocked part of a page", "report", string(report))
	w.WriteHeader(http.StatusOK)
}

// document serves the description of the whole API, made when first asked for.
func (r *router) document() http.HandlerFunc {
	made := sync.OnceValues(func() ([]byte, error) { return json.Marshal(r.describe(new(adapter), r.entries...).OpenAPI()) })
	return func(w http.ResponseWriter, req *http.Request) {
		text, err := made()
		if err != nil {
			r.api.writeError(req.Context(), w, err)
			return
		}
		w.Header().Set("Content-Type", jsonType)
		_, _ = w.Write(text) // the client is gone; nobody is left to tell
	}
}

// noRoute answers below /api/v2 what no operation does: 405 where another
// method would do, else 404.
func (r *router) noRoute(w http.ResponseWriter, req *http.Request) {
	var allowed []string
	for _, method := range []string{get, http.MethodHead, post, put, patch, del} {
		probe := &http.Request{Method: method, URL: req.URL, Host: req.Host}
		if _, pattern := r.mux.Handler(probe); strings.Contains(pattern, " ") {
			allowed = append(allowed, method)
		}
	}
	e := errNoRoute()
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		e = refuse(http.StatusMethodNotAllowed, "This route does not take "+req.Method+".", "It takes "+strings.Join(allowed, ", ")+".")
	}
	writeJSON(w, e.StatusCode, e)
}
