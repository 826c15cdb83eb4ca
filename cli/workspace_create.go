package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"coder/client"
)

type workspaceCreateOptions struct {
	env              *Env
	organization     string
	organizationFlag bool
	owner, name      string
	template         string
	version          string
	preset           string
	startAt          string
	stopAfter        time.Duration
	automaticUpdates string
	copyFrom         string
	noWait           bool
	yes              bool
	format           string
	parameters       parameterOptions
}

func newWorkspaceCreate(env *Env) *cobra.Command {
	o := &workspaceCreateOptions{env: env}
	cmd := &cobra.Command{
		Use:   "create [workspace]",
		Short: "Make a workspace of a template",
		Example: "  coder create dev1-box --template docker --org data-platform\n" +
			"  coder create ci-box --template docker --parameter region=eu --yes   # unattended",
		Args: rangeArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name, o.organizationFlag = strings.Join(args, ""), cmd.Flags().Changed("org")
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.template, "template", "t", "", "Template")
	f.StringVar(&o.version, "template-version", "", "Version of the template, by name or id (default: the active one)")
	f.StringVar(&o.preset, "preset", "", "Preset of the template; none for no preset")
	f.StringVar(&o.startAt, "start-at", "", "When to start by itself, such as \"9:30AM Mon-Fri Europe/Dublin\"")
	f.DurationVar(&o.stopAfter, "stop-after", 0, "After how long to stop by itself (default: as the template says)")
	o.automaticUpdates = client.AutomaticUpdatesNever
	f.Var(&choiceValue{into: &o.automaticUpdates, valid: []string{client.AutomaticUpdatesAlways, client.AutomaticUpdatesNever}}, "automatic-updates", "Whether starts move to the active version")
	f.StringVar(&o.copyFrom, "copy-parameters-from", "", "Workspace whose parameter values to propose")
	f.BoolVar(&o.noWait, "no-wait", false, "Do not wait for the build")
	for flag, variable := range map[string]string{
		"template": "CODER_TEMPLATE_NAME", "template-version": "CODER_TEMPLATE_VERSION", "preset": "CODER_PRESET_NAME",
		"start-at": "CODER_WORKSPACE_START_AT", "stop-after": "CODER_WORKSPACE_STOP_AFTER",
		"automatic-updates": "CODER_WORKSPACE_AUTOMATIC_UPDATES", "copy-parameters-from": "CODER_WORKSPACE_COPY_PARAMETERS_FROM",
		"no-wait": "CODER_CREATE_NO_WAIT",
	} {
		fromEnv(f, flag, variable)
	}
	o.parameters.addFlags(f)
	addOrganization(f, &o.organization)
	addYes(cmd, &o.yes)
	addFormat(cmd, &o.format, "text", "json")
	return cmd
}

func (o *workspaceCreateOptions) run(ctx context.Context) error {
	req, err := o.schedule()
	if err != nil {
		return err
	}
	c, err := o.env.Client()
	if err != nil {
		return err
	}
	if err := o.checkName(ctx, c); err != nil {
		return err
	}
	source, err := o.copySource(ctx, c)
	if err != nil {
		return err
	}
	t, err := o.findTemplate(ctx, c, source)
	if err != nil {
		return err
	}
	version, err := templateVersion(ctx, c, t, o.version)
	if err != nil {
		return err
	}
	if err := o.checkExternalAuth(ctx, c, version); err != nil {
		return err
	}
	if err := o.fill(ctx, c, t, version, source, &req); err != nil {
		return err
	}
	if err := o.preview(ctx, c, version, req); err != nil {
		return err
	}
	if err := o.env.confirm(ctx, o.yes, "Confirm create?", true); err != nil {
		return err
	}
	return o.create(ctx, c, t, req)
}

// schedule is what the flags say of starts and stops.
func (o *workspaceCreateOptions) schedule() (client.CreateWorkspaceRequest, error) {
	req := client.CreateWorkspaceRequest{AutomaticUpdates: o.automaticUpdates}
	if o.startAt != "" {
		cron, err := parseSchedule(o.env, strings.Fields(o.startAt))
		if err != nil {
			return req, err
		}
		req.AutostartSchedule = &cron
	}
	if o.stopAfter < 0 || (o.stopAfter > 0 && o.stopAfter < time.Minute) {
		return req, fmt.Errorf("--stop-after %s is too short: it must be a minute at least", o.stopAfter)
	}
	if o.stopAfter > 0 {
		req.TTLMillis = new(o.stopAfter.Milliseconds())
	}
	return req, nil
}

// checkName asks for a name where none is given, and refuses one that cannot
// be before anything else is asked.
func (o *workspaceCreateOptions) checkName(ctx context.Context, c *client.Client) (err error) {
	if o.name == "" {
		o.name, err = o.env.ask(ctx, question{text: "Name of the workspace:", instead: "name the workspace", check: checkName(client.NameWorkspace)})
		if err != nil {
			return err
		}
	}
	if o.owner, o.name, err = splitWorkspace(o.name); err != nil {
		return err
	}
	if err := client.CheckName(client.NameWorkspace, o.name); err != nil {
		return err
	}
	_, err = c.WorkspaceByOwnerAndName(ctx, o.owner, o.name)
	if err == nil {
		return fmt.Errorf("a workspace %q exists already: choose another name", o.name)
	}
	if client.IsNotFound(err) {
		return nil
	}
	return err
}

func (o *workspaceCreateOptions) copySource(ctx context.Context, c *client.Client) (*client.Workspace, error) {
	if o.copyFrom == "" {
		return nil, nil
	}
	w, err := o.env.workspace(ctx, c, o.copyFrom)
	return &w, err
}

// findTemplate looks in every organization that the caller may see, so that
// --org is needed only where a name is there twice.
func (o *workspaceCreateOptions) findTemplate(ctx context.Context, c *client.Client, source *client.Workspace) (client.Template, error) {
	if o.template == "" && source != nil {
		return c.Template(ctx, source.TemplateID)
	}
	templates, err := c.Templates(ctx, "deprecated:false")
	if err != nil {
		return client.Template{}, err
	}
	if o.template != "" {
		templates = slices.DeleteFunc(templates, func(t client.Template) bool { return !strings.EqualFold(t.Name, o.template) })
	}
	all := slices.Clone(templates)
	if o.organization != "" {
		org, err := o.env.organization(ctx, c, o.organization)
		if err != nil {
			return client.Template{}, err
		}
		templates = slices.DeleteFunc(templates, func(t client.Template) bool { return t.OrganizationID != org.ID })
	}
	switch {
	case len(templates) == 0:
		return client.Template{}, o.noTemplate(all)
	case len(templates) == 1:
		return templates[0], nil
	case o.template != "":
		return client.Template{}, fmt.Errorf("several organizations have a template %q: choose one with --org; they are: %s", o.template, strings.Join(organizationsOf(templates), ", "))
	}
	return o.pickTemplate(ctx, templates)
}

func organizationsOf(templates []client.Template) []string {
	names := make([]string, len(templates))
	for i, t := range templates {
		names[i] = t.OrganizationName
	}
	return names
}

func (o *workspaceCreateOptions) noTemplate(elsewhere []client.Template) error {
	from := "CODER_ORGANIZATION"
	if o.organizationFlag {
		from = "--org"
	}
	switch {
	case o.template == "" && o.organization == "":
		return errors.New("there is no template that you may use: ask a template administrator, or make one with `coder templates push`")
	case o.template == "":
		return fmt.Errorf("the organization %q, which %s names, has no template that you may use", o.organization, from)
	case len(elsewhere) > 0:
		return fmt.Errorf("the organization %q, which %s names, has no template %q; these have: %s", o.organization, from, o.template, strings.Join(organizationsOf(elsewhere), ", "))
	}
	return fmt.Errorf("there is no template %q that you may use: see `coder templates list`", o.template)
}

func (o *workspaceCreateOptions) pickTemplate(ctx context.Context, templates []client.Template) (client.Template, error) {
	slices.SortStableFunc(templates, func(a, b client.Template) int { return b.ActiveUserCount - a.ActiveUserCount })
	choices := make([]choice, len(templates))
	for i, t := range templates {
		choices[i] = choice{text: t.Name, about: t.OrganizationName + "  " + firstOf(t.DisplayName, t.Description)}
	}
	picked, err := o.env.choose(ctx, "Template:", "give --template", choices, -1)
	if err != nil {
		return client.Template{}, err
	}
	return templates[picked], nil
}

func (o *workspaceCreateOptions) checkExternalAuth(ctx context.Context, c *client.Client, version client.TemplateVersion) error {
	needed, err := c.TemplateVersionExternalAuth(ctx, version.ID)
	if err != nil {
		return fmt.Errorf("read what the template needs to sign in to: %w", err)
	}
	for _, auth := range needed {
		if !auth.Authenticated && !auth.Optional {
			return fmt.Errorf("the template needs you to be signed in to %s: open %s, then try again", auth.DisplayName, auth.AuthenticateURL)
		}
	}
	return nil
}

// fill completes the request with version, preset and parameters.
func (o *workspaceCreateOptions) fill(ctx context.Context, c *client.Client, t client.Template, version client.TemplateVersion, source *client.Workspace, req *client.CreateWorkspaceRequest) error {
	req.Name = o.name
	if o.version == "" {
		req.TemplateID = &t.ID
	} else {
		req.TemplateVersionID = &version.ID
	}
	preset, err := o.choosePreset(ctx, c, t, version)
	if err != nil {
		return err
	}
	values := parameterSource{silent: o.yes}
	if preset != nil {
		req.TemplateVersionPresetID, values.preset = &preset.ID, preset.Parameters
	}
	if values.declared, err = c.TemplateVersionParameters(ctx, version.ID); err != nil {
		return fmt.Errorf("read the template's parameters: %w", err)
	}
	if source != nil {
		if values.copied, err = c.WorkspaceBuildParameters(ctx, source.LatestBuild.ID); err != nil {
			return fmt.Errorf("read the parameters of %s: %w", source.FullName(), err)
		}
	}
	req.RichParameterValues, err = o.parameters.resolve(ctx, o.env, values)
	return err
}

// noPreset is the value of --preset that means none.
const noPreset = "none"

func (o *workspaceCreateOptions) choosePreset(ctx context.Context, c *client.Client, t client.Template, version client.TemplateVersion) (*client.Preset, error) {
	if o.preset == noPreset {
		return nil, nil
	}
	presets, err := c.TemplateVersionPresets(ctx, version.ID)
	if err != nil {
		return nil, fmt.Errorf("read the template's presets: %w", err)
	}
	choices, preset := []choice{{text: noPreset, about: "set every parameter"}}, 0
	for i, p := range presets {
		if o.preset != "" && strings.EqualFold(p.Name, o.preset) {
			return &presets[i], nil
		}
		if p.Default {
			preset = i + 1
		}
		choices = append(choices, choice{text: p.Name, about: p.Description})
	}
	if o.preset != "" {
		return nil, fmt.Errorf("the template %s has no preset %q: see `coder templates presets list %s`", t.Name, o.preset, t.Name)
	}
	if len(presets) == 0 {
		return nil, nil
	}
	picked := preset
	if !o.yes && !o.parameters.useDefaults && o.env.interactive() {
		if picked, err = o.env.choose(ctx, "Preset:", "give --preset", choices, preset); err != nil {
			return nil, err
		}
	}
	if picked == 0 {
		return nil, nil
	}
	o.env.errf("Preset %s:\n", printable(presets[picked-1].Name))
	for _, p := range presets[picked-1].Parameters {
		o.env.errf("  %s = %s\n", printable(p.Name), printable(p.Value))
	}
	return &presets[picked-1], nil
}

// preview shows what will be made. A person who is asked to confirm gets a
// plan with the very values; with --yes what the import found is enough.
func (o *workspaceCreateOptions) preview(ctx context.Context, c *client.Client, version client.TemplateVersion, req client.CreateWorkspaceRequest) error {
	if o.yes {
		resources, err := c.TemplateVersionResources(ctx, version.ID)
		if err == nil {
			o.env.showResources("Workspace Preview", resources, client.TransitionStart)
		}
		return err
	}
	o.env.errf("Planning workspace...\n")
	values := slices.Clone(req.RichParameterValues)
	if req.TemplateVersionPresetID != nil {
		presets, err := c.TemplateVersionPresets(ctx, version.ID)
		if err != nil {
			return err
		}
		values = append(values, presetValues(presets, *req.TemplateVersionPresetID)...)
	}
	job, err := c.CreateDryRun(ctx, version.ID, client.CreateDryRunRequest{WorkspaceName: o.name, RichParameterValues: values})
	if err != nil {
		return fmt.Errorf("plan the workspace: %w", err)
	}
	if job, err = o.env.watch(ctx, o.env.watchedDryRun(c, version.ID, job.ID)); err != nil {
		return err
	}
	if err := jobError("plan", job); err != nil {
		return fmt.Errorf("%w\nNothing was created", err)
	}
	resources, err := c.DryRunResources(ctx, version.ID, job.ID)
	if err == nil {
		o.env.showResources("Workspace Preview", resources, client.TransitionStart)
	}
	return err
}

func presetValues(presets []client.Preset, id uuid.UUID) []client.BuildParameter {
	values := []client.BuildParameter{}
	for _, p := range presets {
		if p.ID != id {
			continue
		}
		for _, v := range p.Parameters {
			values = append(values, client.BuildParameter(v))
		}
	}
	return values
}

// watchedDryRun is a dry-run as commands wait for it: in silence, unless it fails.
func (e *Env) watchedDryRun(c *client.Client, version, job uuid.UUID) watchedJob {
	return watchedJob{
		what:  "plan",
		quiet: true,
		fetch: func(ctx context.Context) (client.ProvisionerJob, *client.MatchedProvisioners, error) {
			j, err := c.DryRun(ctx, version, job)
			if err != nil || j.Status != client.JobPending {
				return j, nil, err
			}
			matched, err := c.DryRunMatchedProvisioners(ctx, version, job)
			return j, &matched, err
		},
		follow: func(ctx context.Context, after int64) logStream { return c.FollowDryRunLogs(ctx, version, job, after) },
		logs: func(ctx context.Context, after int64) ([]client.ProvisionerJobLog, error) {
			return c.DryRunLogs(ctx, version, job, after)
		},
		interrupted: e.cancelOnInterrupt("plan", func(ctx context.Context) error { return c.CancelDryRun(ctx, version, job) }),
	}
}

func (o *workspaceCreateOptions) create(ctx context.Context, c *client.Client, t client.Template, req client.CreateWorkspaceRequest) error {
	w, err := c.CreateWorkspace(ctx, t.OrganizationID.String(), o.owner, req)
	if err != nil {
		return fmt.Errorf("create the workspace: %w", err)
	}
	if !o.noWait {
		build, err := o.env.watchBuild(ctx, c, w.LatestBuild)
		if err != nil {
			return buildFailed(w, err)
		}
		w.LatestBuild = build
	}
	switch {
	case o.format == "json":
		if !o.noWait {
			if w, err = c.Workspace(context.WithoutCancel(ctx), w.ID); err != nil {
				return err
			}
		}
		return o.env.printJSON(w)
	case o.noWait:
		o.env.outf("The %s workspace is being created. See how with `coder logs --follow %s`.\n", w.Name, w.FullName())
	default:
		o.env.outf("\nThe %s workspace has been created at %s!\n", o.env.paint(o.env.Stdout, green, w.Name), o.env.stamp())
	}
	return nil
}
