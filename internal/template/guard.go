package template

import (
	"errors"
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Source comes from strangers and is parsed by recursion in processes that
// serve others too. Depth decides over the stack, size over the memory, and
// loops over the time that a few bytes of source may take.
const (
	maxSourceFile = 1 << 20
	maxSource     = 4 << 20
	maxNesting    = 200
	maxOperators  = 10_000
	maxTag        = 4 << 10
	maxTagInput   = 64 << 10
)

// checkSize refuses files that are too large to be template source.
func checkSize(files map[string][]byte) error {
	total := 0
	for name, content := range files {
		if len(content) > maxSourceFile {
			return &Error{[]Problem{{Position{name, 1}, fmt.Sprintf("the file has %d bytes; source files may have at most %d", len(content), maxSourceFile)}}}
		}
		total += len(content)
	}
	if total > maxSource {
		return fmt.Errorf("the source files at the template's root have %d bytes together; at most %d are read", total, maxSource)
	}
	return nil
}

// checkNesting refuses text in HCL's native syntax that would parse to a tree
// too deep. It counts what opens levels in the tokens, which are no recursion.
func checkNesting(text []byte, tokens hclsyntax.Tokens) error {
	depth, operators := 0, 0
	for _, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp,
			hclsyntax.TokenTemplateControl, hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc:
			depth++
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd,
			hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc:
			depth = max(0, depth-1)
		case hclsyntax.TokenBang, hclsyntax.TokenMinus, hclsyntax.TokenQuestion, hclsyntax.TokenPlus, hclsyntax.TokenStar,
			hclsyntax.TokenSlash, hclsyntax.TokenPercent, hclsyntax.TokenAnd, hclsyntax.TokenOr, hclsyntax.TokenEqualOp,
			hclsyntax.TokenNotEqual, hclsyntax.TokenLessThan, hclsyntax.TokenLessThanEq, hclsyntax.TokenGreaterThan, hclsyntax.TokenGreaterThanEq:
			operators++
		}
		if depth > maxNesting || operators > maxOperators {
			return fmt.Errorf("nested deeper than %d levels, or more than %d operators in %d bytes", maxNesting, maxOperators, len(text))
		}
	}
	return nil
}

// checkJSON does the same for JSON, whose strings are the only thing to skip.
func checkJSON(text []byte) error {
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == '{' || c == '['):
			depth++
		case !quoted && (c == '}' || c == ']'):
			depth--
		}
		if depth > maxNesting {
			return fmt.Errorf("nested deeper than %d levels", maxNesting)
		}
	}
	return nil
}

// parseExpression parses text that is one expression.
func parseExpression(text string) (hclsyntax.Expression, error) {
	tokens, _ := hclsyntax.LexExpression([]byte(text), "", hcl.InitialPos)
	if err := checkNesting([]byte(text), tokens); err != nil {
		return nil, err
	}
	expression, diags := hclsyntax.ParseExpression([]byte(text), "", hcl.InitialPos)
	if diags.HasErrors() {
		return nil, errors.New(diags[0].Summary)
	}
	return expression, nil
}

// evaluate is the only way to a value in this package. Loops are refused,
// because a few of them in one another take for ever.
func evaluate(e hcl.Expression, ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	if node, native := e.(hclsyntax.Node); native && hasLoop(node) {
		r := e.Range()
		return cty.DynamicVal, hcl.Diagnostics{{Severity: hcl.DiagError, Subject: &r,
			Summary: "Loop in a constant", Detail: "for and [*] cannot be used in variable defaults, provider requirements and workspace tags."}}
	}
	return e.Value(ctx)
}

func hasLoop(node hclsyntax.Node) bool {
	found := false
	_ = hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		switch n.(type) {
		case *hclsyntax.ForExpr, *hclsyntax.SplatExpr:
			found = true
		}
		return nil
	})
	return found
}
