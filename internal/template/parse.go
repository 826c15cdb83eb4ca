package template

import (
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

func rootSchema() *hcl.BodySchema {
	return &hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{
		{Type: "terraform"},
		{Type: "variable", LabelNames: []string{"name"}},
		{Type: "data", LabelNames: []string{"type", "name"}},
	}}
}

func terraformSchema() *hcl.BodySchema {
	return &hcl.BodySchema{Blocks: []hcl.BlockHeaderSchema{
		{Type: "required_providers"},
		{Type: "backend", LabelNames: []string{"type"}},
		{Type: "cloud"},
	}}
}

// parser gathers a Source over the files of a template.
type parser struct {
	source Source
	bytes  []byte // of the current file
	json   bool   // the current file is .tf.json
	diags  hcl.Diagnostics
}

func parse(files map[string][]byte) (*Source, error) {
	p := &parser{source: Source{Readme: string(files[readme]), Variables: []Variable{}, Providers: []Provider{}}}
	delete(files, readme)
	if len(files) == 0 {
		return nil, ErrNoSource
	}
	if err := checkSize(files); err != nil {
		return nil, err
	}
	for _, name := range sourceOrder(files) {
		p.file(name, files[name])
	}
	if err := templateError(p.diags); err != nil {
		return nil, err
	}
	return &p.source, nil
}

// sourceOrder is by name, with the files that override others last.
func sourceOrder(files map[string][]byte) []string {
	names := slices.Sorted(maps.Keys(files))
	slices.SortStableFunc(names, func(a, b string) int {
		switch {
		case isOverride(a) == isOverride(b):
			return 0
		case isOverride(b):
			return -1
		default:
			return 1
		}
	})
	return names
}

func isOverride(name string) bool {
	base := strings.TrimSuffix(strings.TrimSuffix(name, ".json"), ".tf")
	return base == "override" || strings.HasSuffix(base, "_override")
}

func (p *parser) file(name string, content []byte) {
	p.bytes, p.json = content, strings.HasSuffix(name, ".json")
	file, diags := parseFile(name, content, p.json)
	p.diags = append(p.diags, diags...)
	if file == nil {
		return
	}
	for _, block := range p.content(file.Body, rootSchema()).Blocks {
		switch block.Type {
		case "terraform":
			p.terraform(block)
		case "variable":
			p.variable(block)
		case "data":
			p.data(block)
		}
	}
}

func parseFile(name string, content []byte, isJSON bool) (*hcl.File, hcl.Diagnostics) {
	refuse := func(err error) (*hcl.File, hcl.Diagnostics) {
		return nil, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: "Source too complex", Detail: err.Error(),
			Subject: &hcl.Range{Filename: name, Start: hcl.InitialPos, End: hcl.InitialPos}}}
	}
	if isJSON {
		if err := checkJSON(content); err != nil {
			return refuse(err)
		}
		return hclparse.NewParser().ParseJSON(content, name)
	}
	tokens, _ := hclsyntax.LexConfig(content, name, hcl.InitialPos) // its problems are the parser's too
	if err := checkNesting(content, tokens); err != nil {
		return refuse(err)
	}
	return hclparse.NewParser().ParseHCL(content, name)
}

func (p *parser) content(body hcl.Body, schema *hcl.BodySchema) *hcl.BodyContent {
	content, _, diags := body.PartialContent(schema)
	p.diags = append(p.diags, diags...)
	return content
}

func (p *parser) terraform(block *hcl.Block) {
	for _, b := range p.content(block.Body, terraformSchema()).Blocks {
		switch {
		case b.Type == "required_providers":
			p.requiredProviders(b)
		case b.Type == "cloud":
			p.source.RemoteState = append(p.source.RemoteState, Block{position(b.DefRange), "cloud block"})
		case b.Labels[0] != "local":
			p.source.RemoteState = append(p.source.RemoteState, Block{position(b.DefRange), "backend \"" + b.Labels[0] + "\""})
		}
	}
}

func (p *parser) requiredProviders(block *hcl.Block) {
	attributes, diags := block.Body.JustAttributes()
	p.diags = append(p.diags, diags...)
	found := []Provider{}
	for name, a := range attributes {
		provider := Provider{Position: position(a.NameRange), Name: name}
		if pairs, diags := hcl.ExprMap(a.Expr); !diags.HasErrors() {
			for _, pair := range pairs {
				switch key, value := p.literal(pair.Key), pair.Value; key {
				case "source":
					provider.Source = p.literal(value)
				case "version":
					provider.Constraint = p.literal(value)
				}
			}
		} else {
			provider.Constraint = p.literal(a.Expr) // the form of Terraform 0.12
		}
		found = append(found, provider)
	}
	slices.SortFunc(found, func(a, b Provider) int { return a.Line - b.Line })
	p.source.Providers = append(p.source.Providers, found...)
}

// literal is the string of a constant expression; others are a problem.
func (p *parser) literal(e hcl.Expression) string {
	if word := hcl.ExprAsKeyword(e); word != "" {
		return word
	}
	v, diags := evaluate(e, nil)
	p.diags = append(p.diags, diags...)
	if diags.HasErrors() {
		return ""
	}
	text, err := valueText(v)
	if err != nil || v.IsNull() || v.Type() == cty.DynamicPseudoType {
		return ""
	}
	return text
}

// raw is an expression as the author wrote it.
func (p *parser) raw(e hcl.Expression) string {
	if p.json {
		return p.literal(e)
	}
	return string(e.Range().SliceBytes(p.bytes))
}

func (p *parser) data(block *hcl.Block) {
	switch block.Labels[0] {
	case "coder_workspace_tags":
		if !p.json {
			p.workspaceTags(block)
		}
	case "coder_parameter":
		p.parameter(block)
	}
}
