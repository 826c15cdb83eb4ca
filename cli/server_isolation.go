package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"coder/client"
	"coder/internal/isolation"
)

type serverIsolationOptions struct {
	env    *Env
	yes    bool
	output string
}

func newServerVerifyIsolation(env *Env) *cobra.Command {
	o := &serverIsolationOptions{env: env}
	cmd := &cobra.Command{
		Use:   "verify-isolation",
		Short: "Prove on a running deployment that organizations do not see each other",
		Long: `Prove on a running deployment that organizations do not see each other.

Makes two throwaway organizations on the deployment that you are signed in to
as an owner, one with a template, a workspace, a provisioner and the like, the
other with a holder of every role. Calls every operation of the API as each of
them, on what exists in the first and on what exists nowhere, and compares the
answers byte for byte. Then calls every operation as those who may, so that no
comparison proves nothing. In the end it takes everything away again.

No engine is run and nothing of yours is touched. It takes some thousand
requests. Exits with 1 when an answer told too much or was not proven.`,
		Args: exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	addYes(cmd, &o.yes)
	addFormat(cmd, &o.output, "text", "json")
	return cmd
}

func (o *serverIsolationOptions) run(ctx context.Context) error {
	deployment, err := o.env.deploymentURL()
	if err != nil {
		return err
	}
	token, err := o.env.sessionToken(deployment)
	if err != nil {
		return err
	}
	if token == "" {
		return errors.New("you are not signed in: run coder login as an owner of the deployment")
	}
	header, err := o.env.requestHeader(deployment)
	if err != nil {
		return err
	}
	if err := o.env.confirm(ctx, o.yes, fmt.Sprintf("Make two throwaway organizations on %s and try to look into one from the other?", deployment), true); err != nil {
		return err
	}
	report, err := isolation.Run(ctx, isolation.Options{
		URL: deployment, Token: token, Header: header, Progress: func(text string) { o.env.errf("==> %s\n", text) },
	})
	if report == nil {
		return explainIsolation(err)
	}
	if err := o.print(report); err != nil {
		return err
	}
	if err != nil {
		return explainIsolation(err)
	}
	if !report.Proven() {
		return errors.New("the organizations of this deployment are not proven to be isolated: see above")
	}
	return nil
}

// explainIsolation adds what to do about the one likely reason.
func explainIsolation(err error) error {
	if status := client.StatusCode(err); status == 403 || status == 404 {
		return fmt.Errorf("only an owner of the deployment can make this check: %w", err)
	}
	return err
}

func (o *serverIsolationOptions) print(report *isolation.Report) error {
	if o.output == "json" {
		return o.env.printJSON(report)
	}
	for _, leak := range report.Leaks {
		o.env.outf("LEAK %s\n  call        %s\n  answer      %s\n  of nothing  %s\n", printable(leak.Operation), printable(leak.Call), printable(leak.Got), printable(leak.Want))
	}
	for _, unproven := range report.Unproven {
		o.env.outf("NOT PROVEN %s\n", printable(unproven))
	}
	o.env.outf("%d operations, %d answers compared, %d leaks, %d not proven.\n", report.Operations, report.Compared, len(report.Leaks), len(report.Unproven))
	return nil
}
