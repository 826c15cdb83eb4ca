package store_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"coder/store"
	"coder/store/storetest"
)

// seedRows rows go into every table. Row k of a table points to row k of
// others, and to organization k%3, of which the last is deleted.
const (
	seedRows      = 6
	seedBase      = 1_772_600_000_000_000
	seedStep      = 3_600_000_000
	organizations = 3
)

// world is what both databases hold: by table, row and column, as SQL values.
type world struct {
	order   []string // tables, so that foreign keys hold
	columns map[string]map[string]column
	rows    map[string][]map[string]any
}

// newWorld makes rows for the tables that the migrations make.
func newWorld(t *testing.T) *world {
	t.Helper()
	s := storetest.Open(t, storetest.SQLiteOptions(t))
	w := &world{columns: map[string]map[string]column{}, rows: map[string][]map[string]any{}}
	w.order = texts(t, s.Raw(), "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'goose_%' ORDER BY rowid")
	for full, c := range sqliteColumns(t, s.Raw()) {
		table, name, _ := strings.Cut(full, ".")
		if w.columns[table] == nil {
			w.columns[table] = map[string]column{}
		}
		w.columns[table][name] = c
	}
	booleans := booleanColumns(t)
	for _, table := range w.order {
		n := seedRows
		if table == "provisioner_jobs" {
			n++ // one without a build and an attempt, for inserts
		}
		for k := range n {
			row := map[string]any{}
			for name, c := range w.columns[table] {
				row[name] = seedValue(table, name, c, k, booleans[table+"."+name])
			}
			w.rows[table] = append(w.rows[table], row)
		}
	}
	w.bend()
	return w
}

// bend makes the rows that conditions of queries ask for and that the rule
// "row k points to row k" does not give.
func (w *world) bend() {
	for _, k := range []int{1, 3, 5, seedRows} { // not completed
		job := w.rows["provisioner_jobs"][k]
		job["completed_at"], job["canceled_at"] = nil, nil
	}
	w.rows["provisioner_jobs"][seedRows]["status"] = "pending"
	w.rows["templates"][5]["deleted"] = false                                    // its workspace is deleted
	w.rows["templates"][4]["active_version_id"] = seedID("template_versions", 0) // so version 4 may be archived
	daemon := w.rows["provisioner_daemons"][0]                                   // it may be handed a job
	daemon["drained_at"], daemon["stopped_at"] = nil, nil
	session := w.rows["api_keys"][3] // where somebody is signed in
	session["workspace_id"], session["expires_at"] = nil, int64(seedBase+seedRows*seedStep)
	w.rows["workspaces"][4]["deleted"] = true
	w.rows["workspaces"][0]["favorite"], w.rows["workspaces"][0]["deleted"] = true, false
	w.rows["template_versions"][3]["template_id"] = seedID("templates", 0) // the version before version 0
	everyone := seedID("organizations", 1)
	w.rows["groups"][1]["id"], w.rows["group_members"][1]["group_id"] = everyone, everyone
	state := w.rows["workspace_states"][3] // a later state of workspace 0
	state["workspace_id"], state["workspace_build_id"] = seedID("workspaces", 0), seedID("workspace_builds", 0)
	salvage := w.rows["workspace_states"][5] // of the same attempt as state 2, later, and not merged
	salvage["workspace_id"], salvage["fence"] = seedID("workspaces", 2), w.rows["workspace_states"][2]["fence"]
	w.rows["recoveries"][1]["ended_at"] = nil       // it goes on
	w.rows["job_attempts"][0]["history"] = int64(0) // its engine start is not known
	awaited := w.rows["recovery_reports"][0]        // and a later one of workspace 0
	awaited["outcome"], awaited["running"] = "", false
	live := w.rows["recovery_reports"][1]
	live["outcome"], live["running"] = "", true
	w.rows["recovery_reports"][3]["workspace_id"] = seedID("workspaces", 0)
	for k := range seedRows / 2 { // the attempts of the others are yet to be pruned
		w.rows["pruned_attempts"][2*k]["attempt_id"] = uuid.NewSHA1(uuid.NameSpaceURL, fmt.Appendf(nil, "pruned/%d", k)).String()
	}
}

func seedID(table string, k int) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, fmt.Appendf(nil, "%s/%d", table, k)).String()
}

// pointsTo says which table a column's ids are of.
var pointsTo = map[string]string{
	"user_id": "users", "owner_id": "users", "actor_id": "users", "viewer_id": "users", "initiator_id": "users", "created_by": "users",
	"template_id": "templates", "active_version_id": "template_versions", "template_version_id": "template_versions",
	"job_id": "provisioner_jobs", "file_id": "files", "workspace_id": "workspaces",
	"workspace_build_id": "workspace_builds", "merged_build_id": "workspace_builds", "latest_build_id": "workspace_builds", "key_id": "provisioner_keys",
	"daemon_id": "provisioner_daemons", "recovery_id": "recoveries", "ended_by_id": "users", "worker_id": "provisioner_daemons", "attempt_id": "job_attempts",
	"group_id": "groups", "resource_id": "workspace_resources", "preset_id": "presets", "request_id": "requests",
}

// seedNames differ in case, alphabet and in what SQL and LIKE give a meaning.
var seedNames = [seedRows]string{"alpha", "Bravo", "charlie", "DELTA-II", "ümläut-Ñ-日本", `zulu'"%_\`}

var seedTexts = map[string][]string{
	"users.status":                 {"active", "suspended", "dormant"},
	"users.roles":                  {`["owner","ä"]`, `[]`, `["owner"]`},
	"users.login_type":             {"password"},
	"api_keys.login_type":          {"token", "token", "token", "password"},
	"provisioner_jobs.type":        {"workspace_build", "template_version_import"},
	"provisioner_jobs.status":      {"succeeded", "pending", "failed", "running", "succeeded", "canceling"},
	"workspace_builds.transition":  {"start", "start", "stop", "start", "delete"},
	"provisioner_key_secrets.kind": {"key", "join", "daemon"},
	"workspace_acl.actor_type":     {"user", "group"},
	"organization_members.roles":   {`[]`, `["organization-admin","ä"]`},
}

func seedValue(table, name string, c column, k int, boolean bool) any {
	switch {
	case !c.NotNull && k == seedRows-1:
		return nil
	case table == "job_attempts" && name == "engine_started_at" && k == 0: // confirmed, and not begun
		return nil
	case (table == "audit_heads" || table == "organization_histories") && name == "organization_id": // one of each
		return seedID("organizations", k)
	case name == "organization_id":
		return seedID("organizations", k%organizations)
	case name == "id" && c.Type == "TEXT":
		return seedID(table, k)
	case pointsTo[name] != "":
		return seedID(pointsTo[name], k%seedRows)
	case boolean:
		return seedBool(table, name, k)
	case c.Type == "BLOB":
		return []byte(fmt.Sprint(table, name, k, "\x00\xff"))
	case c.Type == "INTEGER":
		return seedNumber(name, k)
	}
	return seedText(table, name, c, k)
}

func seedBool(table, name string, k int) bool {
	switch table + "." + name {
	case "organizations.is_default":
		return k == 0
	case "organizations.deleted":
		return k >= 2
	case "job_attempts.current":
		return k != 4
	}
	return k%organizations == 2
}

func seedNumber(name string, k int) int64 {
	switch {
	case strings.HasSuffix(name, "_at"):
		return [seedRows]int64{seedBase, seedBase + seedStep, seedBase - seedStep, 0, -seedStep, seedBase + seedStep}[k%seedRows]
	case name == "n" || name == "version" || name == "build_number" || name == "latest_build_number":
		return int64(k + 1)
	case k == 3:
		return math.MaxInt64
	case strings.HasSuffix(name, "_ms"), name == "lifetime_seconds":
		return int64(k) * 3_600_000
	}
	return int64(k + 1)
}

func seedText(table, name string, c column, k int) string {
	if list := seedTexts[table+"."+name]; list != nil {
		return list[k%len(list)]
	}
	switch c.Default {
	case "'[]'":
		return [2]string{`[]`, `["a","Ünï'\"\\"]`}[k%2]
	case "'{}'":
		return [2]string{`{}`, `{"scope":"organization","owner":"","ключ":"日本"}`}[k%2]
	}
	if name == "email" {
		return seedNames[k%seedRows] + "@Example.com"
	}
	return seedNames[k%seedRows]
}

var (
	createTable  = regexp.MustCompile(`(?s)CREATE TABLE (\w+) \((.*?)\n\)`)
	columnOfType = regexp.MustCompile(`(?m)^    (\w+) +BOOLEAN`)
	columnAdded  = regexp.MustCompile(`ALTER TABLE (\w+) ADD COLUMN (\w+) BOOLEAN`)
)

// booleanColumns are those that Go reads as bool; SQLite has integers there.
func booleanColumns(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("migrations/postgres/*.sql")
	require.NoError(t, err)
	found := map[string]bool{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, c := range columnAdded.FindAllStringSubmatch(string(data), -1) {
			found[c[1]+"."+c[2]] = true
		}
		for _, table := range createTable.FindAllStringSubmatch(string(data), -1) {
			for _, c := range columnOfType.FindAllStringSubmatch(table[2], -1) {
				found[table[1]+"."+c[1]] = true
			}
		}
	}
	return found
}

// insert puts the rows into a store.
func (w *world) insert(t *testing.T, s *store.Store) {
	t.Helper()
	for _, table := range w.order {
		if table == "workspace_counts" || table == "template_users" || table == "stamps" {
			continue // triggers keep them
		}
		for _, row := range w.rows[table] {
			var names, marks []string
			var args []any
			for name, value := range row {
				names, args = append(names, name), append(args, value)
				marks = append(marks, fmt.Sprintf("$%d", len(args)))
			}
			_, err := s.Raw().ExecContext(t.Context(), fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", table, strings.Join(names, ", "), strings.Join(marks, ", ")), args...)
			require.NoError(t, err, "%s %v", table, row)
		}
	}
	_, err := s.Raw().ExecContext(t.Context(), "UPDATE stamps SET stamp = subject") // which are drawn by chance
	require.NoError(t, err)
}
