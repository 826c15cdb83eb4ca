package ui

import (
	"cmp"
	"html/template"
	"net/url"
	"strings"
)

// The bar and the side navigation stand on nearly every page, so they are
// written in Go like the rows of lists.

const mark template.HTML = `<svg class="mark" viewBox="0 0 24 24" aria-hidden="true"><path d="M12 2.6 20.2 7.3v9.4L12 21.4 3.8 16.7V7.3z" fill="none" stroke="currentColor" stroke-width="2" stroke-linejoin="round"/><path d="M9 9.2 6.6 12 9 14.8M15 9.2 17.4 12 15 14.8" fill="none" stroke="currentColor" stroke-width="1.7" stroke-linecap="round" stroke-linejoin="round"/></svg>`

const topOfBar marks = `<header class="bar">
<a class="brand" href="/workspaces" aria-label="Coder, to your workspaces">%</a>
<nav aria-label="Main">
<a href="/workspaces"%>Workspaces</a>
<a href="/templates"%>Templates</a>
<details class="menu"%>
<summary>Deployment</summary>
<div class="sheet">
<a href="/organizations">Organizations</a>
`

const restOfBar marks = `</div>
</details>
</nav>
<details class="menu person">
<summary aria-label="Your account, %">%<span class="wide">%</span></summary>
<div class="sheet">
<p class="who"><strong>%</strong><br><span class="quiet">%</span></p>
<a href="/account">Account</a>
<a href="/account/tokens">API tokens</a>
<a href="/account/sessions">Sessions</a>
<a href="/account/appearance">Appearance</a>
<form method="post" action="/logout"><button class="plain">Sign out</button></form>
</div>
</details>
</header>
`

// Bar is the top of the page of whoever is signed in.
func (p *page) Bar() (template.HTML, error) {
	here, err := url.Parse(p.Here)
	if err != nil {
		here = &url.URL{}
	}
	in := func(attribute template.HTML, sections ...string) template.HTML {
		for _, section := range sections {
			if here.Path == section || strings.HasPrefix(here.Path, section+"/") {
				return attribute
			}
		}
		return ""
	}
	const current = ` aria-current="true"`
	m := rowsOf(4)
	m.put(topOfBar, mark, in(current, "/workspaces"), in(current, "/templates"), in(` data-current`, "/organizations", "/users", "/audit", "/health"))
	for _, entry := range []struct {
		may  string
		link marks
	}{
		{"read users", `<a href="/users">Users</a>`}, {"read audit", `<a href="/audit">Audit log</a>`}, {"read health", `<a href="/health">Health</a>`},
	} {
		allowed, err := p.Can(entry.may)
		if err != nil {
			return "", err
		}
		if allowed {
			m.put(entry.link + "\n")
		}
	}
	name := p.Viewer.Username
	m.put(restOfBar, name, avatar(name), name, cmp.Or(p.Viewer.Name, name), p.Viewer.Email)
	return m.html(), nil
}

// Side is the navigation within an organization.
func (p *organizationPage) Side() (template.HTML, error) {
	m := rowsOf(3)
	m.put("<nav class=\"side\" aria-label=\"%\">\n<div class=\"of\">%<span>%</span></div>\n", p.Name(), squareAvatar(p.Organization.Name, p.Name()), p.Name())
	for _, entry := range []struct{ may, tab, text string }{
		{"read members", "members", "Members"}, {"", "groups", "Groups"}, {"read roles", "roles", "Roles"}, {"read provisioners", "provisioners", "Provisioners"},
		{"read provisioners", "jobs", "Jobs"}, {"read keys", "keys", "Provisioner keys"}, {"", "quota", "Quotas"}, {"audit organization", "audit", "Audit log"},
		{"change organization", "settings", "Settings"},
	} {
		allowed := true
		if entry.may != "" {
			var err error
			if allowed, err = p.Can(entry.may); err != nil {
				return "", err
			}
		}
		switch {
		case allowed && entry.tab == p.Tab:
			m.put("<a href=\"%\" aria-current=\"page\">%</a>\n", p.Path(entry.tab), entry.text)
		case allowed:
			m.put("<a href=\"%\">%</a>\n", p.Path(entry.tab), entry.text)
		}
	}
	m.put("</nav>")
	return m.html(), nil
}
