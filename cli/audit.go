package cli

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"coder/client"
)

// exportPage is how many entries an export asks for at once.
const exportPage = 500

func newAudit(env *Env) *cobra.Command {
	return group("audit", "See who did what, take it along, and prove that nothing of it was changed", nil,
		newAuditList(env), newAuditFollow(env), newAuditExport(env), newAuditHead(env), newAuditVerify(env))
}

// auditFilter is which entries are meant.
type auditFilter struct {
	organization, user, action, kind, target, from, to, search string
}

func (a *auditFilter) flags(f *pflag.FlagSet) {
	addOrganization(f, &a.organization)
	f.StringVar(&a.user, "user", "", "Entries of this user; me is yourself")
	f.StringVar(&a.action, "action", "", "Entries of this action: create, write, delete, start, stop, login, logout")
	f.StringVar(&a.kind, "type", "", "Entries about this kind of thing: workspace, template, user, organization_member, …")
	f.StringVar(&a.target, "target", "", "Entries about the thing of this name")
	f.StringVar(&a.from, "from", "", "Entries from this day on, YYYY-MM-DD in UTC")
	f.StringVar(&a.to, "to", "", "Entries up to the end of this day, YYYY-MM-DD in UTC")
	f.StringVar(&a.search, "search", "", "More terms of a search, as the API has them: build_reason:autostart request_id:ID")
}

// query is the search of the API.
func (a *auditFilter) query() string {
	var terms []string
	for _, term := range [][2]string{
		{"organization", a.organization}, {"username", a.user}, {"action", a.action}, {"resource_type", a.kind}, {"resource_target", a.target},
		{"date_from", a.from}, {"date_to", a.to},
	} {
		if term[1] != "" {
			terms = append(terms, term[0]+`:"`+strings.ReplaceAll(term[1], `"`, "")+`"`)
		}
	}
	if a.search != "" {
		terms = append(terms, a.search)
	}
	return strings.Join(terms, " ")
}

func auditTable() table[client.AuditLog] {
	return table[client.AuditLog]{columns: []column[client.AuditLog]{
		{"time", func(l client.AuditLog) string { return timeCell(l.Time) }},
		{"who", auditWho},
		{"action", func(l client.AuditLog) string { return l.Action }},
		{"type", func(l client.AuditLog) string { return l.ResourceType }},
		{"target", func(l client.AuditLog) string { return l.ResourceTarget }},
		{"organization", auditWhere},
		{"status", func(l client.AuditLog) string { return strconv.Itoa(l.StatusCode) }},
		{"changed", auditChanged},
		{"ip", func(l client.AuditLog) string { return l.IP }},
		{"request id", func(l client.AuditLog) string { return l.RequestID.String() }},
		{"id", func(l client.AuditLog) string { return l.ID.String() }},
	}, defaults: []string{"time", "who", "action", "type", "target", "organization", "status", "changed"}}
}

func auditWho(l client.AuditLog) string {
	if l.User == nil {
		return "-"
	}
	return l.User.Username
}

func auditWhere(l client.AuditLog) string {
	switch {
	case l.Organization != nil:
		return l.Organization.Name
	case l.OrganizationID != uuid.Nil:
		return l.OrganizationID.String()
	}
	return "-"
}

func auditChanged(l client.AuditLog) string {
	return strings.Join(slices.Sorted(maps.Keys(l.Diff)), ",")
}

type auditListOptions struct {
	env           *Env
	filter        auditFilter
	limit, offset int
	list          listOptions
}

func newAuditList(env *Env) *cobra.Command {
	o := &auditListOptions{env: env}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what was done, the newest first",
		Example: "  coder audit list --org data-platform --type workspace --from 2026-01-01\n" +
			"  coder audit list --user me --action login -o json",
		Args: exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	o.filter.flags(cmd.Flags())
	cmd.Flags().IntVar(&o.limit, "limit", 50, "How many entries, up to 1000")
	cmd.Flags().IntVar(&o.offset, "offset", 0, "How many of the newest to leave out")
	addList(cmd, &o.list, auditTable())
	return cmd
}

func (o *auditListOptions) run(ctx context.Context) error {
	c, err := o.env.Client()
	if err != nil {
		return err
	}
	if o.limit < 1 || o.limit > 1000 || o.offset < 0 {
		return errors.New("--limit is from 1 to 1000, and --offset is not negative; `coder audit export` writes everything")
	}
	page, err := c.AuditLogs(ctx, client.AuditLogsRequest{Query: o.filter.query(), Limit: o.limit, Offset: o.offset})
	if err != nil {
		return fmt.Errorf("list the audit log: %w", err)
	}
	if err := printList(o.env, o.list, auditTable(), page.AuditLogs, page.AuditLogs, "No audit entries found."); err != nil {
		return err
	}
	if more := page.Count - o.offset - len(page.AuditLogs); more > 0 && len(page.AuditLogs) > 0 {
		o.env.errf("%s; see them with --offset %d.\n", auditMore(more, page), o.offset+len(page.AuditLogs))
	}
	return nil
}

func auditMore(more int, page client.AuditLogsResponse) string {
	if page.Count >= page.CountCap {
		return fmt.Sprintf("More than %d older entries match", more)
	}
	return fmt.Sprintf("%d older entries match", more)
}

type auditFollowOptions struct {
	env       *Env
	filter    auditFilter
	lines     int
	limit     int
	every     time.Duration
	jsonLines bool
	shown     int
	recent    map[uuid.UUID]bool
	client    *client.Client
	cursor    string
}

func newAuditFollow(env *Env) *cobra.Command {
	o := &auditFollowOptions{env: env}
	cmd := &cobra.Command{
		Use:     "follow",
		Short:   "Show what is being done, as it happens",
		Example: "  coder audit follow --org data-platform\n  coder audit follow --json-lines --lines 0 | jq .action",
		Args:    exactArgs(0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	f := cmd.Flags()
	o.filter.flags(f)
	f.IntVar(&o.lines, "lines", 10, "How many earlier entries to begin with")
	f.IntVar(&o.limit, "limit", 0, "End after this many entries; 0 is never")
	f.DurationVar(&o.every, "every", 2*time.Second, "How often to look")
	f.BoolVar(&o.jsonLines, "json-lines", false, "Write each entry as one line of JSON")
	return cmd
}

func (o *auditFollowOptions) run(ctx context.Context) (err error) {
	if o.lines < 0 || o.lines > 1000 || o.limit < 0 || o.every < 100*time.Millisecond {
		return errors.New("--lines is from 0 to 1000, --limit is not negative, and --every is at least 100ms")
	}
	if o.client, err = o.env.Client(); err != nil {
		return err
	}
	if err := o.begin(ctx); err != nil {
		return fmt.Errorf("follow the audit log: %w", err)
	}
	for !o.done() {
		more, err := o.next(ctx)
		if err != nil {
			return fmt.Errorf("follow the audit log: %w", err)
		}
		if more || o.done() {
			continue
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(o.every):
		}
	}
	return nil
}

// begin notes the end of the logs and then reads what came before: an entry
// in between is in both, and shown once.
func (o *auditFollowOptions) begin(ctx context.Context) error {
	end, err := o.client.AuditEntries(ctx, client.AuditEntriesRequest{Organization: o.filter.organization, After: client.AuditFromEnd, Query: o.filter.query()})
	if err != nil {
		return err
	}
	o.cursor, o.recent = end.Cursor, map[uuid.UUID]bool{}
	if o.lines == 0 {
		return nil
	}
	page, err := o.client.AuditLogs(ctx, client.AuditLogsRequest{Query: o.filter.query(), Limit: o.lines})
	if err != nil {
		return err
	}
	slices.Reverse(page.AuditLogs)
	for _, l := range page.AuditLogs {
		o.recent[l.ID] = true
		if err := o.show(l, l); err != nil {
			return err
		}
	}
	return nil
}

func (o *auditFollowOptions) next(ctx context.Context) (more bool, err error) {
	part, err := o.client.AuditEntries(ctx, client.AuditEntriesRequest{Organization: o.filter.organization, After: o.cursor, Query: o.filter.query(), Limit: exportPage})
	if err != nil {
		return false, err
	}
	o.cursor = part.Cursor
	slices.SortStableFunc(part.Entries, func(x, y client.AuditEntry) int { return x.Time.Compare(y.Time) })
	for _, e := range part.Entries {
		if o.recent[e.ID] {
			continue
		}
		if err := o.show(e.AuditLog, e); err != nil {
			return false, err
		}
	}
	return part.More, nil
}

func (o *auditFollowOptions) done() bool { return o.limit > 0 && o.shown >= o.limit }

func (o *auditFollowOptions) show(l client.AuditLog, whole any) error {
	if o.done() {
		return nil
	}
	o.shown++
	if o.jsonLines {
		return json.NewEncoder(o.env.Stdout).Encode(whole)
	}
	line := strings.NewReplacer("{user}", auditWho(l), "{target}", l.ResourceTarget).Replace(l.Description)
	if changed := auditChanged(l); changed != "" && l.Action == client.AuditWrite {
		line += " (" + changed + ")"
	}
	_, err := fmt.Fprintf(o.env.Stdout, "%s  %s  %s\n", timeCell(l.Time), printable(auditWhere(l)), printable(line))
	return err
}

type auditExportOptions struct {
	env                         *Env
	organization, after, search string
}

func newAuditExport(env *Env) *cobra.Command {
	o := &auditExportOptions{env: env}
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the audit log as lines of JSON, from a cursor on",
		Long: "Write the audit log as lines of JSON, log by log: the deployment's own and that of every\n" +
			"organization you may read, each in the order in which it was written.\n\n" +
			"The last line of standard error is the cursor. Given with --after, the next export goes on\n" +
			"exactly behind the last line of this one: no entry twice, and none left out.",
		Example: "  coder audit export > audit.jsonl 2> cursor\n  coder audit export --after \"$(tail -1 cursor)\" >> audit.jsonl 2> cursor.new",
		Args:    exactArgs(0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	f := cmd.Flags()
	addOrganization(f, &o.organization)
	f.StringVar(&o.after, "after", "", "Cursor that an earlier export ended with")
	f.StringVar(&o.search, "search", "", "Only entries that a search of the API finds")
	return cmd
}

// run says the cursor of what was written whole, also when it breaks off.
func (o *auditExportOptions) run(ctx context.Context) error {
	c, err := o.env.Client()
	if err != nil {
		return err
	}
	req := client.AuditEntriesRequest{Organization: o.organization, After: o.after, Query: o.search, Limit: exportPage}
	for {
		part, err := c.AuditEntries(ctx, req)
		if err == nil {
			err = writeLines(o.env, part.Entries)
		}
		if err != nil {
			o.sayCursor(req.After)
			return fmt.Errorf("export the audit log: %w", err)
		}
		if req.After = part.Cursor; !part.More {
			o.sayCursor(req.After)
			return nil
		}
	}
}

func (o *auditExportOptions) sayCursor(cursor string) {
	if cursor != "" {
		o.env.errf("%s\n", cursor)
	}
}

func writeLines[T any](env *Env, rows []T) error {
	out := bufio.NewWriter(env.Stdout)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	for _, row := range rows {
		if err := lines.Encode(row); err != nil {
			return err
		}
	}
	return out.Flush()
}

type auditHeadOptions struct {
	env                  *Env
	organization, format string
}

func newAuditHead(env *Env) *cobra.Command {
	o := &auditHeadOptions{env: env}
	cmd := &cobra.Command{
		Use:   "head",
		Short: "Print how far a log has come, to be kept elsewhere",
		Long: "Print COUNT:HASH, the number of entries and the hash of the last one. Kept where nobody who\n" +
			"can write to the database can change it, it lets `coder audit verify --head` find a log that\n" +
			"was cut or replaced by an older copy. Without --org it is the deployment's own log.",
		Args: exactArgs(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	addOrganization(cmd.Flags(), &o.organization)
	addFormat(cmd, &o.format, "text", "json")
	return cmd
}

func (o *auditHeadOptions) run(ctx context.Context) error {
	c, err := o.env.Client()
	if err != nil {
		return err
	}
	head, err := c.AuditHead(ctx, o.organization)
	if err != nil {
		return auditError("read the head of", o.organization, err)
	}
	if o.format == "json" {
		return o.env.printJSON(head)
	}
	o.env.outf("%s\n", head)
	return nil
}

type auditVerifyOptions struct {
	env                        *Env
	organization, head, format string
}

func newAuditVerify(env *Env) *cobra.Command {
	o := &auditVerifyOptions{env: env}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Prove that no entry of a log was changed or removed",
		Long: "Have the server, which holds the key, read a whole log, and name the first entry that is not\n" +
			"as it was written. It exits with 1 when there is one. With --head, a line that `coder audit\n" +
			"head` printed before, it also finds entries that were cut off at the end.\n\n" +
			"Without --org it is the deployment's own log.",
		Example: "  coder audit verify --org data-platform\n  coder audit verify --org data-platform --head \"$(cat head)\"",
		Args:    exactArgs(0),
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context()) },
	}
	addOrganization(cmd.Flags(), &o.organization)
	cmd.Flags().StringVar(&o.head, "head", "", "COUNT:HASH that was noted before")
	addFormat(cmd, &o.format, "text", "json")
	return cmd
}

func (o *auditVerifyOptions) run(ctx context.Context) error {
	c, err := o.env.Client()
	if err != nil {
		return err
	}
	result, err := c.VerifyAudit(ctx, o.organization, strings.TrimSpace(o.head))
	if err != nil {
		return auditError("verify", o.organization, err)
	}
	if o.format == "json" {
		if err := o.env.printJSON(result); err != nil {
			return err
		}
	}
	if !result.Valid {
		return fmt.Errorf("%s is not as it was written: entry %d %s; %d entries before it are sound. Restore the database from a copy, and find out who could write to it",
			auditName(o.organization), result.Fault.Sequence, result.Fault.Problem, result.Count)
	}
	if o.format != "json" {
		o.env.outf("%s is sound: %d entries, head %s\n", auditName(o.organization), result.Count, result.AuditHead)
	}
	return nil
}

func auditName(organization string) string {
	if organization == "" {
		return "The deployment's own audit log"
	}
	return "The audit log of " + printable(organization)
}

func auditError(what, organization string, err error) error {
	if client.IsNotFound(err) {
		return fmt.Errorf("%s the audit log: there is no organization %q whose log you may read; a deleted one is named by its id", what, cmp.Or(organization, "default"))
	}
	return fmt.Errorf("%s the audit log: %w", what, err)
}
