// Package ui has the web pages. A page can do and show only what its person's
// calls of the API would: it reaches the server through client, by the same
// gate as everybody.
package ui

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"coder/client"
)

//go:embed pages/*.html static/style.css
var files embed.FS

// contentSecurityPolicy allows our own stylesheet and forms, and no script.
const contentSecurityPolicy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// maxForm bounds a posted form.
const maxForm = 64 << 10

// Options are what the pages need. All fields are required.
type Options struct {
	// API is the handler of the whole server.
	API       http.Handler
	AccessURL *url.URL
	Version   string
	Logger    *slog.Logger
}

// UI serves the pages.
type UI struct {
	options   Options
	pages     *template.Template
	style     []byte
	stylePath string
}

// New parses the pages, which are part of the binary.
func New(o Options) (*UI, error) {
	pages, err := template.ParseFS(files, "pages/*.html")
	if err != nil {
		return nil, err
	}
	style, err := files.ReadFile("static/style.css")
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(style)
	return &UI{options: o, pages: pages, style: style, stylePath: "/static/style-" + hex.EncodeToString(sum[:6]) + ".css"}, nil
}

// Register puts the pages on a mux.
func (u *UI) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET "+u.stylePath, u.stylesheet)
	mux.HandleFunc("GET /{$}", u.home)
	mux.HandleFunc("GET /cli-auth", u.signInForm)
	mux.Handle("POST /cli-auth", http.NewCrossOriginProtection().Handler(http.HandlerFunc(u.signIn)))
	mux.HandleFunc("/", u.noPage)
}

func (u *UI) stylesheet(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(u.style))
}

// page is what every page shows.
type page struct {
	Title     string
	Style     string
	AccessURL string
	Version   string
}

func (u *UI) page(title string) page {
	return page{Title: title, Style: u.stylePath, AccessURL: u.options.AccessURL.String(), Version: u.options.Version}
}

type noPage struct{ page }

func (u *UI) noPage(w http.ResponseWriter, r *http.Request) {
	u.render(w, r, http.StatusNotFound, "missing.html", noPage{u.page("Not found")})
}

// render writes a page whole, or an error, never half of one.
func (u *UI) render(w http.ResponseWriter, r *http.Request, status int, name string, data any) {
	var out bytes.Buffer
	if err := u.pages.ExecuteTemplate(&out, name, data); err != nil {
		u.options.Logger.ErrorContext(r.Context(), "page not rendered", "page", name, "error", err)
		http.Error(w, "Something went wrong on the server.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // the browser is gone; nobody is left to tell
}

// client calls the API for the person at the browser, whose address and agent
// it passes on.
func (u *UI) client(r *http.Request) (*client.Client, error) {
	return client.New(u.options.AccessURL.String(), client.Options{
		HTTPClient: &http.Client{Transport: &inProcess{handler: u.options.API, browser: r}},
	})
}

// problem is what a page says about a refusal of the API.
func problem(err error) (status int, text string) {
	var e *client.Error
	if !errors.As(err, &e) {
		return http.StatusBadGateway, "The server did not answer. Try again."
	}
	text = e.Message
	for _, v := range e.Validations {
		text += " " + v.Detail
	}
	if e.Detail != "" {
		text += " " + e.Detail
	}
	return e.StatusCode, text
}
