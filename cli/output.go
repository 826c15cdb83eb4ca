package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
	"github.com/spf13/cobra"
)

// column is one column of a table, with the text of its cells.
type column[T any] struct {
	name string
	cell func(T) string
}

// table is how rows of a kind are shown: all columns in their order, and
// those that are shown when none are named (all, if empty).
type table[T any] struct {
	columns  []column[T]
	defaults []string
}

func (t table[T]) names() []string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	return names
}

// print writes the table in the reference's form: no lines, each cell
// followed by two blanks.
func (t table[T]) print(w io.Writer, shown []string, rows []T) {
	if len(shown) == 0 {
		shown = t.defaults
	}
	columns := slices.DeleteFunc(slices.Clone(t.columns), func(c column[T]) bool {
		return len(shown) > 0 && !slices.Contains(shown, c.name)
	})
	cells := tw.CellConfig{
		Padding:    tw.CellPadding{Global: tw.Padding{Right: "  ", Overwrite: true}},
		Formatting: tw.CellFormatting{AutoWrap: tw.WrapNone, AutoFormat: tw.Off},
		Alignment:  tw.CellAlignment{Global: tw.AlignLeft},
	}
	out := tablewriter.NewTable(w,
		tablewriter.WithConfig(tablewriter.Config{Header: cells, Row: cells, Behavior: tw.Behavior{TrimSpace: tw.Off, TrimLine: tw.Off}}),
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders:  tw.BorderNone,
			Settings: tw.Settings{Separators: tw.SeparatorsNone, Lines: tw.LinesNone},
		})))
	line := make([]string, len(columns))
	for i, c := range columns {
		line[i] = strings.ToUpper(c.name)
	}
	out.Header(slices.Clone(line))
	for _, row := range rows {
		for i, c := range columns {
			line[i] = printable(c.cell(row))
		}
		_ = out.Append(slices.Clone(line))
	}
	_ = out.Render()
}

// listOptions are the flags of what is shown as a table.
type listOptions struct {
	format  string
	columns []string
}

// addList adds --column and --output for a table.
func addList[T any](cmd *cobra.Command, o *listOptions, t table[T], formats ...string) {
	if len(formats) == 0 {
		formats = []string{"table", "json"}
	}
	defaults := t.defaults
	if len(defaults) == 0 {
		defaults = t.names()
	}
	cmd.Flags().VarP(&columnValue{into: &o.columns, valid: t.names()}, "column", "c",
		fmt.Sprintf("Columns to show (default %s). All: %s", strings.Join(defaults, ","), strings.Join(t.names(), ",")))
	addFormat(cmd, &o.format, formats...)
}

// addFormat adds --output; the first format is the default.
func addFormat(cmd *cobra.Command, into *string, formats ...string) {
	*into = formats[0]
	cmd.Flags().VarP(&choiceValue{into: into, valid: formats}, "output", "o", "Form of the output: "+strings.Join(formats, " or "))
}

// printList writes rows as a table, or value as JSON. Nothing to list is a
// notice on standard error.
func printList[T any](env *Env, o listOptions, t table[T], rows []T, value any, none string) error {
	if o.format == "json" {
		return env.printJSON(value)
	}
	if len(rows) == 0 {
		env.errf("%s\n", none)
		return nil
	}
	t.print(env.Stdout, o.columns, rows)
	return nil
}

// printJSON writes one document; a nil list is an empty one.
func (e *Env) printJSON(value any) error {
	out := json.NewEncoder(e.Stdout)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(value)
}

// columnValue is the value of --column: names of columns in any case, blanks
// as such or as underscores.
type columnValue struct {
	into  *[]string
	valid []string
}

func (v *columnValue) String() string { return "" }
func (v *columnValue) Type() string   { return "columns" }

func (v *columnValue) Set(text string) error {
	for name := range strings.SplitSeq(text, ",") {
		name = strings.ToLower(strings.ReplaceAll(strings.TrimSpace(name), "_", " "))
		if !slices.Contains(v.valid, name) {
			return fmt.Errorf("there is no column %q; there are: %s", name, strings.Join(v.valid, ", "))
		}
		*v.into = append(*v.into, name)
	}
	return nil
}

// choiceValue is a flag whose value is one of a few.
type choiceValue struct {
	into  *string
	valid []string
}

func (v *choiceValue) String() string {
	if v.into == nil {
		return ""
	}
	return *v.into
}
func (v *choiceValue) Type() string { return strings.Join(v.valid, "|") }

func (v *choiceValue) Set(text string) error {
	if !slices.Contains(v.valid, text) {
		return fmt.Errorf("%q is none of %s", text, strings.Join(v.valid, ", "))
	}
	*v.into = text
	return nil
}

// choicesValue is a flag whose value is a list of some of a few.
type choicesValue struct {
	into  *[]string
	valid []string
}

func (v *choicesValue) String() string { return "" }
func (v *choicesValue) Type() string   { return strings.Join(v.valid, "|") }

func (v *choicesValue) Set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if !slices.Contains(v.valid, part) {
			return fmt.Errorf("%q is none of %s", part, strings.Join(v.valid, ", "))
		}
		*v.into = append(*v.into, part)
	}
	return nil
}

// printable makes text from elsewhere safe for a terminal: control characters
// are shown, not obeyed.
func printable(text string) string {
	bad := func(r rune) bool {
		return (unicode.IsControl(r) && r != '\t') || r == unicode.ReplacementChar || unicode.Is(unicode.Bidi_Control, r)
	}
	if !strings.ContainsFunc(text, bad) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if bad(r) {
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// colour is an ANSI colour.
type colour string

const (
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	bold   colour = "1"
	dim    colour = "2"
)

// paint colours text where a person looks at it.
func (e *Env) paint(w io.Writer, c colour, text string) string {
	if !e.isTTY(w) || e.Getenv("NO_COLOR") != "" || e.Getenv("TERM") == "dumb" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

// stamp is the short form of a time in sentences.
func (e *Env) stamp() string { return e.Now().Local().Format(time.Stamp) }

// Cells of common kinds.
func timeCell(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}

func timePointerCell(t *time.Time) string {
	if t == nil {
		return ""
	}
	return timeCell(*t)
}

func listCell[T any](items []T, text func(T) string) string {
	cells := make([]string, len(items))
	for i, item := range items {
		cells[i] = text(item)
	}
	return "[" + strings.Join(cells, ", ") + "]"
}

// itself is the text of an item that is text.
func itself(text string) string { return text }

func tagsCell(tags map[string]string) string {
	pairs := make([]string, 0, len(tags))
	for k, v := range tags {
		pairs = append(pairs, k+"="+v)
	}
	slices.Sort(pairs)
	return strings.Join(pairs, " ")
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
