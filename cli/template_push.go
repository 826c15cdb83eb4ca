package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"coder/client"
	"coder/internal/archive"
	"coder/internal/template"
)

type templatePushOptions struct {
	env             *Env
	organization    string
	name            string
	directory       string
	directoryGiven  bool
	version         string
	message         string
	variablesFile   string
	variables       []string
	provisionerTags []string
	provisioner     string
	activate        bool
	alwaysPrompt    bool
	ignoreLockfile  bool
	displayName     string
	icon            string
	yes             bool
	format          string
	// onlyNew refuses to push to a template that exists.
	onlyNew bool
}

func newTemplatePush(env *Env) *cobra.Command {
	o := &templatePushOptions{env: env}
	cmd := &cobra.Command{
		Use:   "push [template]",
		Short: "Push a directory as a new version of a template; make the template if it is new",
		Example: "  coder templates push docker --org data-platform --directory ./docker\n" +
			"  tar -c -C ./docker . | coder templates push docker --directory - --yes",
		Args: rangeArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name, o.directoryGiven = strings.Join(args, ""), cmd.Flags().Changed("directory")
			return o.run(cmd.Context())
		},
	}
	o.addFlags(cmd)
	return cmd
}

// newTemplateCreate keeps the older command that makes new templates only.
func newTemplateCreate(env *Env) *cobra.Command {
	o := &templatePushOptions{env: env, onlyNew: true}
	cmd := &cobra.Command{
		Use:   "create [name]",
		Short: "Older form of push, for new templates only",
		Args:  rangeArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name, o.directoryGiven = strings.Join(args, ""), cmd.Flags().Changed("directory")
			env.warnf("templates create is deprecated: use `coder templates push`")
			return o.run(cmd.Context())
		},
	}
	o.addFlags(cmd)
	return cmd
}

func (o *templatePushOptions) addFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&o.directory, "directory", "d", ".", "Directory of the template, or - for a tar archive on standard input")
	f.StringVar(&o.version, "name", "", "Name of the new version (default: random)")
	f.StringVarP(&o.message, "message", "m", "", "What is new in the version")
	f.StringVar(&o.variablesFile, "variables-file", "", "YAML file with values of Terraform variables")
	f.StringArrayVar(&o.variables, "variable", nil, "Value of a Terraform variable, name=value; may be repeated")
	f.StringArrayVar(&o.variables, "var", nil, "Short for --variable")
	f.StringArrayVar(&o.provisionerTags, "provisioner-tag", nil, "Tag that a provisioner must have to run the template's jobs, name=value; may be repeated; - for none (default: those of the active version)")
	f.StringVar(&o.provisioner, "test.provisioner", client.ProvisionerTerraform, "Engine")
	_ = f.MarkHidden("test.provisioner")
	f.BoolVar(&o.activate, "activate", true, "Make the new version the active one")
	f.BoolVar(&o.alwaysPrompt, "always-prompt", false, "Ask for every variable, also for those that have a value")
	f.BoolVar(&o.ignoreLockfile, "ignore-lockfile", false, "Say nothing of a missing lock file")
	f.StringVar(&o.displayName, "display-name", "", "Display name (default: that of the README's front matter)")
	f.StringVar(&o.icon, "icon", "", "Icon (default: that of the README's front matter)")
	addOrganization(f, &o.organization)
	addYes(cmd, &o.yes)
	addFormat(cmd, &o.format, "text", "json")
}

// templateSource is what gets pushed.
type templateSource struct {
	tar    []byte
	fsys   fs.FS
	values []client.VariableValue
}

func (o *templatePushOptions) run(ctx context.Context) error {
	fromStdin := o.readsStdin()
	if err := o.checkNames(fromStdin); err != nil {
		return err
	}
	given, err := o.givenValues()
	if err != nil {
		return err
	}
	c, org, err := o.env.clientAndOrganization(ctx, o.organization)
	if err != nil {
		return err
	}
	existing, err := c.TemplateByName(ctx, org.ID.String(), o.name)
	isNew := client.IsNotFound(err)
	if err != nil && !isNew {
		return err
	}
	if o.onlyNew && !isNew {
		return fmt.Errorf("the template %q exists in the organization %s: push a new version with `coder templates push`", o.name, org.Name)
	}
	source, err := o.readSource(fromStdin)
	if err != nil {
		return err
	}
	source.values = template.MergeValues(source.values, given)
	if !fromStdin {
		if err := o.env.confirm(ctx, o.yes, fmt.Sprintf("Upload %q?", o.directory), true); err != nil {
			return err
		}
	}
	version, err := o.importVersion(ctx, c, org, existing, isNew, source)
	if err != nil {
		return err
	}
	return o.publish(ctx, c, org, existing, isNew, source, version)
}

// readsStdin decides between a directory and a tar archive on standard input.
// Only a stream that brings something takes the place of the directory.
func (o *templatePushOptions) readsStdin() bool {
	if o.directory == "-" {
		return true
	}
	if o.directoryGiven || o.env.IsTerminal(o.env.Stdin) {
		return false
	}
	if f, ok := o.env.Stdin.(*os.File); ok {
		info, err := f.Stat()
		if err != nil || info.Mode()&os.ModeCharDevice != 0 {
			return false
		}
		o.env.errf("Looking for a tar archive on standard input, because it is no terminal. Give --directory to push a directory.\n")
	}
	first := make([]byte, 1)
	if n, _ := io.ReadFull(o.env.Stdin, first); n == 0 {
		return false
	}
	o.env.Stdin = io.MultiReader(bytes.NewReader(first), o.env.Stdin)
	return true
}

func (o *templatePushOptions) checkNames(fromStdin bool) error {
	if o.name == "" && fromStdin {
		return errors.New("name the template: an archive on standard input has no name to take")
	}
	if o.name == "" {
		abs, err := filepath.Abs(o.directory)
		if err != nil {
			return err
		}
		o.name = filepath.Base(abs)
	}
	if err := client.CheckName(client.NameTemplate, o.name); err != nil {
		return err
	}
	if o.version != "" {
		if err := client.CheckName(client.NameTemplateVersion, o.version); err != nil {
			return err
		}
	}
	if o.message == "" {
		o.message = "Uploaded from the CLI"
	}
	if first, _, _ := strings.Cut(o.message, "\n"); len([]rune(first)) > 72 {
		o.env.warnf("the first line of the message has more than 72 characters and will be cut where it is shown")
	}
	return nil
}

// givenValues are those of --variables-file and --variable, the latter last.
func (o *templatePushOptions) givenValues() ([]client.VariableValue, error) {
	var fromFile, fromFlags []client.VariableValue
	if o.variablesFile != "" {
		var err error
		if fromFile, err = template.ReadVariablesFile(o.variablesFile); err != nil {
			return nil, err
		}
	}
	for _, text := range o.variables {
		v, err := template.ParseVariable(text)
		if err != nil {
			return nil, err
		}
		fromFlags = append(fromFlags, v)
	}
	return template.MergeValues(fromFile, fromFlags), nil
}

func (o *templatePushOptions) readSource(fromStdin bool) (templateSource, error) {
	if fromStdin {
		data, err := io.ReadAll(io.LimitReader(o.env.Stdin, archive.MaxTemplate+1))
		if err != nil {
			return templateSource{}, fmt.Errorf("read the archive from standard input: %w", err)
		}
		if len(data) > archive.MaxTemplate {
			return templateSource{}, fmt.Errorf("the archive on standard input has more than %d bytes, the most that a template may have", archive.MaxTemplate)
		}
		if _, err := archive.List(bytes.NewReader(data), archive.TemplateLimits()); err != nil {
			return templateSource{}, fmt.Errorf("the archive on standard input cannot be used: %w", err)
		}
		return templateSource{tar: data}, nil
	}
	info, err := os.Stat(o.directory)
	if err != nil {
		return templateSource{}, fmt.Errorf("read the template: %w", err)
	}
	if !info.IsDir() {
		return templateSource{}, fmt.Errorf("%s is not a directory: give the directory that holds the template's .tf files", o.directory)
	}
	source := templateSource{fsys: os.DirFS(o.directory)}
	if source.tar, err = archive.TarTemplate(o.directory); err != nil {
		return source, fmt.Errorf("read the template in %s: %w", o.directory, err)
	}
	o.noteLockfile(source.fsys)
	return source, o.readTFVars(&source)
}

// noteLockfile warns where imports may find other versions of providers. The
// provider coder/coder is in the binary, so that one alone needs no lock.
func (o *templatePushOptions) noteLockfile(fsys fs.FS) {
	if _, err := fs.Stat(fsys, ".terraform.lock.hcl"); err == nil || o.ignoreLockfile {
		return
	}
	parsed, err := template.Read(fsys)
	if err != nil {
		return // the import says so, with file and line
	}
	for _, p := range parsed.Providers {
		if p.Source != "coder/coder" {
			o.env.warnf("the template has no .terraform.lock.hcl, so each import may find another version of the provider %s. "+
				"Make one with `terraform init` in %s, or hide this with --ignore-lockfile", p.Name, o.directory)
			return
		}
	}
}

func (o *templatePushOptions) readTFVars(source *templateSource) error {
	files, err := template.VariablesFiles(o.directory)
	if err != nil || len(files) == 0 {
		return err
	}
	o.env.errf("Auto-discovered Terraform tfvars files, which are read and not uploaded: %s\n", strings.Join(files, ", "))
	source.values, err = template.ReadTFVars(o.directory)
	return err
}

// importVersion uploads the source and imports it, and once more when it lacks
// values that a person can give.
func (o *templatePushOptions) importVersion(ctx context.Context, c *client.Client, org client.Organization, existing client.Template, isNew bool, source templateSource) (client.TemplateVersion, error) {
	none := client.TemplateVersion{}
	tags, err := o.tags(ctx, c, existing, isNew)
	if err != nil {
		return none, err
	}
	if o.alwaysPrompt {
		if source.values, err = o.askAllVariables(ctx, source); err != nil {
			return none, err
		}
	}
	up, err := c.Upload(ctx, client.ContentTypeTar, bytes.NewReader(source.tar))
	if err != nil {
		return none, fmt.Errorf("upload the template: %w", err)
	}
	req := client.CreateTemplateVersionRequest{
		Name: o.version, Message: o.message, StorageMethod: client.StorageFile, FileID: &up.ID,
		Provisioner: o.provisioner, Tags: tags, UserVariableValues: source.values,
	}
	if !isNew {
		req.TemplateID = &existing.ID
	}
	for {
		version, job, err := o.runImport(ctx, c, org, req)
		if err != nil {
			return none, err
		}
		if job.ErrorCode != client.JobErrorRequiredVariables {
			return version, jobError("import", job)
		}
		more, err := o.askMissing(ctx, c, version, req.UserVariableValues)
		if err != nil {
			return none, err
		}
		// The failed version has taken the name that was asked for.
		if req.Name != "" {
			if _, err := c.UpdateTemplateVersion(ctx, version.ID, client.UpdateTemplateVersionRequest{Name: new("incomplete-" + version.ID.String()[:8])}); err != nil {
				return none, fmt.Errorf("free the name of the version: %w", err)
			}
		}
		req.UserVariableValues = template.MergeValues(req.UserVariableValues, more)
	}
}

// tags are those given, else those of the active version.
func (o *templatePushOptions) tags(ctx context.Context, c *client.Client, existing client.Template, isNew bool) (map[string]string, error) {
	if slices.Equal(o.provisionerTags, []string{"-"}) {
		return nil, nil
	}
	if len(o.provisionerTags) > 0 || isNew {
		return parseTags(o.provisionerTags)
	}
	active, err := c.TemplateVersion(ctx, existing.ActiveVersionID)
	if err != nil {
		return nil, err
	}
	tags := active.Job.Tags
	// The server sets the owner itself.
	delete(tags, client.TagOwner)
	if tags[client.TagScope] == client.ScopeOrganization {
		delete(tags, client.TagScope)
	}
	if len(tags) > 0 {
		o.env.errf("Provisioner tags of the active version are used again: %s\n", tagsCell(tags))
	}
	return tags, nil
}

func (o *templatePushOptions) runImport(ctx context.Context, c *client.Client, org client.Organization, req client.CreateTemplateVersionRequest) (client.TemplateVersion, client.ProvisionerJob, error) {
	version, err := c.CreateTemplateVersion(ctx, org.ID.String(), req)
	if err != nil {
		return version, client.ProvisionerJob{}, fmt.Errorf("create the template version: %w", err)
	}
	job, err := o.env.watch(ctx, o.env.watchedImport(c, version.ID))
	return version, job, err
}

// watchedImport is the import of a version as commands wait for it.
func (e *Env) watchedImport(c *client.Client, id uuid.UUID) watchedJob {
	return watchedJob{
		what: "import",
		fetch: func(ctx context.Context) (client.ProvisionerJob, *client.MatchedProvisioners, error) {
			v, err := c.TemplateVersion(ctx, id)
			return v.Job, v.MatchedProvisioners, err
		},
		follow: followOf(c.FollowTemplateVersionLogs, id),
		logs: func(ctx context.Context, after int64) ([]client.ProvisionerJobLog, error) {
			return c.TemplateVersionLogs(ctx, id, after)
		},
		interrupted: e.cancelOnInterrupt("import", func(ctx context.Context) error { return c.CancelTemplateVersion(ctx, id) }),
	}
}

// askMissing asks for the values that the import lacked.
func (o *templatePushOptions) askMissing(ctx context.Context, c *client.Client, version client.TemplateVersion, given []client.VariableValue) ([]client.VariableValue, error) {
	declared, err := c.TemplateVersionVariables(ctx, version.ID)
	if err != nil {
		return nil, fmt.Errorf("read the template's variables: %w", err)
	}
	missing := slices.DeleteFunc(declared, func(v client.TemplateVersionVariable) bool {
		return !v.Required || v.Value != "" || slices.ContainsFunc(given, func(g client.VariableValue) bool { return g.Name == v.Name && g.Value != "" })
	})
	names := make([]string, len(missing))
	for i, v := range missing {
		names[i] = v.Name
	}
	if len(missing) == 0 {
		return nil, errors.New("the import misses values of variables, but does not say which")
	}
	if !o.env.interactive() {
		return nil, fmt.Errorf("the template needs values for these variables: %s. Give them with --variable name=value or --variables-file", strings.Join(names, ", "))
	}
	values := make([]client.VariableValue, len(missing))
	for i, v := range missing {
		value, err := o.env.askVariable(ctx, v.Name, v.Description, v.DefaultValue, v.Sensitive, true)
		if err != nil {
			return nil, err
		}
		values[i] = client.VariableValue{Name: v.Name, Value: value}
	}
	return values, nil
}

// askAllVariables asks for every declared variable, with what is known as preset.
func (o *templatePushOptions) askAllVariables(ctx context.Context, source templateSource) ([]client.VariableValue, error) {
	if source.fsys == nil {
		return source.values, nil
	}
	declared, err := template.Read(source.fsys)
	if err != nil {
		return nil, fmt.Errorf("read the template in %s: %w", o.directory, err)
	}
	values := source.values
	for _, v := range declared.Variables {
		preset := v.Default
		for _, known := range source.values {
			if known.Name == v.Name {
				preset = known.Value
			}
		}
		value, err := o.env.askVariable(ctx, v.Name, v.Description, preset, v.Sensitive, v.Required && preset == "")
		if err != nil {
			return nil, err
		}
		if value != preset || v.Required {
			values = template.MergeValues(values, []client.VariableValue{{Name: v.Name, Value: value}})
		}
	}
	return values, nil
}

func (e *Env) askVariable(ctx context.Context, name, description, preset string, secret, required bool) (string, error) {
	if description != "" {
		e.errf("  %s\n", e.paint(e.Stderr, dim, printable(description)))
	}
	shown := preset
	if secret {
		shown = ""
	}
	value, err := e.ask(ctx, question{
		text: "var." + printable(name) + ":", preset: shown, secret: secret, instead: "give --variable " + name + "=value",
		check: func(value string) error {
			if required && value == "" {
				return fmt.Errorf("the variable %s needs a value", name)
			}
			return nil
		},
	})
	if value == "" {
		value = preset
	}
	return value, err
}

// publish makes the template of the version, or the version the active one.
func (o *templatePushOptions) publish(ctx context.Context, c *client.Client, org client.Organization, t client.Template, isNew bool, source templateSource, version client.TemplateVersion) error {
	resources, err := c.TemplateVersionResources(ctx, version.ID)
	if err != nil {
		return fmt.Errorf("read the template's resources: %w", err)
	}
	o.env.showResources("Template Preview", resources, client.TransitionStart)
	front := readFrontMatter(source.tar)
	displayName, icon := firstOf(o.displayName, front.DisplayName), firstOf(o.icon, front.Icon)
	switch {
	case isNew:
		t, err = c.CreateTemplate(ctx, org.ID.String(), client.CreateTemplateRequest{
			Name: o.name, VersionID: version.ID, DisplayName: displayName, Description: front.Description, Icon: icon,
		})
		if err != nil {
			return fmt.Errorf("create the template: %w", err)
		}
		o.env.errf("The template %s was created in the organization %s. Make a workspace of it with:\n\n\tcoder create --template %s --org %s <workspace>\n\n", t.Name, org.Name, t.Name, org.Name)
	case o.activate:
		if err := c.UpdateActiveTemplateVersion(ctx, t.ID, client.UpdateActiveTemplateVersionRequest{ID: version.ID}); err != nil {
			return fmt.Errorf("activate the version: %w", err)
		}
	}
	if err := o.updateTemplate(ctx, c, t, isNew); err != nil {
		return err
	}
	if version, err = c.TemplateVersion(ctx, version.ID); err != nil {
		return err
	}
	if o.format == "json" {
		return o.env.printJSON(version)
	}
	o.env.outf("Updated version %s at %s!\n", version.Name, o.env.stamp())
	return nil
}

// updateTemplate applies names that were given on the command line.
func (o *templatePushOptions) updateTemplate(ctx context.Context, c *client.Client, t client.Template, isNew bool) error {
	if isNew || (o.displayName == "" && o.icon == "") {
		return nil
	}
	req := client.UpdateTemplateRequest{}
	if o.displayName != "" {
		req.DisplayName = &o.displayName
	}
	if o.icon != "" {
		req.Icon = &o.icon
	}
	if _, err := c.UpdateTemplate(ctx, t.ID, req); err != nil {
		return fmt.Errorf("change the template: %w", err)
	}
	return nil
}

// frontMatter is what the head of a README says of its template.
type frontMatter struct {
	DisplayName string `yaml:"display_name"`
	Description string `yaml:"description"`
	Icon        string `yaml:"icon"`
}

// readFrontMatter reads the head of the archive's README.md; a README without
// one, or with a head that is no YAML, says nothing.
func readFrontMatter(tar []byte) frontMatter {
	source, err := template.ReadTar(bytes.NewReader(tar))
	if err != nil {
		return frontMatter{}
	}
	rest, ok := strings.CutPrefix(strings.ReplaceAll(source.Readme, "\r\n", "\n"), "---\n")
	head, _, closed := strings.Cut(rest, "\n---")
	var front frontMatter
	if !ok || !closed || yaml.Unmarshal([]byte(head), &front) != nil {
		return frontMatter{}
	}
	if client.CheckName(client.NameDisplay, front.DisplayName) != nil {
		front.DisplayName = ""
	}
	if r := []rune(front.Description); len(r) > 127 {
		front.Description = string(r[:126]) + "…"
	}
	return front
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
