package ui

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"coder/client"
	"coder/internal/schedule"
)

func (u *UI) workspaceScheduleRoutes(on *table) {
	on.page(get, "/workspaces/@/{owner}/{workspace}/schedule", u.workspaceSchedule)
	on.page(post, "/workspaces/@/{owner}/{workspace}/schedule", u.changeSchedule)
	on.page(post, "/workspaces/@/{owner}/{workspace}/extend", u.extendWorkspace)
}

type workspaceSchedulePage struct {
	workspacePage
	Form form
}

// weekdays are the days as a form offers them, from Monday on.
func weekdays() []fieldOption {
	var days []fieldOption
	for _, name := range schedule.EveryDay.Names() {
		days = append(days, fieldOption{Value: name, Label: strings.ToUpper(name[:1]) + name[1:]})
	}
	return days
}

func scheduleFields(w client.Workspace) form { return scheduleQuestions(w).guardedByContent() }

func scheduleQuestions(w client.Workspace) form {
	f := form{Fields: []field{
		{Name: "time", Label: "Start at", Kind: "time", Hint: "Empty: it is started by hand."},
		{Name: "days", Label: "On", Kind: kindChecks, Options: weekdays(), Values: []string{"monday", "tuesday", "wednesday", "thursday", "friday"}},
		{Name: "schedule", Label: "Time zone", Value: "UTC", Hint: "As in Europe/Dublin; summer time is followed."},
		{Name: "ttl_ms", Label: "Stop after", Hint: "A length of time from the start on, such as 8h or 2d. Empty: it is stopped by hand."},
	}}
	if w.TTLMillis != nil && *w.TTLMillis > 0 {
		f.Fields[3].Value = shortDuration(time.Duration(*w.TTLMillis) * time.Millisecond)
	}
	if w.AutostartSchedule == nil {
		return f
	}
	auto, err := schedule.ParseAutostart(*w.AutostartSchedule)
	if err != nil || auto.IsZero() {
		return f
	}
	f.Fields[0].Value, f.Fields[1].Values, f.Fields[2].Value = clock(auto), auto.Days().Names(), auto.Location().String()
	return f
}

// clock is the time of day of a schedule that has one only.
func clock(a schedule.Autostart) string {
	parts := strings.Fields(a.String())
	if len(parts) < 3 {
		return ""
	}
	minute, err := strconv.Atoi(parts[1])
	hour, err2 := strconv.Atoi(parts[2])
	if err != nil || err2 != nil {
		return ""
	}
	return fmt.Sprintf("%02d:%02d", hour, minute)
}

// shortDuration is 8h, 90m or 1h30m.
func shortDuration(d time.Duration) string {
	text := strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	if strings.HasSuffix(text, "h0m") {
		return strings.TrimSuffix(text, "0m")
	}
	return text
}

// typedDuration reads what was typed; empty is none.
func typedDuration(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	d, err := schedule.ParseDuration(text)
	return d.Milliseconds(), err
}

// typedSchedule is the API's form of what was chosen; empty is none.
func typedSchedule(f form) (string, error) {
	at := f.value("time")
	if at == "" {
		return "", nil
	}
	moment, err := time.Parse("15:04", at)
	if err != nil {
		return "", fmt.Errorf("%q is no time of day; write it like 09:30", at)
	}
	days := []string{}
	for i, name := range []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"} {
		if slices.Contains(f.values("days"), name) {
			days = append(days, strconv.Itoa(i))
		}
	}
	if len(days) == 0 {
		return "", fmt.Errorf("choose a day, or leave the time empty")
	}
	return fmt.Sprintf("CRON_TZ=%s %d %d * * %s", f.value("schedule"), moment.Minute(), moment.Hour(), strings.Join(days, ",")), nil
}

func (u *UI) workspaceSchedule(ctx context.Context, v *visit) (reply, error) {
	p, err := v.workspacePage(ctx, "schedule", "Schedule")
	if err != nil {
		return nil, err
	}
	return show("workspace_schedule.html", &workspaceSchedulePage{p, scheduleFields(p.Workspace)}), nil
}

func (u *UI) changeSchedule(ctx context.Context, v *visit) (reply, error) {
	values, err := v.parsed()
	if err != nil {
		return nil, err
	}
	w, err := v.workspacePage(ctx, "schedule", "Schedule")
	if err != nil {
		return nil, err
	}
	p := &workspaceSchedulePage{w, scheduleFields(w.Workspace)}
	p.Form.read(values)
	if err = p.Form.stale(); err == nil {
		err = v.setSchedule(ctx, w.Workspace, p.Form)
	}
	if status, ok := p.Form.refused(err); ok {
		return showAs(status, "workspace_schedule.html", p), nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: p.Path("schedule"), said: "The schedule was saved."}, nil
}

func (v *visit) setSchedule(ctx context.Context, w client.Workspace, f form) error {
	start, err := typedSchedule(f)
	if err != nil {
		return invalidField("time", err)
	}
	ttl, err := typedDuration(f.value("ttl_ms"))
	if err != nil {
		return invalidField("ttl_ms", err)
	}
	return v.api.UpdateWorkspaceSchedule(ctx, w.ID, client.UpdateWorkspaceScheduleRequest{Schedule: &start, TTLMillis: &ttl})
}

// extendWorkspace moves the deadline of what runs by an hour.
func (u *UI) extendWorkspace(ctx context.Context, v *visit) (reply, error) {
	w, err := v.api.WorkspaceByOwnerAndName(ctx, v.path("owner"), v.path("workspace"))
	if err != nil {
		return nil, err
	}
	said := "It stops an hour later."
	deadline := u.options.Now()
	if w.LatestBuild.Deadline != nil {
		deadline = *w.LatestBuild.Deadline
	}
	err = v.api.ExtendWorkspace(ctx, w.ID, client.ExtendWorkspaceRequest{Deadline: deadline.Add(time.Hour)})
	if err != nil && aboutInput(client.StatusCode(err)) {
		said, err = refusalText(err), nil
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: workspacePath(w.OwnerName, w.Name), said: said}, nil
}
