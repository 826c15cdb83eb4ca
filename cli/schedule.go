package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"coder/client"
	"coder/internal/schedule"
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
	a, err := schedule.ParseAutostart(*w.AutostartSchedule)
	if err != nil {
		return *w.AutostartSchedule
	}
	return a.Text()
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
	list listOptions
}

// scheduleCommand is a command with a workspace and words that say when.
func scheduleCommand(env *Env, use, short, example string, most int, run func(*scheduleOptions, context.Context, *client.Client, client.Workspace) error) *cobra.Command {
	o := &scheduleOptions{env: env}
	cmd := &cobra.Command{
		Use: use, Short: short, Example: example, Args: rangeArgs(2, most),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name, o.args = args[0], args[1:]
			c, w, err := env.clientAndWorkspace(cmd.Context(), o.name)
			if err != nil {
				return err
			}
			return run(o, cmd.Context(), c, w)
		},
	}
	addList(cmd, &o.list, scheduleTable())
	return cmd
}

// showAgain prints the schedule as it is now.
func (o *scheduleOptions) showAgain(ctx context.Context, c *client.Client, w client.Workspace) error {
	w, err := c.Workspace(ctx, w.ID)
	if err != nil {
		return err
	}
	rows := scheduleRows([]client.Workspace{w}, o.env.Now())
	return printList(o.env, o.list, scheduleTable(), rows, rows, "")
}

func newScheduleStart(env *Env) *cobra.Command {
	return scheduleCommand(env, "start <workspace> { <start-time> [day-of-week] [location] | manual }",
		"Say when a workspace starts by itself", "  coder schedule start dev1-box 9:30AM Mon-Fri Europe/Dublin\n  coder schedule start dev1-box manual", 4,
		(*scheduleOptions).runStart)
}

func (o *scheduleOptions) runStart(ctx context.Context, c *client.Client, w client.Workspace) error {
	var text *string
	if o.args[0] != "manual" {
		cron, err := parseSchedule(o.env, o.args)
		if err != nil {
			return err
		}
		text = &cron
		o.warnOfDays(ctx, c, w)
	}
	if err := c.UpdateWorkspaceAutostart(ctx, w.ID, client.UpdateWorkspaceAutostartRequest{Schedule: text}); err != nil {
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
		d, err := schedule.ParseDuration(o.args[0])
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
	d, err := schedule.ParseDuration(o.args[0])
	if err != nil {
		return err
	}
	if d < shortestExtension {
		const hint = "Please specify a duration of at least %s.\n"
		if o.list.format == "json" {
			o.env.errf(hint, shortDuration(shortestExtension))
			return o.showAgain(ctx, c, w)
		}
		o.env.outf(hint, shortDuration(shortestExtension))
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

// parseSchedule reads `time [days] [zone]` into the API's form.
func parseSchedule(env *Env, words []string) (string, error) {
	a, err := schedule.ParseHuman(words, schedule.DefaultZone(env.Getenv))
	return a.String(), err
}
