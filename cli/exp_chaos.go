package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"coder/internal/chaos"
)

// minimumTakeover leaves time after a daemon counts as lost, which it does
// after 24 s of silence.
const minimumTakeover = 25 * time.Second

type expChaosOptions struct {
	env    *Env
	proof  chaos.Options
	seed   string
	output string
}

func newExpChaos(env *Env) *cobra.Command {
	o := &expChaosOptions{env: env}
	cmd := &cobra.Command{
		Use:   "chaos",
		Short: "Hurt a throwaway deployment while it builds, and compare what exists with what it knows",
		Long: `Hurt a throwaway deployment while it builds, and compare what exists with what it knows.

Starts a server and provisioners of this binary in a directory of their own,
on free ports of 127.0.0.1, and builds workspaces of 24 resources with real
Terraform. Each build meets a fault, which most often strikes between its first
and its last write. Afterwards every real resource must be in the workspace's
state, in a state that is kept as salvage, or named in doubt by the build, and
the workspace must be usable.

Nothing outside of that directory is touched, and no process is signaled that
this command has not started. It exits with 1 when a promise was broken, and
says with which seed it happens again. docs/jobs.md explains the table.

The faults are:
` + chaos.FaultList(),
		Example: "  coder exp chaos --runs 50\n" +
			"  coder exp chaos --runs 50 --seed 7 --fault daemon-kill --fault server-kill --keep",
		Args: exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.IntVar(&o.proof.Runs, "runs", 20, "How many builds meet a fault")
	f.StringVar(&o.seed, "seed", "", "Number that the faults, their moments and their lengths come from (default: from the time)")
	f.IntVar(&o.proof.Workspaces, "workspaces", 3, "How many build at once, each with a provisioner of its own")
	f.StringArrayVar(&o.proof.Faults, "fault", nil, "Only this fault, by its name; may be repeated")
	f.StringVar(&o.proof.PostgresURL, "postgres-url", "", "URL of an empty PostgreSQL database (default: SQLite)")
	f.DurationVar(&o.proof.Horizon, "takeover-after", 30*time.Second, "After how long of silence the server takes a build from its provisioner")
	f.BoolVar(&o.proof.Keep, "keep", false, "Leave the directory of the deployment, with the logs")
	addFormat(cmd, &o.output, "table", "json")
	return cmd
}

func (o *expChaosOptions) run(ctx context.Context) error {
	if err := o.check(); err != nil {
		return err
	}
	o.env.errf("==> Seed %d, %d runs, %d workspaces at once\n", o.proof.Seed, o.proof.Runs, o.proof.Workspaces)
	o.proof.Progress = func(text string) { o.env.errf("%s\n", printableLines(text)) }
	report, err := chaos.Run(ctx, o.proof)
	if err != nil {
		return err
	}
	if err := o.print(report); err != nil {
		return err
	}
	if len(report.Problems) > 0 {
		return errors.New(o.advice(report))
	}
	return nil
}

// check reads the seed, finds this program's own file, and refuses numbers
// that cannot be meant.
func (o *expChaosOptions) check() (err error) {
	switch {
	case o.proof.Runs < 1:
		return fmt.Errorf("--runs is %d: give at least 1", o.proof.Runs)
	case o.proof.Workspaces < 1:
		return fmt.Errorf("--workspaces is %d: give at least 1", o.proof.Workspaces)
	case o.proof.Horizon < minimumTakeover:
		return fmt.Errorf("--takeover-after is %s: give at least %s, because a provisioner counts as lost after 24s only", o.proof.Horizon, minimumTakeover)
	}
	o.proof.Seed = uint64(o.env.Now().UnixNano())
	if o.seed != "" {
		if o.proof.Seed, err = strconv.ParseUint(o.seed, 10, 64); err != nil {
			return fmt.Errorf("--seed is %q: give a whole number from 0", o.seed)
		}
	}
	if o.proof.Binary, err = os.Executable(); err != nil {
		return fmt.Errorf("find this program's own file: %w", err)
	}
	return nil
}

func (o *expChaosOptions) print(report *chaos.Report) error {
	if o.output == "json" {
		return o.env.printJSON(report)
	}
	chaosTable().print(o.env.Stdout, nil, report.Rows)
	total := report.Total()
	o.env.outf("\n%d runs on %s in %.0f s, seed %d; %.0f%% of the faults struck between the first and the last write.\n",
		total.Runs, report.Database, report.Took, report.Seed, 100*float64(total.Between)/float64(max(total.Runs, 1)))
	if report.Noticed > 0 {
		o.env.outf("Until a person reads that a provisioner is silent: p50 %.1f s, p99 %.1f s, of %d.\n", report.NoticeP50, report.NoticeP99, report.Noticed)
	}
	if len(report.LeftOut) > 0 {
		o.env.outf("Left out: %s.\n", strings.Join(report.LeftOut, "; "))
	}
	for _, p := range report.Problems {
		o.env.outf("%s in run %d (%s): %s\n", strings.ToUpper(p.Kind), p.Run, p.Fault, printableLines(p.What))
	}
	if report.Kept != "" {
		o.env.outf("Logs: %s\n", filepath.Join(report.Kept, "logs"))
	}
	return nil
}

// advice says how to see the same again.
func (o *expChaosOptions) advice(report *chaos.Report) string {
	again := fmt.Sprintf("coder exp chaos --seed %d --runs %d --workspaces %d --takeover-after %s", report.Seed, o.proof.Runs, o.proof.Workspaces, o.proof.Horizon)
	for _, name := range o.proof.Faults {
		again += " --fault " + name
	}
	if o.proof.PostgresURL != "" {
		again += " --postgres-url <url of an empty database>"
	}
	return fmt.Sprintf("promises were broken %d times, see above: the same faults come again with %q, and the logs of this time are in %s",
		len(report.Problems), again, filepath.Join(report.Kept, "logs"))
}

func chaosTable() table[chaos.Row] {
	number := func(of func(chaos.Row) int) func(chaos.Row) string {
		return func(r chaos.Row) string { return strconv.Itoa(of(r)) }
	}
	return table[chaos.Row]{columns: []column[chaos.Row]{
		{"fault", func(r chaos.Row) string { return r.Fault }},
		{"runs", number(func(r chaos.Row) int { return r.Runs })},
		{"before", number(func(r chaos.Row) int { return r.Before })},
		{"between", number(func(r chaos.Row) int { return r.Between })},
		{"after", number(func(r chaos.Row) int { return r.After })},
		{"succeeded", number(func(r chaos.Row) int { return r.Succeeded })},
		{"failed", number(func(r chaos.Row) int { return r.Failed })},
		{"in doubt", number(func(r chaos.Row) int { return r.InDoubt })},
		{"exist", number(func(r chaos.Row) int { return r.Exist })},
		{"salvaged", number(func(r chaos.Row) int { return r.Salvaged })},
		{"lost states", number(func(r chaos.Row) int { return r.LostStates })},
		{"unknown", number(func(r chaos.Row) int { return r.Unknown })},
		{"double applies", number(func(r chaos.Row) int { return r.DoubleApply })},
		{"reported", number(func(r chaos.Row) int { return r.Reported })},
		{"not ended", number(func(r chaos.Row) int { return r.NotEnded })},
		{"unusable", number(func(r chaos.Row) int { return r.Unusable })},
	}}
}

// newExpChaosObjects is the provider whose resources the proof counts; the
// engines of a throwaway deployment start it.
func newExpChaosObjects() *cobra.Command {
	return &cobra.Command{
		Use:    "chaos-objects",
		Short:  "Be the Terraform provider of the resources that chaos counts",
		Args:   exactArgs(0),
		Hidden: true,
		Run:    func(*cobra.Command, []string) { chaos.ServeObjects() },
	}
}
