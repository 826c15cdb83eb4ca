package ui

import (
	"cmp"
	"context"
	"encoding/json"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"coder/client"
)

func (u *UI) auditRoutes(on *table) {
	on.list("/audit", u.audit)
	on.page(get, "/audit/proof", u.auditProof)
	on.page(post, "/audit/proof", u.auditProof)
	on.list("/organizations/{organization}/audit", u.organizationAudit)
	on.page(get, "/organizations/{organization}/audit/proof", u.organizationAuditProof)
	on.page(post, "/organizations/{organization}/audit/proof", u.organizationAuditProof)
}

// auditList is a part of a log, and what it was narrowed by.
type auditList struct {
	Entries []auditEntry
	Pager   pager
	Problem string
	// Path is the page of the log, Command writes it out.
	Path, Command string
	// Capped tells that there are more entries than are counted.
	Capped bool

	Query, Action, Kind, Who, From, To string
	Actions, Kinds                     []string
	// Everywhere shows to which organization an entry belongs.
	Everywhere bool
	// now is the moment that times are told by.
	now time.Time
}

// Narrowed tells whether anything was looked for.
func (l auditList) Narrowed() bool {
	return l.Query+l.Action+l.Kind+l.Who+l.From+l.To != ""
}

// auditEntry is an entry as the page tells it.
type auditEntry struct {
	client.AuditLog
	// Refused: it was tried, and not done.
	Refused bool
	Link    string
	Changes []auditChange
	// Fields are told beside the difference.
	Fields []auditChange
}

// auditChange is the difference of one field. Secret ones have no values.
type auditChange struct {
	Field, Old, New string
	Secret          bool
}

// Who did it; empty for the server itself.
func (e auditEntry) Who() string {
	if e.User == nil {
		return ""
	}
	return e.User.Username
}

// Own tells whether the verb says it all: people sign in as themselves.
func (e auditEntry) Own() bool {
	return e.Action == client.AuditLogin || e.Action == client.AuditLogout
}

// auditVerbs are what was done, in the words of pages.
var auditVerbs = map[string]string{
	client.AuditCreate: "created", client.AuditWrite: "changed", client.AuditDelete: "deleted", client.AuditStart: "started",
	client.AuditStop: "stopped", client.AuditLogin: "signed in", client.AuditLogout: "signed out",
}

// Verb is what was done, in words.
func (e auditEntry) Verb() string {
	return cmp.Or(auditVerbs[e.Action], words(e.Action))
}

// Tone colours a verb.
func (e auditEntry) Tone() string {
	switch {
	case e.Refused:
		return toneBad
	case e.Action == client.AuditCreate || e.Action == client.AuditStart:
		return toneGood
	case e.Action == client.AuditDelete || e.Action == client.AuditStop:
		return toneWarn
	}
	return toneOff
}

// newAuditEntry tells an entry; it links only to what its reader may see.
func newAuditEntry(l client.AuditLog, may rights) auditEntry {
	e := auditEntry{AuditLog: l, Refused: l.StatusCode >= http.StatusBadRequest}
	switch {
	case l.IsDeleted:
	case l.ResourceType == client.AuditUser && may["read users"]:
		e.Link = userPath(l.ResourceTarget)
	case strings.HasPrefix(l.ResourceLink, "/@") && may["read workspaces"]:
		e.Link = l.ResourceLink
	}
	for _, name := range slices.Sorted(maps.Keys(l.Diff)) {
		d := l.Diff[name]
		e.Changes = append(e.Changes, auditChange{words(name), auditValue(d.Old), auditValue(d.New), d.Secret})
	}
	fields := map[string]any{}
	if json.Unmarshal(l.AdditionalFields, &fields) == nil {
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			e.Fields = append(e.Fields, auditChange{Field: words(name), New: auditValue(fields[name])})
		}
	}
	return e
}

// auditValue is a value as people read it; what is no text is JSON.
func auditValue(value any) string {
	switch value := value.(type) {
	case nil:
		return ""
	case string:
		return value
	}
	text, err := json.Marshal(value)
	if err != nil {
		return "" // it came as JSON
	}
	return string(text)
}

// recordedKinds are the kinds of things that entries are about here.
func recordedKinds() []string {
	return []string{
		client.AuditWorkspace, client.AuditWorkspaceBuild, client.AuditTemplate, client.AuditTemplateVersion, client.AuditOrganization,
		client.AuditOrganizationMember, client.AuditCustomRole, client.AuditGroup, client.AuditUser, client.AuditAPIKey, client.AuditGitSSHKey,
	}
}

func recordedActions() []string {
	return []string{client.AuditCreate, client.AuditWrite, client.AuditDelete, client.AuditStart, client.AuditStop, client.AuditLogin, client.AuditLogout}
}

// auditList reads a page of a log; organization is nil for all that may be read.
func (v *visit) auditList(ctx context.Context, organization *client.Organization, may rights) (auditList, error) {
	l := auditList{
		Query: strings.TrimSpace(v.query("q")), Action: v.query("action"), Kind: v.query("kind"), Who: strings.TrimSpace(v.query("who")),
		From: v.query("from"), To: v.query("to"), Path: "/audit", Command: "coder audit export > audit.jsonl", Kinds: recordedKinds(), Actions: recordedActions(),
		Everywhere: organization == nil, now: v.ui.options.Now(),
	}
	terms := []string{l.Query}
	if organization != nil {
		terms = append(terms, "organization:"+organization.ID.String())
		l.Path = organizationPath(organization.Name, "audit")
		l.Command = "coder audit export --org " + organization.Name + " > audit.jsonl"
	}
	for _, term := range [][2]string{{"action", l.Action}, {"resource_type", l.Kind}, {"username", l.Who}, {"date_from", l.From}, {"date_to", l.To}} {
		if term[1] != "" {
			terms = append(terms, term[0]+`:"`+strings.ReplaceAll(term[1], `"`, "")+`"`)
		}
	}
	offset := v.offset()
	found, err := v.api.AuditLogs(ctx, client.AuditLogsRequest{Query: strings.TrimSpace(strings.Join(terms, " ")), Limit: listed, Offset: offset})
	if client.StatusCode(err) == http.StatusBadRequest {
		l.Problem = refusalText(err)
		return l, nil
	}
	if err != nil {
		return l, err
	}
	for _, entry := range found.AuditLogs {
		l.Entries = append(l.Entries, newAuditEntry(entry, may))
	}
	l.Pager, l.Capped = v.pager(offset, len(found.AuditLogs), found.Count), found.Count >= found.CountCap
	return l, nil
}

// Rows are the entries.
func (l auditList) Rows() template.HTML {
	m := rowsOf(2 * len(l.Entries))
	for i := range l.Entries {
		e := &l.Entries[i]
		m.put("<li>\n")
		m.auditHead(e)
		m.put("<span class=\"entry-when\">")
		switch {
		case !l.Everywhere:
		case e.Organization == nil:
			m.put(`<span class="quiet">deployment</span>`)
		default:
			m.put(`<a class="quiet" href="%">%</a>`, organizationPath(e.Organization.Name, "audit"), cmp.Or(e.Organization.DisplayName, e.Organization.Name))
		}
		m.put("%</span></div>\n", timeMark(l.now, e.Time))
		m.auditDetails(e)
		m.put("</li>\n")
	}
	return m.html()
}

// auditHead says who did what.
func (m *markup) auditHead(e *auditEntry) {
	if who := e.Who(); who != "" {
		m.put(`<div class="entry"><span class="entry-what">%<strong>%</strong>`, avatar(who), who)
	} else {
		m.put(`<div class="entry"><span class="entry-what"><span class="avatar" aria-hidden="true">•</span><strong>The server</strong>`)
	}
	verb := e.Verb()
	if e.Refused {
		verb = "was refused: " + words(e.Action)
	}
	m.put("\n<span class=\"verb %\">%</span>\n", e.Tone(), verb)
	if !e.Own() {
		m.put(`<span class="soft">%</span>`, words(e.ResourceType))
		switch {
		case e.ResourceTarget == "":
		case e.Link != "":
			m.put(` <a class="row" href="%">%</a>`, e.Link, e.ResourceTarget)
		default:
			m.put(" <span>%</span>", e.ResourceTarget)
		}
	}
	m.put("\n")
	if e.IsDeleted {
		m.put(`<span class="quiet">(gone)</span>`)
	}
	m.put("</span>\n")
}

// auditDetails are what changed, and from where and with what answer.
func (m *markup) auditDetails(e *auditEntry) {
	title := "Details"
	if len(e.Changes) > 0 {
		title = plural(len(e.Changes), "field")
	}
	m.put("<details><summary class=\"quiet\">%</summary>\n", title)
	if len(e.Changes) > 0 {
		m.put("<div class=\"wide-table\"><table class=\"changes\"><thead><tr><th>Field</th><th>Before</th><th>After</th></tr></thead>\n<tbody>")
		for _, c := range e.Changes {
			if c.Secret {
				m.put("<tr><td>%</td><td colspan=\"2\" class=\"quiet\">a secret; its values are not kept</td></tr>\n", c.Field)
			} else {
				m.put("<tr><td>%</td><td class=\"was\">%</td><td class=\"is\">%</td></tr>\n", c.Field, c.Old, c.New)
			}
		}
		m.put("</tbody></table></div>")
	}
	m.put("\n<dl class=\"facts\">")
	for _, f := range e.Fields {
		m.put("<dt>%</dt><dd>%</dd>", f.Field, f.New)
	}
	m.put("\n<dt>At</dt><dd>%</dd>", exact(e.Time))
	if e.IP != "" {
		m.put("<dt>From</dt><dd>%</dd>", e.IP)
	}
	if e.UserAgent != "" {
		m.put("<dt>With</dt><dd>%</dd>", e.UserAgent)
	}
	m.put("\n<dt>Answer</dt><dd>%</dd><dt>Request</dt><dd><code>%</code></dd></dl></details>\n", e.StatusCode, e.RequestID)
}

// status is that of the page: a search that the API refuses is a bad request.
func (l auditList) status() int {
	if l.Problem != "" {
		return http.StatusBadRequest
	}
	return http.StatusOK
}

type auditPage struct {
	page
	Log auditList
}

func (u *UI) audit(ctx context.Context, v *visit) (reply, error) {
	p, err := v.page(ctx, "Audit log", checks{"read the deployment's log": onSite("read", "audit_log"), "read workspaces": onSite("read", "workspace")})
	if err != nil {
		return nil, err
	}
	log, err := v.auditList(ctx, nil, p.rights)
	if err != nil {
		return nil, err
	}
	return showAs(log.status(), "audit.html", &auditPage{p, log}), nil
}

type organizationAuditPage struct {
	organizationPage
	Log auditList
}

func (u *UI) organizationAudit(ctx context.Context, v *visit) (reply, error) {
	p, err := v.organizationAuditPage(ctx)
	if err != nil {
		return nil, err
	}
	log, err := v.auditList(ctx, &p.Organization, p.rights)
	if err != nil {
		return nil, err
	}
	return showAs(log.status(), "organization_audit.html", &organizationAuditPage{p, log}), nil
}

// organizationAuditPage answers whoever may not read the log as the API does
// for its head.
func (v *visit) organizationAuditPage(ctx context.Context) (organizationPage, error) {
	p, err := v.organizationPage(ctx, "audit", "Audit log")
	if err == nil && !p.rights["audit organization"] {
		err = errNoPage
	}
	return p, err
}

// auditProof is how far a log has come, and whether it is as it was written.
type auditProof struct {
	Head client.AuditHead
	// Known is a head that was noted before; empty for none.
	Known string
	// Result is nil until the log was read.
	Result  *client.AuditVerification
	Problem string
	// Path is the page of the log; the commands say the same for a terminal.
	Path                   string
	Export, Verify, HeadIs string
}

// auditProof reads the head of a log; ref is empty for the deployment's own.
func (v *visit) auditProof(ctx context.Context, ref uuid.UUID, name string) (auditProof, error) {
	proof := auditProof{Path: "/audit"}
	chain, option := "", ""
	if name != "" {
		chain, option, proof.Path = ref.String(), " --org "+name, organizationPath(name, "audit")
	}
	proof.Export, proof.Verify, proof.HeadIs = "coder audit export"+option+" > audit.jsonl 2> cursor", "coder audit verify"+option, "coder audit head"+option+" > head"
	var err error
	if proof.Head, err = v.api.AuditHead(ctx, chain); err != nil || v.r.Method != post {
		return proof, err
	}
	values, err := v.parsed()
	if err != nil {
		return proof, err
	}
	proof.Known = strings.TrimSpace(values.Get("head"))
	result, err := v.api.VerifyAudit(ctx, chain, proof.Known)
	if client.StatusCode(err) == http.StatusBadRequest {
		proof.Problem = refusalText(err)
		return proof, nil
	}
	proof.Result = &result
	return proof, err
}

type auditProofPage struct {
	page
	Proof auditProof
}

func (u *UI) auditProof(ctx context.Context, v *visit) (reply, error) {
	p, err := v.page(ctx, "Proof of the audit log")
	if err != nil {
		return nil, err
	}
	proof, err := v.auditProof(ctx, uuid.Nil, "")
	if err != nil {
		return nil, err
	}
	return show("audit_proof.html", &auditProofPage{p, proof}), nil
}

type organizationAuditProofPage struct {
	organizationPage
	Proof auditProof
}

func (u *UI) organizationAuditProof(ctx context.Context, v *visit) (reply, error) {
	p, err := v.organizationAuditPage(ctx)
	if err != nil {
		return nil, err
	}
	proof, err := v.auditProof(ctx, p.Organization.ID, p.Organization.Name)
	if err != nil {
		return nil, err
	}
	return show("organization_audit_proof.html", &organizationAuditProofPage{p, proof}), nil
}
