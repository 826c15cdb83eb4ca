package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"coder/client"
)

func newTemplateVersions(env *Env) *cobra.Command {
	return group("versions", "Manage the versions of a template", []string{"version"},
		newTemplateVersionList(env), newTemplateVersionPromote(env),
		newTemplateVersionArchive(env, "archive", "Hide versions from lists; workspaces on them keep working", true),
		newTemplateVersionArchive(env, "unarchive", "Show archived versions again", false))
}

// versionRow is a version, and whether it is the active one.
type versionRow struct {
	client.TemplateVersion
	Active bool `json:"active"`
}

func versionTable() table[versionRow] {
	return table[versionRow]{
		columns: []column[versionRow]{
			{"id", func(r versionRow) string { return r.ID.String() }},
			{"name", func(r versionRow) string { return r.Name }},
			{"created at", func(r versionRow) string { return timeCell(r.CreatedAt) }},
			{"created by", func(r versionRow) string { return r.CreatedBy.Username }},
			{"status", func(r versionRow) string { return r.Job.Status }},
			{"active", func(r versionRow) string {
				if r.Active {
					return "Active"
				}
				return ""
			}},
			{"archived", func(r versionRow) string { return strconv.FormatBool(r.Archived) }},
		},
		defaults: []string{"name", "created at", "created by", "status", "active"},
	}
}

type templateVersionListOptions struct {
	env             *Env
	organization    string
	name            string
	includeArchived bool
	list            listOptions
}

func newTemplateVersionList(env *Env) *cobra.Command {
	o := &templateVersionListOptions{env: env}
	cmd := &cobra.Command{
		Use:   "list <template>",
		Short: "List the versions of a template",
		Args:  exactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			return o.run(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&o.includeArchived, "include-archived", false, "Also archived versions")
	addOrganization(cmd.Flags(), &o.organization)
	addList(cmd, &o.list, versionTable())
	return cmd
}

func (o *templateVersionListOptions) run(ctx context.Context) error {
	c, org, err := o.env.clientAndOrganization(ctx, o.organization)
	if err != nil {
		return err
	}
	t, err := o.env.template(ctx, c, org, o.name)
	if err != nil {
		return err
	}
	versions, err := c.TemplateVersions(ctx, t.ID, client.TemplateVersionsRequest{IncludeArchived: o.includeArchived})
	if err != nil {
		return err
	}
	rows := make([]versionRow, len(versions))
	for i, v := range versions {
		rows[i] = versionRow{v, v.ID == t.ActiveVersionID}
	}
	return printList(o.env, o.list, versionTable(), rows, rows, "No template versions found.")
}

type templateVersionPromoteOptions struct {
	env          *Env
	organization string
	template     string
	version      string
	yes          bool
}

func newTemplateVersionPromote(env *Env) *cobra.Command {
	o := &templateVersionPromoteOptions{env: env}
	cmd := &cobra.Command{
		Use:   "promote --template=<template_name> --template-version=<template_version_name>",
		Short: "Make a version the active one",
		Args:  exactArgs(0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	f := cmd.Flags()
	f.StringVarP(&o.template, "template", "t", "", "Template")
	f.StringVar(&o.version, "template-version", "", "Version, by name or id")
	fromEnv(f, "template", "CODER_TEMPLATE_NAME")
	fromEnv(f, "template-version", "CODER_TEMPLATE_VERSION_NAME")
	addOrganization(f, &o.organization)
	addYes(cmd, &o.yes)
	return cmd
}

func (o *templateVersionPromoteOptions) run(ctx context.Context) error {
	if o.template == "" || o.version == "" {
		return fmt.Errorf("say which version of which template: give --template and --template-version")
	}
	c, org, err := o.env.clientAndOrganization(ctx, o.organization)
	if err != nil {
		return err
	}
	t, err := o.env.template(ctx, c, org, o.template)
	if err != nil {
		return err
	}
	version, err := templateVersion(ctx, c, t, o.version)
	if err != nil {
		return err
	}
	if err := c.UpdateActiveTemplateVersion(ctx, t.ID, client.UpdateActiveTemplateVersionRequest{ID: version.ID}); err != nil {
		return fmt.Errorf("promote the version: %w", err)
	}
	o.env.outf("Successfully promoted version %q to active for template %q\n", version.Name, t.Name)
	return nil
}

type templateVersionArchiveOptions struct {
	env          *Env
	organization string
	template     string
	versions     []string
	archive      bool
	yes          bool
}

func newTemplateVersionArchive(env *Env, verb, short string, archive bool) *cobra.Command {
	o := &templateVersionArchiveOptions{env: env, archive: archive}
	cmd := &cobra.Command{
		Use:   verb + " <template-name> <template-version-names...>",
		Short: short,
		Args:  rangeArgs(2, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.template, o.versions = args[0], args[1:]
			return o.run(cmd.Context(), verb)
		},
	}
	addOrganization(cmd.Flags(), &o.organization)
	addYes(cmd, &o.yes)
	return cmd
}

func (o *templateVersionArchiveOptions) run(ctx context.Context, verb string) error {
	c, org, err := o.env.clientAndOrganization(ctx, o.organization)
	if err != nil {
		return err
	}
	t, err := o.env.template(ctx, c, org, o.template)
	if err != nil {
		return err
	}
	found := make([]client.TemplateVersion, len(o.versions))
	for i, name := range o.versions {
		if found[i], err = templateVersion(ctx, c, t, name); err != nil {
			return err
		}
	}
	for _, v := range found {
		if v.Archived == o.archive {
			o.env.outf("Version %s is in that state already.\n", v.Name)
			continue
		}
		if err := c.SetTemplateVersionArchived(ctx, v.ID, o.archive); err != nil {
			return fmt.Errorf("%s the version %s: %w", verb, v.Name, err)
		}
		o.env.outf("Version %s %sd at %s\n", v.Name, verb, o.env.stamp())
	}
	return nil
}
