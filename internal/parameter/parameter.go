// Package parameter decides over the values of a template's rich parameters
// (coder_parameter) in a build.
package parameter

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"coder/client"
)

// Types of parameters.
const (
	typeNumber = "number"
	typeBool   = "bool"
	typeList   = "list(string)"
)

const (
	formMultiSelect     = "multi-select"
	monotonicIncreasing = "increasing"
	monotonicDecreasing = "decreasing"
)

// Resolve finds the value of every declared parameter for a build: from the
// preset, else the request, else the previous build (unless ephemeral), else
// the default. Values for names that are not declared are dropped. first is
// true for the first build of a workspace, where nothing is previous and
// immutable parameters may be set.
//
// The result is in the order of params. Where anything is wrong, it is nil
// and there is one ValidationError for each parameter at fault, with the
// parameter's name as its field.
func Resolve(params []client.TemplateVersionParameter, request, previous, preset []client.BuildParameter, first bool) ([]client.BuildParameter, []client.ValidationError) {
	var wrong []client.ValidationError
	requested, twice := byName(request)
	chosen, _ := byName(preset)
	before := map[string]string{}
	if !first {
		before, _ = byName(previous)
	}
	values := make([]client.BuildParameter, 0, len(params))
	for _, p := range params {
		r := resolver{requested: requested, preset: chosen, previous: before}
		value, err := r.value(p)
		if err == nil && slices.Contains(twice, p.Name) {
			err = fmt.Errorf("parameter %q is given twice, with different values; give it once", p.Name)
		}
		if err != nil {
			wrong = append(wrong, client.ValidationError{Field: p.Name, Detail: err.Error()})
			continue
		}
		values = append(values, client.BuildParameter{Name: p.Name, Value: value})
	}
	if wrong != nil {
		return nil, wrong
	}
	return values, nil
}

// byName also returns the names that are there with different values.
func byName(parameters []client.BuildParameter) (values map[string]string, twice []string) {
	values = map[string]string{}
	for _, p := range parameters {
		if value, known := values[p.Name]; known && value != p.Value {
			twice = append(twice, p.Name)
		}
		values[p.Name] = p.Value
	}
	return values, twice
}

type resolver struct {
	requested, preset, previous map[string]string
}

func (r resolver) value(p client.TemplateVersionParameter) (string, error) {
	before, had := r.previous[p.Name]
	var previous *string
	if had {
		previous = &before
	}
	value, given := r.given(p.Name)
	switch {
	case given && had && !p.Mutable && value != before:
		return "", fmt.Errorf("parameter %q cannot be changed once it is set; it is %s, so leave it out or make a new workspace", p.Name, quote(before))
	case given:
	case had && !p.Ephemeral:
		value = before
	case p.Required:
		return "", fmt.Errorf("parameter %q needs a value%s", p.Name, choices(p))
	default:
		value = p.DefaultValue
	}
	return value, Validate(p, value, previous)
}

func (r resolver) given(name string) (string, bool) {
	if value, ok := r.preset[name]; ok {
		return value, true
	}
	value, ok := r.requested[name]
	return value, ok
}

func choices(p client.TemplateVersionParameter) string {
	if len(p.Options) == 0 {
		return ""
	}
	values := make([]string, len(p.Options))
	for i, o := range p.Options {
		values[i] = strconv.Quote(o.Value)
	}
	return ": one of " + strings.Join(values, ", ")
}

// quote shows a value in a message, and not more than a line of it.
func quote(value string) string {
	const most = 120
	if len(value) > most {
		return strconv.Quote(strings.ToValidUTF8(value[:most], "")) + "…"
	}
	return strconv.Quote(value)
}

// Validate tells what is wrong with a value of a parameter by itself: its
// type, its options and its validation block. previous is the value of the
// build before, nil where there is none.
func Validate(p client.TemplateVersionParameter, value string, previous *string) error {
	for _, check := range []func(client.TemplateVersionParameter, string) error{checkType, checkOptions, checkRegex, checkRange} {
		if err := check(p, value); err != nil {
			return err
		}
	}
	return checkMonotonic(p, value, previous)
}

func checkType(p client.TemplateVersionParameter, value string) error {
	switch p.Type {
	case typeNumber:
		if hasNumberRule(p) {
			if _, err := strconv.Atoi(value); err != nil {
				return fmt.Errorf("parameter %q: %s is no whole number", p.Name, quote(value))
			}
			return nil
		}
		if _, err := strconv.ParseFloat(value, 64); err != nil {
			return fmt.Errorf("parameter %q: %s is no number", p.Name, quote(value))
		}
	case typeBool:
		if _, err := strconv.ParseBool(value); err != nil {
			return fmt.Errorf("parameter %q: %s is neither true nor false", p.Name, quote(value))
		}
	case typeList:
		if _, err := list(value); err != nil {
			return fmt.Errorf("parameter %q: %s is no JSON list of strings, such as [\"a\",\"b\"]", p.Name, quote(value))
		}
	}
	return nil
}

func hasNumberRule(p client.TemplateVersionParameter) bool {
	return p.ValidationMin != nil || p.ValidationMax != nil || p.ValidationMonotonic != ""
}

func list(value string) ([]string, error) {
	var items []string
	err := json.Unmarshal([]byte(value), &items)
	return items, err
}

func checkOptions(p client.TemplateVersionParameter, value string) error {
	if len(p.Options) == 0 {
		return nil
	}
	chosen := []string{value}
	if p.Type == typeList && p.FormType == formMultiSelect {
		chosen, _ = list(value) // checkType has read it
	}
	for _, c := range chosen {
		if !slices.ContainsFunc(p.Options, func(o client.TemplateVersionParameterOption) bool { return o.Value == c }) {
			return fmt.Errorf("parameter %q: %s is no option%s", p.Name, quote(c), choices(p))
		}
	}
	return nil
}

func checkRegex(p client.TemplateVersionParameter, value string) error {
	if p.ValidationRegex == "" {
		return nil
	}
	pattern, err := regexp.Compile(p.ValidationRegex)
	if err != nil {
		return fmt.Errorf("parameter %q: the template's regular expression %s cannot be used: %w", p.Name, quote(p.ValidationRegex), err)
	}
	if !pattern.MatchString(value) {
		return broken(p, value, fmt.Sprintf("%s does not match %s", quote(value), p.ValidationRegex))
	}
	return nil
}

func checkRange(p client.TemplateVersionParameter, value string) error {
	if p.Type != typeNumber || !hasNumberRule(p) {
		return nil
	}
	n, _ := wholeNumber(value) // checkType has read it
	if p.ValidationMin != nil && n < int(*p.ValidationMin) {
		return broken(p, value, fmt.Sprintf("%d is less than the minimum %d", n, *p.ValidationMin))
	}
	if p.ValidationMax != nil && n > int(*p.ValidationMax) {
		return broken(p, value, fmt.Sprintf("%d is more than the maximum %d", n, *p.ValidationMax))
	}
	return nil
}

// checkMonotonic allows an equal value. A previous value that is no whole
// number, from a version of the template with other rules, decides nothing.
func checkMonotonic(p client.TemplateVersionParameter, value string, previous *string) error {
	if p.ValidationMonotonic == "" || p.Type != typeNumber || previous == nil {
		return nil
	}
	before, whole := wholeNumber(*previous)
	now, _ := wholeNumber(value) // checkType has read it
	if !whole {
		return nil
	}
	if p.ValidationMonotonic == monotonicIncreasing && now < before {
		return broken(p, value, fmt.Sprintf("%d is less than the %d it was; it may only grow", now, before))
	}
	if p.ValidationMonotonic == monotonicDecreasing && now > before {
		return broken(p, value, fmt.Sprintf("%d is more than the %d it was; it may only shrink", now, before))
	}
	return nil
}

func wholeNumber(text string) (int, bool) {
	n, err := strconv.Atoi(text)
	return n, err == nil
}

// broken prefers the words of the template's author.
func broken(p client.TemplateVersionParameter, value, detail string) error {
	if p.ValidationError == "" {
		return fmt.Errorf("parameter %q: %s", p.Name, detail)
	}
	limit := func(n *int32) string {
		if n == nil {
			return ""
		}
		return strconv.Itoa(int(*n))
	}
	text := strings.NewReplacer("{min}", limit(p.ValidationMin), "{max}", limit(p.ValidationMax), "{value}", value).Replace(p.ValidationError)
	return fmt.Errorf("parameter %q: %s", p.Name, text)
}
