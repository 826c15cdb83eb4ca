package ui

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

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

// Verb is what was done, in words.
func (e auditEntry) Verb() string {
	return cmp.Or(map[string]string{
		client.AuditCreate: "created", client.AuditWrite: "changed", client.AuditDelete: "deleted", client.AuditStart: "started",
		client.AuditStop: "stopped", client.AuditLogin: "signed in", client.AuditLogout: "signed out",
	}[e.Action], words(e.Action))
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
		Everywhere: organization == nil,
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
