// Package ui has the web pages. A page can do and show only what its person's
// calls of the API would: it reaches the server through client, by the same
// gate as everybody, with the credential of the browser's session.
//
// A page is a handler that loads what it shows through visit.api and returns a
// reply: a page to show, a redirect, or, as an error, the API's refusal, which
// becomes a page in one place. What is posted changes something and answers
// with a redirect; a refused form is shown again with what was typed.
package ui

import (
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/sync/semaphore"
)

// Options are what the pages need. All fields are required.
type Options struct {
	// API is the handler of the whole server.
	API       http.Handler
	AccessURL *url.URL
	Version   string
	Logger    *slog.Logger
	// Now is the clock that relative times are told by.
	Now func() time.Time
	// ListsAtOnce is how many lists are worked on at a time, one at least; others wait.
	ListsAtOnce int64
	// SecureCookie keeps the pages' cookies to TLS.
	SecureCookie bool
}

// UI serves the pages.
type UI struct {
	options Options
	assets  *assets
	pages   *pages
	// turns are given to lists in the order in which they were asked for.
	turns *semaphore.Weighted
}

// New makes the pages, which are part of the binary.
func New(o Options) (*UI, error) {
	assets, err := newAssets()
	if err != nil {
		return nil, err
	}
	u := &UI{options: o, assets: assets, turns: semaphore.NewWeighted(max(1, o.ListsAtOnce))}
	u.pages = newPages(o.Now, assets.path)
	return u, nil
}

// Register puts the pages on a mux.
func (u *UI) Register(mux *http.ServeMux) {
	mux.Handle("GET "+assetPrefix, u.assets)
	mux.Handle("/", u.handler())
}
