package terraform

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"coder/client"
)

// ImportedPlan is what a plan says about a template version, besides its resources.
type ImportedPlan struct {
	Resources        []client.ProvisionedResource
	Parameters       []client.TemplateVersionParameter
	Presets          []client.ImportedPreset
	ExternalAuth     []string
	HasExternalAgent bool
	// Unknown names parameters that a preset sets and the template lacks.
	Unknown []string
}

// ReadImport reads the JSON of an import's plan.
func ReadImport(planJSON []byte, graph *Graph) (*ImportedPlan, error) {
	parsed, err := parsePlan(planJSON)
	if err != nil {
		return nil, err
	}
	objects := parsed.objects()
	imported := &ImportedPlan{}
	if imported.Resources, err = extract(objects, graph); err != nil {
		return nil, err
	}
	if imported.Parameters, err = readParameters(objects); err != nil {
		return nil, err
	}
	if imported.Presets, err = readPresets(objects); err != nil {
		return nil, err
	}
	imported.ExternalAuth = readExternalAuth(objects)
	imported.Unknown = unknownParameters(imported.Presets, imported.Parameters)
	imported.HasExternalAgent = slices.ContainsFunc(objects, func(o object) bool { return o.Type == "coder_external_agent" })
	return imported, nil
}

func dataOf(objects []object, kind string) []object {
	found := []object{}
	for _, o := range objects {
		if o.Mode != managed && o.Type == kind {
			found = append(found, o)
		}
	}
	return found
}

func readParameters(objects []object) ([]client.TemplateVersionParameter, error) {
	sources := dataOf(objects, "coder_parameter")
	slices.SortStableFunc(sources, func(a, b object) int {
		return cmp.Or(cmp.Compare(a.Values.number("order"), b.Values.number("order")), strings.Compare(a.Values.text("name"), b.Values.text("name")))
	})
	parameters, names := []client.TemplateVersionParameter{}, []string{}
	for _, o := range sources {
		parameters = append(parameters, readParameter(o.Values))
		names = append(names, o.Values.text("name"))
	}
	if repeated := duplicates(names); len(repeated) > 0 {
		return nil, fmt.Errorf("coder_parameter: names are unique in a template, but more than one is called %s", strings.Join(repeated, ", "))
	}
	return parameters, nil
}

func readParameter(v attributes) client.TemplateVersionParameter {
	parameter := client.TemplateVersionParameter{
		Name: v.text("name"), DisplayName: v.text("display_name"), Description: v.text("description"),
		DescriptionPlaintext: plainText(v.text("description")), Type: v.text("type"), FormType: v.text("form_type"),
		Mutable: v.truth("mutable"), DefaultValue: v.text("default"), Icon: v.text("icon"),
		Options: []client.TemplateVersionParameterOption{}, Required: !v.truth("optional"), Ephemeral: v.truth("ephemeral"),
	}
	for _, option := range v.blocks("option") {
		parameter.Options = append(parameter.Options, client.TemplateVersionParameterOption{
			Name: option.text("name"), Description: option.text("description"), Value: option.text("value"), Icon: option.text("icon"),
		})
	}
	if validation := v.blocks("validation"); len(validation) > 0 {
		parameter.ValidationError = validation[0].text("error")
		parameter.ValidationRegex = validation[0].text("regex")
		parameter.ValidationMonotonic = validation[0].text("monotonic")
		if parameter.Type == "number" {
			parameter.ValidationMin = limit(validation[0], "min")
			parameter.ValidationMax = limit(validation[0], "max")
		}
	}
	return parameter
}

func limit(validation attributes, name string) *int32 {
	number, ok := validation[name].(json.Number)
	if !ok || validation.truth(name+"_disabled") {
		return nil
	}
	value, err := strconv.ParseFloat(number.String(), 64)
	if err != nil {
		return nil
	}
	limited := int32(min(max(value, math.MinInt32), math.MaxInt32))
	return &limited
}

func readPresets(objects []object) ([]client.ImportedPreset, error) {
	presets, names, defaults := []client.ImportedPreset{}, []string{}, []string{}
	for _, o := range dataOf(objects, "coder_workspace_preset") {
		v := o.Values
		preset := client.ImportedPreset{
			Name: v.text("name"), Description: v.text("description"), Icon: v.text("icon"),
			Default: v.truth("default"), Parameters: []client.BuildParameter{},
		}
		for name, value := range v.texts("parameters") {
			preset.Parameters = append(preset.Parameters, client.BuildParameter{Name: name, Value: value})
		}
		slices.SortFunc(preset.Parameters, func(a, b client.BuildParameter) int { return strings.Compare(a.Name, b.Name) })
		if prebuilds := v.blocks("prebuilds"); len(prebuilds) > 0 {
			instances := prebuilds[0].number("instances")
			preset.Prebuilds = &instances
		}
		if preset.Default {
			defaults = append(defaults, preset.Name)
		}
		presets, names = append(presets, preset), append(names, preset.Name)
	}
	if repeated := duplicates(names); len(repeated) > 0 {
		return nil, fmt.Errorf("coder_workspace_preset: names are unique in a template, but more than one is called %s", strings.Join(repeated, ", "))
	}
	if len(defaults) > 1 {
		return nil, fmt.Errorf("coder_workspace_preset: only one preset can be the default, but these are: %s", strings.Join(defaults, ", "))
	}
	return presets, nil
}

func unknownParameters(presets []client.ImportedPreset, parameters []client.TemplateVersionParameter) []string {
	unknown := []string{}
	for _, preset := range presets {
		for _, value := range preset.Parameters {
			if !slices.ContainsFunc(parameters, func(p client.TemplateVersionParameter) bool { return p.Name == value.Name }) {
				unknown = append(unknown, value.Name)
			}
		}
	}
	slices.Sort(unknown)
	return slices.Compact(unknown)
}

func readExternalAuth(objects []object) []string {
	ids := []string{}
	for _, kind := range []string{"coder_external_auth", "coder_git_auth"} {
		for _, o := range dataOf(objects, kind) {
			ids = append(ids, o.Values.text("id"))
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

func duplicates(names []string) []string {
	count := map[string]int{}
	repeated := []string{}
	for _, name := range names {
		if count[name]++; count[name] == 2 {
			repeated = append(repeated, name)
		}
	}
	slices.Sort(repeated)
	return repeated
}

var (
	markdownLink     = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
	markdownEmphasis = regexp.MustCompile("(\\*\\*|__|~~|`+|\\*)([^*_~`\\n]+)(\\*\\*|__|~~|`+|\\*)")
	markdownPrefix   = regexp.MustCompile(`(?m)^\s{0,3}(#{1,6}\s+|>\s?|[-*+]\s+)`)
)

// plainText is what remains of Markdown without its marks.
func plainText(markdown string) string {
	text := markdownLink.ReplaceAllString(markdown, "$1")
	text = markdownPrefix.ReplaceAllString(text, "")
	text = markdownEmphasis.ReplaceAllString(text, "$2")
	return strings.TrimSpace(text)
}
