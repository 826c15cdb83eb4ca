package client

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// DAUs counts the active users of each day.
type DAUs struct {
	Entries      []DAUEntry `json:"entries"`
	TZHourOffset int        `json:"tz_hour_offset"`
}

// DAUEntry is one day, as YYYY-MM-DD.
type DAUEntry struct {
	Date   string `json:"date"`
	Amount int    `json:"amount"`
}

// TemplateInsights is how templates were used in a span of time.
type TemplateInsights struct {
	Report          *TemplateInsightsReport    `json:"report,omitempty"`
	IntervalReports []TemplateInsightsInterval `json:"interval_reports,omitempty"`
}

// TemplateInsightsReport sums up the whole span.
type TemplateInsightsReport struct {
	StartTime       time.Time                `json:"start_time"`
	EndTime         time.Time                `json:"end_time"`
	TemplateIDs     []uuid.UUID              `json:"template_ids"`
	ActiveUsers     int                      `json:"active_users"`
	AppsUsage       []TemplateAppUsage       `json:"apps_usage"`
	ParametersUsage []TemplateParameterUsage `json:"parameters_usage"`
}

// TemplateInsightsInterval is a day or a week of the span.
type TemplateInsightsInterval struct {
	StartTime   time.Time   `json:"start_time"`
	EndTime     time.Time   `json:"end_time"`
	TemplateIDs []uuid.UUID `json:"template_ids"`
	Interval    string      `json:"interval" enum:"day,week"`
	ActiveUsers int         `json:"active_users"`
}

// TemplateAppUsage is for how many seconds an app was used.
type TemplateAppUsage struct {
	TemplateIDs []uuid.UUID `json:"template_ids"`
	Type        string      `json:"type" enum:"builtin,app"`
	DisplayName string      `json:"display_name"`
	Slug        string      `json:"slug"`
	Icon        string      `json:"icon"`
	Seconds     int64       `json:"seconds"`
	TimesUsed   int64       `json:"times_used"`
}

// TemplateParameterUsage counts the values of a parameter.
type TemplateParameterUsage struct {
	TemplateIDs []uuid.UUID                      `json:"template_ids"`
	DisplayName string                           `json:"display_name"`
	Name        string                           `json:"name"`
	Type        string                           `json:"type"`
	Description string                           `json:"description"`
	Options     []TemplateVersionParameterOption `json:"options,omitempty"`
	Values      []TemplateParameterValue         `json:"values"`
}

// TemplateParameterValue is how often a value was chosen.
type TemplateParameterValue struct {
	Value string `json:"value"`
	Count int64  `json:"count"`
}

// UserActivityInsights is for how long users used workspaces.
type UserActivityInsights struct {
	Report UserActivityReport `json:"report"`
}

// UserActivityReport is the activity in a span of time.
type UserActivityReport struct {
	StartTime   time.Time      `json:"start_time"`
	EndTime     time.Time      `json:"end_time"`
	TemplateIDs []uuid.UUID    `json:"template_ids"`
	Users       []UserActivity `json:"users"`
}

// UserActivity is one user's.
type UserActivity struct {
	TemplateIDs []uuid.UUID `json:"template_ids"`
	UserID      uuid.UUID   `json:"user_id"`
	Username    string      `json:"username"`
	AvatarURL   string      `json:"avatar_url"`
	Seconds     int64       `json:"seconds"`
}

// UserLatencyInsights is how far users were from their workspaces.
type UserLatencyInsights struct {
	Report UserLatencyReport `json:"report"`
}

// UserLatencyReport is the latency in a span of time.
type UserLatencyReport struct {
	StartTime   time.Time     `json:"start_time"`
	EndTime     time.Time     `json:"end_time"`
	TemplateIDs []uuid.UUID   `json:"template_ids"`
	Users       []UserLatency `json:"users"`
}

// UserLatency is one user's, in milliseconds.
type UserLatency struct {
	TemplateIDs []uuid.UUID        `json:"template_ids"`
	UserID      uuid.UUID          `json:"user_id"`
	Username    string             `json:"username"`
	AvatarURL   string             `json:"avatar_url"`
	LatencyMS   LatencyPercentiles `json:"latency_ms"`
}

// LatencyPercentiles are in milliseconds.
type LatencyPercentiles struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
}

// UserStatusCounts counts users by status over time.
type UserStatusCounts struct {
	StatusCounts map[string][]UserStatusCount `json:"status_counts"`
}

// UserStatusCount is the number of users with a status on a day.
type UserStatusCount struct {
	Date  time.Time `json:"date"`
	Count int64     `json:"count"`
}

// TemplateDAUs counts the users of a template's workspaces by day.
func (c *Client) TemplateDAUs(ctx context.Context, template uuid.UUID) (DAUs, error) {
	return get[DAUs](ctx, c, apiPath("templates", template, "daus"))
}
