package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"coder/client"
	"coder/internal/parameter"
	"coder/internal/template"
)

// parameterOptions are the flags that give values of rich parameters.
type parameterOptions struct {
	values          []string
	defaults        []string
	file            string
	useDefaults     bool
	ephemeral       []string
	promptEphemeral bool
	buildOptions    []string
	promptOptions   bool
	alwaysPrompt    bool
}

func (o *parameterOptions) addFlags(f *pflag.FlagSet) {
	f.StringArrayVar(&o.values, "parameter", nil, "Value of a parameter, name=value; may be repeated")
	f.StringArrayVar(&o.defaults, "parameter-default", nil, "Value to take in place of the template's default, name=value; may be repeated")
	f.StringVar(&o.file, "rich-parameter-file", "", "YAML file with values of parameters")
	f.BoolVar(&o.useDefaults, "use-parameter-defaults", false, "Take defaults without asking")
	f.StringArrayVar(&o.ephemeral, "ephemeral-parameter", nil, "Value of an ephemeral parameter for this build only, name=value; may be repeated")
	f.BoolVar(&o.promptEphemeral, "prompt-ephemeral-parameters", false, "Ask for ephemeral parameters")
	f.StringArrayVar(&o.buildOptions, "build-option", nil, "Older name of --ephemeral-parameter")
	f.BoolVar(&o.promptOptions, "build-options", false, "Older name of --prompt-ephemeral-parameters")
	f.BoolVar(&o.alwaysPrompt, "always-prompt", false, "Ask for every parameter, also for those that have a value")
	olderName(f, "build-option", "ephemeral-parameter")
	olderName(f, "build-options", "prompt-ephemeral-parameters")
	for flag, variable := range map[string]string{
		"parameter": "CODER_RICH_PARAMETER", "parameter-default": "CODER_RICH_PARAMETER_DEFAULT",
		"rich-parameter-file": "CODER_RICH_PARAMETER_FILE", "use-parameter-defaults": "CODER_WORKSPACE_USE_PARAMETER_DEFAULTS",
		"ephemeral-parameter": "CODER_EPHEMERAL_PARAMETER", "prompt-ephemeral-parameters": "CODER_PROMPT_EPHEMERAL_PARAMETERS",
		"build-option": "CODER_BUILD_OPTION",
	} {
		fromEnv(f, flag, variable)
	}
}

// parameterSource is where values come from besides the flags.
type parameterSource struct {
	declared []client.TemplateVersionParameter
	// previous are the values of the last build; nil for a first build.
	previous []client.BuildParameter
	// preset are values that the server takes before all others.
	preset []client.PresetParameter
	// copied are proposals of another workspace.
	copied []client.BuildParameter
	// silent takes every default without asking.
	silent bool
}

// resolve returns the values to send: those given, and those that a person
// was asked for. What the server finds by itself is left to it.
func (o *parameterOptions) resolve(ctx context.Context, env *Env, s parameterSource) ([]client.BuildParameter, error) {
	given, defaults, ephemeral, err := o.given()
	if err != nil {
		return nil, err
	}
	if err := checkDeclared(s.declared, given, defaults, ephemeral); err != nil {
		return nil, err
	}
	r := resolution{env: env, options: o, source: s, given: given, defaults: defaults, ephemeral: ephemeral,
		silent: s.silent || o.useDefaults || !env.interactive()}
	values := []client.BuildParameter{}
	for _, p := range s.declared {
		value, send, err := r.value(ctx, p)
		if err != nil {
			return nil, err
		}
		if send {
			values = append(values, client.BuildParameter{Name: p.Name, Value: value})
		}
	}
	return values, nil
}

// given reads the flags: values (those of the file first), defaults, and
// values of ephemeral parameters.
func (o *parameterOptions) given() (given, defaults, ephemeral map[string]string, err error) {
	given = map[string]string{}
	if o.file != "" {
		values, err := template.ReadVariablesFile(o.file)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("read the parameter file: %w", err)
		}
		for _, v := range values {
			given[v.Name] = v.Value
		}
	}
	flags, err := parsePairs("parameter", o.values)
	for name, value := range flags {
		given[name] = value
	}
	if err == nil {
		defaults, err = parsePairs("parameter default", o.defaults)
	}
	if err == nil {
		ephemeral, err = parsePairs("ephemeral parameter", append(slices.Clone(o.buildOptions), o.ephemeral...))
	}
	return given, defaults, ephemeral, err
}

func parsePairs(kind string, pairs []string) (map[string]string, error) {
	values := map[string]string{}
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("the %s %q has no name and value: write it as name=value", kind, pair)
		}
		values[name] = value
	}
	return values, nil
}

// checkDeclared refuses values for parameters that the template does not have.
func checkDeclared(declared []client.TemplateVersionParameter, sets ...map[string]string) error {
	names := make([]string, len(declared))
	for i, p := range declared {
		names[i] = p.Name
	}
	for _, set := range sets {
		for name := range set {
			if !slices.Contains(names, name) {
				return fmt.Errorf("the template has no parameter %q; it has: %s", name, orNone(names))
			}
		}
	}
	return nil
}

// resolution is the search for one value after the other.
type resolution struct {
	env       *Env
	options   *parameterOptions
	source    parameterSource
	given     map[string]string
	defaults  map[string]string
	ephemeral map[string]string
	silent    bool
}

func (r resolution) value(ctx context.Context, p client.TemplateVersionParameter) (value string, send bool, err error) {
	previous := valueOf(r.source.previous, p.Name)
	value, given := r.given[p.Name]
	if p.Ephemeral {
		if v, ok := r.ephemeral[p.Name]; ok {
			value, given = v, true
		}
	}
	switch {
	case given:
		return value, true, parameter.Validate(p, value, previous)
	case r.inPreset(p.Name):
		return "", false, nil
	case p.Ephemeral:
		if !r.options.promptEphemeral && !r.options.promptOptions {
			return "", false, nil
		}
	case previous != nil && (!p.Mutable || (!r.options.alwaysPrompt && parameter.Validate(p, *previous, previous) == nil)):
		// The server keeps it.
		return "", false, nil
	}
	return r.ask(ctx, p, previous)
}

func (r resolution) inPreset(name string) bool {
	return slices.ContainsFunc(r.source.preset, func(v client.PresetParameter) bool { return v.Name == name })
}

// ask takes the default where nobody shall be asked, and asks where one is
// missing or a choice is wanted.
func (r resolution) ask(ctx context.Context, p client.TemplateVersionParameter, previous *string) (string, bool, error) {
	preset, known := p.DefaultValue, !p.Required
	for _, proposal := range []*string{lookup(r.defaults, p.Name), valueOf(r.source.copied, p.Name), previous} {
		if proposal != nil && parameter.Validate(p, *proposal, previous) == nil {
			preset, known = *proposal, true
			if proposal != previous {
				break
			}
		}
	}
	if r.silent && known {
		return preset, true, parameter.Validate(p, preset, previous)
	}
	if !r.env.interactive() {
		return "", false, fmt.Errorf("the parameter %q needs a value: give --parameter %q%s", p.Name, p.Name+"=value", optionsHint(p))
	}
	value, err := r.env.askParameter(ctx, p, preset, known, previous)
	return value, true, err
}

func lookup(values map[string]string, name string) *string {
	if v, ok := values[name]; ok {
		return &v
	}
	return nil
}

func valueOf(values []client.BuildParameter, name string) *string {
	for _, v := range values {
		if v.Name == name {
			return &v.Value
		}
	}
	return nil
}

func optionsHint(p client.TemplateVersionParameter) string {
	if len(p.Options) == 0 {
		return ""
	}
	values := make([]string, len(p.Options))
	for i, o := range p.Options {
		values[i] = o.Value
	}
	return "; one of " + strings.Join(values, ", ")
}

// askParameter asks for a value in the way that fits the parameter's type.
func (e *Env) askParameter(ctx context.Context, p client.TemplateVersionParameter, preset string, known bool, previous *string) (string, error) {
	title := firstOf(p.DisplayName, p.Name)
	e.errf("%s\n", e.paint(e.Stderr, bold, printable(title)))
	if text := strings.TrimSpace(firstOf(p.DescriptionPlaintext, p.Description)); text != "" {
		e.errf("%s\n", e.paint(e.Stderr, dim, printableLines(text)))
	}
	if !p.Mutable {
		e.errf("%s\n", e.paint(e.Stderr, yellow, "This value cannot be changed after the workspace has been created."))
	}
	instead := fmt.Sprintf("give --parameter %q", p.Name+"=value")
	many := p.Type == "list(string)"
	if choices := parameterChoices(p); choices != nil && !many {
		i, err := e.choose(ctx, printable(title)+":", instead, choices, indexOfValue(p, preset, known))
		if err != nil {
			return "", err
		}
		return choiceValueOf(p, i), nil
	}
	for i, o := range p.Options {
		e.errf("  %2d  %s\n", i+1, printable(o.Value))
	}
	if many {
		instead += " as a JSON list"
	}
	var value string
	_, err := e.ask(ctx, question{text: printable(title) + ":", preset: preset, instead: instead, check: func(answer string) error {
		value = answer
		if many {
			value = listValue(answer)
		}
		if value == "" && !known {
			return fmt.Errorf("the parameter %q needs a value", p.Name)
		}
		return parameter.Validate(p, value, previous)
	}})
	return value, err
}

func parameterChoices(p client.TemplateVersionParameter) []choice {
	if p.Type == "bool" && len(p.Options) == 0 {
		return []choice{{text: "true"}, {text: "false"}}
	}
	var choices []choice
	for _, o := range p.Options {
		choices = append(choices, choice{text: o.Name, about: o.Description})
	}
	return choices
}

func choiceValueOf(p client.TemplateVersionParameter, i int) string {
	if len(p.Options) == 0 {
		return []string{"true", "false"}[i]
	}
	return p.Options[i].Value
}

func indexOfValue(p client.TemplateVersionParameter, preset string, known bool) int {
	if !known {
		return -1
	}
	for i := range parameterChoices(p) {
		if choiceValueOf(p, i) == preset {
			return i
		}
	}
	return -1
}

// listValue takes a JSON list as it is, and makes one of words with commas between.
func listValue(answer string) string {
	if strings.HasPrefix(strings.TrimSpace(answer), "[") {
		return answer
	}
	words := splitNames([]string{answer})
	text, err := json.Marshal(words)
	if err != nil {
		return answer
	}
	return string(text)
}
