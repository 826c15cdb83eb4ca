package ui

import (
	"cmp"
	"fmt"
	"html/template"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"coder/client"
	"coder/internal/shell"
)

// functions are what templates may call.
func functions(now func() time.Time, asset func(string) (string, error)) template.FuncMap {
	return template.FuncMap{
		"asset":         asset,
		"mark":          func() template.HTML { return mark },
		"ago":           func(t any) string { return ago(now(), t) },
		"exact":         exact,
		"precise":       machineExact,
		"time":          func(t any) template.HTML { return timeMark(now(), t) },
		"told":          func(text string) template.HTML { return told(now(), text) },
		"took":          took,
		"size":          byteSize,
		"plural":        func(n any, noun string) string { return plural(reflect.ValueOf(n).Int(), noun) },
		"tags":          tagList,
		"markdown":      markdown,
		"initial":       initial,
		"hue":           hue,
		"avatar":        avatar,
		"pill":          pill,
		"shell":         shell.Word,
		"tagList":       tagMarks,
		"roleList":      roleMarks,
		"short":         func(id fmt.Stringer) string { return id.String()[:8] },
		"join":          strings.Join,
		"title":         words,
		"hasItem":       func(list []string, item string) bool { return slices.Contains(list, item) },
		"organizations": organizationOptions,
		"pair":          func(a, b any) [2]any { return [2]any{a, b} },
		"dict":          dict,
	}
}

// dict passes several values to a part.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict takes names and values in turn")
	}
	d := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: %v is not a name", pairs[i])
		}
		d[name] = pairs[i+1]
	}
	return d, nil
}

func instant(t any) (time.Time, bool) {
	switch t := t.(type) {
	case time.Time:
		return t, !t.IsZero()
	case *time.Time:
		if t != nil {
			return *t, !t.IsZero()
		}
	}
	return time.Time{}, false
}

// ago tells a time as people do: 3 minutes ago, in 2 days.
func ago(now time.Time, t any) string {
	at, ok := instant(t)
	if !ok {
		return "never"
	}
	d := now.Sub(at)
	if d.Abs() < 5*time.Second {
		return "just now"
	}
	if d < 0 {
		return "in " + about(-d)
	}
	return about(d) + " ago"
}

// about is a length of time in its largest unit.
func about(d time.Duration) string {
	for _, unit := range []struct {
		name string
		size time.Duration
	}{{"year", 365 * 24 * time.Hour}, {"month", 30 * 24 * time.Hour}, {"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}} {
		if d >= unit.size {
			return plural(int(math.Round(float64(d)/float64(unit.size))), unit.name)
		}
	}
	return plural(int(d.Seconds()), "second")
}

// exact is a time to the second, for whoever hovers.
func exact(t any) string {
	at, ok := instant(t)
	if !ok {
		return ""
	}
	return at.UTC().Format("2006-01-02 15:04:05 UTC")
}

// timeMark is how long ago a time was, with the exact one for whoever hovers
// and for scripts. It holds nothing that would have to be escaped.
func timeMark(now time.Time, t any) template.HTML {
	at, ok := instant(t)
	if !ok {
		return `<span class="quiet">never</span>`
	}
	return template.HTML(`<time datetime="` + at.UTC().Format(time.RFC3339) + `" title="` + exact(at) + `">` + ago(now, at) + `</time>`)
}

// apiTime is a time as sentences of the API have it.
var apiTime = regexp.MustCompile(`(?:\bat )?(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)`)

// told is a sentence of the API with its times as people tell them.
func told(now time.Time, text string) template.HTML {
	escaped := template.HTMLEscapeString(text) // which changes no time
	return template.HTML(apiTime.ReplaceAllStringFunc(escaped, func(found string) string {
		at, err := time.Parse(time.RFC3339, found[len(found)-len("2006-01-02T15:04:05Z"):])
		if err != nil {
			return found
		}
		return string(timeMark(now, at))
	}))
}

// took is a length of time to the tenth of a second, and coarser when longer.
func took(d time.Duration) string {
	switch {
	case d < 0:
		return ""
	case d < 10*time.Second:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + " s"
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}

func plural[N int | int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	switch {
	case strings.HasSuffix(noun, "y") && !strings.HasSuffix(noun, "ay") && !strings.HasSuffix(noun, "ey"):
		noun = strings.TrimSuffix(noun, "y") + "ies"
	default:
		noun += "s"
	}
	return strconv.FormatInt(int64(n), 10) + " " + noun
}

// tagList is tags in order, as the CLI writes them, without those that every
// daemon and job of an organization has.
func tagList(tags map[string]string) []string {
	list := make([]string, 0, len(tags))
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		if name == client.TagScope && tags[name] == client.ScopeOrganization || name == client.TagOwner && tags[name] == "" {
			continue
		}
		list = append(list, name+"="+tags[name])
	}
	return list
}

// tagMarks are tags as a page shows them.
func tagMarks(tags map[string]string) template.HTML {
	var m markup
	m.tags(tags)
	return m.html()
}

func (m *markup) tags(tags map[string]string) {
	list := tagList(tags)
	for _, tag := range list {
		m.put(`<code class="tag">%</code> `, tag)
	}
	if len(list) == 0 {
		m.put(`<span class="quiet">none</span>`)
	}
}

// roleMarks are the names of roles as a page shows them.
func roleMarks(roles []client.SlimRole) template.HTML {
	var m markup
	m.roles(roles)
	return m.html()
}

func (m *markup) roles(roles []client.SlimRole) {
	for _, r := range roles {
		m.put(`<span class="tag">%</span> `, cmp.Or(r.DisplayName, r.Name))
	}
	if len(roles) == 0 {
		m.put(`<span class="quiet">Member</span>`)
	}
}

// alertIcon is the icon of that name.
const alertIcon template.HTML = `<svg class="icon" viewBox="0 0 16 16" aria-hidden="true"><path d="M8 4.5v4M8 11v.5M8 1.5 15 14H1z" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round"/></svg>`

// initial is the letter that stands for something without a picture.
func initial(name string) string {
	for _, r := range name {
		return strings.ToUpper(string(r))
	}
	return "?"
}

// hue is one of eight colours, always the same for a name.
func hue(name string) int {
	sum := 0
	for _, b := range []byte(name) {
		sum = (sum*31 + int(b)) % 8
	}
	return sum
}

// words turns a name of the API into words: workspace_build is workspace build.
func words(name string) string { return wordBounds.Replace(name) }

var wordBounds = strings.NewReplacer("_", " ", "-", " ")

// Tones of a pill.
const (
	toneGood = "good"
	toneBusy = "busy"
	toneWarn = "warn"
	toneBad  = "bad"
	toneOff  = "off"
)

var tones = map[string]string{
	client.WorkspaceRunning: toneGood, client.JobSucceeded: toneGood, "idle": toneGood, "active": toneGood, client.AgentConnected: toneGood, client.VerdictWouldTake: toneGood, client.StateCurrent: toneGood, "healthy": toneGood, "ready": toneGood, "this browser": toneGood, "ok": toneGood,
	client.WorkspaceStarting: toneBusy, client.WorkspaceStopping: toneBusy, client.WorkspaceDeleting: toneBusy, client.JobPending: toneBusy, client.JobCanceling: toneBusy, "busy": toneBusy, client.AgentConnecting: toneBusy,
	"dormant": toneWarn, "outdated": toneWarn, "warning": toneWarn, "draining": toneWarn, client.VerdictTrouble: toneWarn, client.VerdictTagsDiffer: toneWarn, client.VerdictEngineUnsupported: toneWarn, client.OutcomeRetried: toneWarn, client.OutcomeTakenBack: toneWarn, client.AgentTimeout: toneWarn, client.AgentDisconnected: toneWarn, "deprecated": toneWarn, client.StateSalvage: toneWarn, "full": toneWarn,
	client.JobFailed: toneBad, "error": toneBad, "suspended": toneBad, "unhealthy": toneBad, "in doubt": toneBad, "expired": toneBad, client.OutcomeLost: toneBad, client.OutcomeTakenOver: toneBad,
}

// pill is a status as the API names it, with its colour; the colour never says
// more than the text.
func pill(status string) template.HTML {
	tone, ok := tones[status]
	if !ok {
		tone = toneOff
	}
	return template.HTML(`<span class="pill ` + tone + `">` + template.HTMLEscapeString(words(status)) + `</span>`)
}

// squareAvatar stands for something without a picture: its name chooses the
// colour, its title the letter.
func squareAvatar(name, title string) template.HTML {
	return template.HTML(`<span class="avatar square hue-` + strconv.Itoa(hue(name)) + `" aria-hidden="true">` + template.HTMLEscapeString(initial(title)) + `</span>`)
}

// avatar stands for somebody without a picture.
func avatar(name string) template.HTML {
	return template.HTML(`<span class="avatar hue-` + strconv.Itoa(hue(name)) + `" aria-hidden="true">` + template.HTMLEscapeString(initial(name)) + `</span>`)
}
