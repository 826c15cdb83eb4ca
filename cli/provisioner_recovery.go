package cli

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"coder/client"
)

type provisionerRecoveryOptions struct {
	env          *Env
	organization string
	attempt      string
	file         string
	yes          bool
	format       string
	list         listOptions
}

func newProvisionerRecovery(env *Env) *cobra.Command {
	o := &provisionerRecoveryOptions{env: env}
	cmd := &cobra.Command{
		Use:   "recovery",
		Short: "Show what a database lacks that was restored from an older copy",
		Long: "Show what a database lacks that was restored from an older copy. Until that is known no build of the organization\n" +
			"starts: its provisioners tell by themselves what was built since, and hand in the states, when they are started with\n" +
			"the spools that they had. Where one is gone for good, `coder provisioner recovery end` goes on without it.",
		Example: "  coder provisioner recovery --org data-platform",
		Args:    exactArgs(0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.show(cmd.Context()) },
	}
	addOrganization(cmd.Flags(), &o.organization)
	addList(cmd, &o.list, recoveryTable())
	cmd.AddCommand(newProvisionerRecoveryState(env), newProvisionerRecoveryEnd(env))
	return cmd
}

func recoveryTable() table[client.RecoveryReport] {
	type row = client.RecoveryReport
	return table[row]{columns: []column[row]{
		{"number", func(r row) string { return strconv.FormatInt(r.Number, 10) }},
		{"workspace", func(r row) string { return r.OwnerName + "/" + r.WorkspaceName }},
		{"build", func(r row) string { return fmt.Sprintf("%d (%s)", r.BuildNumber, r.Transition) }},
		{"template", func(r row) string { return r.TemplateName }},
		{"provisioner", func(r row) string { return r.DaemonName }},
		{"started at", func(r row) string { return timeCell(r.StartedAt) }},
		{"state", func(r row) string { return r.State }},
		{"what", lostStateCell},
		{"attempt", func(r row) string { return r.AttemptID.String() }},
	}, defaults: []string{"number", "workspace", "build", "provisioner", "started at", "state", "what", "attempt"}}
}

// lostStateCell says what became of a state.
func lostStateCell(r client.RecoveryReport) string {
	switch r.State {
	case client.LostAwaited:
		return "its provisioner has not handed it in yet"
	case client.LostRunning:
		return "its engine may still run"
	case client.LostNone:
		return "it made nothing"
	case client.LostCurrent:
		return "the current state of its workspace"
	case client.LostSalvage:
		return "the next build merges it"
	case client.LostKept:
		return "the workspace is not known any more"
	case client.LostSuperseded:
		return "a later one is there"
	}
	return ""
}

func (o *provisionerRecoveryOptions) show(ctx context.Context) error {
	c, org, err := o.env.clientAndOrganization(ctx, o.organization)
	if err != nil {
		return err
	}
	r, err := wholeRecovery(ctx, c, org)
	if err != nil {
		return recoveryError("see what the database lacks of", org, err)
	}
	if o.list.format != "json" {
		o.env.printRecovery(org, r)
	}
	if len(r.Reports) == 0 && o.list.format != "json" {
		return nil
	}
	return printList(o.env, o.list, recoveryTable(), r.Reports, any(r), "")
}

// wholeRecovery reads all pages of the reports.
func wholeRecovery(ctx context.Context, c *client.Client, org client.Organization) (client.Recovery, error) {
	all := []client.RecoveryReport{}
	for {
		r, err := c.Recovery(ctx, org.ID.String(), client.Page{Limit: client.MaxRecoveryReports, Offset: len(all)})
		if err != nil {
			return r, err
		}
		all = append(all, r.Reports...)
		if len(r.Reports) == 0 || len(all) >= r.ReportsCount {
			r.Reports = all
			return r, nil
		}
	}
}

// printRecovery says in sentences where a recovery is.
func (e *Env) printRecovery(org client.Organization, r client.Recovery) {
	switch {
	case r.StartedAt == nil:
		e.outf("The database has all that the provisioners of %s remember.\n", org.Name)
		return
	case r.Recovering:
		e.outf("The database is an older copy, which was noticed at %s: no build of %s starts until it is known what it lacks.\n", r.StartedAt.Format(time.RFC3339), org.Name)
	case r.EndedBy != "":
		e.outf("The builds of %s start again since %s, when %s ended the recovery from an older copy of the database.\n", org.Name, r.EndedAt.Format(time.RFC3339), r.EndedBy)
	default:
		e.outf("The builds of %s start again since %s, when all was known that an older copy of the database had lacked.\n", org.Name, r.EndedAt.Format(time.RFC3339))
	}
	e.outf("It knew builds up to number %d, and provisioners remember them up to number %d.\n", r.CopyNumber, r.Witnessed)
	if r.MissingCount == 0 {
		return
	}
	numbers := make([]string, len(r.Missing))
	for i, n := range r.Missing {
		numbers[i] = strconv.FormatInt(n, 10)
	}
	text := strings.Join(numbers, ", ")
	if more := r.MissingCount - int64(len(r.Missing)); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	e.outf("Of these builds no provisioner has told: number %s.\n", text)
	if r.Recovering {
		e.outf("Start the provisioners that ran them with the spools that they had. Where those are gone: coder provisioner recovery end --org %s\n", org.Name)
	}
}

func newProvisionerRecoveryState(env *Env) *cobra.Command {
	o := &provisionerRecoveryOptions{env: env}
	cmd := &cobra.Command{
		Use:   "state <attempt> [file]",
		Short: "Print the Terraform state of a workspace that the database does not know",
		Long: "Print the last Terraform state of an attempt whose workspace was created after the copy from which the database was\n" +
			"restored, or write it to a file. It names all that the workspace had made, which still stands.",
		Example: "  coder provisioner recovery state 6d1a… lost.tfstate",
		Args:    rangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.attempt = args[0]
			if len(args) > 1 {
				o.file = args[1]
			}
			return o.state(cmd.Context())
		},
	}
	addOrganization(cmd.Flags(), &o.organization)
	return cmd
}

func (o *provisionerRecoveryOptions) state(ctx context.Context) error {
	id, err := uuid.Parse(o.attempt)
	if err != nil {
		return fmt.Errorf("%q is not the id of an attempt: see `coder provisioner recovery`", o.attempt)
	}
	c, org, err := o.env.clientAndOrganization(ctx, o.organization)
	if err != nil {
		return err
	}
	state, err := c.LostState(ctx, org.ID.String(), id)
	if client.IsNotFound(err) {
		return fmt.Errorf("the organization %s keeps no state of the attempt %s, or you may not change its templates: see `coder provisioner recovery`", org.Name, id)
	}
	if err != nil {
		return fmt.Errorf("read the state of the attempt %s: %w", id, err)
	}
	if o.file == "" {
		_, err = o.env.Stdout.Write(state)
		return err
	}
	if err := os.WriteFile(o.file, state, 0o600); err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	o.env.errf("The state of the attempt %s is in %s.\n", id, o.file)
	return nil
}

func newProvisionerRecoveryEnd(env *Env) *cobra.Command {
	o := &provisionerRecoveryOptions{env: env}
	cmd := &cobra.Command{
		Use:   "end",
		Short: "Let builds start although something is missing",
		Long: "Let builds start although something is missing. A build of a workspace whose newest state has not come starts from an\n" +
			"older one, and may make again what is there. What comes later is kept as salvage, which the next build merges.",
		Args: exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.end(cmd.Context()) },
	}
	addOrganization(cmd.Flags(), &o.organization)
	addYes(cmd, &o.yes)
	addFormat(cmd, &o.format, "text", "json")
	return cmd
}

func (o *provisionerRecoveryOptions) end(ctx context.Context) error {
	c, org, err := o.env.clientAndOrganization(ctx, o.organization)
	if err != nil {
		return err
	}
	r, err := c.Recovery(ctx, org.ID.String(), client.Page{Limit: 1})
	if err != nil {
		return recoveryError("end the recovery of", org, err)
	}
	if !r.Recovering {
		return fmt.Errorf("the organization %s is in no recovery: its builds start", org.Name)
	}
	question := fmt.Sprintf("Of %d builds no provisioner has told, and the states of %d have not come. Start builds of %s without them?", r.MissingCount, r.AwaitedCount, org.Name)
	if err := o.env.confirm(ctx, o.yes, question, false); err != nil {
		return err
	}
	ended, err := c.EndRecovery(ctx, org.ID.String())
	if err != nil {
		return recoveryError("end the recovery of", org, err)
	}
	if o.format == "json" {
		return o.env.printJSON(ended)
	}
	o.env.outf("The builds of %s start again.\n", org.Name)
	return nil
}

func recoveryError(what string, org client.Organization, err error) error {
	if client.IsNotFound(err) {
		return fmt.Errorf("you may not %s the organization %s: ask one of its administrators", what, org.Name)
	}
	return fmt.Errorf("%s the organization %s: %w", what, org.Name, err)
}
