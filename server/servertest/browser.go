package servertest

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/html"
)

// Browser is a browser without script: it keeps cookies, follows redirects and
// sends forms as a browser does. Every page that it opens is checked for what
// all pages must hold: labels, unique ids, nothing inline, nothing from elsewhere.
type Browser struct {
	t    testing.TB
	base string
	http *http.Client
}

// Browser returns a browser that nobody has signed in with.
func (s *Server) Browser(t testing.TB) *Browser {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &Browser{t: t, base: s.URL, http: &http.Client{Jar: jar}}
}

// SignedIn returns a browser in which the user of that address is signed in.
func (s *Server) SignedIn(t testing.TB, email string) *Browser {
	b := s.Browser(t)
	page := b.Open("/login").Form("Sign in").Fill("email", email).Fill("password", Password).Submit()
	require.Equal(t, http.StatusOK, page.Status, page.Text)
	require.NotEqual(t, "/login", page.URL.Path, page.Text)
	return b
}

// Page is an answer to a browser, parsed.
type Page struct {
	browser *Browser
	root    *html.Node

	Status int
	Header http.Header
	// URL is where redirects ended.
	URL *url.URL
	// Body is the page as it came; Text is what it says, without its marks.
	Body, Text string
}

// Open asks for a page.
func (b *Browser) Open(path string) *Page {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.resolve(path), nil)
	require.NoError(b.t, err)
	req.Header.Set("Sec-Fetch-Site", "none")
	return b.do(req)
}

func (b *Browser) resolve(path string) string {
	if strings.HasPrefix(path, "http") {
		return path
	}
	return b.base + path
}

func (b *Browser) do(req *http.Request) *Page {
	b.t.Helper()
	reply, err := b.http.Do(req)
	require.NoError(b.t, err)
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	require.NoError(b.t, err)
	root, err := html.Parse(strings.NewReader(string(body)))
	require.NoError(b.t, err)
	p := &Page{browser: b, root: root, Status: reply.StatusCode, Header: reply.Header, URL: reply.Request.URL, Body: string(body)}
	p.Text = textOf(root)
	p.check()
	return p
}

// Click follows the first link of that text.
func (p *Page) Click(text string) *Page {
	p.browser.t.Helper()
	link := p.find(func(n *html.Node) bool { return n.Data == "a" && textOf(n) == text })
	require.NotNil(p.browser.t, link, "no link %q on %s: %s", text, p.URL, p.Text)
	to, err := p.URL.Parse(attribute(link, "href"))
	require.NoError(p.browser.t, err)
	return p.browser.Open(to.String())
}

// Links are the addresses of all links on the page, in order.
func (p *Page) Links() []string {
	var links []string
	p.each(func(n *html.Node) {
		if n.Data == "a" {
			links = append(links, attribute(n, "href"))
		}
	})
	return links
}

// HasButton tells whether the page offers to do something.
func (p *Page) HasButton(label string) bool {
	return p.find(func(n *html.Node) bool { return n.Data == "button" && textOf(n) == label }) != nil
}

// Form is a form of a page, filled in as the page came.
type Form struct {
	page   *Page
	node   *html.Node
	action string
	values url.Values
	files  []attached
}

// attached is a file that was chosen in a form.
type attached struct {
	field, name string
	content     []byte
}

// Form is the form with a button of that label.
func (p *Page) Form(button string) *Form {
	p.browser.t.Helper()
	pressed := p.find(func(n *html.Node) bool { return n.Data == "button" && textOf(n) == button })
	require.NotNil(p.browser.t, pressed, "no button %q on %s: %s", button, p.URL, p.Text)
	node := pressed
	for node != nil && node.Data != "form" {
		node = node.Parent
	}
	require.NotNil(p.browser.t, node, "the button %q is in no form", button)
	f := &Form{page: p, node: node, action: attribute(node, "action"), values: url.Values{}}
	if other := attribute(pressed, "formaction"); other != "" {
		f.action = other
	}
	if name := attribute(pressed, "name"); name != "" {
		f.values.Set(name, attribute(pressed, "value"))
	}
	walk(node, f.take)
	return f
}

// take reads a control's value as the page came.
func (f *Form) take(n *html.Node) {
	name := attribute(n, "name")
	if name == "" || has(n, "disabled") {
		return
	}
	switch n.Data {
	case "input":
		kind := attribute(n, "type")
		if (kind == "checkbox" || kind == "radio") && !has(n, "checked") || kind == "file" {
			return
		}
		f.values.Add(name, attribute(n, "value"))
	case "textarea":
		f.values.Add(name, textContent(n))
	case "select":
		f.values.Add(name, chosen(n))
	}
}

func chosen(n *html.Node) string {
	first, value, found := "", "", false
	walk(n, func(o *html.Node) {
		if o.Data != "option" {
			return
		}
		if first == "" {
			first = attribute(o, "value")
		}
		if has(o, "selected") {
			value, found = attribute(o, "value"), true
		}
	})
	if found {
		return value
	}
	return first
}

// Fill types into the control of that name, or ticks those of that value.
func (f *Form) Fill(name string, values ...string) *Form {
	f.page.browser.t.Helper()
	control := find(f.node, func(n *html.Node) bool { return attribute(n, "name") == name && n.Data != "button" })
	require.NotNil(f.page.browser.t, control, "the form on %s has no control %q", f.page.URL, name)
	f.values[name] = values
	return f
}

// Attach chooses a file.
func (f *Form) Attach(field, name string, content []byte) *Form {
	f.page.browser.t.Helper()
	control := find(f.node, func(n *html.Node) bool { return attribute(n, "name") == field && attribute(n, "type") == "file" })
	require.NotNil(f.page.browser.t, control, "the form on %s takes no file %q", f.page.URL, field)
	f.files = append(f.files, attached{field, name, content})
	return f
}

// body is the form as a browser sends it.
func (f *Form) body() (kind string, content io.Reader) {
	t := f.page.browser.t
	if attribute(f.node, "enctype") != "multipart/form-data" {
		return "application/x-www-form-urlencoded", strings.NewReader(f.values.Encode())
	}
	var out bytes.Buffer
	w := multipart.NewWriter(&out)
	for name, values := range f.values {
		for _, value := range values {
			require.NoError(t, w.WriteField(name, value))
		}
	}
	for _, file := range f.files {
		part, err := w.CreateFormFile(file.field, file.name)
		require.NoError(t, err)
		_, err = part.Write(file.content)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return w.FormDataContentType(), &out
}

// Value is what a control holds.
func (f *Form) Value(name string) string { return f.values.Get(name) }

// Values are what controls of that name hold.
func (f *Form) Values(name string) []string { return f.values[name] }

// To is the form as a script sends it to another address than its own.
func (f *Form) To(path string) *Form {
	other := *f
	other.action = path
	return &other
}

// Submit sends the form and returns the page at the end of redirects.
func (f *Form) Submit() *Page {
	t := f.page.browser.t
	t.Helper()
	to, err := f.page.URL.Parse(f.action)
	require.NoError(t, err)
	if !strings.EqualFold(attribute(f.node, "method"), "post") {
		to.RawQuery = f.values.Encode()
		return f.page.browser.Open(to.String())
	}
	kind, content := f.body()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, to.String(), content)
	require.NoError(t, err)
	req.Header.Set("Content-Type", kind)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.Header.Set("Referer", f.page.URL.String())
	return f.page.browser.do(req)
}

var inlineHandler = regexp.MustCompile(`^on[a-z]+$`)

// check holds what every page must: who cannot see it can use it, and nothing
// in it runs or loads that is not the server's own.
func (p *Page) check() {
	t := p.browser.t
	t.Helper()
	if !strings.HasPrefix(p.Header.Get("Content-Type"), "text/html") {
		return
	}
	policy := p.Header.Get("Content-Security-Policy")
	require.Contains(t, policy, "default-src 'none'")
	require.NotContains(t, policy, "unsafe")
	require.Equal(t, "no-store", p.Header.Get("Cache-Control"))
	ids := map[string]bool{}
	labelled := p.labelled()
	headings := 0
	p.each(func(n *html.Node) {
		where := "<" + n.Data + "> of " + p.URL.String()
		if id := attribute(n, "id"); id != "" {
			require.False(t, ids[id], "the id %q is twice on %s", id, p.URL)
			ids[id] = true
		}
		for _, a := range n.Attr {
			require.False(t, inlineHandler.MatchString(a.Key) || a.Key == "style", "inline %s on %s", a.Key, where)
		}
		for _, key := range []string{"src", "action", "formaction"} {
			require.False(t, strings.HasPrefix(attribute(n, key), "http"), "%s loads or sends from elsewhere: %s", where, attribute(n, key))
		}
		switch n.Data {
		case "script":
			require.Empty(t, textContent(n), "inline script on %s", p.URL)
		case "style":
			require.Fail(t, "inline style", p.URL.String())
		case "h1":
			headings++
		case "input", "select", "textarea":
			if attribute(n, "type") != "hidden" {
				require.True(t, labelled[n], "%s %q has no label", where, attribute(n, "name"))
			}
		case "button", "a", "summary":
			require.NotEmpty(t, attribute(n, "aria-label")+textOf(n), "%s says nothing", where)
		}
	})
	require.Equal(t, 1, headings, "headings of the first level on %s", p.URL)
}

// labelled are the controls that have a label.
func (p *Page) labelled() map[*html.Node]bool {
	targets := map[string]bool{}
	controls := map[*html.Node]bool{}
	p.each(func(n *html.Node) {
		if n.Data == "label" && textOf(n) != "" {
			targets[attribute(n, "for")] = true
			walk(n, func(inner *html.Node) { controls[inner] = true })
		}
	})
	p.each(func(n *html.Node) {
		if attribute(n, "aria-label") != "" || attribute(n, "id") != "" && targets[attribute(n, "id")] {
			controls[n] = true
		}
	})
	return controls
}

func (p *Page) each(fn func(*html.Node)) { walk(p.root, fn) }

func (p *Page) find(wanted func(*html.Node) bool) *html.Node { return find(p.root, wanted) }

// walk calls fn with every element.
func walk(n *html.Node, fn func(*html.Node)) {
	for child := range n.Descendants() {
		if child.Type == html.ElementNode {
			fn(child)
		}
	}
}

func find(root *html.Node, wanted func(*html.Node) bool) *html.Node {
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && wanted(n) {
			return n
		}
	}
	return nil
}

func attribute(n *html.Node, key string) string {
	i := slices.IndexFunc(n.Attr, func(a html.Attribute) bool { return a.Key == key })
	if i < 0 {
		return ""
	}
	return n.Attr[i].Val
}

func has(n *html.Node, key string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == key })
}

// textContent is all text below a node, as it came.
func textContent(n *html.Node) string {
	var b strings.Builder
	for child := range n.Descendants() {
		if child.Type == html.TextNode {
			b.WriteString(child.Data)
		}
	}
	return b.String()
}

// textOf is what a person reads below a node.
func textOf(n *html.Node) string {
	var b strings.Builder
	var read func(*html.Node)
	read = func(n *html.Node) {
		for child := n.FirstChild; child != nil; child = child.NextSibling {
			switch {
			case child.Type == html.TextNode:
				b.WriteString(child.Data)
			case child.Type == html.ElementNode && child.Data != "script" && child.Data != "style" && child.Data != "title" && child.Data != "noscript" && attribute(child, "aria-hidden") != "true" && !has(child, "hidden"):
				b.WriteByte(' ')
				read(child)
			}
		}
		b.WriteByte(' ')
	}
	read(n)
	return strings.Join(strings.Fields(b.String()), " ")
}

// Fields are what the form will send; what is deleted from them is not sent,
// as a box without its tick.
func (f *Form) Fields() url.Values { return f.values }
