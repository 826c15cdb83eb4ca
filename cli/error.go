package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"coder/client"
)

// printError writes an error in its two parts: which command, and what.
func printError(env *Env, cmd *cobra.Command, args []string, err error) {
	if errors.Is(err, errSilent) || errors.Is(err, errInterrupted) {
		return
	}
	path := "coder"
	if cmd != nil {
		path = cmd.CommandPath()
	}
	env.errf("%s\n", env.paint(env.Stderr, bold, fmt.Sprintf("Encountered an error running %q, see %q for more information", path, path+" --help")))
	env.errf("%s %s\n", env.paint(env.Stderr, red, "error:"), describe(env, err))
}

// describe is the text of an error, over several lines where it has parts.
func describe(env *Env, err error) string {
	var many interface{ Unwrap() []error }
	if errors.As(err, &many) && len(many.Unwrap()) > 1 {
		return describeMany(env, many.Unwrap())
	}
	var api *client.Error
	if errors.As(err, &api) {
		return describeAPI(env, err, api)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return printableLines(err.Error()) + "\nThe server did not answer in time: try again, or check that it is well."
	}
	return printableLines(err.Error())
}

func describeMany(env *Env, errs []error) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d errors encountered:", len(errs))
	for i, err := range errs {
		fmt.Fprintf(&b, "\n\t%d. %s", i+1, strings.ReplaceAll(describe(env, err), "\n", "\n\t"))
	}
	return b.String()
}

func describeAPI(env *Env, err error, api *client.Error) string {
	var b strings.Builder
	if env.global.verbose {
		fmt.Fprintf(&b, "API request error to \"%s:%s\". Status code %d\n", api.Method, api.URL, api.StatusCode)
	}
	attempt, _, wrapped := strings.Cut(err.Error(), ": "+api.Error())
	if wrapped {
		b.WriteString(printableLines(attempt) + ": ")
	}
	b.WriteString(printableLines(api.Message))
	if n := len(api.Validations); n > 0 {
		fmt.Fprintf(&b, "\n%d validation error(s) found", n)
		for _, v := range api.Validations {
			fmt.Fprintf(&b, "\n\t%s: %s", printable(v.Field), printable(v.Detail))
		}
	}
	if api.Detail != "" {
		b.WriteString("\n" + printableLines(api.Detail))
	}
	// A password that is wrong, and a provisioner's key, are no sessions.
	session := !strings.HasSuffix(api.URL, "/users/login") && !strings.Contains(api.URL, "/api/v2/provisioner")
	if api.StatusCode == http.StatusUnauthorized && api.FromServer() && session && api.Detail == "" {
		b.WriteString("\nSuggestion: sign in again with `coder login`.")
	}
	return b.String()
}

// printableLines is printable for text that may have lines.
func printableLines(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		lines[i] = printable(line)
	}
	return strings.Join(lines, "\n")
}
