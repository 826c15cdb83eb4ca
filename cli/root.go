// Package cli is the command line: one file per noun, each command a set of
// options, a constructor for its flags, and a run that knows nothing of Cobra.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"
)

// errInterrupted is the cause of a context that ended by Ctrl-C or SIGTERM.
var errInterrupted = errors.New("interrupted")

// errSilent ends a command with status 1 and no further words.
var errSilent = errors.New("canceled")

// errDone ends a command with status 0 before it did its work.
var errDone = errors.New("done")

// groupMark marks commands that only hold others.
const groupMark = "group"

// ownSignals marks commands that tell SIGINT and SIGTERM apart themselves.
const ownSignals = "own-signals"

// Main runs one command line, without the program's name, and returns the
// exit status: 0 or 1.
func Main(args []string, env *Env) int {
	root := newRoot(env)
	root.SetArgs(args)
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	root.PersistentPreRunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Annotations[ownSignals] == "" {
			cancelOnSignal(ctx, cancel)
		}
		return prepare(env, cmd, args)
	}
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil || errors.Is(err, errDone) {
		return 0
	}
	printError(env, cmd, args, err)
	return 1
}

// cancelOnSignal ends a context at the first SIGINT or SIGTERM; a second one
// ends the process, as it would without us.
func cancelOnSignal(ctx context.Context, cancel context.CancelCauseFunc) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		defer signal.Stop(signals)
		select {
		case <-signals:
			cancel(errInterrupted)
		case <-ctx.Done():
		}
	}()
}

// prepare fills flags from environment and files once they are parsed.
func prepare(env *Env, cmd *cobra.Command, args []string) error {
	sources, err := fillFlags(env, cmd)
	if err != nil {
		return err
	}
	env.sources = sources
	warnOfOlderNames(env, cmd, sources)
	if env.global.debugOptions {
		printOptions(env, cmd, sources)
		return errDone
	}
	return nil
}

func newRoot(env *Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "coder",
		Short: "Workspaces for every platform team, from one deployment",
		Long: "Coder gives every platform team its own organization in one deployment, with its own\n" +
			"templates, provisioners, members and workspaces.",
		Example: "  coder server                                   # start a deployment\n" +
			"  coder login http://127.0.0.1:3000              # sign in\n" +
			"  coder templates init && coder templates push   # make a template\n" +
			"  coder create --template docker my-workspace    # make a workspace of it",
		SilenceErrors:     true,
		SilenceUsage:      true,
		Args:              cobra.ArbitraryArgs,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if env.global.version {
			return (&versionOptions{env: env, format: "text"}).run(cmd.Context())
		}
		return runGroup(cmd, args)
	}
	root.SetFlagErrorFunc(flagError)
	help := newHelp()
	root.SetHelpCommand(help)
	addGlobalFlags(root, env)
	root.AddCommand(
		newLogin(env), newLogout(env), newWhoami(env), newVersion(env), newTokens(env), newUsers(env), newPublicKey(env),
		newOrganizations(env), newGroups(env), newSharing(env), newProvisioner(env), newTemplates(env), newAudit(env), newCompletion(env),
		newWorkspaceCreate(env), newWorkspaceList(env), newWorkspaceShow(env), newWorkspaceStart(env), newWorkspaceStop(env),
		newWorkspaceRestart(env), newWorkspaceUpdate(env), newWorkspaceDelete(env), newWorkspaceCancel(env), newWorkspaceRename(env),
		newWorkspaceFavorite(env, true), newWorkspaceFavorite(env, false), newWorkspaceAutoupdate(env), newWorkspaceLogs(env),
		newState(env), newSchedule(env), help, newAgent(env), newServer(env), newProvisionerd(env), newExp(env),
	)
	finish(root)
	return root
}

func addGlobalFlags(root *cobra.Command, env *Env) {
	g, f := &env.global, root.PersistentFlags()
	f.StringVar(&g.url, "url", "", "URL of the deployment")
	f.StringVar(&g.token, "token", "", "Session token; the variable is safer than the flag")
	f.StringVar(&g.configDir, "global-config", "", "Directory of the stored URL and session (default ~/.config/coderv2)")
	f.BoolVar(&g.useKeyring, "use-keyring", true, "Accepted for compatibility; sessions are kept in a file")
	f.BoolVarP(&g.verbose, "verbose", "v", false, "Say more, also about failed requests")
	f.BoolVar(&g.noVersionWarning, "no-version-warning", false, "Do not warn of a server of another version")
	f.BoolVar(&g.noFeatureWarning, "no-feature-warning", false, "Do not show warnings that the server sends")
	f.StringArrayVar(&g.headers, "header", nil, "Header to add to each request, name=value; may be repeated")
	f.StringVar(&g.headerCommand, "header-command", "", "Program that prints headers to add, one name=value a line")
	f.BoolVar(&g.forceTTY, "force-tty", false, "Behave as on a terminal")
	f.BoolVar(&g.disableDirect, "disable-direct-connections", false, "Reach workspaces through the server only")
	f.BoolVar(&g.disableNetworkTelemetry, "disable-network-telemetry", false, "Accepted for compatibility; nothing is sent")
	f.BoolVar(&g.debugOptions, "debug-options", false, "Show where each option's value comes from, and do nothing else")
	f.BoolVar(&g.debugHTTP, "debug-http", false, "Show requests and replies on standard error")
	f.BoolVar(&g.noOpen, "no-open", false, "Open no browser")
	root.Flags().BoolVar(&g.version, "version", false, "Show what this binary is")
	for flag, variable := range map[string]string{
		"url": "CODER_URL", "token": "CODER_SESSION_TOKEN", "global-config": "CODER_CONFIG_DIR",
		"use-keyring": "CODER_USE_KEYRING", "verbose": "CODER_VERBOSE",
		"no-version-warning": "CODER_NO_VERSION_WARNING", "no-feature-warning": "CODER_NO_FEATURE_WARNING",
		"header": "CODER_HEADER", "header-command": "CODER_HEADER_COMMAND", "force-tty": "CODER_FORCE_TTY",
		"disable-direct-connections": "CODER_DISABLE_DIRECT_CONNECTIONS",
		"disable-network-telemetry":  "CODER_DISABLE_NETWORK_TELEMETRY", "no-open": "CODER_NO_OPEN",
	} {
		fromEnv(f, flag, variable)
	}
	for _, hidden := range []string{"debug-http", "no-open", "use-keyring", "disable-network-telemetry"} {
		_ = f.MarkHidden(hidden)
	}
	_ = root.Flags().MarkHidden("version")
}

// group is a command that only holds others; bare, it shows its help.
func group(use, short string, aliases []string, children ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Aliases: aliases, Args: cobra.ArbitraryArgs, RunE: runGroup,
		Annotations: map[string]string{groupMark: "true"}, DisableFlagsInUseLine: true,
	}
	cmd.AddCommand(children...)
	return cmd
}

func runGroup(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	return unknownCommand(cmd, args[0])
}

// finish gives every command what all have: the aliases of delete and list,
// and a helping hand with mistyped names.
func finish(cmd *cobra.Command) {
	cmd.SuggestionsMinimumDistance = 2
	alias := map[string]string{"delete": "rm", "remove": "rm", "list": "ls"}[cmd.Name()]
	if alias != "" && !slices.Contains(cmd.Aliases, alias) {
		cmd.Aliases = append(cmd.Aliases, alias)
	}
	for _, child := range cmd.Commands() {
		finish(child)
	}
}

// exactArgs and rangeArgs check how many words stand behind a command.
func exactArgs(n int) cobra.PositionalArgs { return rangeArgs(n, n) }

func rangeArgs(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if n := len(args); n >= least && (most < 0 || n <= most) {
			return nil
		}
		wanted := fmt.Sprint(least)
		switch {
		case most < 0:
			wanted = fmt.Sprintf("at least %d", least)
		case most > least:
			wanted = fmt.Sprintf("%d to %d", least, most)
		}
		return fmt.Errorf("wanted %s args but got %d: %q. Usage: %s", wanted, len(args), args, cmd.UseLine())
	}
}
