package server

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"coder/client"
	"coder/internal/authz"
	"coder/store"
)

// Limits of lists of the audit log.
const (
	auditCountCap  = 2000
	auditPageSize  = 100
	auditVerifying = 5 * time.Minute
	maxGenerated   = 10_000
)

type listAuditInput struct {
	Query  string `query:"q" doc:"A resource type, and key:value terms"`
	Limit  int32  `query:"limit" minimum:"0" maximum:"1000" doc:"0 is 100"`
	Offset int32  `query:"offset" minimum:"0" maximum:"2147483647"`
}

type auditEntriesInput struct {
	AuditChainInput
	Query string `query:"q" doc:"As in the list"`
	After string `query:"after" doc:"The cursor of an earlier reply, or end"`
	Limit int32  `query:"limit" minimum:"0" maximum:"1000" doc:"0 is 100"`
}

type AuditChainInput struct {
	Organization string `query:"organization" doc:"Name or id; empty for the deployment's own log, and for all when entries are read"`
}

type verifyAuditInput struct {
	AuditChainInput
	Head string `query:"head" doc:"COUNT:HASH as it was noted"`
	From string `query:"from" doc:"COUNT:HASH up to which an earlier part was found sound"`
	Most int64  `query:"most" minimum:"0" doc:"How many entries are read at most; 0 is all"`
}

type testAuditInput struct {
	Body client.TestAuditLogRequest
}

func (a *api) auditRoutes(r *router) {
	handle(r, get, "/audit", "List the audit log", onObject(authz.Read, authz.AuditLog), a.listAuditLogs)
	handle(r, get, "/audit/entries", "Read the audit log from a cursor on", onObject(authz.Read, authz.AuditLog), a.listAuditEntries)
	handle(r, get, "/audit/head", "Get the count and the hash of a log", onObject(authz.Read, authz.AuditLog), a.getAuditHead)
	handle(r, get, "/audit/verify", "Read a log against its key", onObject(authz.Read, authz.AuditLog), a.verifyAudit, slow(auditVerifying))
	handle(r, post, "/audit/testgenerate", "Add an entry for a test", onSite(authz.Create, authz.AuditLog), a.generateAudit, noContent)
}

func (a *api) listAuditLogs(ctx context.Context, in *listAuditInput) (*output[client.AuditLogsResponse], error) {
	scope, err := a.auditReader(ctx)
	if err != nil {
		return nil, err
	}
	filter, err := a.auditFilter(ctx, scope, in.Query)
	if err != nil {
		return nil, err
	}
	count, err := a.store.Filtered(filter).CountAuditLogs(ctx, auditCountCap)
	if err != nil {
		return nil, err
	}
	rows, err := a.store.Filtered(filter).ListAuditLogs(ctx, store.ListAuditLogsParams{MaxRows: auditRows(in.Limit), SkipRows: in.Offset})
	if err != nil {
		return nil, err
	}
	logs, err := a.auditResponses(ctx, scope, rows)
	if err != nil {
		return nil, err
	}
	return reply(client.AuditLogsResponse{AuditLogs: logs, Count: int(count), CountCap: auditCountCap}), nil
}

func auditRows(limit int32) int32 {
	if limit == 0 {
		return auditPageSize
	}
	return limit
}

// auditCursor is the number of the last entry that was read, by log.
type auditCursor map[uuid.UUID]int64

func (c auditCursor) String() string {
	text, err := json.Marshal(c)
	if err != nil {
		return "" // a map of numbers always encodes
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func parseAuditCursor(text string) (auditCursor, error) {
	c := auditCursor{}
	if text == "" || text == client.AuditFromEnd {
		return c, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(raw, &c)
	}
	if err != nil || c == nil {
		return nil, invalid("after", "It is no cursor: give the one that an earlier export ended with, or leave it out to begin at the beginning.")
	}
	return c, nil
}

// listAuditEntries reads log by log, each in the order in which it was
// written: nothing that is committed later can come before the cursor.
func (a *api) listAuditEntries(ctx context.Context, in *auditEntriesInput) (*output[client.AuditEntriesResponse], error) {
	scope, err := a.auditReader(ctx)
	if err != nil {
		return nil, err
	}
	filter, err := a.auditFilter(ctx, scope, in.Query)
	if err != nil {
		return nil, err
	}
	cursor, err := parseAuditCursor(in.After)
	if err != nil {
		return nil, err
	}
	heads, err := a.auditHeads(ctx, scope, in.Organization)
	if err != nil {
		return nil, err
	}
	rows, more := []store.AuditLog{}, false
	for _, head := range heads {
		left := auditRows(in.Limit) - int32(len(rows))
		switch {
		case in.After == client.AuditFromEnd:
			cursor[head.OrganizationID] = head.Entries
		case cursor[head.OrganizationID] >= head.Entries:
		case left == 0:
			more = true
		default:
			page, err := a.auditPage(ctx, filter, head, cursor, left)
			if err != nil {
				return nil, err
			}
			rows = append(rows, page...)
			more = more || cursor[head.OrganizationID] < head.Entries
		}
	}
	entries, err := a.auditEntries(ctx, scope, rows)
	if err != nil {
		return nil, err
	}
	return reply(client.AuditEntriesResponse{Entries: entries, Cursor: cursor.String(), More: more}), nil
}

// auditHeads are the logs to read, in the order of their ids.
func (a *api) auditHeads(ctx context.Context, scope auditScope, ref string) ([]store.AuditHead, error) {
	if ref == "" && scope.everywhere {
		return a.store.ListAuditHeads(ctx)
	}
	ids := slices.Clone(scope.organizations)
	if ref != "" {
		id, err := a.auditChain(ctx, scope, ref)
		if err != nil {
			return nil, err
		}
		ids = []uuid.UUID{id}
	}
	heads := make([]store.AuditHead, len(ids))
	for i, id := range ids {
		mark, err := a.store.AuditMarkOf(ctx, id)
		if err != nil {
			return nil, err
		}
		heads[i] = store.AuditHead{OrganizationID: id, Entries: mark.Entries, Hash: mark.Hash}
	}
	return heads, nil
}

// auditPage reads on in one log, and moves its cursor over what was read and
// what the filter left out.
func (a *api) auditPage(ctx context.Context, filter store.Filter, head store.AuditHead, cursor auditCursor, limit int32) ([]store.AuditLog, error) {
	filter.Where("l.seq <= ?", head.Entries)
	page, err := a.store.Filtered(filter).ListAuditChain(ctx, store.ListAuditChainParams{
		OrganizationID: head.OrganizationID, After: cursor[head.OrganizationID], MaxRows: limit,
	})
	if err != nil {
		return nil, err
	}
	cursor[head.OrganizationID] = head.Entries
	if len(page) == int(limit) {
		cursor[head.OrganizationID] = page[len(page)-1].Seq
	}
	return page, nil
}

func (a *api) getAuditHead(ctx context.Context, in *AuditChainInput) (*output[client.AuditHead], error) {
	id, err := a.readableChain(ctx, in.Organization)
	if err != nil {
		return nil, err
	}
	mark, err := a.store.AuditMarkOf(ctx, id)
	if err != nil {
		return nil, err
	}
	return reply(auditHeadResponse(id, mark)), nil
}

func (a *api) readableChain(ctx context.Context, ref string) (uuid.UUID, error) {
	scope, err := a.auditReader(ctx)
	if err != nil {
		return uuid.Nil, err
	}
	return a.auditChain(ctx, scope, ref)
}

// verifyAudit reads a log, or a part of it. One that is at fault is a result, not an error.
func (a *api) verifyAudit(ctx context.Context, in *verifyAuditInput) (*output[client.AuditVerification], error) {
	id, err := a.readableChain(ctx, in.Organization)
	if err != nil {
		return nil, err
	}
	part := store.AuditPart{Most: in.Most}
	if part.Known, err = parseAuditHead("head", in.Head); err != nil {
		return nil, err
	}
	from, err := parseAuditHead("from", in.From)
	if err != nil {
		return nil, err
	}
	if from != nil {
		part.From = *from
	}
	mark, more, fault, err := a.store.VerifyAudit(ctx, id, part)
	if err != nil {
		return nil, err
	}
	out := client.AuditVerification{AuditHead: auditHeadResponse(id, mark), Valid: fault == nil, More: more}
	if fault != nil {
		out.Fault = &client.AuditFault{Sequence: fault.Seq, Problem: fault.Fault}
	}
	return reply(out), nil
}

func parseAuditHead(field, text string) (*store.AuditMark, error) {
	if text == "" {
		return nil, nil
	}
	count, hash, _ := strings.Cut(text, ":")
	entries, err := strconv.ParseInt(count, 10, 64)
	raw, hexErr := hex.DecodeString(hash)
	if err != nil || hexErr != nil || entries < 1 || len(raw) == 0 {
		return nil, invalid(field, "%q is not of the form COUNT:HASH; coder audit head prints one.", text)
	}
	return &store.AuditMark{Entries: entries, Hash: raw}, nil
}

func auditHeadResponse(id uuid.UUID, mark store.AuditMark) client.AuditHead {
	return client.AuditHead{OrganizationID: id, Count: mark.Entries, Hash: hex.EncodeToString(mark.Hash)}
}

// generateAudit is the reference's aid for tests of clients. Its entries say
// that they are of this kind.
func (a *api) generateAudit(ctx context.Context, in *testAuditInput) (*empty, error) {
	b := in.Body
	if b.Action == "" {
		b.Action = client.AuditCreate
	}
	if b.ResourceType == "" {
		b.ResourceType = client.AuditUser
	}
	if !slices.Contains(client.AuditActions(), b.Action) {
		return nil, invalid("action", "%q is not an action of the audit log.", b.Action)
	}
	if !slices.Contains(client.AuditResourceTypes(), b.ResourceType) {
		return nil, invalid("resource_type", "%q is not a resource type of the audit log.", b.ResourceType)
	}
	fields := map[string]any{}
	if len(b.AdditionalFields) > 0 && json.Unmarshal(b.AdditionalFields, &fields) != nil {
		return nil, invalid("additional_fields", "It must be an object.")
	}
	if b.BuildReason != "" {
		fields["build_reason"] = b.BuildReason
	}
	fields["generated"] = true
	if b.OrganizationID != uuid.Nil {
		if _, err := a.organization(ctx, b.OrganizationID.String()); err != nil {
			return nil, err
		}
	}
	if b.Repeat < 0 || b.Repeat > maxGenerated {
		return nil, invalid("repeat", "Give a number up to %d.", maxGenerated)
	}
	row, err := a.auditRow(ctx, auditEntry{organization: b.OrganizationID, kind: b.ResourceType, action: b.Action, id: b.ResourceID, target: "test", fields: fields})
	if err != nil {
		return nil, err
	}
	if !b.Time.IsZero() {
		row.CreatedAt = store.At(b.Time)
	}
	if b.RequestID != uuid.Nil {
		row.RequestID = b.RequestID
	}
	err = a.store.InTx(ctx, func(tx *store.Store) error {
		for range max(b.Repeat, 1) {
			if err := tx.AppendAudit(ctx, row); err != nil {
				return err
			}
			row.ID = uuid.New()
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("add a test entry: %w", err)
	}
	return &empty{}, nil
}

func (a *api) auditEntries(ctx context.Context, scope auditScope, rows []store.AuditLog) ([]client.AuditEntry, error) {
	logs, err := a.auditResponses(ctx, scope, rows)
	if err != nil {
		return nil, err
	}
	out := make([]client.AuditEntry, len(rows))
	for i, row := range rows {
		out[i] = client.AuditEntry{AuditLog: logs[i], Sequence: row.Seq, Hash: hex.EncodeToString(row.Hash)}
	}
	return out, nil
}

// auditResponses shows of the people in the log of an organization only its
// present members; of others no more than their name, as it stands in the
// entry, and not where they were.
func (a *api) auditResponses(ctx context.Context, scope auditScope, rows []store.AuditLog) ([]client.AuditLog, error) {
	refs, err := a.auditReferences(ctx, scope, rows)
	if err != nil {
		return nil, err
	}
	out := make([]client.AuditLog, len(rows))
	for i, row := range rows {
		if out[i], err = auditResponse(row); err != nil {
			return nil, err
		}
		refs.complete(&out[i], row)
	}
	return out, nil
}

func auditResponse(row store.AuditLog) (client.AuditLog, error) {
	diff, err := decode[map[string]client.AuditDiffField](row.Diff, "difference of an audit entry")
	if err != nil {
		return client.AuditLog{}, err
	}
	fields, err := decode[map[string]any](row.AdditionalFields, "fields of an audit entry")
	if err != nil {
		return client.AuditLog{}, err
	}
	return client.AuditLog{
		ID: row.ID, RequestID: row.RequestID, Time: row.CreatedAt.Time, IP: row.IP, UserAgent: row.UserAgent, ResourceType: row.ResourceType,
		ResourceID: row.ResourceID, ResourceTarget: row.ResourceTarget, ResourceIcon: row.ResourceIcon, Action: row.Action, Diff: diff,
		StatusCode: int(row.StatusCode), AdditionalFields: json.RawMessage(row.AdditionalFields), Description: auditDescription(row),
		ResourceLink: auditLink(row, fields), OrganizationID: row.OrganizationID,
	}, nil
}

// auditVerbs are what an entry says was done, and what was tried where it was refused.
var auditVerbs = map[string][2]string{
	client.AuditCreate: {"created", "create"}, client.AuditWrite: {"updated", "update"}, client.AuditDelete: {"deleted", "delete"},
	client.AuditStart: {"started", "start"}, client.AuditStop: {"stopped", "stop"}, client.AuditLogin: {"logged in", "log in"},
	client.AuditLogout: {"logged out", "log out"}, "register": {"registered", "register"},
	"request_password_reset": {"requested a password reset for", "request a password reset for"}, "connect": {"connected to", "connect to"},
	"disconnect": {"disconnected from", "disconnect from"}, "open": {"opened", "open"}, "close": {"closed", "close"},
}

// auditDescription is a sentence in which the client fills in who and what.
func auditDescription(row store.AuditLog) string {
	kind := strings.ReplaceAll(row.ResourceType, "_", " ")
	verb := auditVerbs[row.Action]
	what := " " + kind + " {target}"
	if row.Action == client.AuditLogin || row.Action == client.AuditLogout {
		what = ""
	}
	switch {
	case row.StatusCode >= http.StatusBadRequest:
		return "{user} unsuccessfully attempted to " + verb[1] + what
	case row.StatusCode == http.StatusSeeOther:
		return "{user} was redirected attempting to " + verb[1] + what
	}
	return "{user} " + verb[0] + what
}

// auditLink is the page of what the entry is about, where pages have one.
func auditLink(row store.AuditLog, fields map[string]any) string {
	owner, owned := fields["workspace_owner"].(string)
	number, numbered := fields["build_number"].(float64)
	switch {
	case row.ResourceType == client.AuditUser:
		return "/users?filter=" + row.ResourceTarget
	case row.ResourceType == client.AuditWorkspaceBuild && owned && numbered:
		return fmt.Sprintf("/@%s/%s/builds/%.0f", owner, row.ResourceTarget, number)
	case (row.ResourceType == client.AuditWorkspaceBuild || row.ResourceType == client.AuditWorkspace) && owned:
		return "/@" + owner + "/" + row.ResourceTarget
	}
	return ""
}

// auditReferences are what the entries of a page point to, as far as the
// reader may see it.
type auditReferences struct {
	organizations map[uuid.UUID]client.MinimalOrganization
	users         map[uuid.UUID]store.User
	// members is not read for who reads everywhere.
	members    map[auditPlace]bool
	gone       map[uuid.UUID]bool
	everywhere bool
	subject    *authz.Subject
}

type auditPlace struct{ organization, user uuid.UUID }

func (a *api) auditReferences(ctx context.Context, scope auditScope, rows []store.AuditLog) (*auditReferences, error) {
	refs := &auditReferences{
		organizations: map[uuid.UUID]client.MinimalOrganization{}, users: map[uuid.UUID]store.User{}, members: map[auditPlace]bool{},
		everywhere: scope.everywhere, subject: subjectFrom(ctx),
	}
	named := map[uuid.UUID]bool{}
	for _, row := range rows {
		named[row.OrganizationID] = true
		if row.ResourceType == client.AuditOrganization {
			named[row.ResourceID] = true
		}
	}
	orgs, err := a.organizations(ctx)
	if err != nil {
		return nil, err
	}
	for _, org := range orgs {
		if !named[org.ID] {
			continue
		}
		refs.organizations[org.ID] = client.MinimalOrganization{ID: org.ID, Name: org.Name, DisplayName: org.DisplayName, Icon: org.Icon}
	}
	ids := []uuid.UUID{}
	for _, row := range rows {
		if row.UserID != nil && !slices.Contains(ids, *row.UserID) {
			ids = append(ids, *row.UserID)
		}
	}
	users, err := a.store.ListUsersByIDs(ctx, store.IDs(ids))
	if err != nil {
		return nil, err
	}
	for _, u := range users {
		refs.users[u.ID] = u
	}
	if !scope.everywhere {
		memberships, err := a.store.ListMembershipsOfUsers(ctx, store.IDs(ids))
		if err != nil {
			return nil, err
		}
		for _, m := range memberships {
			refs.members[auditPlace{m.OrganizationID, m.UserID}] = true
		}
	}
	refs.gone, err = a.auditGone(ctx, rows, refs.organizations)
	return refs, err
}

// auditGone finds which of the objects do not exist any more.
func (a *api) auditGone(ctx context.Context, rows []store.AuditLog, organizations map[uuid.UUID]client.MinimalOrganization) (map[uuid.UUID]bool, error) {
	ids := map[string][]uuid.UUID{}
	for _, row := range rows {
		ids[row.ResourceType] = append(ids[row.ResourceType], row.ResourceID)
	}
	gone := map[uuid.UUID]bool{}
	workspaces, err := a.store.ListWorkspacesByIDs(ctx, store.IDs(ids[client.AuditWorkspace]))
	if err != nil {
		return nil, err
	}
	for _, w := range workspaces {
		gone[w.ID] = w.Deleted
	}
	templates, err := a.store.ListTemplatesByIDs(ctx, store.IDs(ids[client.AuditTemplate]))
	if err != nil {
		return nil, err
	}
	for _, t := range templates {
		gone[t.ID] = t.Deleted
	}
	users, err := a.store.ListUsersByIDs(ctx, store.IDs(ids[client.AuditUser]))
	if err != nil {
		return nil, err
	}
	for _, u := range users {
		gone[u.ID] = u.Deleted
	}
	for _, id := range ids[client.AuditOrganization] {
		_, live := organizations[id]
		gone[id] = id != uuid.Nil && !live
	}
	return gone, nil
}

// complete adds the references that the reader may see.
func (r *auditReferences) complete(out *client.AuditLog, row store.AuditLog) {
	out.IsDeleted = r.gone[row.ResourceID]
	if org, ok := r.organizations[row.OrganizationID]; ok {
		out.Organization = &org
		if row.ResourceType == client.AuditTemplate {
			out.ResourceLink = "/templates/" + org.Name + "/" + row.ResourceTarget
		}
	}
	if row.UserID == nil {
		return
	}
	user, known := r.users[*row.UserID]
	if known && r.shows(row.OrganizationID, user.ID) {
		out.User = &client.User{ReducedUser: reducedUserResponse(user), OrganizationIDs: []uuid.UUID{}, Roles: siteRoleResponses(user.Roles)}
		return
	}
	out.User = &client.User{ReducedUser: client.ReducedUser{MinimalUser: client.MinimalUser{Username: row.Username}}, OrganizationIDs: []uuid.UUID{}, Roles: []client.SlimRole{}}
	out.IP, out.UserAgent = "", ""
}

func (r *auditReferences) shows(organizationID, userID uuid.UUID) bool {
	if r.everywhere {
		return r.subject.Can(authz.Read, userObject(userID))
	}
	return r.members[auditPlace{organizationID, userID}] && r.subject.Can(authz.Read, memberObject(organizationID, userID))
}
