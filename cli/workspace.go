package cli

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"coder/client"
)

// workspace finds a workspace by name (one's own), owner/name, or id.
func (e *Env) workspace(ctx context.Context, c *client.Client, named string) (client.Workspace, error) {
	if id, err := uuid.Parse(named); err == nil {
		w, err := c.Workspace(ctx, id)
		switch client.StatusCode(err) {
		case http.StatusGone:
			return w, fmt.Errorf("the workspace %s was deleted: see `coder list` for those that are there", named)
		case http.StatusNotFound:
			return w, noWorkspace(named)
		}
		return w, err
	}
	owner, name, err := splitWorkspace(named)
	if err != nil {
		return client.Workspace{}, err
	}
	w, err := c.WorkspaceByOwnerAndName(ctx, owner, name)
	if client.IsNotFound(err) {
		return w, noWorkspace(named)
	}
	return w, err
}

func noWorkspace(named string) error {
	return fmt.Errorf("there is no workspace %q that you may see: see `coder list --all`", named)
}

// clientAndWorkspace are what commands need that act on a workspace.
func (e *Env) clientAndWorkspace(ctx context.Context, named string) (*client.Client, client.Workspace, error) {
	c, err := e.Client()
	if err != nil {
		return nil, client.Workspace{}, err
	}
	w, err := e.workspace(ctx, c, named)
	return c, w, err
}

// splitWorkspace splits [owner/]name; without an owner it is the caller's.
func splitWorkspace(named string) (owner, name string, err error) {
	switch parts := strings.Split(named, "/"); len(parts) {
	case 1:
		return client.Me, named, nil
	case 2:
		return parts[0], parts[1], nil
	}
	return "", "", fmt.Errorf("%q is not the name of a workspace: write it as name or owner/name", named)
}

func workspaceTable(now time.Time) table[client.Workspace] {
	type workspace = client.Workspace
	return table[workspace]{
		columns: []column[workspace]{
			{"favorite", func(w workspace) string {
				if w.Favorite {
					return "★"
				}
				return ""
			}},
			{"workspace", func(w workspace) string { return w.FullName() }},
			{"organization id", func(w workspace) string { return w.OrganizationID.String() }},
			{"organization name", func(w workspace) string { return w.OrganizationName }},
			{"template", func(w workspace) string { return w.TemplateName }},
			{"status", func(w workspace) string { return capital(w.LatestBuild.Status) }},
			{"healthy", healthyCell},
			{"last built", func(w workspace) string { return age(now.Sub(w.LatestBuild.CreatedAt)) }},
			{"current version", func(w workspace) string { return w.LatestBuild.TemplateVersionName }},
			{"outdated", func(w workspace) string { return strconv.FormatBool(w.Outdated) }},
			{"starts at", func(w workspace) string { return startsAtCell(w) }},
			{"starts next", func(w workspace) string { return timePointerCell(w.NextStartAt) }},
			{"stops after", func(w workspace) string { return stopsAfterCell(w) }},
			{"stops next", func(w workspace) string { return stopsNextCell(w, now) }},
			{"daily cost", func(w workspace) string { return strconv.Itoa(w.LatestBuild.DailyCost) }},
		},
		defaults: []string{"workspace", "template", "status", "healthy", "last built", "current version", "outdated", "starts at", "stops after"},
	}
}

// healthyCell is empty where health means nothing: only what runs has any.
func healthyCell(w client.Workspace) string {
	if w.LatestBuild.Status != client.WorkspaceRunning {
		return ""
	}
	return strconv.FormatBool(w.Health.Healthy)
}

func capital(word string) string {
	if word == "" {
		return ""
	}
	return strings.ToUpper(word[:1]) + word[1:]
}

// age is a duration in the two units that matter.
func age(d time.Duration) string {
	d = max(d, 0)
	day := 24 * time.Hour
	switch {
	case d < time.Minute:
		return strconv.Itoa(int(d/time.Second)) + "s"
	case d < time.Hour:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	case d < day:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
}

// workspaceFilter is the choice of workspaces that lists take.
type workspaceFilter struct {
	all    bool
	search string
}

func (f *workspaceFilter) addFlags(cmd *cobra.Command, preset string) {
	cmd.Flags().BoolVarP(&f.all, "all", "a", false, "All workspaces that you may see")
	cmd.Flags().StringVar(&f.search, "search", preset, "Search, such as owner:me template:docker status:running")
}

func (f *workspaceFilter) find(ctx context.Context, c *client.Client) ([]client.Workspace, error) {
	query := f.search
	if f.all && query == defaultSearch {
		query = ""
	}
	found := []client.Workspace{}
	for {
		const page = 100
		next, err := c.Workspaces(ctx, client.WorkspacesRequest{Query: query, Page: client.Page{Limit: page, Offset: len(found)}})
		if err != nil {
			return nil, err
		}
		found = append(found, next.Workspaces...)
		if len(next.Workspaces) < page {
			return found, nil
		}
	}
}

// defaultSearch finds one's own workspaces.
const defaultSearch = "owner:me"

type workspaceListOptions struct {
	env    *Env
	filter workspaceFilter
	list   listOptions
}

func newWorkspaceList(env *Env) *cobra.Command {
	o := &workspaceListOptions{env: env}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List workspaces",
		Args:  exactArgs(0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	o.filter.addFlags(cmd, defaultSearch)
	addList(cmd, &o.list, workspaceTable(time.Time{}))
	return cmd
}

func (o *workspaceListOptions) run(ctx context.Context) error {
	c, err := o.env.Client()
	if err != nil {
		return err
	}
	found, err := o.filter.find(ctx, c)
	if err != nil {
		return err
	}
	return printList(o.env, o.list, workspaceTable(o.env.Now()), found, found, "No workspaces found! Create one with: coder create <name>")
}

type workspaceShowOptions struct {
	env     *Env
	name    string
	details bool
	format  string
}

func newWorkspaceShow(env *Env) *cobra.Command {
	o := &workspaceShowOptions{env: env}
	cmd := &cobra.Command{
		Use:   "show <workspace>",
		Short: "Show a workspace with its resources and agents",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			return o.run(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&o.details, "details", false, "Also show ids, schedule and metadata")
	addFormat(cmd, &o.format, "table", "json")
	return cmd
}

func (o *workspaceShowOptions) run(ctx context.Context) error {
	_, w, err := o.env.clientAndWorkspace(ctx, o.name)
	if err != nil {
		return err
	}
	if o.format == "json" {
		return o.env.printJSON(w)
	}
	build := w.LatestBuild
	o.env.outf("%s: %s, build %d of %s (%s) in %s\n", w.FullName(), build.Status, build.BuildNumber, w.TemplateName, build.TemplateVersionName, w.OrganizationName)
	if build.Job.Error != "" {
		o.env.outf("Error: %s\n", printableLines(build.Job.Error))
	}
	if build.Job.WaitReason != "" {
		o.env.outf("Waiting: %s\n", printable(build.Job.WaitReason))
	}
	if w.Refusal != nil {
		o.env.outf("Refused: %s\n", printable(refusalText(*w.Refusal)))
	}
	if o.details {
		o.printDetails(w)
	}
	if rows := resourceRows(build.Resources, ""); len(rows) > 0 {
		o.env.outf("\n")
		resourceTable(hasAgents(build.Resources)).print(o.env.Stdout, nil, rows)
	}
	return nil
}

// refusalText says why an automatic start was not made, and whether it is tried again.
func refusalText(r client.WorkspaceRefusal) string {
	if r.RetryAt != nil {
		return r.Message + " It is tried again at " + timeCell(*r.RetryAt) + "."
	}
	return r.Message
}

func (o *workspaceShowOptions) printDetails(w client.Workspace) {
	type detail struct{ name, value string }
	rows := []detail{
		{"id", w.ID.String()}, {"organization id", w.OrganizationID.String()}, {"created at", timeCell(w.CreatedAt)},
		{"last used at", timeCell(w.LastUsedAt)}, {"outdated", strconv.FormatBool(w.Outdated)},
		{"automatic updates", w.AutomaticUpdates}, {"starts at", startsAtCell(w)}, {"starts next", timePointerCell(w.NextStartAt)},
		{"stops after", stopsAfterCell(w)}, {"stops next", stopsNextCell(w, o.env.Now())},
		{"dormant since", timePointerCell(w.DormantAt)}, {"will be deleted at", timePointerCell(w.DeletingAt)}, {"daily cost", strconv.Itoa(w.LatestBuild.DailyCost)},
	}
	for _, r := range w.LatestBuild.Resources {
		for _, m := range r.Metadata {
			value := m.Value
			if m.Sensitive {
				value = "(hidden)"
			}
			rows = append(rows, detail{r.Type + "." + r.Name + " " + m.Key, value})
		}
	}
	o.env.outf("\n")
	table[detail]{columns: []column[detail]{
		{"detail", func(d detail) string { return d.name }},
		{"value", func(d detail) string { return d.value }},
	}}.print(o.env.Stdout, nil, rows)
}

type workspaceRenameOptions struct {
	env       *Env
	name, new string
	yes       bool
}

func newWorkspaceRename(env *Env) *cobra.Command {
	o := &workspaceRenameOptions{env: env}
	cmd := &cobra.Command{
		Use:   "rename <workspace> <new name>",
		Short: "Give a workspace another name",
		Args:  exactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name, o.new = args[0], args[1]
			return o.run(cmd.Context())
		},
	}
	addYes(cmd, &o.yes)
	return cmd
}

func (o *workspaceRenameOptions) run(ctx context.Context) error {
	if err := client.CheckName(client.NameWorkspace, o.new); err != nil {
		return err
	}
	c, w, err := o.env.clientAndWorkspace(ctx, o.name)
	if err != nil {
		return err
	}
	if !o.yes {
		o.env.errf("Templates may use the name for what they make: with the next build, a volume of that name can be lost.\n")
		_, err := o.env.ask(ctx, question{text: fmt.Sprintf("Type %q to rename the workspace:", w.Name), instead: "confirm with --yes", check: func(answer string) error {
			if answer != w.Name {
				return fmt.Errorf("the answer is not %q", w.Name)
			}
			return nil
		}})
		if err != nil {
			return err
		}
	}
	if err := c.UpdateWorkspace(ctx, w.ID, client.UpdateWorkspaceRequest{Name: o.new}); err != nil {
		return fmt.Errorf("rename the workspace: %w", err)
	}
	o.env.outf("The workspace %s was renamed to %s.\n", w.Name, o.new)
	return nil
}

func newWorkspaceFavorite(env *Env, favorite bool) *cobra.Command {
	use, aliases, short, done := "favorite", []string{"fav", "favourite"}, "Mark a workspace of yours, so that it is listed first", "The workspace %s is a favorite now.\n"
	if !favorite {
		use, aliases, short, done = "unfavorite", []string{"unfav", "unfavourite"}, "Unmark a workspace of yours", "The workspace %s is no favorite any more.\n"
	}
	return &cobra.Command{
		Use:     use + " <workspace>",
		Aliases: aliases,
		Short:   short,
		Args:    exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, w, err := env.clientAndWorkspace(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if err := c.SetWorkspaceFavorite(cmd.Context(), w.ID, favorite); err != nil {
				return fmt.Errorf("%s the workspace: %w", use, err)
			}
			env.outf(done, w.Name)
			return nil
		},
	}
}

type workspaceAutoupdateOptions struct {
	env          *Env
	name, policy string
	yes          bool
}

func newWorkspaceAutoupdate(env *Env) *cobra.Command {
	o := &workspaceAutoupdateOptions{env: env}
	cmd := &cobra.Command{
		Use:   "autoupdate <workspace> <always|never>",
		Short: "Say whether starts move a workspace to the template's active version",
		Args:  exactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name, o.policy = args[0], args[1]
			return o.run(cmd.Context())
		},
	}
	addYes(cmd, &o.yes)
	return cmd
}

func (o *workspaceAutoupdateOptions) run(ctx context.Context) error {
	if o.policy != client.AutomaticUpdatesAlways && o.policy != client.AutomaticUpdatesNever {
		return fmt.Errorf("%q is no policy: choose always or never", o.policy)
	}
	c, w, err := o.env.clientAndWorkspace(ctx, o.name)
	if err != nil {
		return err
	}
	if w.AutomaticUpdates == o.policy {
		o.env.outf("Automatic updates of the workspace %s are %s already.\n", w.Name, o.policy)
		return nil
	}
	if err := o.env.confirm(ctx, o.yes, fmt.Sprintf("Set automatic updates of %s to %s?", w.Name, o.policy), true); err != nil {
		return err
	}
	if err := c.UpdateWorkspaceAutomaticUpdates(ctx, w.ID, client.UpdateWorkspaceAutomaticUpdatesRequest{AutomaticUpdates: o.policy}); err != nil {
		return fmt.Errorf("change automatic updates: %w", err)
	}
	o.env.outf("Updated workspace %q auto-update policy to %q\n", w.Name, o.policy)
	return nil
}
