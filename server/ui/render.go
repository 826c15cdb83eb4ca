package ui

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
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

// execute renders a page whole.
func (p *pages) execute(name string, data any) ([]byte, error) {
	parse, ok := p.byName[name]
	if !ok {
		return nil, fmt.Errorf("there is no page %q", name)
	}
	t, err := parse()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.ExecuteTemplate(&out, "frame", data)
	return out.Bytes(), err
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

// write sends a page whole, or an error, never half of one.
func (s shown) write(v *visit) {
	p := s.data.frame()
	if !v.fragment() {
		p.Said = v.takeFlash()
	}
	out, err := v.ui.pages.execute(s.name, s.data)
	if err != nil {
		v.ui.options.Logger.ErrorContext(v.r.Context(), "page not rendered", "page", s.name, "error", err)
		http.Error(v.w, "Something went wrong on the server.", http.StatusInternalServerError)
		return
	}
	v.keepCookies()
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	v.w.WriteHeader(s.status)
	_, _ = v.w.Write(out) // the browser is gone; nobody is left to tell
}
