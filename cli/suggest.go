package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newHelp is `coder help`, for those who type the word instead of the flag.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [command]",
		Short: "Show the help of a command",
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			target, rest, err := cmd.Root().Find(args)
			if err != nil {
				return err
			}
			if isGroup(target) && len(rest) > 0 {
				return unknownCommand(target, rest[0])
			}
			target.InitDefaultHelpFlag()
			return target.Help()
		},
	}
}

// isGroup tells a command that only holds others.
func isGroup(cmd *cobra.Command) bool { return !cmd.HasParent() || cmd.Annotations[groupMark] != "" }

// unknownCommand says that a group has no such command, and which one may
// have been meant.
func unknownCommand(group *cobra.Command, word string) error {
	path := group.CommandPath() + " " + word
	if why := absentCommands()[path]; why != "" {
		return fmt.Errorf("%s is not part of this release: %s", path, why)
	}
	err := fmt.Errorf("unrecognized subcommand %q", word)
	if near := group.SuggestionsFor(word); len(near) > 0 {
		err = fmt.Errorf(`%w; did you mean "%s"?`, err, strings.Join(near, `" or "`))
	}
	return err
}

// absentCommands are commands that people know from Coder and that are not
// here, with why, or what to use instead.
func absentCommands() map[string]string {
	const (
		entering = "workspaces are made and kept, but not entered yet; see what one is made of with `coder show`"
		licence  = "nothing here needs a licence, and every feature is on"
		rest     = "`coder --help` lists what is"
	)
	absent := map[string]string{
		"coder reset-password":    "make another owner with `coder server create-admin-user`",
		"coder provisionerd keys": "use `coder provisioner keys`",
	}
	for why, paths := range map[string][]string{
		entering: {"ssh", "config-ssh", "port-forward", "tunnel", "ping", "open", "speedtest", "stat", "netcheck", "dotfiles", "external-auth"},
		licence:  {"licenses", "license", "features"},
		rest:     {"prebuilds", "support", "notifications", "task", "tasks", "external-workspaces"},
	} {
		for _, path := range paths {
			absent["coder "+path] = why
		}
	}
	return absent
}

// flagError names the command and what is wrong with its flags. Flags behind a
// mistyped command are not the matter, the command is.
func flagError(cmd *cobra.Command, err error) error {
	if errors.Is(err, pflag.ErrHelp) {
		return err
	}
	if words := cmd.Flags().Args(); isGroup(cmd) && len(words) > 0 {
		return unknownCommand(cmd, words[0])
	}
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		if near := nearFlags(cmd, unknown.GetSpecifiedName()); len(near) > 0 {
			return fmt.Errorf("%s: %w; did you mean %s?", cmd.CommandPath(), err, strings.Join(near, " or "))
		}
	}
	return fmt.Errorf("%s: %w", cmd.CommandPath(), err)
}

// nearFlags are the flags whose names are nearest to a mistyped one, and near
// enough to be meant.
func nearFlags(cmd *cobra.Command, typed string) []string {
	var near []string
	nearest := 3
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		d := editDistance(typed, f.Name)
		if len(typed) > 2 && strings.HasPrefix(f.Name, typed) {
			d = 1
		}
		if f.Hidden || len(typed) < 2 || d > nearest || d >= 3 {
			return
		}
		if d < nearest {
			near, nearest = nil, d
		}
		near = append(near, "--"+f.Name)
	})
	return near
}

// editDistance counts the letters to insert, delete or replace.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
