package ui

import (
	"context"
	"html/template"
	"time"

	"coder/client"
)

// page is what every page shows, embedded in its own struct.
type page struct {
	Title     string
	AccessURL string
	// Release is the server's version.
	Release string
	// Here is the page's own address.
	Here string
	// Said is the outcome of what was done on the page before.
	Said string
	// Underway: what is said holds only while a build is under way.
	Underway bool
	// Viewer is who is signed in; nil for a stranger.
	Viewer *client.User
	// Theme is light, dark, or empty for the system's.
	Theme string
	// now is the moment that the page tells times by.
	now time.Time
	rights
}

// since is how long ago a time was, by the page's clock.
func (p *page) since(t any) template.HTML { return timeMark(p.now, t) }

// frame lets render reach the page within a page's own struct.
func (p *page) frame() *page { return p }

// framed is a page's own struct.
type framed interface{ frame() *page }

// stranger is the page of whoever is not signed in.
func (v *visit) stranger(title string) page {
	return page{Title: title, AccessURL: v.ui.options.AccessURL.String(), Release: v.ui.options.Version, Here: v.here(), Theme: v.theme(), now: v.ui.options.Now()}
}

// page asks who is signed in and what they may do. Without a session it is the
// API's refusal, which leads to the sign-in page.
func (v *visit) page(ctx context.Context, title string, more ...checks) (page, error) {
	p := v.stranger(title)
	user, err := v.api.User(ctx, client.Me)
	if err != nil {
		return p, err
	}
	asked := siteChecks()
	for _, c := range more {
		asked = asked.and(c)
	}
	allowed, err := v.api.AuthCheck(ctx, client.AuthorizationRequest{Checks: asked})
	if err != nil {
		return p, err
	}
	p.Viewer, p.rights = &user, allowed
	return p, nil
}

// themeCookie is how pages look in this browser: light, dark, or the system's.
const themeCookie = "coder_theme"

func (v *visit) theme() string {
	c, err := v.r.Cookie(themeCookie)
	if err != nil || (c.Value != "light" && c.Value != "dark") {
		return ""
	}
	return c.Value
}
