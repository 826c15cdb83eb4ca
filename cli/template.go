package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"coder/client"
)

func newTemplates(env *Env) *cobra.Command {
	return group("templates", "Manage templates", []string{"template"},
		newTemplateInit(env), newTemplatePush(env), newTemplatePull(env), newTemplateList(env), newTemplateEdit(env),
		newTemplateDelete(env), newTemplateVersions(env), newTemplateArchive(env), newTemplatePermissions(env), newTemplatePresets(env), newTemplateCreate(env))
}

// template finds a template of an organization by name.
func (e *Env) template(ctx context.Context, c *client.Client, org client.Organization, name string) (client.Template, error) {
	t, err := c.TemplateByName(ctx, org.ID.String(), name)
	if client.IsNotFound(err) {
		return t, fmt.Errorf("there is no template %q in the organization %s: see `coder templates list`", name, org.Name)
	}
	return t, err
}

func templateTable() table[client.Template] {
	type template = client.Template
	return table[template]{
		columns: []column[template]{
			{"name", func(t template) string { return t.Name }},
			{"created at", func(t template) string { return timeCell(t.CreatedAt) }},
			{"last updated", func(t template) string { return timeCell(t.UpdatedAt) }},
			{"organization id", func(t template) string { return t.OrganizationID.String() }},
			{"organization name", func(t template) string { return t.OrganizationName }},
			{"provisioner", func(t template) string { return t.Provisioner }},
			{"active version id", func(t template) string { return t.ActiveVersionID.String() }},
			{"used by", usedByCell},
			{"default ttl", func(t template) string { return (time.Duration(t.DefaultTTLMS) * time.Millisecond).String() }},
		},
		defaults: []string{"name", "organization name", "last updated", "used by"},
	}
}

func usedByCell(t client.Template) string {
	switch n := t.ActiveUserCount; {
	case n < 0:
		return "Loading..."
	case n == 1:
		return "1 developer"
	default:
		return strconv.Itoa(n) + " developers"
	}
}

type templateListOptions struct {
	env  *Env
	list listOptions
}

func newTemplateList(env *Env) *cobra.Command {
	o := &templateListOptions{env: env}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the templates of all your organizations",
		Args:  exactArgs(0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	addList(cmd, &o.list, templateTable())
	return cmd
}

func (o *templateListOptions) run(ctx context.Context) error {
	c, err := o.env.Client()
	if err != nil {
		return err
	}
	templates, err := c.Templates(ctx, "")
	if err != nil {
		return err
	}
	return printList(o.env, o.list, templateTable(), templates, templates, "No templates found. Make one with `coder templates init` and `coder templates push`.")
}

type templateDeleteOptions struct {
	env          *Env
	organization string
	names        []string
	yes          bool
}

func newTemplateDelete(env *Env) *cobra.Command {
	o := &templateDeleteOptions{env: env}
	cmd := &cobra.Command{
		Use:   "delete [name...]",
		Short: "Delete templates that no workspace uses",
		Args:  rangeArgs(0, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.names = args
			return o.run(cmd.Context())
		},
	}
	addOrganization(cmd.Flags(), &o.organization)
	addYes(cmd, &o.yes)
	return cmd
}

func (o *templateDeleteOptions) run(ctx context.Context) error {
	c, org, err := o.env.clientAndOrganization(ctx, o.organization)
	if err != nil {
		return err
	}
	templates, err := o.env.templates(ctx, c, org, o.names)
	if err != nil {
		return err
	}
	if err := o.env.confirm(ctx, o.yes, fmt.Sprintf("Delete these templates: %s?", templateNames(templates)), false); err != nil {
		return err
	}
	for _, t := range templates {
		if err := c.DeleteTemplate(ctx, t.ID); err != nil {
			return fmt.Errorf("delete the template %s: %w", t.Name, err)
		}
		o.env.outf("Deleted template %s at %s!\n", t.Name, o.env.stamp())
	}
	return nil
}

func templateNames(templates []client.Template) string {
	names := make([]string, len(templates))
	for i, t := range templates {
		names[i] = t.Name
	}
	return strings.Join(names, ", ")
}

// templates finds the named templates of an organization, or asks for one.
func (e *Env) templates(ctx context.Context, c *client.Client, org client.Organization, names []string) ([]client.Template, error) {
	templates := make([]client.Template, 0, len(names))
	for _, name := range names {
		t, err := e.template(ctx, c, org, name)
		if err != nil {
			return nil, err
		}
		templates = append(templates, t)
	}
	if len(names) > 0 {
		return templates, nil
	}
	all, err := c.OrganizationTemplates(ctx, org.ID.String())
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("the organization %s has no templates", org.Name)
	}
	choices := make([]choice, len(all))
	for i, t := range all {
		choices[i] = choice{text: t.Name, about: t.DisplayName}
	}
	picked, err := e.choose(ctx, "Template:", "name the template", choices, -1)
	if err != nil {
		return nil, err
	}
	return all[picked : picked+1], nil
}

type templateEditOptions struct {
	env          *Env
	organization string
	name         string
	yes          bool
	format       string

	newName, displayName, description, icon, deprecated string
	defaultTTL, activityBump, autostopReminder          time.Duration
	failureTTL, dormancyThreshold, dormancyAutoDeletion time.Duration
	autostartDays, autostopDays                         []string
	autostopWeeks                                       int64
	agentsAllowed, allowCancel, allowStart, allowStop   bool
	requireActiveVersion, private                       bool

	changed func(string) bool
}

func newTemplateEdit(env *Env) *cobra.Command {
	o := &templateEditOptions{env: env}
	cmd := &cobra.Command{
		Use:   "edit <template>",
		Short: "Change what is said of a template and how its workspaces are scheduled; flags that are not given keep what is",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name, o.changed = args[0], cmd.Flags().Changed
			return o.run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.newName, "name", "", "New name")
	f.StringVar(&o.displayName, "display-name", "", "New display name")
	f.StringVar(&o.description, "description", "", "New description")
	f.StringVar(&o.deprecated, "deprecated", "", `Deprecate the template with this message; "" lifts it`)
	f.StringVar(&o.icon, "icon", "", "New icon")
	f.DurationVar(&o.defaultTTL, "default-ttl", 0, "After how long new workspaces stop by themselves; 0 is never")
	f.DurationVar(&o.activityBump, "activity-bump", 0, "How much time activity adds to the deadline; 0 is none")
	f.DurationVar(&o.autostopReminder, "autostop-reminder", 0, "How long before the deadline to send a reminder; 0 is none")
	f.StringSliceVar(&o.autostartDays, "autostart-requirement-weekdays", nil, "Days on which workspaces may start by themselves, or all")
	f.StringSliceVar(&o.autostopDays, "autostop-requirement-weekdays", nil, "Days on which workspaces must stop, or none")
	f.Int64Var(&o.autostopWeeks, "autostop-requirement-weeks", 0, "Every how many weeks they must stop on those days")
	f.DurationVar(&o.failureTTL, "failure-ttl", 0, "After how long failed workspaces are cleaned up; 0 is never")
	f.DurationVar(&o.dormancyThreshold, "dormancy-threshold", 0, "After how long unused workspaces become dormant; 0 is never")
	f.DurationVar(&o.dormancyAutoDeletion, "dormancy-auto-deletion", 0, "After how long dormant workspaces are deleted; 0 is never")
	f.BoolVar(&o.agentsAllowed, "agents-allowed", true, "Accepted for compatibility")
	f.BoolVar(&o.allowCancel, "allow-user-cancel-workspace-jobs", true, "Users may cancel builds of their workspaces")
	f.BoolVar(&o.allowStart, "allow-user-autostart", true, "Users may schedule automatic starts")
	f.BoolVar(&o.allowStop, "allow-user-autostop", true, "Users may schedule automatic stops")
	f.BoolVar(&o.requireActiveVersion, "require-active-version", false, "Builds must be of the active version")
	f.BoolVar(&o.private, "private", false, "Take the template away from the group of all members")
	addOrganization(f, &o.organization)
	addYes(cmd, &o.yes)
	addFormat(cmd, &o.format, "text", "json")
	return cmd
}

func (o *templateEditOptions) run(ctx context.Context) error {
	req, err := o.request()
	if err != nil {
		return err
	}
	c, org, err := o.env.clientAndOrganization(ctx, o.organization)
	if err != nil {
		return err
	}
	t, err := o.env.template(ctx, c, org, o.name)
	if err != nil {
		return err
	}
	if o.changed("autostop-requirement-weeks") && req.AutostopRequirement != nil && !o.changed("autostop-requirement-weekdays") {
		req.AutostopRequirement.DaysOfWeek = t.AutostopRequirement.DaysOfWeek
	}
	if t, err = c.UpdateTemplate(ctx, t.ID, req); err != nil {
		return fmt.Errorf("change the template: %w", err)
	}
	if o.format == "json" {
		return o.env.printJSON(t)
	}
	o.env.outf("Updated template metadata at %s!\n", o.env.stamp())
	return nil
}

// request holds the flags that were given, and nothing else.
func (o *templateEditOptions) request() (client.UpdateTemplateRequest, error) {
	req := client.UpdateTemplateRequest{}
	given := false
	text := func(flag string, from *string, to **string) {
		if o.changed(flag) {
			*to, given = from, true
		}
	}
	millis := func(flag string, from time.Duration, to **int64) {
		if o.changed(flag) {
			*to, given = new(from.Milliseconds()), true
		}
	}
	yesno := func(flag string, from *bool, to **bool) {
		if o.changed(flag) {
			*to, given = from, true
		}
	}
	text("name", &o.newName, &req.Name)
	text("display-name", &o.displayName, &req.DisplayName)
	text("description", &o.description, &req.Description)
	text("icon", &o.icon, &req.Icon)
	text("deprecated", &o.deprecated, &req.DeprecationMessage)
	millis("default-ttl", o.defaultTTL, &req.DefaultTTLMS)
	millis("activity-bump", o.activityBump, &req.ActivityBumpMS)
	millis("autostop-reminder", o.autostopReminder, &req.TimeTilAutostopNotifyMS)
	millis("failure-ttl", o.failureTTL, &req.FailureTTLMS)
	millis("dormancy-threshold", o.dormancyThreshold, &req.TimeTilDormantMS)
	millis("dormancy-auto-deletion", o.dormancyAutoDeletion, &req.TimeTilDormantAutoDeleteMS)
	yesno("allow-user-cancel-workspace-jobs", &o.allowCancel, &req.AllowUserCancelWorkspaceJobs)
	yesno("allow-user-autostart", &o.allowStart, &req.AllowUserAutostart)
	yesno("allow-user-autostop", &o.allowStop, &req.AllowUserAutostop)
	yesno("require-active-version", &o.requireActiveVersion, &req.RequireActiveVersion)
	yesno("private", &o.private, &req.DisableEveryoneGroupAccess)
	if o.changed("agents-allowed") {
		given = true
	}
	if o.changed("autostart-requirement-weekdays") {
		days, err := weekdays(o.autostartDays, "all")
		if err != nil {
			return req, err
		}
		req.AutostartRequirement, given = &client.AutostartRequirement{DaysOfWeek: days}, true
	}
	if o.changed("autostop-requirement-weekdays") || o.changed("autostop-requirement-weeks") {
		days, err := weekdays(o.autostopDays, "none")
		if err != nil {
			return req, err
		}
		req.AutostopRequirement, given = &client.AutostopRequirement{DaysOfWeek: days, Weeks: o.autostopWeeks}, true
	}
	if !given {
		return req, errors.New("nothing to change: give at least one flag, see `coder templates edit --help`")
	}
	if req.Name != nil {
		return req, client.CheckName(client.NameTemplate, *req.Name)
	}
	return req, nil
}

// weekdays reads a list of days, or the one word that stands for a whole list.
func weekdays(days []string, word string) ([]string, error) {
	all := []string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}
	if len(days) == 1 && strings.EqualFold(days[0], word) {
		if word == "all" {
			return all, nil
		}
		return []string{}, nil
	}
	found := []string{}
	for _, day := range splitNames(days) {
		match := ""
		for _, name := range all {
			if strings.EqualFold(day, name) || strings.EqualFold(day, name[:3]) {
				match = name
			}
		}
		if match == "" {
			return nil, fmt.Errorf("%q is not a day of the week: write monday, tuesday and so on, or %s", day, word)
		}
		found = append(found, match)
	}
	return found, nil
}

type templateArchiveOptions struct {
	env          *Env
	organization string
	names        []string
	all          bool
	yes          bool
}

func newTemplateArchive(env *Env) *cobra.Command {
	o := &templateArchiveOptions{env: env}
	cmd := &cobra.Command{
		Use:   "archive [template-name...]",
		Short: "Archive versions whose import failed, or with --all every version that is not used",
		Args:  rangeArgs(0, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.names = args
			return o.run(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&o.all, "all", false, "Also versions that are fine but that nothing uses")
	addOrganization(cmd.Flags(), &o.organization)
	addYes(cmd, &o.yes)
	return cmd
}

func (o *templateArchiveOptions) run(ctx context.Context) error {
	c, org, err := o.env.clientAndOrganization(ctx, o.organization)
	if err != nil {
		return err
	}
	templates, err := o.env.templates(ctx, c, org, o.names)
	if err != nil {
		return err
	}
	if err := o.env.confirm(ctx, o.yes, fmt.Sprintf("Archive versions of these templates: %s?", templateNames(templates)), false); err != nil {
		return err
	}
	for _, t := range templates {
		done, err := c.ArchiveTemplateVersions(ctx, t.ID, client.ArchiveTemplateVersionsRequest{All: o.all})
		if err != nil {
			return fmt.Errorf("archive versions of %s: %w", t.Name, err)
		}
		o.env.outf("Archived %d versions from %s\n", len(done.ArchivedIDs), t.Name)
	}
	return nil
}

func newTemplatePresets(env *Env) *cobra.Command {
	return group("presets", "See the presets of a template", []string{"preset"}, newTemplatePresetList(env))
}

func presetTable() table[client.Preset] {
	return table[client.Preset]{
		columns: []column[client.Preset]{
			{"name", func(p client.Preset) string { return p.Name }},
			{"description", func(p client.Preset) string { return p.Description }},
			{"parameters", func(p client.Preset) string {
				return listCell(p.Parameters, func(v client.PresetParameter) string { return v.Name + "=" + v.Value })
			}},
			{"default", func(p client.Preset) string { return strconv.FormatBool(p.Default) }},
			{"desired prebuild instances", func(p client.Preset) string {
				if p.DesiredPrebuildInstances == nil {
					return "-"
				}
				return strconv.Itoa(*p.DesiredPrebuildInstances)
			}},
		},
	}
}

type templatePresetListOptions struct {
	env          *Env
	organization string
	name         string
	version      string
	list         listOptions
}

func newTemplatePresetList(env *Env) *cobra.Command {
	o := &templatePresetListOptions{env: env}
	cmd := &cobra.Command{
		Use:   "list <template>",
		Short: "List the presets of a template's version",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			return o.run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&o.version, "template-version", "", "Version (default: the active one)")
	addOrganization(cmd.Flags(), &o.organization)
	addList(cmd, &o.list, presetTable())
	return cmd
}

func (o *templatePresetListOptions) run(ctx context.Context) error {
	c, org, err := o.env.clientAndOrganization(ctx, o.organization)
	if err != nil {
		return err
	}
	t, err := o.env.template(ctx, c, org, o.name)
	if err != nil {
		return err
	}
	version, err := templateVersion(ctx, c, t, o.version)
	if err != nil {
		return err
	}
	presets, err := c.TemplateVersionPresets(ctx, version.ID)
	if err != nil {
		return err
	}
	return printList(o.env, o.list, presetTable(), presets, presets, fmt.Sprintf("No presets found for template %q and version %q.", t.Name, version.Name))
}

// templateVersion finds a version of a template by name or id; empty is the
// active one, and active and latest are those.
func templateVersion(ctx context.Context, c *client.Client, t client.Template, name string) (client.TemplateVersion, error) {
	if name == "" || name == "active" {
		return c.TemplateVersion(ctx, t.ActiveVersionID)
	}
	if name == "latest" {
		versions, err := c.TemplateVersions(ctx, t.ID, client.TemplateVersionsRequest{})
		if err != nil {
			return client.TemplateVersion{}, err
		}
		return latestVersion(versions, t)
	}
	if id, err := uuid.Parse(name); err == nil {
		v, err := c.TemplateVersion(ctx, id)
		if err == nil && (v.TemplateID == nil || *v.TemplateID != t.ID) {
			err = fmt.Errorf("the version %s is not one of the template %s", name, t.Name)
		}
		return v, err
	}
	v, err := c.TemplateVersionByName(ctx, t.ID, name)
	if client.IsNotFound(err) {
		err = fmt.Errorf("the template %s has no version %q: see `coder templates versions list %s`", t.Name, name, t.Name)
	}
	return v, err
}

func latestVersion(versions []client.TemplateVersion, t client.Template) (client.TemplateVersion, error) {
	var latest client.TemplateVersion
	for _, v := range versions {
		if v.CreatedAt.After(latest.CreatedAt) {
			latest = v
		}
	}
	if latest.ID == uuid.Nil {
		return latest, fmt.Errorf("the template %s has no versions", t.Name)
	}
	return latest, nil
}
