package ui

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"sync"
	"time"
)

//go:embed pages
var pageFiles embed.FS

// contentSecurityPolicy allows our own files and forms, and the API's streams;
// nothing inline and nothing from elsewhere.
const contentSecurityPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// pages are the templates: one file a page, and parts that pages share. A page
// is parsed when it is first shown, because parsing all of them would take
// longer than the rest of the server's start.
type pages struct {
	byName map[string]func() (*template.Template, error)
}

func newPages(now func() time.Time, asset func(string) (string, error)) *pages {
	shared := sync.OnceValues(func() (*template.Template, error) {
		return template.New("").Funcs(functions(now, asset)).ParseFS(pageFiles, "pages/parts/*.html")
	})
	p := &pages{byName: map[string]func() (*template.Template, error){}}
	names, _ := fs.Glob(pageFiles, "pages/*.html") // the pattern is well formed
	for _, name := range names {
		p.byName[path.Base(name)] = sync.OnceValues(func() (*template.Template, error) {
			parts, err := shared()
			if err != nil {
				return nil, err
			}
			copied, err := parts.Clone()
			if err != nil {
				return nil, err
			}
			return copied.ParseFS(pageFiles, name)
		})
	}
	return p
}

// sheets are what pages are drawn on, one after another.
var sheets = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// maxSheet is the size of a page above which its sheet is not kept.
const maxSheet = 1 << 20

// execute renders a page whole, on a sheet that goes back when it was sent.
func (p *pages) execute(name string, data any) (*bytes.Buffer, error) {
	parse, ok := p.byName[name]
	if !ok {
		return nil, fmt.Errorf("there is no page %q", name)
	}
	t, err := parse()
	if err != nil {
		return nil, err
	}
	sheet := sheets.Get().(*bytes.Buffer)
	sheet.Reset()
	return sheet, t.ExecuteTemplate(sheet, "frame", data)
}

// shown is a page to show.
type shown struct {
	status int
	name   string
	data   framed
}

// show answers with a page. The data is a pointer to the page's own struct.
func show(name string, data framed) reply { return shown{http.StatusOK, name, data} }

// showAs is show with another status than 200.
func showAs(status int, name string, data framed) reply { return shown{status, name, data} }

// builds is a page of something that is built.
type builds interface{ Busy() bool }

// drawn is the page as it will be sent, whole.
func (s shown) drawn(v *visit) (drawn, error) {
	p := s.data.frame()
	if !v.fragment() {
		p.Said, p.Underway = v.takeFlash()
		if b, ok := s.data.(builds); ok && p.Underway && !b.Busy() {
			p.Said = "" // what was begun has ended before the page came
		}
	}
	out, err := v.ui.pages.execute(s.name, s.data)
	if err != nil {
		return drawn{}, &notDrawn{s.name, err}
	}
	return drawn{s.status, out}, nil
}

func (s shown) write(v *visit) {
	out, err := s.drawn(v)
	if err != nil {
		v.refuse(err)
		return
	}
	out.write(v)
}

// notDrawn is a mistake in a page.
type notDrawn struct {
	page string
	err  error
}

func (e *notDrawn) Error() string { return "page " + e.page + " not rendered: " + e.err.Error() }

func (e *notDrawn) Unwrap() error { return e.err }

// drawn is a page that only needs to be sent.
type drawn struct {
	status int
	sheet  *bytes.Buffer
}

func (d drawn) write(v *visit) {
	v.keepCookies()
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("Content-Length", strconv.Itoa(d.sheet.Len()))
	v.w.WriteHeader(d.status)
	_, _ = v.w.Write(d.sheet.Bytes()) // the browser is gone; nobody is left to tell
	if d.sheet.Cap() <= maxSheet {
		sheets.Put(d.sheet)
	}
}
