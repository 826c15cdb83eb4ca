package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"coder/client"
)

func newSchedule(env *Env) *cobra.Command {
	return group("schedule", "See and change when workspaces start and stop by themselves", nil,
		newScheduleShow(env), newScheduleStart(env), newScheduleStop(env), newScheduleExtend(env))
}

// scheduleRow is a workspace's schedule as tables and JSON show it.
type scheduleRow struct {
	Workspace  string `json:"workspace"`
	StartsAt   string `json:"starts_at"`
	StartsNext string `json:"starts_next"`
	StopsAfter string `json:"stops_after"`
	StopsNext  string `json:"stops_next"`
}

func scheduleTable() table[scheduleRow] {
	return table[scheduleRow]{columns: []column[scheduleRow]{
		{"workspace", func(r scheduleRow) string { return r.Workspace }},
		{"starts at", func(r scheduleRow) string { return r.StartsAt }},
		{"starts next", func(r scheduleRow) string { return r.StartsNext }},
		{"stops after", func(r scheduleRow) string { return r.StopsAfter }},
		{"stops next", func(r scheduleRow) string { return r.StopsNext }},
	}}
}

func scheduleRows(workspaces []client.Workspace, now time.Time) []scheduleRow {
	rows := make([]scheduleRow, len(workspaces))
	for i, w := range workspaces {
		rows[i] = scheduleRow{
			Workspace: w.FullName(), StartsAt: startsAtCell(w), StartsNext: timePointerCell(w.NextStartAt),
			StopsAfter: stopsAfterCell(w), StopsNext: stopsNextCell(w, now),
		}
	}
	return rows
}

func startsAtCell(w client.Workspace) string {
	if w.AutostartSchedule == nil || *w.AutostartSchedule == "" {
		return ""
	}
	return describeCron(*w.AutostartSchedule)
}

func stopsAfterCell(w client.Workspace) string {
	if w.TTLMillis == nil || *w.TTLMillis == 0 {
		return ""
	}
	return shortDuration(time.Duration(*w.TTLMillis) * time.Millisecond)
}

func stopsNextCell(w client.Workspace, now time.Time) string {
	d := w.LatestBuild.Deadline
	if d == nil || d.IsZero() || w.LatestBuild.Transition != client.TransitionStart {
		return ""
	}
	if left := d.Sub(now); left > 0 {
		return timeCell(*d) + " (in " + shortDuration(left.Round(time.Minute)) + ")"
	}
	return timeCell(*d) + " (now)"
}

// shortDuration is Go's form without parts that are zero.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// describeCron turns a schedule of the API into words, as far as it can.
func describeCron(cron string) string {
	zone := "UTC"
	if rest, ok := strings.CutPrefix(cron, "CRON_TZ="); ok {
		zone, cron, _ = strings.Cut(rest, " ")
	}
	fields := strings.Fields(cron)
	if len(fields) != 5 {
		return cron
	}
	minute, err1 := strconv.Atoi(fields[0])
	hour, err2 := strconv.Atoi(fields[1])
	if err1 != nil || err2 != nil {
		return strings.Join(fields, " ") + " (" + zone + ")"
	}
	days := fields[4]
	if days == "*" {
		days = "daily"
	}
	clock := time.Date(2000, 1, 1, hour, minute, 0, 0, time.UTC).Format(time.Kitchen)
	return clock + " " + nameDays(days) + " (" + zone + ")"
}

var dayNumber = regexp.MustCompile(`[0-7]`)

func nameDays(days string) string {
	return dayNumber.ReplaceAllStringFunc(days, func(n string) string {
		return []string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}[n[0]-'0']
	})
}

type scheduleShowOptions struct {
	env    *Env
	name   string
	filter workspaceFilter
	list   listOptions
}

func newScheduleShow(env *Env) *cobra.Command {
	o := &scheduleShowOptions{env: env}
	cmd := &cobra.Command{
		Use:   "show <workspace | --search <query> | --all>",
		Short: "Show schedules",
		Args:  rangeArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = strings.Join(args, "")
			return o.run(cmd.Context())
		},
	}
	o.filter.addFlags(cmd, "")
	addList(cmd, &o.list, scheduleTable())
	return cmd
}

func (o *scheduleShowOptions) run(ctx context.Context) error {
	c, err := o.env.Client()
	if err != nil {
		return err
	}
	var found []client.Workspace
	if o.name != "" {
		w, err := o.env.workspace(ctx, c, o.name)
		if err != nil {
			return err
		}
		found = []client.Workspace{w}
	} else {
		if o.filter.search == "" && !o.filter.all {
			o.filter.search = defaultSearch
		}
		if found, err = o.filter.find(ctx, c); err != nil {
			return err
		}
	}
	rows := scheduleRows(found, o.env.Now())
	return printList(o.env, o.list, scheduleTable(), rows, rows, "No workspaces found.")
}

// scheduleOptions are those of commands that change one schedule.
type scheduleOptions struct {
	env  *Env
	name string
	args []string
}

// scheduleCommand is a command with a workspace and words that say when.
func scheduleCommand(env *Env, use, short, example string, most int, run func(*scheduleOptions, context.Context, *client.Client, client.Workspace) error) *cobra.Command {
	o := &scheduleOptions{env: env}
	return &cobra.Command{
		Use: use, Short: short, Example: example, Args: rangeArgs(2, most),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name, o.args = args[0], args[1:]
			c, err := env.Client()
			if err != nil {
				return err
			}
			w, err := env.workspace(cmd.Context(), c, o.name)
			if err != nil {
				return err
			}
			return run(o, cmd.Context(), c, w)
		},
	}
}

// showAgain prints the schedule as it is now.
func (o *scheduleOptions) showAgain(ctx context.Context, c *client.Client, w client.Workspace) error {
	w, err := c.Workspace(ctx, w.ID)
	if err != nil {
		return err
	}
	scheduleTable().print(o.env.Stdout, nil, scheduleRows([]client.Workspace{w}, o.env.Now()))
	return nil
}

func newScheduleStart(env *Env) *cobra.Command {
	return scheduleCommand(env, "start <workspace> { <start-time> [day-of-week] [location] | manual }",
		"Say when a workspace starts by itself", "  coder schedule start dev1-box 9:30AM Mon-Fri Europe/Dublin\n  coder schedule start dev1-box manual", 4,
		(*scheduleOptions).runStart)
}

func (o *scheduleOptions) runStart(ctx context.Context, c *client.Client, w client.Workspace) error {
	var schedule *string
	if o.args[0] != "manual" {
		cron, err := parseSchedule(o.env, o.args)
		if err != nil {
			return err
		}
		schedule = &cron
		o.warnOfDays(ctx, c, w)
	}
	if err := c.UpdateWorkspaceAutostart(ctx, w.ID, client.UpdateWorkspaceAutostartRequest{Schedule: schedule}); err != nil {
		return fmt.Errorf("change the schedule: %w", err)
	}
	return o.showAgain(ctx, c, w)
}

func (o *scheduleOptions) warnOfDays(ctx context.Context, c *client.Client, w client.Workspace) {
	t, err := c.Template(ctx, w.TemplateID)
	if err == nil && len(t.AutostartRequirement.DaysOfWeek) < 7 && len(t.AutostartRequirement.DaysOfWeek) > 0 {
		o.env.warnf("the template lets workspaces start by themselves on these days only: %s", strings.Join(t.AutostartRequirement.DaysOfWeek, ", "))
	}
}

func newScheduleStop(env *Env) *cobra.Command {
	return scheduleCommand(env, "stop <workspace> { <duration> | manual }",
		"Say after how long a workspace stops by itself, from its next start on", "  coder schedule stop dev1-box 8h", 2,
		(*scheduleOptions).runStop)
}

func (o *scheduleOptions) runStop(ctx context.Context, c *client.Client, w client.Workspace) error {
	var ttl *int64
	if o.args[0] != "manual" {
		d, err := parseMinutes(o.args[0])
		if err != nil {
			return err
		}
		ttl = new(d.Milliseconds())
	}
	if err := c.UpdateWorkspaceTTL(ctx, w.ID, client.UpdateWorkspaceTTLRequest{TTLMillis: ttl}); err != nil {
		return fmt.Errorf("change the schedule: %w", err)
	}
	return o.showAgain(ctx, c, w)
}

func newScheduleExtend(env *Env) *cobra.Command {
	cmd := scheduleCommand(env, "extend <workspace> <duration from now>",
		"Move the next stop of a running workspace", "  coder schedule extend dev1-box 2h", 2, (*scheduleOptions).runExtend)
	cmd.Aliases = []string{"override-stop"}
	return cmd
}

// shortestExtension is what the server asks for at least.
const shortestExtension = 30 * time.Minute

func (o *scheduleOptions) runExtend(ctx context.Context, c *client.Client, w client.Workspace) error {
	d, err := parseMinutes(o.args[0])
	if err != nil {
		return err
	}
	if d < shortestExtension {
		o.env.outf("Please specify a duration of at least %s.\n", shortDuration(shortestExtension))
		return nil
	}
	if w.LatestBuild.Deadline == nil {
		return fmt.Errorf("%s has no stop to move: it does not run, or it does not stop by itself", w.FullName())
	}
	if err := c.ExtendWorkspace(ctx, w.ID, client.ExtendWorkspaceRequest{Deadline: o.env.Now().Add(d)}); err != nil {
		return fmt.Errorf("move the stop: %w", err)
	}
	return o.showAgain(ctx, c, w)
}

// parseMinutes reads 3h2m, 3h, 2m, or a bare number of minutes.
func parseMinutes(text string) (time.Duration, error) {
	if n, err := strconv.Atoi(text); err == nil {
		text = strconv.Itoa(n) + "m"
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration: write it like 8h, 2h30m or 90 (minutes)", text)
	}
	if d < time.Minute {
		return 0, fmt.Errorf("%s is too short: it must be a minute at least", text)
	}
	return d.Truncate(time.Minute), nil
}

// parseSchedule reads `time [days] [zone]` into the API's form.
func parseSchedule(env *Env, words []string) (string, error) {
	if len(words) == 0 || len(words) > 3 {
		return "", fmt.Errorf("%q is not a schedule: write it like \"9:30AM Mon-Fri Europe/Dublin\"", strings.Join(words, " "))
	}
	clock, err := parseClock(words[0])
	if err != nil {
		return "", err
	}
	days, zone := "*", ""
	for _, word := range words[1:] {
		switch {
		case validDays(word) && days == "*":
			days = word
		case zone == "":
			zone = word
		default:
			return "", fmt.Errorf("%q is neither days, such as Mon-Fri, nor a time zone, such as Europe/Dublin", word)
		}
	}
	if zone == "" {
		zone = localZone(env)
	}
	location, err := time.LoadLocation(zone)
	if err != nil || location == time.Local {
		return "", fmt.Errorf("%q is neither days, such as Mon-Fri, nor a time zone, such as Europe/Dublin", zone)
	}
	return fmt.Sprintf("CRON_TZ=%s %d %d * * %s", zone, clock.Minute(), clock.Hour(), days), nil
}

func parseClock(text string) (time.Time, error) {
	for _, layout := range []string{"15:04", "3:04PM", "3:04pm", "3PM", "3pm", "15"} {
		if t, err := time.Parse(layout, strings.ToUpper(text)); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time of day: write it like 9:30AM or 21:30", text)
}

const dayForm = `(?:[0-7]|(?i:sun|mon|tue|wed|thu|fri|sat))`

var daysForm = regexp.MustCompile(`^(?:\*|` + dayForm + `(?:-` + dayForm + `)?(?:,` + dayForm + `(?:-` + dayForm + `)?)*)$`)

func validDays(text string) bool { return daysForm.MatchString(text) }

// localZone is the IANA name of the zone that the person lives in.
func localZone(env *Env) string {
	if tz := strings.TrimPrefix(env.Getenv("TZ"), ":"); tz != "" {
		return tz
	}
	if target, err := filepath.EvalSymlinks("/etc/localtime"); err == nil {
		if _, name, ok := strings.Cut(target, "zoneinfo/"); ok {
			return name
		}
	}
	if data, err := os.ReadFile("/etc/timezone"); err == nil && strings.TrimSpace(string(data)) != "" {
		return strings.TrimSpace(string(data))
	}
	return "UTC"
}
