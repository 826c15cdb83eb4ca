package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"coder/server"
)

// newExp holds what is for contributors and may change without notice.
func newExp(env *Env) *cobra.Command {
	cmd := group("exp", "Tools for contributors; they may change without notice", nil, newExpDocs(env), newExpChaos(env), newExpChaosObjects())
	cmd.Hidden = true
	return cmd
}

type expDocsOptions struct {
	env  *Env
	root *cobra.Command
	dir  string
}

func newExpDocs(env *Env) *cobra.Command {
	o := &expDocsOptions{env: env}
	cmd := &cobra.Command{
		Use:   "docs",
		Short: "Write the references of the command line and the API",
		Args:  exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.root = cmd.Root()
			return o.run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&o.dir, "dir", "docs/reference", "Directory to write to")
	return cmd
}

func (o *expDocsOptions) run(context.Context) error {
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return fmt.Errorf("make the directory of the references: %w", err)
	}
	for name, text := range map[string]string{"cli.md": cliReference(o.root), "api.md": apiReference()} {
		if err := os.WriteFile(filepath.Join(o.dir, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("write the reference: %w", err)
		}
	}
	return nil
}

func apiReference() string {
	var b strings.Builder
	b.WriteString("# API\n\nEvery operation under `/api/v2`, with the permission that it asks for. Bodies and fields are in `/api/v2/openapi.json` of a running server.\n" +
		"Written by `make gen`.\n\n| method | path | what it does | who may |\n|---|---|---|---|\n")
	for _, op := range server.Reference() {
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s |\n", op.Method, op.Path, op.Summary, op.Permission)
	}
	return b.String()
}

func cliReference(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("# Command line\n\nWritten by `make gen`. A flag stands above its environment variable, which stands above the default.\n")
	writeCommand(&b, root)
	return b.String()
}

func writeCommand(b *strings.Builder, cmd *cobra.Command) {
	if cmd.Hidden {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n%s.\n", cmd.CommandPath(), strings.TrimSuffix(cmd.Short, "."))
	if cmd.Runnable() {
		fmt.Fprintf(b, "\n```\n%s\n```\n", cmd.UseLine())
	}
	if cmd.Long != "" {
		fmt.Fprintf(b, "\n%s\n", cmd.Long)
	}
	if cmd.Example != "" {
		fmt.Fprintf(b, "\n```\n%s\n```\n", cmd.Example)
	}
	writeFlags(b, cmd.LocalFlags())
	for _, child := range cmd.Commands() {
		writeCommand(b, child)
	}
}

func writeFlags(b *strings.Builder, flags *pflag.FlagSet) {
	header := "\n| flag | what it does | default |\n|---|---|---|\n"
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name += ", `-" + f.Shorthand + "`"
		}
		fmt.Fprintf(b, "%s| %s | %s | %s |\n", header, name, strings.ReplaceAll(f.Usage, "|", "\\|"), f.DefValue)
		header = ""
	})
}
