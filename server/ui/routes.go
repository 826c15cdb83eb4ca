package ui

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"coder/client"
)

const (
	get  = http.MethodGet
	post = http.MethodPost
)

// routes are all pages, one row each: what the browser asks, and who answers.
func (u *UI) routes(on *table) {
	on.page(get, "/{$}", u.front)
	u.sessionRoutes(on)
	u.accountRoutes(on)
	u.organizationRoutes(on)
	u.memberRoutes(on)
	u.groupRoutes(on)
	u.roleRoutes(on)
	u.quotaRoutes(on)
	u.auditRoutes(on)
	u.userRoutes(on)
	u.healthRoutes(on)
	u.provisionerKeyRoutes(on)
	u.provisionerDaemonRoutes(on)
	u.provisionerJobRoutes(on)
	u.templateRoutes(on)
	u.workspaceRoutes(on)
	u.workspaceCreateRoutes(on)
	u.workspaceSettingRoutes(on)
	u.workspaceScheduleRoutes(on)
	u.workspaceACLRoutes(on)
	u.workspaceStateRoutes(on)
	on.page(get, "/", u.nowhere)
}

func (u *UI) sessionRoutes(on *table) {
	on.page(get, "/setup", u.setupForm)
	on.page(post, "/setup", u.setup)
	on.page(get, "/login", u.signInForm)
	on.page(post, "/login", u.signIn)
	on.page(post, "/logout", u.signOut)
	on.page(get, "/cli-auth", u.handOverForm)
	on.page(post, "/cli-auth", u.handOver)
}

// table registers pages.
type table struct {
	ui  *UI
	mux *http.ServeMux
	// patterns are what was registered.
	patterns []string
}

func (t *table) page(method, path string, h handler) {
	t.patterns = append(t.patterns, method+" "+path)
	t.mux.HandleFunc(method+" "+path, func(w http.ResponseWriter, r *http.Request) { t.ui.serve(w, r, h) })
}

// list is a page of a list, as all look at: so many of them are worked on at a
// time as the database answers, in the order in which they were asked for. All
// at once, each would wait for the others at every step, and some for ever so long.
func (t *table) list(path string, h handler) {
	t.page(get, path, func(ctx context.Context, v *visit) (reply, error) {
		if err := v.ui.turns.Acquire(ctx, 1); err != nil {
			return nil, err
		}
		defer v.ui.turns.Release(1)
		out, err := h(ctx, v)
		if page, ok := out.(shown); ok && err == nil {
			return page.drawn(v)
		}
		return out, err
	})
}

// Patterns are the methods and paths of all pages, for proofs that look at
// every one.
func Patterns() []string {
	on := &table{ui: &UI{}, mux: http.NewServeMux()}
	on.ui.routes(on)
	return on.patterns
}

// handler is all pages behind the check that a form was on one of our pages.
// A workspace's page is /@owner/name, which no pattern of a mux can say: it is
// registered as /workspaces/@/owner/name.
func (u *UI) handler() http.Handler {
	on := &table{ui: u, mux: http.NewServeMux()}
	u.routes(on)
	return http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slices.ContainsFunc(strings.Split(r.URL.Path, "/"), isDots) {
			u.serve(w, r, u.nowhere)
			return
		}
		if rest, ok := strings.CutPrefix(r.URL.Path, "/@"); ok {
			inner := r.Clone(r.Context())
			inner.URL.Path, inner.URL.RawPath = "/workspaces/@/"+rest, ""
			on.mux.ServeHTTP(w, inner)
			return
		}
		on.mux.ServeHTTP(w, r)
	}))
}

// isDots tells whether a part of a path, which may have come encoded, would
// lead elsewhere: nothing has such a name.
func isDots(part string) bool { return part == "." || part == ".." }

// serve answers one request of a browser.
func (u *UI) serve(w http.ResponseWriter, r *http.Request, h handler) {
	w.Header().Set("Cache-Control", "no-store")
	defer func() {
		if r.MultipartForm != nil {
			_ = r.MultipartForm.RemoveAll() // what cannot be removed was removed
		}
	}()
	v, err := u.visit(w, r)
	if err != nil {
		http.Error(w, "Something went wrong on the server.", http.StatusInternalServerError)
		return
	}
	out, err := h(r.Context(), v)
	if err != nil {
		v.refuse(err)
		return
	}
	out.write(v)
}

var errNoPage = &client.Error{StatusCode: http.StatusNotFound, Message: "The address is mistyped, or what was here is gone, or you may not see it."}
