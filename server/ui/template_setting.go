package ui

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"coder/client"
)

func (u *UI) templateSettingRoutes(on *table) {
	const template = "/templates/{organization}/{template}"
	on.page(get, template+"/settings", u.templateSettings)
	on.page(post, template+"/settings", u.changeTemplate)
	on.page(get, template+"/delete", u.deleteTemplateForm)
	on.page(post, template+"/delete", u.deleteTemplate)
}

type templateSettingsPage struct {
	templatePage
	Form form
}

// Part is the questions of one part of the form.
func (p templateSettingsPage) Part(names ...string) ([]field, error) {
	fields := make([]field, len(names))
	for i, name := range names {
		var err error
		if fields[i], err = p.Form.Field(name); err != nil {
			return nil, err
		}
	}
	return fields, nil
}

const durationHint = " Write 8h, 90m or 7d; a number alone is hours."

func templateFields(t client.Template) form {
	fields := append([]field{
		{Name: "name", Label: "Name", Value: t.Name, Required: true, MaxLength: 32, Hint: "Commands and addresses use it. Old addresses stop working when it changes."},
		{Name: "display_name", Label: "Display name", Value: t.DisplayName, MaxLength: 64, Hint: "What people read; the name when empty."},
		{Name: "description", Label: "Description", Value: t.Description, MaxLength: 127},
		{Name: "icon", Label: "Icon", Value: t.Icon, Hint: "An address of a picture, for clients that show one."},
		checkbox("allow_user_cancel_workspace_jobs", "People may cancel builds of their workspaces", t.AllowUserCancelWorkspaceJobs, "A build that is canceled half-way may leave things behind that have to be deleted."),
		checkbox("require_active_version", "Workspaces use the active version", t.RequireActiveVersion, "A start brings them to it; only administrators of the template may use another."),
		{Name: "deprecation_message", Label: "Deprecation message", Kind: kindTextarea, Rows: 2, Value: t.DeprecationMessage, Hint: "With one, no new workspaces can be made of it; those that there are go on. Say what to use instead."},
	}, templateScheduleFields(t)...)
	return form{Fields: fields}.guarded(t.UpdatedAt)
}

func templateScheduleFields(t client.Template) []field {
	return []field{
		{Name: "default_ttl_ms", Label: "Stop after", Value: durationText(t.DefaultTTLMS), Hint: "How long a workspace runs after its start. Empty: until somebody stops it." + durationHint},
		{Name: "activity_bump_ms", Label: "Activity adds", Value: durationText(t.ActivityBumpMS), Hint: "How much longer a workspace runs that is being used. Empty: no longer."},
		checkbox("allow_user_autostop", "People may set when their workspaces stop", t.AllowUserAutostop, ""),
		checkbox("allow_user_autostart", "People may set when their workspaces start", t.AllowUserAutostart, ""),
		weekdayField("autostart_requirement.days_of_week", "Workspaces may start by themselves on", t.AutostartRequirement.DaysOfWeek, ""),
		weekdayField("autostop_requirement.days_of_week", "Workspaces must stop on", t.AutostopRequirement.DaysOfWeek, "In the quiet hours of their owner, whether they are in use or not. None: they never have to."),
		{Name: "autostop_requirement.weeks", Label: "Every so many weeks", Kind: "number", Min: "1", Max: "16", Value: strconv.FormatInt(max(1, t.AutostopRequirement.Weeks), 10)},
		{Name: "failure_ttl_ms", Label: "Clean up failed starts after", Value: durationText(t.FailureTTLMS), Hint: "A workspace whose start failed is stopped then. Empty: it stays."},
		{Name: "time_til_dormant_ms", Label: "Dormant when unused for", Value: durationText(t.TimeTilDormantMS), Hint: "It is stopped, and has to be woken by hand. Empty: never."},
		{Name: "time_til_dormant_autodelete_ms", Label: "Deleted when dormant for", Value: durationText(t.TimeTilDormantAutoDeleteMS), Hint: "With all that it has. Empty: never."},
	}
}

func checkbox(name, label string, on bool, hint string) field {
	f := field{Name: name, Label: label, Kind: kindCheckbox, Hint: hint}
	if on {
		f.Value = "on"
	}
	return f
}

func weekdayField(name, label string, days []string, hint string) field {
	f := field{Name: name, Label: label, Kind: kindChecks, Values: days, Hint: hint}
	for _, day := range []string{"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"} {
		f.Options = append(f.Options, fieldOption{Value: strings.ToLower(day), Label: day})
	}
	return f
}

// Milliseconds of the units that durations are written in.
const (
	minuteMS = int64(time.Minute / time.Millisecond)
	hourMS   = 60 * minuteMS
	dayMS    = 24 * hourMS
)

// durationText writes milliseconds as people type them; zero is empty.
func durationText(ms int64) string {
	switch {
	case ms <= 0:
		return ""
	case ms%dayMS == 0:
		return strconv.FormatInt(ms/dayMS, 10) + "d"
	case ms%hourMS == 0:
		return strconv.FormatInt(ms/hourMS, 10) + "h"
	case ms%minuteMS == 0 && ms < hourMS:
		return strconv.FormatInt(ms/minuteMS, 10) + "m"
	}
	return (time.Duration(ms) * time.Millisecond).String()
}

// durationMS reads a duration into milliseconds: 8h, 90m, 7d, 1h30m, or a
// number of hours.
func durationMS(name, text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	number, unit := text, float64(hourMS)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		number, unit = days, float64(dayMS)
	}
	if n, err := strconv.ParseFloat(number, 64); err == nil && n >= 0 && n*unit < math.MaxInt64/2 {
		return int64(math.Round(n * unit)), nil
	}
	if d, err := time.ParseDuration(strings.ReplaceAll(text, " ", "")); err == nil && d >= 0 {
		return d.Milliseconds(), nil
	}
	return 0, inputError(name, fmt.Sprintf("%q is not a length of time: write it as 8h, 90m or 7d.", text))
}

func (u *UI) templateSettingsPage(ctx context.Context, v *visit) (*templateSettingsPage, error) {
	p, err := v.templatePage(ctx, "settings", "Settings")
	if err != nil {
		return nil, err
	}
	if allowed, err := p.Can("change"); err != nil || !allowed {
		return nil, cmp.Or(err, errTemplateStays)
	}
	return &templateSettingsPage{p, templateFields(p.Template)}, nil
}

var errTemplateStays error = &client.Error{StatusCode: http.StatusForbidden, Message: "You may not change this template.", Detail: "Ask an administrator of the template."}

func (u *UI) templateSettings(ctx context.Context, v *visit) (reply, error) {
	p, err := u.templateSettingsPage(ctx, v)
	if err != nil {
		return nil, err
	}
	return show("template_settings.html", p), nil
}

func (u *UI) changeTemplate(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, err := u.templateSettingsPage(ctx, v)
	if err != nil {
		return nil, err
	}
	p.Form.read(values)
	changed := p.Template
	if err = p.Form.stale(); err == nil {
		changed, err = v.changedTemplate(ctx, p)
	}
	if status, ok := p.Form.refused(err); ok {
		return showAs(status, "template_settings.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	changed.OrganizationName = p.Template.OrganizationName
	return redirect{to: templatePath(changed, "settings"), said: "The settings were saved."}, nil
}

func (v *visit) changedTemplate(ctx context.Context, p *templateSettingsPage) (client.Template, error) {
	f := p.Form
	weeks, err := strconv.ParseInt(cmp.Or(f.value("autostop_requirement.weeks"), "1"), 10, 64)
	if err != nil {
		return p.Template, inputError("autostop_requirement.weeks", "Give a number of weeks from 1 to 16.")
	}
	req := client.UpdateTemplateRequest{
		Name: new(f.value("name")), DisplayName: new(f.value("display_name")), Description: new(f.value("description")), Icon: new(f.value("icon")),
		AutostopRequirement:          &client.AutostopRequirement{DaysOfWeek: f.values("autostop_requirement.days_of_week"), Weeks: weeks},
		AutostartRequirement:         &client.AutostartRequirement{DaysOfWeek: f.values("autostart_requirement.days_of_week")},
		AllowUserAutostart:           new(f.on("allow_user_autostart")),
		AllowUserAutostop:            new(f.on("allow_user_autostop")),
		AllowUserCancelWorkspaceJobs: new(f.on("allow_user_cancel_workspace_jobs")),
		RequireActiveVersion:         new(f.on("require_active_version")),
		DeprecationMessage:           new(strings.TrimSpace(f.value("deprecation_message"))),
	}
	for name, ms := range map[string]**int64{
		"default_ttl_ms": &req.DefaultTTLMS, "activity_bump_ms": &req.ActivityBumpMS, "failure_ttl_ms": &req.FailureTTLMS,
		"time_til_dormant_ms": &req.TimeTilDormantMS, "time_til_dormant_autodelete_ms": &req.TimeTilDormantAutoDeleteMS,
	} {
		n, err := durationMS(name, f.value(name))
		if err != nil {
			return p.Template, err
		}
		*ms = &n
	}
	return v.api.UpdateTemplate(ctx, p.Template.ID, req)
}

type templateDeletePage struct {
	templatePage
	// Workspaces are some of those that stand in the way, out of Count.
	Workspaces []client.Workspace
	Count      int
	Form       form
}

// WorkspacesQuery finds those that stand in the way.
func (p templateDeletePage) WorkspacesQuery() string {
	return "template:" + p.Template.Name + " organization:" + p.Template.OrganizationName
}

func (u *UI) templateDeletePage(ctx context.Context, v *visit) (*templateDeletePage, error) {
	p, err := v.templatePage(ctx, "settings", "Delete")
	if err != nil {
		return nil, err
	}
	if allowed, err := p.Can("delete"); err != nil || !allowed {
		return nil, cmp.Or(err, errTemplateStays)
	}
	data := &templateDeletePage{templatePage: p, Form: confirmation(p.Template.Name)}
	found, err := v.api.Workspaces(ctx, client.WorkspacesRequest{Query: data.WorkspacesQuery(), Page: client.Page{Limit: listed}})
	data.Workspaces, data.Count = found.Workspaces, found.Count
	return data, err
}

func (u *UI) deleteTemplateForm(ctx context.Context, v *visit) (reply, error) {
	p, err := u.templateDeletePage(ctx, v)
	if err != nil {
		return nil, err
	}
	return show("template_delete.html", p), nil
}

func (u *UI) deleteTemplate(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	p, err := u.templateDeletePage(ctx, v)
	if err != nil {
		return nil, err
	}
	p.Form.read(values)
	if err = p.Form.confirmed(p.Template.Name); err == nil {
		err = v.api.DeleteTemplate(ctx, p.Template.ID)
	}
	if status, ok := p.Form.refused(err); ok {
		return showAs(status, "template_delete.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: "/templates", said: "The template " + p.Template.Name + " was deleted."}, nil
}
