package parameter_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/coder/terraform-provider-coder/v2/provider"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"coder/client"
	"coder/internal/parameter"
)

type param = client.TemplateVersionParameter

func pairs(named ...string) []client.BuildParameter {
	out := []client.BuildParameter{}
	for i := 0; i < len(named); i += 2 {
		out = append(out, client.BuildParameter{Name: named[i], Value: named[i+1]})
	}
	return out
}

func options(values ...string) []client.TemplateVersionParameterOption {
	out := []client.TemplateVersionParameterOption{}
	for _, v := range values {
		out = append(out, client.TemplateVersionParameterOption{Name: strings.ToUpper(v), Value: v})
	}
	return out
}

func TestResolveFindsTheValue(t *testing.T) {
	t.Parallel()
	text := param{Name: "p", Type: "string", Mutable: true, DefaultValue: "default"}
	ephemeral, fixed := text, text
	ephemeral.Ephemeral = true
	fixed.Mutable = false
	for name, c := range map[string]struct {
		param                     param
		request, previous, preset []client.BuildParameter
		first                     bool
		want                      string
	}{
		"the default":                                          {param: text, want: "default"},
		"the previous value over the default":                  {param: text, previous: pairs("p", "old"), want: "old"},
		"an empty previous value":                              {param: text, previous: pairs("p", ""), want: ""},
		"the request over the previous value":                  {param: text, previous: pairs("p", "old"), request: pairs("p", "new"), want: "new"},
		"the preset over the request":                          {param: text, request: pairs("p", "new"), preset: pairs("p", "set"), want: "set"},
		"no previous value of an ephemeral one":                {param: ephemeral, previous: pairs("p", "old"), want: "default"},
		"a request for an ephemeral one":                       {param: ephemeral, previous: pairs("p", "old"), request: pairs("p", "new"), want: "new"},
		"an immutable one that stays":                          {param: fixed, previous: pairs("p", "old"), want: "old"},
		"an immutable one given again":                         {param: fixed, previous: pairs("p", "old"), request: pairs("p", "old"), want: "old"},
		"an immutable one that is new in this version":         {param: fixed, previous: pairs("q", "old"), request: pairs("p", "new"), want: "new"},
		"an immutable one in a first build":                    {param: fixed, previous: pairs("p", "old"), request: pairs("p", "new"), first: true, want: "new"},
		"nothing of names that are not declared":               {param: text, request: pairs("q", "x"), previous: pairs("q", "x"), preset: pairs("q", "x"), want: "default"},
		"a value that is there twice and the same":             {param: text, request: pairs("p", "x", "p", "x"), want: "x"},
		"no previous value in a first build, where one is odd": {param: text, previous: pairs("p", "old"), first: true, want: "default"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, wrong := parameter.Resolve([]param{c.param}, c.request, c.previous, c.preset, c.first)
			require.Nil(t, wrong)
			require.Equal(t, pairs("p", c.want), got)
		})
	}
	got, wrong := parameter.Resolve(nil, pairs("x", "y"), nil, nil, true)
	require.Nil(t, wrong)
	require.NotNil(t, got, "a list is never null")
}

func number(n int32) *int32 { return &n }

func TestResolveRefuses(t *testing.T) {
	t.Parallel()
	multi := param{Name: "p", Type: "list(string)", FormType: "multi-select", Options: options("a", "b")}
	for name, c := range map[string]struct {
		param           param
		value, previous string
		preset          bool
		detail          string
	}{
		"a missing value":                     {param: param{Required: true}, detail: `parameter "p" needs a value`},
		"a missing value of options":          {param: param{Required: true, Options: options("a", "b")}, detail: `parameter "p" needs a value: one of "a", "b"`},
		"a change of an immutable one":        {value: "new", previous: "old", detail: `cannot be changed once it is set; it is "old"`},
		"a change by a preset":                {value: "new", previous: "old", preset: true, detail: `cannot be changed`},
		"a value that is no option":           {param: param{Options: options("a", "b")}, value: "c", detail: `"c" is no option: one of "a", "b"`},
		"an element that is no option":        {param: multi, value: `["a","c"]`, detail: `"c" is no option`},
		"a list that is none":                 {param: multi, value: `a,b`, detail: `no JSON list of strings`},
		"a list of numbers":                   {param: param{Type: "list(string)"}, value: `[1]`, detail: `no JSON list of strings`},
		"a number that is none":               {param: param{Type: "number"}, value: "many", detail: `"many" is no number`},
		"a fraction where rules want integer": {param: param{Type: "number", ValidationMin: number(1)}, value: "1.5", detail: `"1.5" is no whole number`},
		"a boolean that is none":              {param: param{Type: "bool"}, value: "maybe", detail: `neither true nor false`},
		"too little":                          {param: param{Type: "number", ValidationMin: number(0)}, value: "-1", detail: "-1 is less than the minimum 0"},
		"too much":                            {param: param{Type: "number", ValidationMax: number(0)}, value: "1", detail: "1 is more than the maximum 0"},
		"too much, in the author's words": {param: param{Type: "number", ValidationMin: number(1), ValidationMax: number(8), ValidationError: "{value} is not within {min} and {max}"},
			value: "9", detail: `parameter "p": 9 is not within 1 and 8`},
		"text of another pattern": {param: param{Type: "string", ValidationRegex: "^[a-z]+$", ValidationError: "lower case, please"}, value: "A", detail: "lower case, please"},
		"less of what may only grow": {param: param{Type: "number", Mutable: true, ValidationMonotonic: "increasing"},
			value: "9", previous: "10", detail: "9 is less than the 10 it was"},
		"more of what may only shrink": {param: param{Type: "number", Mutable: true, ValidationMonotonic: "decreasing"},
			value: "11", previous: "10", detail: "11 is more than the 10 it was"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.param.Name = "p"
			var request, previous, preset []client.BuildParameter
			if c.value != "" {
				request = pairs("p", c.value)
			}
			if c.previous != "" {
				previous = pairs("p", c.previous)
			}
			if c.preset {
				request, preset = nil, request
			}
			got, wrong := parameter.Resolve([]param{c.param}, request, previous, preset, c.previous == "")
			require.Nil(t, got)
			require.Len(t, wrong, 1)
			require.Equal(t, "p", wrong[0].Field)
			require.Contains(t, wrong[0].Detail, c.detail)
		})
	}
}

func TestResolveNamesEveryParameterAtFault(t *testing.T) {
	t.Parallel()
	_, wrong := parameter.Resolve([]param{{Name: "a", Required: true}, {Name: "b", DefaultValue: "x"}, {Name: "c", Type: "bool", Required: true}},
		pairs("c", "?", "b", "1", "b", "2"), nil, nil, true)
	fields := []string{}
	for _, w := range wrong {
		fields = append(fields, w.Field)
	}
	require.Equal(t, []string{"a", "b", "c"}, fields)
}

// The provider decides once more, while Terraform runs. What passes here and
// fails there is a build that fails late, and the other way round is a value
// that nobody can set.
func TestValidateAgreesWithTheProvider(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p, theirs := drawParameter(t)
		value := drawValue(t, "value")
		var previous *string
		if rapid.Bool().Draw(t, "had") {
			v := drawValue(t, "previous")
			previous = &v
		}
		_, diags := theirs.ValidateInput(&value, previous)
		ours := parameter.Validate(p, value, previous)
		if diags.HasError() != (ours != nil) {
			t.Fatalf("provider: %v, ours: %v, for %+v value %q previous %v", diags, ours, p, value, previous)
		}
	})
}

func drawValue(t *rapid.T, label string) string {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"", "a", "b", "c", "true", "false", "T", "0", "1", "1.5", "1e3", "NaN", "07", "+7", " 1", "[]", `["a"]`, `["a","c"]`, `["a","b","a"]`, "null", "[null]", "[1]", "{}"}),
		rapid.Custom(func(t *rapid.T) string { return fmt.Sprint(rapid.IntRange(-20, 20).Draw(t, "n")) }),
		rapid.String(),
	).Draw(t, label)
}

func drawParameter(t *rapid.T) (param, *provider.Parameter) {
	p := param{Name: "p", Type: rapid.SampledFrom([]string{"string", "number", "bool", "list(string)"}).Draw(t, "type")}
	rule := provider.Validation{MinDisabled: true, MaxDisabled: true}
	ruled := false
	if p.Type == "number" && rapid.Bool().Draw(t, "has min") {
		p.ValidationMin = number(rapid.Int32Range(-10, 10).Draw(t, "min"))
		rule.MinDisabled, rule.Min, ruled = false, int(*p.ValidationMin), true
	}
	if p.Type == "number" && rapid.Bool().Draw(t, "has max") {
		p.ValidationMax = number(rapid.Int32Range(-10, 10).Draw(t, "max"))
		rule.MaxDisabled, rule.Max, ruled = false, int(*p.ValidationMax), true
	}
	if p.Type == "number" && rapid.Bool().Draw(t, "is monotonic") {
		p.ValidationMonotonic = rapid.SampledFrom([]string{"increasing", "decreasing"}).Draw(t, "monotonic")
		rule.Monotonic, ruled = p.ValidationMonotonic, true
	}
	if p.Type == "string" && rapid.Bool().Draw(t, "has regex") {
		p.ValidationRegex, p.ValidationError = "^[a-c]*$", "wrong"
		rule.Regex, rule.Error, ruled = p.ValidationRegex, p.ValidationError, true
	}
	theirs := &provider.Parameter{Name: "p", Type: p.Type}
	if ruled {
		theirs.Validation = []provider.Validation{rule}
	}
	if rapid.Bool().Draw(t, "has options") {
		values := map[string][]string{"string": {"a", "b"}, "number": {"1", "7", "1.5"}, "bool": {"true"}, "list(string)": {`["a"]`, "[]"}}[p.Type]
		if p.Type == "list(string)" && rapid.Bool().Draw(t, "is multi-select") {
			p.FormType, values = "multi-select", []string{"a", "b"}
		}
		p.Options = options(values...)
		theirs.FormType = provider.ParameterFormType(p.FormType)
		for _, o := range p.Options {
			theirs.Option = append(theirs.Option, provider.Option{Name: o.Name, Value: o.Value})
		}
	}
	return p, theirs
}

func TestResolveHoldsItsPromises(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var params []param
		for i := range rapid.IntRange(0, 5).Draw(t, "count") {
			p, _ := drawParameter(t)
			p.Name = fmt.Sprintf("p%d", i)
			p.Mutable = rapid.Bool().Draw(t, "mutable")
			p.Required = rapid.Bool().Draw(t, "required")
			p.DefaultValue = drawValue(t, "default")
			params = append(params, p)
		}
		draw := func(label string) []client.BuildParameter {
			var out []client.BuildParameter
			for i := range 6 {
				if rapid.Bool().Draw(t, label) {
					out = append(out, client.BuildParameter{Name: fmt.Sprintf("p%d", i), Value: drawValue(t, label)})
				}
			}
			return out
		}
		request, previous := draw("request"), draw("previous")
		first := rapid.Bool().Draw(t, "first")
		values, wrong := parameter.Resolve(params, request, previous, nil, first)
		if wrong != nil {
			require.Nil(t, values)
			return
		}
		require.Len(t, values, len(params))
		for i, v := range values {
			p := params[i]
			require.Equal(t, p.Name, v.Name, "in the order of the template")
			before := slices.IndexFunc(previous, func(b client.BuildParameter) bool { return b.Name == p.Name })
			if before >= 0 && !first && !p.Mutable {
				require.Equal(t, previous[before].Value, v.Value, "immutable values stay")
			}
		}
		if len(params) > 0 {
			again, wrong := parameter.Resolve(params, nil, values, nil, false)
			require.Nil(t, wrong)
			require.Equal(t, values, again, "the next build without a word of the user is the same")
		}
	})
}
