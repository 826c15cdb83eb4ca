package client

import (
	"context"
	"time"
)

// Severities of the health report.
const (
	HealthOK      = "ok"
	HealthWarning = "warning"
	HealthError   = "error"
)

// Codes of warnings that organizations are not apart where engines run.
const (
	// HealthBuiltIn: built-in provisioners, beside more than one organization.
	HealthBuiltIn = "built_in"
	// HealthSharedHost: provisioners of several organizations with one spool directory.
	HealthSharedHost = "shared_host"
	// HealthRecovering: builds of an organization wait, because the database is an older copy.
	HealthRecovering = "recovering"
)

// HealthReport is the state of the deployment's parts.
type HealthReport struct {
	Time               time.Time      `json:"time"`
	Healthy            bool           `json:"healthy"`
	Severity           string         `json:"severity" enum:"ok,warning,error"`
	CoderVersion       string         `json:"coder_version"`
	Database           DatabaseReport `json:"database"`
	ProvisionerDaemons DaemonsReport  `json:"provisioner_daemons"`
}

// HealthSection is what the report says of any part.
type HealthSection struct {
	Healthy   bool            `json:"healthy"`
	Severity  string          `json:"severity" enum:"ok,warning,error"`
	Warnings  []HealthMessage `json:"warnings"`
	Dismissed bool            `json:"dismissed"`
	Error     *string         `json:"error"`
}

// HealthMessage is something to look after, and what to do.
type HealthMessage struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	// Since is when it began, where that is known.
	Since *time.Time `json:"since,omitempty"`
}

// DatabaseReport tells how fast the database answers.
type DatabaseReport struct {
	HealthSection
	Reachable bool   `json:"reachable"`
	Latency   string `json:"latency"`
	LatencyMS int64  `json:"latency_ms"`
}

// DaemonsReport lists the provisioners that are there. Warnings of its section
// are about those that have fallen silent.
type DaemonsReport struct {
	HealthSection
	Items []DaemonReport `json:"items"`
}

// DaemonReport is one provisioner with what is to be looked after.
type DaemonReport struct {
	Daemon   ReportedDaemon  `json:"provisioner_daemon"`
	Warnings []HealthMessage `json:"warnings"`
}

// ReportedDaemon says which provisioner it is.
type ReportedDaemon struct {
	ID             string `json:"id"`
	OrganizationID string `json:"organization_id"`
	Name           string `json:"name"`
	Version        string `json:"version"`
	APIVersion     string `json:"api_version"`
}

// Health reads the report on the deployment's parts.
func (c *Client) Health(ctx context.Context) (HealthReport, error) {
	return get[HealthReport](ctx, c, apiPath("debug", "health"))
}
