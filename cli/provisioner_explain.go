package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"coder/client"
)

type provisionerJobExplainOptions struct {
	env          *Env
	organization string
	job          string
	format       string
}

func newProvisionerJobExplain(env *Env) *cobra.Command {
	o := &provisionerJobExplainOptions{env: env}
	cmd := &cobra.Command{
		Use:   "explain <job_id>",
		Short: "Say why a job waits, where it runs, or how it ended",
		Long: "Say why a job waits, where it runs, or how it ended, and what to do about it: what each provisioner of\n" +
			"the organization would do with it, what waits in front of it, and every attempt at it so far.",
		Example: "  coder provisioner jobs list --status pending\n  coder provisioner jobs explain <job_id>",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.job = args[0]
			return o.run(cmd.Context())
		},
	}
	addOrganization(cmd.Flags(), &o.organization)
	addFormat(cmd, &o.format, "text", "json")
	return cmd
}

func (o *provisionerJobExplainOptions) run(ctx context.Context) error {
	id, err := parseJobID(o.job)
	if err != nil {
		return err
	}
	c, org, err := o.env.clientAndOrganization(ctx, o.organization)
	if err != nil {
		return err
	}
	e, err := c.ExplainProvisionerJob(ctx, org.ID.String(), id)
	if err != nil {
		return jobNotFound(id, org, err)
	}
	if o.format == "json" {
		return o.env.printJSON(e)
	}
	o.env.printExplanation(e)
	return nil
}

// parseJobID reads the id of a job.
func parseJobID(text string) (uuid.UUID, error) {
	id, err := uuid.Parse(text)
	if err != nil {
		return id, fmt.Errorf("%q is not the id of a job: see `coder provisioner jobs list`", text)
	}
	return id, nil
}

// jobNotFound says which job of which organization could not be read.
func jobNotFound(id uuid.UUID, org client.Organization, err error) error {
	if client.IsNotFound(err) {
		return fmt.Errorf("there is no job %s in the organization %s that you may see: see `coder provisioner jobs list`", id, org.Name)
	}
	return fmt.Errorf("find the job %s: %w", id, err)
}

// printExplanation is the explanation for people, of the same data as its JSON.
func (e *Env) printExplanation(x client.ProvisionerJobExplanation) {
	line := func(name, text string) {
		if text != "" {
			e.outf("%-10s%s\n", name+":", printable(text))
		}
	}
	line("Job", strings.TrimSpace(fmt.Sprintf("%s, %s %s", x.Job.ID, x.Job.Type, x.Job.Metadata.WorkspaceName)))
	line("Status", x.Job.Status+" ("+x.Code+")")
	line("Reason", x.Reason)
	line("To do", x.Action)
	line("Tags", tagsCell(x.Job.Tags))
	if x.Job.QueuePosition > 0 {
		line("Queue", fmt.Sprintf("number %d of %d", x.Job.QueuePosition, x.Job.QueueSize))
	}
	if older := x.OlderEngine; older != nil {
		line("Engine", olderEngineText(*older))
	}
	if x.Job.Error != "" {
		e.outf("%-10s%s\n", "Error:", printableLines(x.Job.Error))
	}
	section(e, "In front of it", aheadTable(), x.JobsAhead)
	section(e, "Attempts", attemptTable(), x.Attempts)
	section(e, "In doubt", doubtTable(), x.InDoubt)
	section(e, "Provisioners", verdictTable(), x.Daemons)
}

func olderEngineText(older client.OlderEngine) string {
	text := fmt.Sprintf("of job %s, on %s since %s", older.JobID, older.DaemonName, timeCell(older.StartedAt))
	if older.Until == nil {
		return text + "; it is waited for until it is heard of"
	}
	return text + "; waited for until " + timeCell(*older.Until) + " at the latest"
}

// section prints a table under its heading, if it has rows.
func section[T any](e *Env, heading string, t table[T], rows []T) {
	if len(rows) == 0 {
		return
	}
	e.outf("\n%s\n", e.paint(e.Stdout, bold, heading))
	t.print(e.Stdout, nil, rows)
}

func aheadTable() table[client.ProvisionerJobAhead] {
	type row = client.ProvisionerJobAhead
	return table[row]{columns: []column[row]{
		{"id", func(r row) string { return r.ID.String() }},
		{"created at", func(r row) string { return timeCell(r.CreatedAt) }},
		{"type", func(r row) string { return r.Type }},
		{"template", func(r row) string { return r.TemplateName }},
		{"workspace", func(r row) string { return r.WorkspaceName }},
	}}
}

func attemptTable() table[client.ProvisionerJobAttempt] {
	type row = client.ProvisionerJobAttempt
	return table[row]{columns: []column[row]{
		{"number", func(r row) string { return strconv.Itoa(r.Number) }},
		{"provisioner", func(r row) string { return r.DaemonName }},
		{"handed out at", func(r row) string { return timeCell(r.HandedAt) }},
		{"engine started at", func(r row) string { return timePointerCell(r.EngineStartedAt) }},
		{"ended at", func(r row) string { return timePointerCell(r.EndedAt) }},
		{"outcome", func(r row) string { return r.Outcome }},
	}}
}

func doubtTable() table[client.DoubtfulResource] {
	type row = client.DoubtfulResource
	return table[row]{columns: []column[row]{
		{"address", func(r row) string { return r.Address }},
		{"action", func(r row) string { return r.Action }},
		{"id", func(r row) string { return r.ID }},
		{"planned", func(r row) string { return r.Planned }},
		{"grounds", func(r row) string { return r.Grounds }},
	}}
}

func verdictTable() table[client.ProvisionerVerdict] {
	type row = client.ProvisionerVerdict
	return table[row]{columns: []column[row]{
		{"name", func(r row) string { return r.Name }},
		{"verdict", func(r row) string { return r.Verdict }},
		{"because", verdictCell},
		{"last seen at", func(r row) string { return timeCell(r.LastSeenAt) }},
		{"tags", func(r row) string { return tagsCell(r.Tags) }},
	}}
}

func verdictCell(v client.ProvisionerVerdict) string {
	switch v.Verdict {
	case client.VerdictTagsDiffer:
		return differenceText(v.Differences)
	case client.VerdictEngineUnsupported:
		return "runs " + strings.Join(v.Provisioners, ", ")
	case client.VerdictBusy:
		return "has job " + deref(v.CurrentJobID).String()
	case client.VerdictOffline:
		return "not connected"
	case client.VerdictTrouble:
		return v.Trouble
	case client.VerdictDraining:
		return "is drained until it is resumed"
	}
	return ""
}

func differenceText(differences []client.TagDifference) string {
	var parts []string
	for _, d := range differences {
		switch {
		case d.Wanted == nil:
			parts = append(parts, "has "+d.Tag+"="+*d.Has+", the job has no tags")
		case d.Has == nil:
			parts = append(parts, "lacks "+d.Tag+"="+*d.Wanted)
		default:
			parts = append(parts, "has "+d.Tag+"="+*d.Has+", not "+*d.Wanted)
		}
	}
	return strings.Join(parts, "; ")
}
