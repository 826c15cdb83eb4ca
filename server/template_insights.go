package server

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
)

// Nothing enters workspaces yet, so nothing is counted: the reports are well
// formed and empty.

func (a *api) insightsRoutes(r *router) {
	handle(r, get, "/templates/{template}/daus", "Count a template's active users by day", onObject(authz.Read, authz.Template), a.getTemplateDAUs, strictQuery())
	handle(r, get, "/insights/daus", "Count active users by day", session(), a.getDAUs, strictQuery())
	handle(r, get, "/insights/templates", "Report how templates are used", session(), a.getTemplateInsights, strictQuery())
	handle(r, get, "/insights/user-activity", "Report how long workspaces are used", session(), a.getUserActivity, strictQuery())
	handle(r, get, "/insights/user-latency", "Report how far users are from their workspaces", session(), a.getUserLatency, strictQuery())
	handle(r, get, "/insights/user-status-counts", "Count users by status", onSite(authz.Read, authz.User), a.getUserStatusCounts)
}

type ZoneInput struct {
	TZOffset int `query:"tz_offset" minimum:"-12" maximum:"14" doc:"Hours from UTC"`
}

type templateDAUsInput struct {
	TemplatePath
	ZoneInput
}

type InsightsInput struct {
	StartTime   time.Time `query:"start_time" required:"true"`
	EndTime     time.Time `query:"end_time" required:"true"`
	TemplateIDs []string  `query:"template_ids" format:"uuid"`
}

type templateInsightsInput struct {
	InsightsInput
	Interval string   `query:"interval" enum:"day,week"`
	Sections []string `query:"sections" enum:"report,interval_reports"`
}

func (a *api) getTemplateDAUs(ctx context.Context, in *templateDAUsInput) (*output[client.DAUs], error) {
	if _, err := a.template(ctx, authz.Read, in.Template); err != nil {
		return nil, err
	}
	return reply(client.DAUs{Entries: []client.DAUEntry{}, TZHourOffset: in.TZOffset}), nil
}

func (a *api) getDAUs(ctx context.Context, in *ZoneInput) (*output[client.DAUs], error) {
	if err := mayViewInsights(ctx); err != nil {
		return nil, err
	}
	return reply(client.DAUs{Entries: []client.DAUEntry{}, TZHourOffset: in.TZOffset}), nil
}

// mayViewInsights asks without templates: somewhere at least.
func mayViewInsights(ctx context.Context) error {
	if !subjectFrom(ctx).CanSome(authz.ViewInsights, authz.Template) {
		return errNotFound()
	}
	return nil
}

// reportedTemplates checks what is asked for, and of which templates.
func (a *api) reportedTemplates(ctx context.Context, in InsightsInput) ([]uuid.UUID, error) {
	if !in.EndTime.After(in.StartTime) {
		return nil, invalid("end_time", "Must be after start_time.")
	}
	ids := []uuid.UUID{}
	for _, text := range in.TemplateIDs {
		id, err := uuid.Parse(text)
		if err != nil {
			return nil, invalid("template_ids", "%q is not a UUID.", text)
		}
		if _, err := a.template(ctx, authz.ViewInsights, id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return ids, mayViewInsights(ctx)
	}
	return ids, nil
}

func (a *api) getTemplateInsights(ctx context.Context, in *templateInsightsInput) (*output[client.TemplateInsights], error) {
	ids, err := a.reportedTemplates(ctx, in.InsightsInput)
	if err != nil {
		return nil, err
	}
	out := client.TemplateInsights{}
	if len(in.Sections) == 0 || slices.Contains(in.Sections, "report") {
		out.Report = &client.TemplateInsightsReport{
			StartTime: in.StartTime, EndTime: in.EndTime, TemplateIDs: ids,
			AppsUsage: []client.TemplateAppUsage{}, ParametersUsage: []client.TemplateParameterUsage{},
		}
	}
	return reply(out), nil
}

func (a *api) getUserActivity(ctx context.Context, in *InsightsInput) (*output[client.UserActivityInsights], error) {
	ids, err := a.reportedTemplates(ctx, *in)
	if err != nil {
		return nil, err
	}
	return reply(client.UserActivityInsights{Report: client.UserActivityReport{
		StartTime: in.StartTime, EndTime: in.EndTime, TemplateIDs: ids, Users: []client.UserActivity{},
	}}), nil
}

func (a *api) getUserLatency(ctx context.Context, in *InsightsInput) (*output[client.UserLatencyInsights], error) {
	ids, err := a.reportedTemplates(ctx, *in)
	if err != nil {
		return nil, err
	}
	return reply(client.UserLatencyInsights{Report: client.UserLatencyReport{
		StartTime: in.StartTime, EndTime: in.EndTime, TemplateIDs: ids, Users: []client.UserLatency{},
	}}), nil
}

func (a *api) getUserStatusCounts(context.Context, *struct{}) (*output[client.UserStatusCounts], error) {
	return reply(client.UserStatusCounts{StatusCounts: map[string][]client.UserStatusCount{}}), nil
}
