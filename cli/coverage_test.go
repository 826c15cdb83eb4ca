package cli_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// coverage is which commands a story has run.
type coverage struct{ lines [][]string }

type coverageKey struct{}

func coverageOf(ts *testscript.TestScript) *coverage {
	return ts.Value(coverageKey{}).(*coverage)
}

func (c *coverage) add(args []string) { c.lines = append(c.lines, slices.Clone(args)) }

// ran says whether a command was run, and whether with -o json.
func (c *coverage) ran(path []string, all [][]string) (ran, asJSON bool) {
	for _, line := range c.lines {
		if slices.Equal(commandOf(line, all), path) {
			ran = true
			asJSON = asJSON || strings.HasSuffix(strings.Join(line, " "), " -o json")
		}
	}
	return ran, asJSON
}

// commandOf is the longest command that the words begin with.
func commandOf(words []string, all [][]string) []string {
	longest := []string{}
	for _, path := range all {
		if len(path) > len(longest) && len(words) >= len(path) && slices.Equal(words[:len(path)], path) {
			longest = path
		}
	}
	return longest
}

// notResults matches what has no place on standard output: progress, prompts,
// warnings and colours.
var notResults = regexp.MustCompile(`(?m)^(==> |=== |> |WARN: |error: )|\x1b\[`)

// runPlain is the command `run args...`: it runs coder with the words, and
// holds its standard output to have results only, and standard error no error.
func runPlain(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("run cannot be negated")
	}
	ts.Check(ts.Exec("coder", args...))
	if found := notResults.FindString(ts.ReadFile("stdout")); found != "" {
		ts.Fatalf("standard output has %q in it", found)
	}
	if errors := ts.ReadFile("stderr"); strings.Contains(errors, "error: ") {
		ts.Fatalf("a command that succeeded says: %s", errors)
	}
	coverageOf(ts).add(args)
}

// runRefused is the command `refused args...`: it runs coder with the words
// where that must fail, and holds it to say why and to print no result.
func runRefused(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("refused cannot be negated")
	}
	if err := ts.Exec("coder", args...); err == nil {
		ts.Fatalf("the command succeeded")
	}
	if out := ts.ReadFile("stdout"); out != "" {
		ts.Fatalf("standard output of a command that was refused: %s", out)
	}
	if !strings.Contains(ts.ReadFile("stderr"), "error: ") {
		ts.Fatalf("it does not say why: %s", ts.ReadFile("stderr"))
	}
	coverageOf(ts).add(args)
}

// runJSON is the command `json args...`: it runs coder with the words and
// -o json, and holds its standard output to be one JSON document, and nothing else.
func runJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("json cannot be negated")
	}
	args = append(slices.Clone(args), "-o", "json")
	runPlain(ts, false, args)
	out := ts.ReadFile("stdout")
	if !json.Valid([]byte(out)) || strings.TrimSpace(out) == "null" {
		ts.Fatalf("standard output is not one JSON document: %s", out)
	}
}

// covered is the command `covered`: it fails when a command that the binary's
// own reference lists was not run before, or has -o json and was not run with it.
func covered(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: covered")
	}
	ts.Check(ts.Exec("coder", "exp", "docs", "--dir", "reference"))
	sections := strings.Split(ts.ReadFile("reference/cli.md"), "\n## coder ")[1:]
	all := [][]string{}
	for _, section := range sections {
		heading, _, _ := strings.Cut(section, "\n")
		all = append(all, strings.Fields(heading))
	}
	missing := []string{}
	for i, path := range all {
		ran, asJSON := coverageOf(ts).ran(path, all)
		group := slices.ContainsFunc(all, func(other []string) bool {
			return len(other) > len(path) && slices.Equal(other[:len(path)], path)
		})
		switch hasJSON := regexp.MustCompile("`--output`.* json").MatchString(sections[i]); {
		case !ran && !group:
			missing = append(missing, "coder "+strings.Join(path, " "))
		case ran && hasJSON && !asJSON:
			missing = append(missing, "coder "+strings.Join(path, " ")+" -o json")
		}
	}
	if len(all) < 50 || len(missing) > 0 {
		ts.Fatalf("of %d commands these were not run:\n%s", len(all), strings.Join(missing, "\n"))
	}
}
