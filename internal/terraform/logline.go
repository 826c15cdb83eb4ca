package terraform

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"coder/client"
)

// Log levels, as the API spells them.
const (
	LevelDebug = "debug"
	LevelInfo  = "info"
	LevelWarn  = "warn"
	LevelError = "error"
)

// maxEvent is the longest line that is read as a whole event; of a longer
// one, which is a template's own output, only the beginning is shown.
const maxEvent = 1 << 20

// cutMark ends a line that was too long.
const cutMark = " … [line cut]"

// Event is one line of an engine's output, read.
type Event struct {
	Level string
	// Plain: the line was no event, but text.
	Plain bool
	// Lines are what people read of it, already harmless and cut.
	Lines []string
	// Planned: planning is over and applying begins.
	Planned bool
	// Intent is set where the engine began or finished to change a resource,
	// and where its plan wants to make one.
	Intent *client.Intent
	// Hook is set where work on a resource began or ended.
	Hook *Hook
	// Error is the summary of an error diagnostic.
	Error string
	// Wanted is set where init looks for a provider.
	Wanted *WantedProvider
}

// WantedProvider is what a template asks for.
type WantedProvider struct {
	// Address as the engine writes it: HOST/NAMESPACE/TYPE, without the host
	// where it is the engine's own registry.
	Address string
	// Constraint on the version; empty for none.
	Constraint string
}

// Hook is the beginning or end of work on one resource.
type Hook struct {
	At       time.Time
	Resource string
	Provider string
	Action   string
	Done     bool
	// Failed: the work ended with an error. Only with Done.
	Failed bool
	// ID of what was made. Only with Done.
	ID string
}

type rawEvent struct {
	Level      string          `json:"@level"`
	Message    string          `json:"@message"`
	Timestamp  time.Time       `json:"@timestamp"`
	Type       string          `json:"type"`
	Diagnostic *diagnostic     `json:"diagnostic"`
	Hook       *rawHook        `json:"hook"`
	Change     *rawHook        `json:"change"`
	Changes    json.RawMessage `json:"changes"`
}

type rawHook struct {
	Resource struct {
		Address  string `json:"addr"`
		Provider string `json:"implied_provider"`
		Type     string `json:"resource_type"`
	} `json:"resource"`
	Action string `json:"action"`
	ID     string `json:"id_value"`
}

type diagnostic struct {
	Severity string `json:"severity"`
	Summary  string `json:"summary"`
	Detail   string `json:"detail"`
	Address  string `json:"address"`
	Range    *struct {
		Filename string `json:"filename"`
		Start    struct {
			Line int `json:"line"`
		} `json:"start"`
	} `json:"range"`
	Snippet *struct {
		Context string `json:"context"`
		Code    string `json:"code"`
	} `json:"snippet"`
}

// ParseEvent reads one line of output, without its newline. What is no event
// is shown as it is, at level info.
func ParseEvent(line []byte) Event {
	if !bytes.HasPrefix(line, []byte("{")) {
		return Event{Level: LevelInfo, Plain: true, Lines: shownLines(string(line))}
	}
	if len(line) > maxEvent {
		return Event{Level: LevelInfo, Lines: shownLines(messageOf(line))}
	}
	raw := rawEvent{}
	if err := json.Unmarshal(line, &raw); err != nil || raw.Message == "" {
		return Event{Level: LevelInfo, Plain: true, Lines: shownLines(string(line))}
	}
	event := Event{Level: apiLevel(raw.Level), Planned: endsPlan(raw), Wanted: readWanted(raw.Message)}
	if raw.Hook != nil {
		event.Hook, event.Intent = readHook(raw)
	} else if raw.Change != nil {
		event.Intent = readWant(raw)
	}
	switch {
	case isNoise(raw):
	case raw.Diagnostic != nil:
		event.Lines = raw.Diagnostic.lines()
		if raw.Diagnostic.Severity == "error" {
			event.Level, event.Error = LevelError, harmless(raw.Diagnostic.headline())
		}
	default:
		event.Lines = shownLines(raw.Message)
	}
	return event
}

// lookingFor are the words of Terraform and of OpenTofu.
var lookingFor = []*regexp.Regexp{
	regexp.MustCompile(`^Finding matching versions for provider: ([^\s,]+), version_constraint: "(.*)"`),
	regexp.MustCompile(`^(?:- )?Finding (\S+) versions matching "(.*)"`),
	regexp.MustCompile(`^(\S+): Finding latest version()`),
	regexp.MustCompile(`^(?:- )?Finding latest version of (\S+?)\.\.\.()`),
}

func readWanted(message string) *WantedProvider {
	if !strings.Contains(message, "Finding ") {
		return nil
	}
	for _, words := range lookingFor {
		if found := words.FindStringSubmatch(message); found != nil {
			return &WantedProvider{Address: harmless(found[1]), Constraint: harmless(found[2])}
		}
	}
	return nil
}

// apiLevel turns an engine's level into one of the API's.
func apiLevel(level string) string {
	switch level {
	case "trace", LevelDebug, LevelInfo, LevelWarn, LevelError:
		return level
	}
	return LevelInfo
}

// endsPlan: the summary of a plan is the last event before an apply.
func endsPlan(raw rawEvent) bool {
	if raw.Type != "change_summary" {
		return false
	}
	changes := struct {
		Operation string `json:"operation"`
	}{}
	return json.Unmarshal(raw.Changes, &changes) == nil && changes.Operation == "plan"
}

// isNoise: advice about files that only ever live in a job's directory, the
// backend that we pinned ourselves, and the empty list of outputs.
func isNoise(raw rawEvent) bool {
	if raw.Diagnostic != nil {
		return raw.Diagnostic.Summary == "Incomplete lock file information for providers"
	}
	return raw.Message == "Outputs: 0" ||
		strings.Contains(raw.Message, "Successfully configured the backend \"local\"") ||
		strings.Contains(raw.Message, "has created a lock file .terraform.lock.hcl") ||
		strings.Contains(raw.Message, "has made some changes to the provider dependency selections") ||
		strings.HasPrefix(raw.Message, "You may now begin working with")
}

func readHook(raw rawEvent) (*Hook, *client.Intent) {
	address, action := raw.Hook.Resource.Address, raw.Hook.Action
	done := false
	switch raw.Type {
	case "apply_start", "refresh_start":
	case "apply_complete", "apply_errored", "refresh_complete":
		done = true
	default:
		return nil, nil
	}
	if strings.HasPrefix(raw.Type, "refresh") {
		action = "read"
	}
	hook := &Hook{
		At: raw.Timestamp, Resource: address, Provider: raw.Hook.Resource.Provider, Action: action,
		Done: done, Failed: raw.Type == "apply_errored",
	}
	if done {
		hook.ID = harmless(raw.Hook.ID)
	}
	if action == "read" || action == "noop" || action == "" {
		return hook, nil
	}
	return hook, &client.Intent{Address: address, Action: action, Done: done}
}

// readWant tells what a plan wants to make. What it wants to change or to
// remove is in the state until it is gone, and so is known.
func readWant(raw rawEvent) *client.Intent {
	resource, action := raw.Change.Resource, raw.Change.Action
	if raw.Type != "planned_change" || (action != "create" && action != "replace") || ofCoder(resource.Type) {
		return nil
	}
	return &client.Intent{Address: resource.Address, Action: action, Wanted: true}
}

// maxReason is how many characters of a diagnostic's detail a job's error
// repeats: half of them from its end, where the output of a command stands.
const maxReason = 400

// headline is what the job's error says of a diagnostic: where, what, and the
// first paragraph of why. It is empty for what only announces another one.
func (d diagnostic) headline() string {
	text := strings.Join(strings.Fields(d.Summary), " ")
	if strings.Contains(text, "encountered problems during initialisation") {
		return ""
	}
	paragraph, rest, _ := strings.Cut(strings.TrimSpace(d.Detail), "\n\n")
	why := []rune(strings.Join(strings.Fields(paragraph), " ") + listed(rest))
	if len(why) > maxReason {
		why = slices.Concat(why[:maxReason/2], []rune(" … "), why[len(why)-maxReason/2:])
	}
	if len(why) > 0 {
		text += ": " + string(why)
	}
	if d.Range != nil {
		text = fmt.Sprintf("%s:%d: %s", d.Range.Filename, d.Range.Start.Line, text)
	}
	return text
}

// listed is the list that a text begins with, on one line.
func listed(text string) string {
	items := []string{}
	for line := range strings.SplitSeq(text, "\n") {
		item, ok := strings.CutPrefix(strings.TrimSpace(line), "- ")
		if !ok {
			break
		}
		items = append(items, strings.TrimSpace(item))
	}
	if len(items) == 0 {
		return ""
	}
	return ": " + strings.Join(items, ", ")
}

func (d diagnostic) lines() []string {
	severity := "Error"
	if d.Severity == "warning" {
		severity = "Warning"
	}
	lines := shownLines(severity + ": " + d.Summary)
	if d.Range != nil {
		where := fmt.Sprintf("on %s line %d", d.Range.Filename, d.Range.Start.Line)
		if d.Snippet != nil && d.Snippet.Context != "" {
			where += ", in " + d.Snippet.Context
		}
		lines = append(lines, shownLines(where+":")...)
		if d.Snippet != nil && d.Snippet.Code != "" {
			for _, line := range shownLines(d.Snippet.Code) {
				lines = append(lines, cutLine("  "+line))
			}
		}
	}
	if d.Detail != "" {
		lines = append(lines, shownLines(d.Detail)...)
	}
	return lines
}

// messageOf reads as much of an over-long event's message as is shown.
func messageOf(line []byte) string {
	match := messageStart.FindIndex(line)
	if match == nil {
		return string(line[:client.MaxLogLine+1])
	}
	quoted := line[match[1]:min(len(line), match[1]+client.MaxLogLine+1)]
	for cut := len(quoted); cut > max(0, len(quoted)-12); cut-- {
		var text string
		if json.Unmarshal(append(append([]byte{'"'}, quoted[:cut]...), '"'), &text) == nil {
			return text + strings.Repeat(" ", max(0, client.MaxLogLine+1-len(text)))
		}
	}
	return string(quoted)
}

var messageStart = regexp.MustCompile(`^\{"@level":"[a-z]+","@message":"`)

// shownLines splits text into the lines of a log.
func shownLines(text string) []string {
	lines := []string{}
	for line := range strings.SplitSeq(strings.Trim(text, "\r\n"), "\n") {
		lines = append(lines, cutLine(harmless(line)))
	}
	return lines
}

// cutLine holds a line below the protocol's limit.
func cutLine(line string) string {
	if len(line) <= client.MaxLogLine {
		return line
	}
	at := client.MaxLogLine - len(cutMark)
	for at > 0 && !utf8.RuneStart(line[at]) {
		at--
	}
	return strings.TrimRight(line[:at], " ") + cutMark
}

var escapeSequence = regexp.MustCompile("\x1b(\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(\x07|\x1b\\\\)?|[@-Z\\\\^_])")

// harmless takes out what would move a terminal's cursor, recolour it or turn
// its text around, and bytes that are no text.
func harmless(line string) string {
	line = strings.TrimSuffix(line, "\r")
	if isPlain(line) {
		return line
	}
	line = escapeSequence.ReplaceAllString(strings.ToValidUTF8(line, "\uFFFD"), "")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return r
		case r == '\r':
			return ' '
		case unicode.IsControl(r), r >= '\u202A' && r <= '\u202E', r >= '\u2066' && r <= '\u2069', r == '\u2028', r == '\u2029':
			return '\uFFFD'
		}
		return r
	}, line)
}

func isPlain(line string) bool {
	for i := range len(line) {
		if c := line[i]; (c < ' ' && c != '\t') || c >= 0x7f {
			return false
		}
	}
	return true
}

// CleanLine makes any text fit to be one line of a job's log.
func CleanLine(text string) string {
	return cutLine(harmless(strings.ReplaceAll(text, "\n", " ")))
}
