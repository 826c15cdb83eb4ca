package template

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// tagExpression is one pair of the tags of a coder_workspace_tags block.
type tagExpression struct {
	Position
	key, value         hcl.Expression
	keyText, valueText string
}

// parameterBlock is what a coder_parameter block says by itself.
type parameterBlock struct {
	Position
	label string
	name  hcl.Expression
	typ   hcl.Expression
	def   hcl.Expression
}

// jsonExpression is a JSON value as it stands. Templates in JSON strings are
// not read; a tag that needs one cannot be evaluated.
func (p *parser) jsonExpression(e hcl.Expression) hcl.Expression {
	text := p.literal(e)
	if strings.Contains(text, "${") || strings.Contains(text, "%{") {
		return hcl.StaticExpr(cty.UnknownVal(cty.String), e.Range())
	}
	return hcl.StaticExpr(cty.StringVal(text), e.Range())
}

// HasTags tells whether the template sets workspace tags.
func (s *Source) HasTags() bool { return len(s.tags) > 0 }

// TagExpressions are the workspace tags as written, key to value.
func (s *Source) TagExpressions() map[string]string {
	out := map[string]string{}
	for _, t := range s.tags {
		out[t.keyText] = t.valueText
	}
	return out
}

func (p *parser) workspaceTags(block *hcl.Block) {
	content := p.content(block.Body, &hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "tags", Required: true}}})
	attribute, ok := content.Attributes["tags"]
	if !ok {
		return
	}
	object, ok := attribute.Expr.(*hclsyntax.ObjectConsExpr)
	if !ok {
		p.complain(attribute.Expr, "Workspace tags are no map", `write them as tags = { "key" = "value" }; only keys and values may be expressions.`)
		return
	}
	for _, item := range object.Items {
		if len(p.raw(item.KeyExpr))+len(p.raw(item.ValueExpr)) > maxTag {
			p.complain(item.KeyExpr, "Workspace tag too long", fmt.Sprintf("a key and its value may have at most %d bytes of source.", maxTag))
			continue
		}
		p.source.tags = append(p.source.tags, tagExpression{
			Position: position(item.KeyExpr.Range()), key: item.KeyExpr, value: item.ValueExpr,
			keyText: p.raw(item.KeyExpr), valueText: p.raw(item.ValueExpr),
		})
	}
}

func (p *parser) complain(at hcl.Expression, summary, detail string) {
	r := at.Range()
	p.diags = append(p.diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &r})
}

func (p *parser) parameter(block *hcl.Block) {
	content := p.content(block.Body, &hcl.BodySchema{Attributes: []hcl.AttributeSchema{{Name: "name"}, {Name: "type"}, {Name: "default"}}})
	expression := func(name string) hcl.Expression {
		a, ok := content.Attributes[name]
		if !ok {
			return nil
		}
		if p.json {
			return p.jsonExpression(a.Expr)
		}
		return a.Expr
	}
	p.source.parameters = append(p.source.parameters, parameterBlock{
		Position: position(block.DefRange), label: block.Labels[1],
		name: expression("name"), typ: expression("type"), def: expression("default"),
	})
}

// EvaluateTags computes the workspace tags for values of variables and rich
// parameters, by name; those not given have their defaults. Tags may refer to
// var.NAME and data.coder_parameter.NAME.value and call functions that read
// no files. Anything else is an *Error naming file and line.
func (s *Source) EvaluateTags(variables, parameters map[string]string) (map[string]string, error) {
	e := evaluator{source: s, variables: variables, parameters: parameters}
	tags := map[string]string{}
	var problems []Problem
	for _, t := range s.tags {
		key, err := e.text(t.key)
		value := ""
		if err == nil {
			value, err = e.text(t.value)
		}
		if err == nil && key == "" {
			err = errors.New("the key is empty")
		}
		if _, twice := tags[key]; err == nil && twice {
			err = fmt.Errorf("the key %q is there twice", key)
		}
		if err != nil {
			problems = append(problems, Problem{t.Position, fmt.Sprintf("workspace tag %s: %s", t.keyText, err)})
			continue
		}
		tags[key] = value
	}
	if problems != nil {
		return nil, &Error{problems}
	}
	return tags, nil
}

type evaluator struct {
	source                *Source
	variables, parameters map[string]string
	// inParameter: within a parameter's own block only variables may be
	// used, or two parameters could name each other for ever.
	inParameter bool
}

// text evaluates an expression of a tag.
func (e evaluator) text(expression hcl.Expression) (string, error) {
	ctx, err := e.scope(expression)
	if err != nil {
		return "", err
	}
	v, diags := evaluate(expression, ctx)
	if diags.HasErrors() {
		d := diags[0]
		return "", fmt.Errorf("%s: %s", d.Summary, d.Detail)
	}
	if v.IsNull() {
		return "", errors.New("the value is null")
	}
	v, err = convert.Convert(v, cty.String)
	if err != nil || !v.IsKnown() {
		return "", errors.New("the value is no string, number or boolean")
	}
	return v.AsString(), nil
}

// scope holds what the expression refers to, and nothing else: a tag must
// not fail because of a variable that it does not use.
func (e evaluator) scope(expression hcl.Expression) (*hcl.EvalContext, error) {
	variables, parameters := map[string]cty.Value{}, map[string]cty.Value{}
	for _, reference := range expression.Variables() {
		path := traversalPath(reference)
		switch {
		case len(path) >= 2 && path[0] == "var":
			v, err := e.variable(path[1])
			if err != nil {
				return nil, err
			}
			variables[path[1]] = v
		case len(path) >= 4 && !e.inParameter && path[0] == "data" && path[1] == "coder_parameter" && path[3] == "value":
			v, err := e.parameter(path[2])
			if err != nil {
				return nil, err
			}
			parameters[path[2]] = cty.ObjectVal(map[string]cty.Value{"value": v})
		default:
			return nil, fmt.Errorf("%s cannot be used here; tags are known before Terraform runs, so they may use var.NAME and data.coder_parameter.NAME.value only", strings.Join(path, "."))
		}
	}
	return &hcl.EvalContext{Functions: tagFunctions(), Variables: map[string]cty.Value{
		"var":  cty.ObjectVal(variables),
		"data": cty.ObjectVal(map[string]cty.Value{"coder_parameter": cty.ObjectVal(parameters)}),
	}}, nil
}

func traversalPath(t hcl.Traversal) []string {
	var path []string
	for _, step := range t {
		switch step := step.(type) {
		case hcl.TraverseRoot:
			path = append(path, step.Name)
		case hcl.TraverseAttr:
			path = append(path, step.Name)
		default:
			return path
		}
	}
	return path
}

func (e evaluator) variable(name string) (cty.Value, error) {
	i := slices.IndexFunc(e.source.Variables, func(v Variable) bool { return v.Name == name })
	if i < 0 {
		return cty.NilVal, fmt.Errorf("var.%s is not declared in the template's root", name)
	}
	declared := e.source.Variables[i]
	text, given := e.variables[name]
	if !given && declared.Required {
		return cty.NilVal, fmt.Errorf("var.%s has neither a value nor a default; give it a value", name)
	}
	if !given {
		text = declared.Default
	}
	if len(text) > maxTagInput {
		return cty.NilVal, fmt.Errorf("var.%s has %d bytes; workspace tags may use values of at most %d", name, len(text), maxTagInput)
	}
	v, err := declared.parse(text)
	if err != nil {
		return cty.NilVal, err
	}
	return declared.typed(v), nil
}

func (e evaluator) parameter(label string) (cty.Value, error) {
	i := slices.IndexFunc(e.source.parameters, func(b parameterBlock) bool { return b.label == label })
	if i < 0 {
		return cty.NilVal, fmt.Errorf("data.coder_parameter.%s is not declared in the template's root", label)
	}
	value, err := e.parameterValue(e.source.parameters[i])
	if err != nil {
		return cty.NilVal, fmt.Errorf("data.coder_parameter.%s: %w", label, err)
	}
	if len(value) > maxTagInput {
		return cty.NilVal, fmt.Errorf("data.coder_parameter.%s has %d bytes; workspace tags may use values of at most %d", label, len(value), maxTagInput)
	}
	return cty.StringVal(value), nil
}

func (e evaluator) parameterValue(block parameterBlock) (string, error) {
	e.inParameter = true
	if block.name == nil {
		return "", errors.New("the parameter has no name")
	}
	if block.typ != nil {
		if typ, err := e.text(block.typ); err != nil || typ == "list(string)" {
			return "", errors.New("workspace tags may use parameters of type string, number and bool only")
		}
	}
	name, err := e.text(block.name)
	if err != nil {
		return "", fmt.Errorf("name: %w", err)
	}
	if value, given := e.parameters[name]; given {
		return value, nil
	}
	if block.def == nil {
		return "", fmt.Errorf("parameter %q has neither a value nor a default; give it a default, because the import of a template has no values", name)
	}
	value, err := e.text(block.def)
	if err != nil {
		return "", fmt.Errorf("default: %w", err)
	}
	return value, nil
}
