package ui

import (
	"bytes"
	"html/template"
	"strings"
	"sync"

	"github.com/microcosm-cc/bluemonday"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// maxMarkdown bounds what is turned into a page; the rest is left out.
const maxMarkdown = 256 << 10

// markdownTools are made when the first README is shown.
var markdownTools = sync.OnceValues(func() (goldmark.Markdown, *bluemonday.Policy) {
	reader := goldmark.New(
		goldmark.WithExtensions(extension.GFM),
		goldmark.WithParserOptions(parser.WithASTTransformers(util.Prioritized(fitIn{}, 100))),
	)
	policy := bluemonday.UGCPolicy()
	policy.RequireNoReferrerOnLinks(true)
	policy.AllowElements("input")
	policy.AllowAttrs("type", "checked", "disabled").OnElements("input")
	policy.AddTargetBlankToFullyQualifiedLinks(true)
	return reader, policy
})

// markdown turns what people wrote into harmless HTML. Pictures from elsewhere
// become links, because a page asks nobody but its own server.
func markdown(source string) (template.HTML, error) {
	reader, policy := markdownTools()
	source = withoutFrontMatter(source)
	var out bytes.Buffer
	if err := reader.Convert([]byte(source[:min(len(source), maxMarkdown)]), &out); err != nil {
		return "", err
	}
	return template.HTML(policy.SanitizeBytes(out.Bytes())), nil //nolint:gosec // bluemonday has cleaned it
}

// withoutFrontMatter leaves out what a README says to machines first, between
// two lines of three dashes.
func withoutFrontMatter(source string) string {
	rest, ok := strings.CutPrefix(strings.ReplaceAll(source, "\r\n", "\n"), "---\n")
	if !ok {
		return source
	}
	if _, text, closed := strings.Cut(rest, "\n---\n"); closed {
		return text
	}
	return source
}

// fitIn makes a text a part of a page: pictures become links to them, and
// headings are below the page's own.
type fitIn struct{}

// Transform implements parser.ASTTransformer.
func (fitIn) Transform(doc *ast.Document, reader text.Reader, _ parser.Context) {
	var images []*ast.Image
	_ = ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // the callback never fails
		if image, ok := n.(*ast.Image); ok && entering {
			images = append(images, image)
		}
		if heading, ok := n.(*ast.Heading); ok && entering {
			heading.Level = min(heading.Level+1, 6)
		}
		return ast.WalkContinue, nil
	})
	for _, image := range images {
		link := ast.NewLink()
		link.Destination, link.Title = image.Destination, image.Title
		for child := image.FirstChild(); child != nil; child = image.FirstChild() {
			link.AppendChild(link, child)
		}
		if link.FirstChild() == nil {
			link.AppendChild(link, ast.NewString([]byte("picture")))
		}
		image.Parent().ReplaceChild(image.Parent(), image, link)
	}
}
