package ui

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"coder/client"
)

// parameterPrefix keeps the names of parameters apart from a form's own fields.
const parameterPrefix = "parameter."

// Types of parameters that need another control than a line of text.
const (
	typeBool   = "bool"
	typeNumber = "number"
	typeList   = "list(string)"
)

// parameterFields are the questions that a template asks, with the values
// given, else the defaults. fixed are the names that cannot be answered now.
func parameterFields(parameters []client.TemplateVersionParameter, given map[string]string, fixed func(client.TemplateVersionParameter) bool) []field {
	fields := make([]field, 0, len(parameters))
	for _, p := range parameters {
		value, ok := given[p.Name]
		if !ok {
			value = p.DefaultValue
		}
		f := parameterField(p, value)
		f.ReadOnly = fixed != nil && fixed(p)
		fields = append(fields, f)
	}
	return fields
}

func parameterField(p client.TemplateVersionParameter, value string) field {
	f := field{Name: parameterPrefix + p.Name, Label: p.DisplayName, Hint: p.DescriptionPlaintext, Value: value, Required: p.Required}
	if f.Label == "" {
		f.Label = p.Name
	}
	if !p.Mutable {
		f.Hint = strings.TrimSpace(f.Hint + " It cannot be changed later.")
	}
	if p.Ephemeral {
		f.Hint = strings.TrimSpace(f.Hint + " It counts for one build only.")
	}
	for _, o := range p.Options {
		f.Options = append(f.Options, fieldOption{Value: o.Value, Label: o.Name, Hint: o.Description})
	}
	f.control(p)
	f.Hint = strings.TrimSpace(f.Hint + " " + limits(p))
	return f
}

// limits are the rules of a template's author for a value, so that nobody has
// to find them out by being refused.
func limits(p client.TemplateVersionParameter) string {
	var rules []string
	low, high := bound(p.ValidationMin), bound(p.ValidationMax)
	switch {
	case p.Type != typeNumber || len(p.Options) > 0:
	case low != "" && high != "":
		rules = append(rules, "A whole number from "+low+" to "+high+".")
	case low != "":
		rules = append(rules, "A whole number, at least "+low+".")
	case high != "":
		rules = append(rules, "A whole number, at most "+high+".")
	case p.ValidationMonotonic != "":
		rules = append(rules, "A whole number.")
	}
	switch p.ValidationMonotonic {
	case "increasing":
		rules = append(rules, "Later it may only grow.")
	case "decreasing":
		rules = append(rules, "Later it may only shrink.")
	}
	switch {
	case p.ValidationRegex == "" || len(p.Options) > 0:
	case ruleInWords(p) != "":
		rules = append(rules, strings.TrimSuffix(ruleInWords(p), ".")+".")
	default:
		rules = append(rules, "It has to match "+p.ValidationRegex)
	}
	return strings.Join(rules, " ")
}

// control chooses how a parameter is answered.
func (f *field) control(p client.TemplateVersionParameter) {
	switch {
	case p.Type == typeList && len(f.Options) > 0:
		f.Kind, f.Values = kindChecks, listOf(f.Value)
	case p.Type == typeList:
		f.Kind, f.Value = kindTextarea, strings.Join(listOf(f.Value), "\n")
		f.Hint = strings.TrimSpace(f.Hint + " One a line.")
	case p.Type == typeBool && len(f.Options) == 0:
		f.Kind, f.Required = kindCheckbox, false
		if f.Value == "true" {
			f.Value = "on"
		}
	case len(f.Options) > 0 && p.FormType == "dropdown":
		f.Kind = kindSelect
		if f.Value == "" {
			f.Options = slices.Insert(f.Options, 0, fieldOption{Label: "Choose …"})
		}
	case len(f.Options) > 0:
		f.Kind = kindRadio
	case p.FormType == kindTextarea:
		f.Kind = kindTextarea
	case p.Type == typeNumber:
		f.Kind, f.Min, f.Max = "number", bound(p.ValidationMin), bound(p.ValidationMax)
		if f.Min+f.Max+p.ValidationMonotonic != "" {
			f.Step = "1" // as the builds' own check
		}
	}
	if p.ValidationRegex != "" && f.Kind == "" {
		f.Pattern, f.Title = ".*(?:"+p.ValidationRegex+").*", ruleInWords(p)
	}
}

// ruleInWords is what the author says about a value that does not fit, where
// that can be said before there is one.
func ruleInWords(p client.TemplateVersionParameter) string {
	if strings.Contains(p.ValidationError, "{value}") {
		return ""
	}
	return p.ValidationError
}

func bound(n *int32) string {
	if n == nil {
		return ""
	}
	return strconv.Itoa(int(*n))
}

// listOf reads the value of a list; what is no list has no items.
func listOf(value string) []string {
	items := []string{}
	_ = json.Unmarshal([]byte(value), &items) // the API refuses what is wrong
	return items
}

// parameterValues are the answers to send; a question that nobody answered is
// left to its default.
func parameterValues(parameters []client.TemplateVersionParameter, f form) []client.BuildParameter {
	var values []client.BuildParameter
	for _, p := range parameters {
		i := f.index(parameterPrefix + p.Name)
		if i < 0 || f.Fields[i].ReadOnly {
			continue
		}
		if value, answered := f.Fields[i].answer(p); answered {
			values = append(values, client.BuildParameter{Name: p.Name, Value: value})
		}
	}
	return values
}

// answer is a control's value as the API takes it.
func (f field) answer(p client.TemplateVersionParameter) (string, bool) {
	switch {
	case f.Kind == kindChecks:
		return listText(f.Values), true
	case p.Type == typeList:
		items := strings.FieldsFunc(f.Value, func(r rune) bool { return r == '\n' || r == '\r' })
		return listText(items), true
	case f.Kind == kindCheckbox:
		return strconv.FormatBool(f.Value == "on"), true
	case f.Kind == kindTextarea:
		return strings.ReplaceAll(f.Value, "\r\n", "\n"), f.Value != "" || !p.Required
	}
	return f.Value, f.Value != "" || !p.Required && p.Type == "string"
}

func listText(items []string) string {
	if items == nil {
		items = []string{}
	}
	text, _ := json.Marshal(items) // texts always have a form
	return string(text)
}

func presetValues(p client.Preset) []client.BuildParameter {
	values := make([]client.BuildParameter, len(p.Parameters))
	for i, value := range p.Parameters {
		values[i] = client.BuildParameter(value)
	}
	return values
}

// linked are values that an address brings along: ?param.region=eu.
func linked(query url.Values) map[string]string {
	values := map[string]string{}
	for key := range query {
		if name, ok := strings.CutPrefix(key, "param."); ok {
			values[name] = query.Get(key)
		}
	}
	return values
}

func valuesByName(values []client.BuildParameter) map[string]string {
	named := map[string]string{}
	for _, v := range values {
		named[v.Name] = v.Value
	}
	return named
}
