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
const maxMarkdown = 64 << 10

// maxCells bounds the tables of a text: every row of one is filled up to the
// width of its head, so that a short text can ask for a page without end.
const maxCells = 10_000

// markdownTools are made when the first README is shown.
var markdownTools = sync.OnceValue(func() *markdownReader {
	policy := bluemonday.UGCPolicy()
	policy.RequireNoReferrerOnLinks(true)
	policy.AllowElements("input")
	policy.AllowAttrs("type", "checked", "disabled").OnElements("input")
	policy.AddTargetBlankToFullyQualifiedLinks(true)
	plain := []goldmark.Extender{extension.Linkify, extension.Strikethrough, extension.TaskList}
	return &markdownReader{plain: newGoldmark(plain), tables: newGoldmark(append(plain, extension.Table)), policy: policy}
})

type markdownReader struct {
	plain, tables goldmark.Markdown
	policy        *bluemonday.Policy
}

func newGoldmark(extensions []goldmark.Extender) goldmark.Markdown {
	return goldmark.New(
		goldmark.WithExtensions(extensions...),
		goldmark.WithParserOptions(parser.WithASTTransformers(util.Prioritized(fitIn{}, 100))),
	)
}

// of is the reader for a text: without tables where they would be too large.
func (r *markdownReader) of(source string) goldmark.Markdown {
	widest := 0
	for line := range strings.Lines(source) {
		widest = max(widest, strings.Count(line, "|")+1)
	}
	if widest*(strings.Count(source, "\n")+1) > maxCells {
		return r.plain
	}
	return r.tables
}

// markdown turns what people wrote into harmless HTML. Pictures from elsewhere
// become links, because a page asks nobody but its own server.
func markdown(source string) (template.HTML, error) {
	tools := markdownTools()
	source = withoutFrontMatter(source[:min(len(source), maxMarkdown)])
	var out bytes.Buffer
	if err := tools.of(source).Convert([]byte(source), &out); err != nil {
		return "", err
	}
	return template.HTML(tools.policy.SanitizeBytes(out.Bytes())), nil //nolint:gosec // bluemonday has cleaned it
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
