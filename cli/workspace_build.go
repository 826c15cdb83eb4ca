package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"coder/client"
)

// watchBuild shows a build until it is over, and returns it, or why it failed.
func (e *Env) watchBuild(ctx context.Context, c *client.Client, build client.WorkspaceBuild) (client.WorkspaceBuild, error) {
	what := fmt.Sprintf("%s of %s/%s", build.Transition, build.WorkspaceOwnerName, build.WorkspaceName)
	job, err := e.watch(ctx, watchedJob{
		what: what,
		fetch: func(ctx context.Context) (client.ProvisionerJob, *client.MatchedProvisioners, error) {
			b, err := c.WorkspaceBuild(ctx, build.ID)
			return b.Job, b.MatchedProvisioners, err
		},
		follow: followOf(c.FollowWorkspaceBuildLogs, build.ID),
		logs: func(ctx context.Context, after int64) ([]client.ProvisionerJobLog, error) {
			return c.WorkspaceBuildLogs(ctx, build.ID, after)
		},
		interrupted: e.offerCancel(c, build, what),
	})
	if err != nil {
		return build, err
	}
	if build, err = c.WorkspaceBuild(context.WithoutCancel(ctx), build.ID); err != nil {
		return build, err
	}
	return build, jobError(what, job)
}

// offerCancel asks on Ctrl-C whether the build shall go on. Without a terminal
// it goes on, and how to cancel it is said.
func (e *Env) offerCancel(c *client.Client, build client.WorkspaceBuild, what string) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		name := build.WorkspaceOwnerName + "/" + build.WorkspaceName
		e.errf("\nThe %s goes on without this command. See it with `coder logs --follow %s`, cancel it with `coder cancel %s`.\n", what, name, name)
		cancel := e.interactive()
		if cancel {
			cancel = e.confirm(ctx, false, "Cancel it now?", false) == nil
		}
		if !cancel {
			return false, nil
		}
		if err := c.CancelWorkspaceBuild(ctx, build.ID); err != nil {
			return false, fmt.Errorf("cancel the %s: %w", what, err)
		}
		e.errf("Gracefully canceling… what the engine has begun is finished first. Press Ctrl-C to leave at once.\n")
		return true, nil
	}
}

// buildOptions are those of commands that build one workspace.
type buildOptions struct {
	env        *Env
	name       string
	yes        bool
	noWait     bool
	format     string
	parameters parameterOptions
}

func (o *buildOptions) addFlags(cmd *cobra.Command, withParameters bool) {
	addYes(cmd, &o.yes)
	cmd.Flags().BoolVar(&o.noWait, "no-wait", false, "Do not wait for the build")
	if withParameters {
		o.parameters.addFlags(cmd.Flags())
	}
	addFormat(cmd, &o.format, "text", "json")
}

// report ends a command that built: with the build as JSON, or a sentence.
func (o *buildOptions) report(build client.WorkspaceBuild, done, begun string) error {
	switch {
	case o.format == "json":
		return o.env.printJSON(build)
	case o.noWait:
		o.env.outf("The %s workspace %s.\n", build.WorkspaceName, begun)
	default:
		o.env.outf("\nThe %s workspace has been %s at %s!\n", o.env.paint(o.env.Stdout, green, build.WorkspaceName), done, o.env.stamp())
	}
	return nil
}

// start builds a start of the workspace on a version, asking for what the
// version needs and nobody has said yet.
func (o *buildOptions) start(ctx context.Context, c *client.Client, w client.Workspace, version uuid.UUID) (client.WorkspaceBuild, error) {
	values, err := o.parameterValues(ctx, c, w, version)
	if err != nil {
		return client.WorkspaceBuild{}, err
	}
	return o.startWith(ctx, c, w, version, values)
}

func (o *buildOptions) startWith(ctx context.Context, c *client.Client, w client.Workspace, version uuid.UUID, values []client.BuildParameter) (client.WorkspaceBuild, error) {
	return o.build(ctx, c, w, client.CreateWorkspaceBuildRequest{
		Transition: client.TransitionStart, TemplateVersionID: &version, RichParameterValues: values, Reason: client.BuildReasonCLI,
	})
}

func (o *buildOptions) parameterValues(ctx context.Context, c *client.Client, w client.Workspace, version uuid.UUID) ([]client.BuildParameter, error) {
	declared, err := c.TemplateVersionParameters(ctx, version)
	if err != nil {
		return nil, fmt.Errorf("read the template's parameters: %w", err)
	}
	previous, err := c.WorkspaceBuildParameters(ctx, w.LatestBuild.ID)
	if err != nil {
		return nil, fmt.Errorf("read the workspace's parameters: %w", err)
	}
	return o.parameters.resolve(ctx, o.env, parameterSource{declared: declared, previous: previous, silent: o.yes})
}

func (o *buildOptions) stop(ctx context.Context, c *client.Client, w client.Workspace) (client.WorkspaceBuild, error) {
	return o.build(ctx, c, w, client.CreateWorkspaceBuildRequest{Transition: client.TransitionStop, Reason: client.BuildReasonCLI})
}

func (o *buildOptions) build(ctx context.Context, c *client.Client, w client.Workspace, req client.CreateWorkspaceBuildRequest) (client.WorkspaceBuild, error) {
	build, err := c.CreateWorkspaceBuild(ctx, w.ID, req)
	if err != nil {
		return build, fmt.Errorf("%s the workspace %s: %w", req.Transition, w.FullName(), err)
	}
	if o.noWait {
		return build, nil
	}
	return o.env.watchBuild(ctx, c, build)
}

// versionToStart is the version that a start shall have: the active one where
// the template or the workspace asks for it, else the one it has.
func versionToStart(w client.Workspace) uuid.UUID {
	if w.TemplateRequireActiveVersion || w.AutomaticUpdates == client.AutomaticUpdatesAlways {
		return w.TemplateActiveVersionID
	}
	return w.LatestBuild.TemplateVersionID
}

// runs says whether the workspace was started, well.
func runs(w client.Workspace) bool {
	return w.LatestBuild.Transition == client.TransitionStart && w.LatestBuild.Job.Status == client.JobSucceeded
}

// buildCommand is a command with one workspace and its run.
func buildCommand(use, short string, o *buildOptions, withParameters bool, run func(context.Context) error) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use + " <workspace>",
		Short: short,
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			return run(cmd.Context())
		},
	}
	o.addFlags(cmd, withParameters)
	return cmd
}

// found gives a command's run its client and workspace.
func (o *buildOptions) found(run func(context.Context, *client.Client, client.Workspace) error) func(context.Context) error {
	return func(ctx context.Context) error {
		c, w, err := o.env.clientAndWorkspace(ctx, o.name)
		if err != nil {
			return err
		}
		return run(ctx, c, w)
	}
}

func newWorkspaceStart(env *Env) *cobra.Command {
	o := &buildOptions{env: env}
	return buildCommand("start", "Start a workspace", o, true, o.found(o.runStart))
}

func (o *buildOptions) runStart(ctx context.Context, c *client.Client, w client.Workspace) error {
	if runs(w) {
		o.env.errf("The %s workspace is already running.\n", w.Name)
		if o.format == "json" {
			return o.env.printJSON(w.LatestBuild)
		}
		return nil
	}
	if w.DormantAt != nil {
		if err := c.UpdateWorkspaceDormancy(ctx, w.ID, client.UpdateWorkspaceDormancyRequest{}); err != nil {
			return fmt.Errorf("wake the workspace: %w", err)
		}
		o.env.errf("The workspace was dormant; it is awake again.\n")
	}
	build, err := o.start(ctx, c, w, versionToStart(w))
	if err != nil {
		return err
	}
	return o.report(build, "started", "is being started")
}

func newWorkspaceStop(env *Env) *cobra.Command {
	o := &buildOptions{env: env}
	return buildCommand("stop", "Stop a workspace", o, false, o.found(o.runStop))
}

func (o *buildOptions) runStop(ctx context.Context, c *client.Client, w client.Workspace) error {
	if err := o.env.confirm(ctx, o.yes, "Confirm stop workspace?", true); err != nil {
		return err
	}
	build, err := o.stop(ctx, c, w)
	if err != nil {
		return err
	}
	return o.report(build, "stopped", "is being stopped")
}

func newWorkspaceRestart(env *Env) *cobra.Command {
	o := &buildOptions{env: env}
	cmd := buildCommand("restart", "Stop and start a workspace", o, true, o.found(o.runRestart))
	_ = cmd.Flags().MarkHidden("no-wait")
	return cmd
}

func (o *buildOptions) runRestart(ctx context.Context, c *client.Client, w client.Workspace) error {
	if err := o.env.confirm(ctx, o.yes, "Restart workspace?", true); err != nil {
		return err
	}
	build, err := o.stopAndStart(ctx, c, w, versionToStart(w))
	if err != nil {
		return err
	}
	return o.report(build, "restarted", "is being restarted")
}

// stopAndStart stops what is not stopped yet, then starts. Values are asked
// for first, so that nothing is stopped in vain.
func (o *buildOptions) stopAndStart(ctx context.Context, c *client.Client, w client.Workspace, version uuid.UUID) (client.WorkspaceBuild, error) {
	values, err := o.parameterValues(ctx, c, w, version)
	if err != nil {
		return client.WorkspaceBuild{}, err
	}
	if w.LatestBuild.Transition == client.TransitionStart {
		wait := *o
		wait.noWait = false
		if _, err := wait.stop(ctx, c, w); err != nil {
			return client.WorkspaceBuild{}, err
		}
	}
	return o.startWith(ctx, c, w, version, values)
}

func newWorkspaceUpdate(env *Env) *cobra.Command {
	o := &buildOptions{env: env}
	return buildCommand("update", "Move a workspace to the template's active version", o, true, o.found(o.runUpdate))
}

func (o *buildOptions) runUpdate(ctx context.Context, c *client.Client, w client.Workspace) error {
	if !w.Outdated && !o.parameters.alwaysPrompt && !o.parameters.any() {
		o.env.errf("Workspace is up-to-date.\n")
		if o.format == "json" {
			return o.env.printJSON(w.LatestBuild)
		}
		return nil
	}
	build, err := o.stopAndStart(ctx, c, w, w.TemplateActiveVersionID)
	if err != nil {
		return err
	}
	return o.report(build, "updated", "is being updated")
}

// any says whether a value was given or shall be asked for.
func (o *parameterOptions) any() bool {
	return len(o.values) > 0 || o.file != "" || len(o.ephemeral) > 0 || len(o.buildOptions) > 0 || o.promptEphemeral || o.promptOptions
}

type workspaceDeleteOptions struct {
	buildOptions
	orphan bool
}

func newWorkspaceDelete(env *Env) *cobra.Command {
	o := &workspaceDeleteOptions{buildOptions: buildOptions{env: env}}
	cmd := buildCommand("delete", "Delete a workspace and destroy what it is made of", &o.buildOptions, false, o.found(o.run))
	cmd.Flags().BoolVar(&o.orphan, "orphan", false, "Destroy nothing: what the workspace is made of stays, and nobody keeps account of it; for template administrators")
	return cmd
}

func (o *workspaceDeleteOptions) run(ctx context.Context, c *client.Client, w client.Workspace) error {
	idle := o.env.Now().Sub(w.LastUsedAt)
	o.env.errf("%s was last used %s.\n", w.FullName(), lastUsed(idle))
	if o.orphan {
		o.env.warnf("with --orphan nothing is destroyed: find and remove what the workspace is made of yourself")
	}
	if err := o.env.confirm(ctx, o.yes, "Confirm delete workspace?", false); err != nil {
		return err
	}
	build, err := o.build(ctx, c, w, client.CreateWorkspaceBuildRequest{
		Transition: client.TransitionDelete, Orphan: o.orphan, Reason: client.BuildReasonCLI,
	})
	if err != nil {
		return err
	}
	switch {
	case o.format == "json":
		return o.env.printJSON(build)
	case o.noWait:
		o.env.outf("%s is being deleted.\n", w.FullName())
	default:
		o.env.outf("\n%s has been deleted at %s!\n", w.FullName(), o.env.stamp())
	}
	return nil
}

func lastUsed(idle time.Duration) string {
	switch days := int(idle / (24 * time.Hour)); {
	case days < 1:
		return "today"
	case days == 1:
		return "a day ago"
	default:
		return fmt.Sprintf("%d days ago", days)
	}
}

func newWorkspaceCancel(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "cancel <workspace>",
		Short: "Cancel the build that a workspace is in: gently the first time, hard the second",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			c, w, err := env.clientAndWorkspace(ctx, args[0])
			if err != nil {
				return err
			}
			if w.LatestBuild.Job.Ended() {
				return fmt.Errorf("no build of %s is running: the last one %s", w.FullName(), endOf(w.LatestBuild.Job.Status))
			}
			if err := c.CancelWorkspaceBuild(ctx, w.LatestBuild.ID); err != nil {
				return fmt.Errorf("cancel the build: %w", err)
			}
			env.outf("The %s of %s is being canceled.\n", w.LatestBuild.Transition, w.FullName())
			return nil
		},
	}
}

// endOf is the end of a job in a sentence.
func endOf(status string) string {
	if status == client.JobCanceled {
		return "was canceled"
	}
	return "has " + status
}

type workspaceLogsOptions struct {
	env    *Env
	name   string
	follow bool
	number int64
}

func newWorkspaceLogs(env *Env) *cobra.Command {
	o := &workspaceLogsOptions{env: env}
	cmd := &cobra.Command{
		Use:   "logs <workspace>",
		Short: "Print the log of a build",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			return o.run(cmd.Context())
		},
	}
	cmd.Flags().BoolVarP(&o.follow, "follow", "f", false, "Go on until the build is over")
	cmd.Flags().Int64VarP(&o.number, "build-number", "n", 0, "Number of the build; negative ones count from the last (default: the last)")
	return cmd
}

func (o *workspaceLogsOptions) run(ctx context.Context) error {
	c, w, err := o.env.clientAndWorkspace(ctx, o.name)
	if err != nil {
		return err
	}
	build, err := buildByNumber(ctx, c, w, o.number)
	if err != nil {
		return err
	}
	if o.follow {
		for row, err := range c.FollowWorkspaceBuildLogs(ctx, build.ID, 0) {
			if err != nil {
				return err
			}
			o.print(row)
		}
		return nil
	}
	rows, err := c.WorkspaceBuildLogs(ctx, build.ID, 0)
	if err != nil {
		return err
	}
	for _, row := range rows {
		o.print(row)
	}
	o.env.warnOfOverflow(build.Job)
	if len(rows) == 0 {
		o.env.errf("Build %d of %s has no log yet.\n", build.BuildNumber, w.FullName())
	}
	return nil
}

func (o *workspaceLogsOptions) print(row client.ProvisionerJobLog) {
	if line, shown := o.env.logLine(row); shown {
		o.env.outf("%s\n", line)
	}
}

// buildByNumber finds a build; 0 is the latest, -1 the one before, and so on.
func buildByNumber(ctx context.Context, c *client.Client, w client.Workspace, number int64) (client.WorkspaceBuild, error) {
	if number == 0 {
		return w.LatestBuild, nil
	}
	if number < 0 {
		number += w.LatestBuild.BuildNumber
	}
	if number < 1 || number > w.LatestBuild.BuildNumber {
		return client.WorkspaceBuild{}, fmt.Errorf("%s has builds 1 to %d", w.FullName(), w.LatestBuild.BuildNumber)
	}
	return c.WorkspaceBuildByNumber(ctx, w.OwnerName, w.Name, number)
}

// buildFailed tells what is left of a workspace whose first build failed.
func buildFailed(w client.Workspace, err error) error {
	if errors.Is(err, errSilent) {
		return err
	}
	return fmt.Errorf("%w\nThe workspace %s is there all the same: look at it with `coder show %s`, try again with `coder start %s`, or remove it with `coder delete %s`",
		err, w.FullName(), w.Name, w.Name, w.Name)
}
