package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"coder/client"
)

func newState(env *Env) *cobra.Command {
	return group("state", "List, read, replace and restore the Terraform states of a workspace", nil, newStateList(env), newStatePull(env), newStatePush(env), newStateRestore(env))
}

type stateOptions struct {
	env     *Env
	name    string
	file    string
	number  int64
	version int64
	noBuild bool
	yes     bool
	format  string
	list    listOptions
}

func stateTable() table[client.WorkspaceState] {
	return table[client.WorkspaceState]{columns: []column[client.WorkspaceState]{
		{"version", func(s client.WorkspaceState) string { return strconv.FormatInt(s.Version, 10) }},
		{"kind", func(s client.WorkspaceState) string { return s.Kind }},
		{"build", func(s client.WorkspaceState) string { return strconv.FormatInt(s.BuildNumber, 10) }},
		{"attempt", func(s client.WorkspaceState) string {
			if s.AttemptNumber == 0 {
				return ""
			}
			return strconv.FormatInt(s.AttemptNumber, 10)
		}},
		{"created at", func(s client.WorkspaceState) string { return timeCell(s.CreatedAt) }},
		{"size", func(s client.WorkspaceState) string { return byteSize(s.Size) }},
		{"resources", func(s client.WorkspaceState) string {
			if s.Resources == nil {
				return ""
			}
			return strconv.FormatInt(*s.Resources, 10)
		}},
		{"from", stateOrigin},
		{"fence", func(s client.WorkspaceState) string { return fmt.Sprintf("%d.%d", s.Fence, s.N) }},
		{"merged at", func(s client.WorkspaceState) string {
			if s.MergedAt == nil {
				return ""
			}
			return timeCell(*s.MergedAt)
		}},
		{"sha256", func(s client.WorkspaceState) string { return s.SHA256 }},
	}, defaults: []string{"version", "kind", "build", "attempt", "created at", "size", "resources", "from"}}
}

// stateOrigin says where a version comes from.
func stateOrigin(s client.WorkspaceState) string {
	switch {
	case s.CreatedBy != nil && s.RestoredFrom != 0:
		return fmt.Sprintf("version %d, restored by %s", s.RestoredFrom, s.CreatedBy.Username)
	case s.CreatedBy != nil:
		return "pushed by " + s.CreatedBy.Username
	case s.Merge:
		return "a merge of salvage"
	case s.Recovered && s.MergedBuildNumber == 0:
		return "a provisioner, after the database was restored"
	case s.MergedBuildNumber != 0:
		return fmt.Sprintf("a provisioner, merged for build %d", s.MergedBuildNumber)
	}
	return "a provisioner"
}

func newStateList(env *Env) *cobra.Command {
	o := &stateOptions{env: env}
	cmd := &cobra.Command{
		Use:   "list <workspace>",
		Short: "List the versions of the state, newest first",
		Long: "List the versions of a workspace's state, newest first. The current one is what the next build starts from. Salvage is what a\n" +
			"provisioner handed in after it had lost its build: the next build merges what nobody else knows of.",
		Args: exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			return o.listVersions(cmd.Context())
		},
	}
	addList(cmd, &o.list, stateTable())
	return cmd
}

func (o *stateOptions) listVersions(ctx context.Context) error {
	c, w, err := o.findWorkspace(ctx)
	if err != nil {
		return err
	}
	states, err := c.WorkspaceStates(ctx, w.ID)
	if err != nil {
		return stateRefused("list", w, err)
	}
	return printList(o.env, o.list, stateTable(), states, states, w.FullName()+" has no state yet: no build has made anything.")
}

// stateRefused says who may, where what was refused looks like what does not exist.
func stateRefused(what string, w client.Workspace, err error) error {
	may := ""
	if client.IsNotFound(err) {
		may = " (only who may change the template may)"
	}
	return fmt.Errorf("%s the state of %s%s: %w", what, w.FullName(), may, err)
}

func newStateRestore(env *Env) *cobra.Command {
	o := &stateOptions{env: env}
	cmd := &cobra.Command{
		Use:   "restore <workspace> --version N",
		Short: "Make an earlier or a salvaged version the current state",
		Long: "Make a copy of an earlier or a salvaged version the current state. Nothing is built, and no version is taken away.\n" +
			"What the current state holds and the version does not is unknown to the next build: it is neither changed nor destroyed.",
		Example: "  coder state restore dev --version 12",
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			return o.restore(cmd.Context())
		},
	}
	cmd.Flags().Int64Var(&o.version, "version", 0, "Number of the version, as coder state list shows it")
	_ = cmd.MarkFlagRequired("version")
	addYes(cmd, &o.yes)
	addFormat(cmd, &o.format, "text", "json")
	return cmd
}

func (o *stateOptions) restore(ctx context.Context) error {
	c, w, err := o.findWorkspace(ctx)
	if err != nil {
		return err
	}
	if err := o.env.confirm(ctx, o.yes, fmt.Sprintf("Make version %d the current state of %s?", o.version, w.FullName()), false); err != nil {
		return err
	}
	restored, err := c.RestoreWorkspaceState(ctx, w.ID, o.version)
	if err != nil {
		return stateRefused(fmt.Sprintf("restore version %d of", o.version), w, err)
	}
	if o.format == "json" {
		return o.env.printJSON(restored)
	}
	o.env.outf("Version %d, a copy of version %d, is the current state of %s. The next build starts from it.\n", restored.Version, o.version, w.FullName())
	return nil
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
	cmd.Flags().Int64Var(&o.version, "version", 0, "Number of the version, as coder state list shows it, instead of a build")
	cmd.MarkFlagsMutuallyExclusive("build", "version")
	return cmd
}

func (o *stateOptions) findWorkspace(ctx context.Context) (*client.Client, client.Workspace, error) {
	c, err := o.env.Client()
	if err != nil {
		return nil, client.Workspace{}, err
	}
	w, err := o.env.workspace(ctx, c, o.name)
	return c, w, err
}

func (o *stateOptions) find(ctx context.Context) (*client.Client, client.Workspace, client.WorkspaceBuild, error) {
	c, w, err := o.findWorkspace(ctx)
	if err != nil {
		return nil, w, client.WorkspaceBuild{}, err
	}
	build, err := buildByNumber(ctx, c, w, o.number)
	return c, w, build, err
}

func (o *stateOptions) pull(ctx context.Context) error {
	w, state, what, err := o.fetch(ctx)
	if err != nil {
		return err
	}
	if o.file == "" {
		_, err := o.env.Stdout.Write(state)
		return err
	}
	if err := writeFile(o.file, state, 0o600); err != nil {
		return err
	}
	o.env.errf("The state of %s of %s is in %s. It may hold secrets.\n", what, w.FullName(), o.file)
	return nil
}

// fetch reads the state that the flags name, and says which one that is.
func (o *stateOptions) fetch(ctx context.Context) (w client.Workspace, state []byte, what string, err error) {
	if o.version != 0 {
		c, w, err := o.findWorkspace(ctx)
		if err != nil {
			return w, nil, "", err
		}
		if state, err = c.WorkspaceState(ctx, w.ID, o.version); err != nil {
			err = stateRefused("read", w, err)
		}
		return w, state, fmt.Sprintf("version %d", o.version), err
	}
	c, w, build, err := o.find(ctx)
	if err != nil {
		return w, nil, "", err
	}
	if state, err = c.WorkspaceBuildState(ctx, build.ID); err != nil {
		err = stateRefused("read", w, err)
	}
	return w, state, fmt.Sprintf("build %d", build.BuildNumber), err
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
