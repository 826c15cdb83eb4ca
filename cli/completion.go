package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

type completionOptions struct {
	env   *Env
	shell string
	print bool
}

func newCompletion(env *Env) *cobra.Command {
	o := &completionOptions{env: env}
	cmd := &cobra.Command{
		Use:   "completion",
		Short: "Install or print completion of commands for a shell",
		Args:  exactArgs(0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Root()) },
	}
	cmd.Flags().VarP(&choiceValue{into: &o.shell, valid: []string{"bash", "fish", "zsh", "powershell"}}, "shell", "s", "Shell (default: yours)")
	cmd.Flags().BoolVarP(&o.print, "print", "p", false, "Print the script instead of installing it")
	return cmd
}

func (o *completionOptions) run(root *cobra.Command) error {
	if o.shell == "" {
		o.shell = filepath.Base(o.env.Getenv("SHELL"))
	}
	var script strings.Builder
	var err error
	switch o.shell {
	case "bash":
		err = root.GenBashCompletionV2(&script, true)
	case "fish":
		err = root.GenFishCompletion(&script, true)
	case "zsh":
		err = root.GenZshCompletion(&script)
	case "powershell":
		err = root.GenPowerShellCompletionWithDesc(&script)
	default:
		return fmt.Errorf("the shell %q is not known: choose one with --shell", o.shell)
	}
	if err != nil {
		return err
	}
	if o.print {
		o.env.outf("%s", script.String())
		return nil
	}
	return o.install(script.String())
}

// install puts the script where the shell looks for it by itself.
func (o *completionOptions) install(script string) error {
	var dir, name string
	var err error
	switch o.shell {
	case "bash":
		dir, err = o.env.homeDir("XDG_DATA_HOME", ".local/share")
		dir, name = filepath.Join(dir, "bash-completion", "completions"), "coder"
	case "fish":
		dir, err = o.env.homeDir("XDG_CONFIG_HOME", ".config")
		dir, name = filepath.Join(dir, "fish", "completions"), "coder.fish"
	default:
		return errors.New("this shell has no place of its own for completions: add the output of `coder completion --print` to its start-up file")
	}
	if err != nil {
		return err
	}
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("install the completion: %w", err)
	}
	if err := writeFile(path, []byte(script), 0o644); err != nil {
		return err
	}
	o.env.outf("Completion for %s is in %s. Open a new shell to use it.\n", o.shell, path)
	return nil
}
