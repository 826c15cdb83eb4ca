package ui

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"coder/client"
)

// refusalPage is what somebody sees instead of the page they asked for.
type refusalPage struct {
	page
	Text string
	// Detail is what to do.
	Detail    string
	RequestID string
	// Retry makes the page try again by itself.
	Retry bool
}

// refuse answers with the API's refusal. Who is not signed in goes to the
// sign-in page, and comes back after it.
func (v *visit) refuse(err error) {
	var e *client.Error
	var broken *notDrawn
	if errors.As(err, &broken) { // a refusal's own page may be the broken one
		v.ui.options.Logger.ErrorContext(v.r.Context(), "page not rendered", "page", broken.page, "error", broken.err)
		http.Error(v.w, "Something went wrong on the server.", http.StatusInternalServerError)
		return
	}
	if errors.Is(err, client.ErrNoName) {
		err = errNoPage
	}
	if !errors.As(err, &e) {
		v.ui.options.Logger.ErrorContext(v.r.Context(), "page failed", "path", v.r.URL.Path, "error", err)
		e = &client.Error{StatusCode: http.StatusBadGateway, Message: "The server did not answer."}
	}
	if e.StatusCode == http.StatusUnauthorized {
		v.askToSignIn()
		return
	}
	p := &refusalPage{page: v.stranger(refusalTitle(e.StatusCode)), Text: e.Message, Detail: e.Detail, RequestID: v.w.Header().Get("X-Request-Id")}
	for _, wrong := range e.Validations {
		p.Text += " " + wrong.Detail
	}
	if e.StatusCode == http.StatusNotFound && p.Detail != "" {
		p.Text, p.Detail = p.Detail, "" // the title says already that it is not there
	}
	if known, pageErr := v.page(v.r.Context(), p.Title); pageErr == nil {
		p.page = known
	}
	p.Retry = e.StatusCode >= http.StatusInternalServerError && v.r.Method == http.MethodGet
	showAs(e.StatusCode, "refusal.html", p).write(v)
}

func refusalTitle(status int) string {
	switch {
	case status == http.StatusNotFound:
		return "There is no such page"
	case status == http.StatusForbidden:
		return "You may not do this"
	case status == http.StatusTooManyRequests:
		return "Too many requests"
	case status >= http.StatusInternalServerError:
		return "The server cannot answer now"
	}
	return "This cannot be done"
}

// askToSignIn leads to the sign-in page. What a form wanted is not done: the
// way back is to the page that the form was on.
func (v *visit) askToSignIn() {
	back := v.here()
	if v.r.Method != http.MethodGet {
		if from, err := url.Parse(v.r.Referer()); err == nil && from.Path != "" {
			back = from.RequestURI()
		}
	}
	q := url.Values{"redirect": {localPath(back)}}
	if v.token != "" {
		q.Set("ended", "1")
	}
	if v.r.Method != http.MethodGet {
		q.Set("undone", "1")
	}
	redirect{to: "/login?" + q.Encode()}.write(v)
}

func isUnauthorized(err error) bool { return client.StatusCode(err) == http.StatusUnauthorized }

// refusalText is what the API says about a refusal, for beside a form.
func refusalText(err error) string {
	var e *client.Error
	if !errors.As(err, &e) {
		return "The server did not answer. Try again."
	}
	text := e.Message
	for _, wrong := range e.Validations {
		text += " " + wrong.Detail
	}
	return strings.TrimSpace(text + " " + e.Detail)
}
