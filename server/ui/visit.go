package ui

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"strings"

	"coder/client"
)

// visit is one request of a browser: what it asks, and the API as its person
// may use it.
type visit struct {
	ui  *UI
	r   *http.Request
	w   http.ResponseWriter
	api *client.Client
	// token is the browser's session; empty for a stranger.
	token string
	// setCookies are what the API's replies want the browser to keep.
	setCookies []*http.Cookie
}

// reply is what a handler answers with.
type reply interface {
	write(v *visit)
}

// handler is one page, or what a form is posted to. An error is the API's
// refusal, or the server's trouble.
type handler func(ctx context.Context, v *visit) (reply, error)

func (u *UI) visit(w http.ResponseWriter, r *http.Request) (*visit, error) {
	v := &visit{ui: u, r: r, w: w}
	if c, err := r.Cookie(client.SessionCookie); err == nil {
		v.token = c.Value
	}
	var err error
	v.api, err = v.client(v.token)
	return v, err
}

// client is the API as the holder of a session may use it.
func (v *visit) client(token string) (*client.Client, error) {
	return client.New(v.ui.options.AccessURL.String(), client.Options{
		Token:      token,
		HTTPClient: &http.Client{Transport: &inProcess{handler: v.ui.options.API, browser: v.r}},
		InProcess:  true,
		OnResponse: func(reply *http.Response) { v.setCookies = append(v.setCookies, reply.Cookies()...) },
	})
}

// path is a part of the page's path.
func (v *visit) path(name string) string { return v.r.PathValue(name) }

// query is a parameter of the page's address.
func (v *visit) query(name string) string { return v.r.URL.Query().Get(name) }

// here is the address of the page as the browser knows it, to come back to.
func (v *visit) here() string { return localPath(v.r.RequestURI) }

// fragment tells whether a script asks for a part of a page that is open already.
func (v *visit) fragment() bool { return v.r.Header.Get("HX-Request") == "true" }

// keepCookies passes on what the API's replies want the browser to keep.
func (v *visit) keepCookies() {
	for _, c := range v.setCookies {
		http.SetCookie(v.w, c)
	}
}

// redirect is where the browser goes after something was done.
type redirect struct {
	to string
	// said is shown once on the page that follows.
	said string
	// underway: what is said holds only while a build is under way.
	underway bool
}

func (r redirect) write(v *visit) {
	v.keepCookies()
	if r.said != "" {
		v.setFlash(r.said, r.underway)
	}
	if v.fragment() {
		v.w.Header().Set("HX-Redirect", r.to)
		v.w.WriteHeader(http.StatusNoContent)
		return
	}
	http.Redirect(v.w, v.r, r.to, http.StatusSeeOther)
}

// localPath is where to go after signing in; anything but a page of ours is
// the front page. Dots and backslashes are refused: a redirect that cleans
// them could lead to another host.
func localPath(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(u.Path, "/") || strings.ContainsAny(u.Path, "\\\x00") {
		return "/"
	}
	if clean := path.Clean(u.Path); clean != u.Path && clean+"/" != u.Path {
		return "/"
	}
	return to
}
