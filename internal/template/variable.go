package template

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/ext/typeexpr"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"coder/client"
)

// Variable is a declared Terraform variable.
type Variable struct {
	Position
	Name        string
	Description string
	// Type is the type as written; empty where none is.
	Type string
	// Default is the text of the default, JSON where that is no string. It is
	// empty where Required.
	Default string
	// Required variables have no default, or null.
	Required  bool
	Sensitive bool
}

// API is the variable as the v2 API shows it, with the value given to it.
func (v Variable) API(value string) client.TemplateVersionVariable {
	return client.TemplateVersionVariable{
		Name: v.Name, Description: v.Description, Type: v.apiType(), Value: value,
		DefaultValue: v.Default, Required: v.Required, Sensitive: v.Sensitive,
	}
}

// apiType fills in what an author left out: Terraform would take the type of
// the default.
func (v Variable) apiType() string {
	if v.Type != "" {
		return v.Type
	}
	switch {
	case v.Default == "true" || v.Default == "false":
		return "bool"
	case json.Valid([]byte(v.Default)) && strings.Trim(v.Default, "-+.eE0123456789") == "":
		return "number"
	}
	return "string"
}

func variableSchema() *hcl.BodySchema {
	return &hcl.BodySchema{Attributes: []hcl.AttributeSchema{
		{Name: "type"}, {Name: "description"}, {Name: "default"}, {Name: "sensitive"},
	}}
}

// variable reads a block. A later block of the name, which Terraform takes
// from override files only, changes what it sets.
func (p *parser) variable(block *hcl.Block) {
	v := p.declared(block)
	attributes := p.content(block.Body, variableSchema()).Attributes
	if a, ok := attributes["type"]; ok {
		v.Type = p.typeText(a.Expr)
	}
	if a, ok := attributes["description"]; ok {
		v.Description = p.literal(a.Expr)
	}
	if a, ok := attributes["default"]; ok {
		value, diags := evaluate(a.Expr, nil)
		p.diags = append(p.diags, diags...)
		v.Required = value.IsNull()
		v.Default, _ = valueText(value)
	}
	if a, ok := attributes["sensitive"]; ok {
		v.Sensitive = p.literal(a.Expr) == "true"
	}
}

func (p *parser) declared(block *hcl.Block) *Variable {
	for i := range p.source.Variables {
		if p.source.Variables[i].Name == block.Labels[0] {
			return &p.source.Variables[i]
		}
	}
	p.source.Variables = append(p.source.Variables, Variable{Position: position(block.DefRange), Name: block.Labels[0], Required: true})
	return &p.source.Variables[len(p.source.Variables)-1]
}

// typeText is the type as written, or unquoted where it was written in the
// quotes of Terraform 0.11.
func (p *parser) typeText(e hcl.Expression) string {
	var diags hcl.Diagnostics
	if hcl.ExprAsKeyword(e) == "" {
		var v cty.Value
		if v, diags = evaluate(e, nil); !diags.HasErrors() && v.Type() == cty.String && !v.IsNull() {
			return v.AsString()
		}
	}
	return p.raw(e)
}

// valueText is a value as the API carries it: a string as it is, anything
// else as JSON, null as nothing.
func valueText(v cty.Value) (string, error) {
	v, _ = v.UnmarkDeep()
	if v.IsNull() || !v.IsWhollyKnown() {
		return "", nil
	}
	if v.Type() == cty.String {
		return v.AsString(), nil
	}
	text, err := ctyjson.Marshal(v, v.Type())
	return string(text), err
}

// VariablesFile is a file of Terraform's JSON form for -var-file, with the
// values that are given to declared variables. Terraform reads them as it
// reads -var: text for strings, numbers, booleans and variables without a
// type, an expression for other types.
func (s *Source) VariablesFile(values []client.VariableValue) ([]byte, error) {
	declared := map[string]Variable{}
	for _, v := range s.Variables {
		declared[v.Name] = v
	}
	out := map[string]json.RawMessage{}
	for _, given := range values {
		v, ok := declared[given.Name]
		if !ok {
			continue // as the reference: a value of a variable that is gone
		}
		encoded, err := v.encode(given.Value)
		if err != nil {
			return nil, err
		}
		out[given.Name] = encoded
	}
	return json.MarshalIndent(out, "", "  ")
}

func (v Variable) encode(text string) (json.RawMessage, error) {
	if v.isText() {
		return json.Marshal(text)
	}
	value, err := v.parse(text)
	if err != nil {
		return nil, err
	}
	return ctyjson.SimpleJSONValue{Value: value}.MarshalJSON()
}

func (v Variable) isText() bool {
	switch v.Type {
	case "", "string", "number", "bool":
		return true
	}
	return false
}

// parse reads the text of a value as Terraform would.
func (v Variable) parse(text string) (cty.Value, error) {
	if v.isText() {
		return v.parseText(text)
	}
	expression, err := parseExpression(text)
	if err != nil {
		return cty.NilVal, v.noExpression(err.Error())
	}
	value, diags := evaluate(expression, nil)
	if diags.HasErrors() {
		return cty.NilVal, v.noExpression(diags[0].Summary)
	}
	return value, nil
}

func (v Variable) noExpression(why string) error {
	return fmt.Errorf("variable %q: the value is no expression of type %s, such as [\"a\", \"b\"] for a list: %s", v.Name, v.Type, why)
}

func (v Variable) parseText(text string) (cty.Value, error) {
	value := cty.StringVal(text)
	wanted := map[string]cty.Type{"number": cty.Number, "bool": cty.Bool}[v.Type]
	if wanted == cty.NilType {
		return value, nil
	}
	value, err := convert.Convert(value, wanted)
	if err != nil {
		return cty.NilVal, fmt.Errorf("variable %q: %q is no %s", v.Name, text, v.Type)
	}
	return value, nil
}

// typed converts a value to the declared type, so that expressions see what
// Terraform would show them.
func (v Variable) typed(value cty.Value) cty.Value {
	expression, err := parseExpression(v.Type)
	if v.Type == "" || err != nil {
		return value
	}
	wanted, defaults, diags := typeexpr.TypeConstraintWithDefaults(expression)
	if diags.HasErrors() {
		return value
	}
	if defaults != nil {
		value = defaults.Apply(value)
	}
	if converted, err := convert.Convert(value, wanted); err == nil {
		return converted
	}
	return value
}
