package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"coder/internal/starter"
)

type templateInitOptions struct {
	env       *Env
	id        string
	directory string
}

func newTemplateInit(env *Env) *cobra.Command {
	o := &templateInitOptions{env: env}
	cmd := &cobra.Command{
		Use:     "init [directory]",
		Short:   "Write a starter template into a new directory",
		Example: "  coder templates init --id docker ./docker",
		Args:    rangeArgs(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.directory = strings.Join(args, "")
			return o.run(cmd.Context())
		},
	}
	cmd.Flags().Var(&choiceValue{into: &o.id, valid: starter.IDs()}, "id", "Starter template: "+strings.Join(starter.IDs(), ", "))
	return cmd
}

func (o *templateInitOptions) run(ctx context.Context) error {
	if o.id == "" {
		if err := o.choose(ctx); err != nil {
			return err
		}
	}
	if o.directory == "" {
		o.directory = o.id
	}
	entries, err := os.ReadDir(o.directory)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("write the template: %w", err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("the directory %s is not empty: name a new one", o.directory)
	}
	if err := starter.Write(o.id, o.directory); err != nil {
		return fmt.Errorf("write the template: %w", err)
	}
	o.env.outf("The template %s is in %s. Look at it, then push it with:\n\n\tcoder templates push %s --directory %s\n", o.id, o.directory, o.id, o.directory)
	return nil
}

func (o *templateInitOptions) choose(ctx context.Context) error {
	starters, err := starter.List()
	if err != nil {
		return err
	}
	choices := make([]choice, len(starters))
	for i, s := range starters {
		choices[i] = choice{text: s.ID, about: s.Description}
	}
	picked, err := o.env.choose(ctx, "Starter template:", "give --id", choices, -1)
	if err == nil {
		o.id = starters[picked].ID
	}
	return err
}
