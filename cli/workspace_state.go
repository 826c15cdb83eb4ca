package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"coder/client"
)

func newState(env *Env) *cobra.Command {
	return group("state", "Read and replace the Terraform state of a workspace", nil, newStatePull(env), newStatePush(env))
}

type stateOptions struct {
	env     *Env
	name    string
	file    string
	number  int64
	noBuild bool
}

func newStatePull(env *Env) *cobra.Command {
	o := &stateOptions{env: env}
	cmd := &cobra.Command{
		Use:   "pull <workspace> [file]",
		Short: "Write the state to standard output, or to a file that only you can read",
		Args:  rangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			if len(args) == 2 {
				o.file = args[1]
			}
			return o.pull(cmd.Context())
		},
	}
	cmd.Flags().Int64VarP(&o.number, "build", "b", 0, "Number of the build (default: the last)")
	return cmd
}

func (o *stateOptions) find(ctx context.Context) (*client.Client, client.Workspace, client.WorkspaceBuild, error) {
	c, err := o.env.Client()
	if err != nil {
		return nil, client.Workspace{}, client.WorkspaceBuild{}, err
	}
	w, err := o.env.workspace(ctx, c, o.name)
	if err != nil {
		return nil, w, client.WorkspaceBuild{}, err
	}
	build, err := buildByNumber(ctx, c, w, o.number)
	return c, w, build, err
}

func (o *stateOptions) pull(ctx context.Context) error {
	c, w, build, err := o.find(ctx)
	if err != nil {
		return err
	}
	state, err := c.WorkspaceBuildState(ctx, build.ID)
	if err != nil {
		return fmt.Errorf("read the state of %s (only who may change the template may): %w", w.FullName(), err)
	}
	if o.file == "" {
		_, err := o.env.Stdout.Write(state)
		return err
	}
	if err := writeFileAtomic(o.file, state, 0o600); err != nil {
		return err
	}
	o.env.errf("The state of build %d of %s is in %s. It may hold secrets.\n", build.BuildNumber, w.FullName(), o.file)
	return nil
}

func newStatePush(env *Env) *cobra.Command {
	o := &stateOptions{env: env}
	cmd := &cobra.Command{
		Use:   "push <workspace> <file|->",
		Short: "Replace the state, and build the workspace with it",
		Args:  exactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name, o.file = args[0], args[1]
			return o.push(cmd.Context())
		},
	}
	cmd.Flags().Int64VarP(&o.number, "build", "b", 0, "Number of the build whose version and transition to take (default: the last)")
	cmd.Flags().BoolVarP(&o.noBuild, "no-build", "n", false, "Replace the state and build nothing")
	return cmd
}

func (o *stateOptions) push(ctx context.Context) error {
	state, err := o.read()
	if err != nil {
		return err
	}
	c, w, build, err := o.find(ctx)
	if err != nil {
		return err
	}
	if o.noBuild {
		if err := c.UpdateWorkspaceBuildState(ctx, build.ID, client.UpdateWorkspaceBuildStateRequest{State: state}); err != nil {
			return fmt.Errorf("replace the state: %w", err)
		}
		o.env.outf("The state of build %d of %s was replaced.\n", build.BuildNumber, w.FullName())
		return nil
	}
	made, err := c.CreateWorkspaceBuild(ctx, w.ID, client.CreateWorkspaceBuildRequest{
		Transition: build.Transition, TemplateVersionID: &build.TemplateVersionID, State: state, Reason: client.BuildReasonCLI,
	})
	if err != nil {
		return fmt.Errorf("build with the new state: %w", err)
	}
	if _, err := o.env.watchBuild(ctx, c, made); err != nil {
		return err
	}
	o.env.outf("\nThe state of %s was replaced at %s!\n", w.FullName(), o.env.stamp())
	return nil
}

// read takes the state from a file or standard input, and refuses what is none.
func (o *stateOptions) read() ([]byte, error) {
	var state []byte
	var err error
	if o.file == "-" {
		state, err = io.ReadAll(io.LimitReader(o.env.Stdin, client.MaxState+1))
	} else {
		state, err = os.ReadFile(o.file)
	}
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	if len(state) > client.MaxState {
		return nil, fmt.Errorf("the state has more than %d bytes, the most that one may have", client.MaxState)
	}
	if len(state) > 0 && !json.Valid(state) {
		return nil, errors.New("this is not a Terraform state: it is not JSON")
	}
	return state, nil
}
