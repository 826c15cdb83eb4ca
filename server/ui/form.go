package ui

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"coder/client"
)

// maxForm bounds a posted form that carries no file.
const maxForm = 1 << 20

// Kinds of fields that are not an input of the same type.
const (
	kindTextarea = "textarea"
	kindSelect   = "select"
	kindRadio    = "radio"
	kindCheckbox = "checkbox"
	kindChecks   = "checks" // several of Options
)

// field is one question of a form.
type field struct {
	Name, Label string
	// Kind is the type of the input, or one of the kinds above; empty is text.
	Kind string
	// Hint says what is expected, below the label.
	Hint string
	// Value is what was typed, or what holds now; Values are those of kindChecks.
	Value   string
	Values  []string
	Options []fieldOption
	// Error is why the API refused the value.
	Error    string
	Required bool
	// Needed marks the field as required without the browser asking for it:
	// another answer decides whether it is. A script asks where it is shown.
	Needed bool
	// ReadOnly shows a value that cannot be changed.
	ReadOnly     bool
	Autocomplete string
	Placeholder  string
	Pattern      string
	// Title is what a browser says about a value that does not fit Pattern.
	Title    string
	Min, Max string
	// Step is what a number is a multiple of; empty is any.
	Step      string
	MaxLength int
	Rows      int
	Autofocus bool
	// Expect is what must be typed before the form's button wakes.
	Expect string
	// Suggestions are answers that a browser offers while something is typed;
	// others may be given too. SuggestPath is where a script asks for those that
	// go with what has been typed, as a parameter of the field's name.
	Suggestions []fieldOption
	SuggestPath string
	// Live fields are checked as they are typed; see faults.
	Live bool
}

// fieldOption is one answer to choose.
type fieldOption struct {
	Value, Label, Hint string
	Disabled           bool
}

// Type is the type of the field's input.
func (f field) Type() string {
	if f.Kind == "" {
		return "text"
	}
	return f.Kind
}

// ID is what labels and hints refer to; a blank would end it.
func (f field) ID() string { return "field-" + strings.Join(strings.Fields(f.Name), "_") }

// ListID is where the field's suggestions are.
func (f field) ListID() string { return f.ID() + "-list" }

// FaultID is where it is said what is wrong with a live field.
func (f field) FaultID() string { return f.ID() + "-fault" }

// Described are the ids of the texts that belong to the field.
func (f field) Described() string {
	var ids []string
	if f.Hint != "" || f.Error != "" && !f.Live {
		ids = append(ids, f.ID()+"-notes")
	}
	if f.Live {
		ids = append(ids, f.FaultID())
	}
	return strings.Join(ids, " ")
}

// Checked tells whether an option, or the checkbox, is chosen.
func (f field) Checked(value string) bool {
	if f.Kind == kindChecks {
		return slices.Contains(f.Values, value)
	}
	return f.Value == value
}

// form is the questions of a page, with what was typed and what is wrong.
type form struct {
	Fields []field
	// Problem is what is wrong with the whole.
	Problem string
	// shown tells the state that the form shows from every other; see guarded.
	shown string
}

// Field is the question of that name, for pages that place their questions
// one by one.
func (f form) Field(name string) (field, error) {
	if i := f.index(name); i >= 0 {
		return f.Fields[i], nil
	}
	return field{}, errors.New("the form has no field " + name)
}

func (f form) index(name string) int {
	return slices.IndexFunc(f.Fields, func(q field) bool { return q.Name == name })
}

// read takes what was typed; a field that a browser leaves out is empty.
func (f *form) read(values url.Values) {
	for i := range f.Fields {
		q := &f.Fields[i]
		switch {
		case q.ReadOnly:
		case q.Kind == kindChecks:
			q.Values = values[q.Name]
		default:
			q.Value = values.Get(q.Name)
			if q.Kind != "password" && q.Kind != kindTextarea {
				q.Value = strings.TrimSpace(q.Value)
			}
		}
	}
}

// value is what was typed into a field.
func (f form) value(name string) string {
	if i := f.index(name); i >= 0 {
		return f.Fields[i].Value
	}
	return ""
}

// on tells whether a checkbox is ticked.
func (f form) on(name string) bool { return f.value(name) == "on" }

// values are the chosen answers of a field with several.
func (f form) values(name string) []string {
	if i := f.index(name); i >= 0 && f.Fields[i].Values != nil {
		return f.Fields[i].Values
	}
	return []string{}
}

// named is the field that the API means by a name: one of the form's own, or
// a template's parameter.
func (f form) named(name string) int {
	if i := f.index(name); i >= 0 {
		return i
	}
	return f.index(parameterPrefix + name)
}

// fault says what is wrong with a field.
func (f *form) fault(name, text string) {
	if i := f.named(name); i >= 0 {
		f.Fields[i].Error = beside(name, text)
		return
	}
	f.Problem = strings.TrimSpace(f.Problem + " " + text)
}

// refused puts the API's refusal beside the fields that it names. It is false
// for an error that is not about what was typed.
func (f *form) refused(err error) (status int, ok bool) {
	var e *client.Error
	if !errors.As(err, &e) || !aboutInput(e.StatusCode) {
		return 0, false
	}
	placed := false
	for _, v := range e.Validations {
		f.fault(v.Field, v.Detail)
		placed = placed || f.named(v.Field) >= 0
	}
	if !placed {
		f.Problem = strings.TrimSpace(strings.Join([]string{e.Message, f.Problem, e.Detail}, " "))
	}
	f.forgetSecrets()
	f.lead()
	return e.StatusCode, true
}

// lead puts whoever comes back to the form at the first field that is wrong.
func (f *form) lead() {
	i := slices.IndexFunc(f.Fields, func(q field) bool { return q.Error != "" })
	for j := range f.Fields {
		f.Fields[j].Autofocus = j == i || i < 0 && f.Fields[j].Autofocus
	}
}

// beside is a fault as a sentence, without the name of the parameter that it
// stands beside.
func beside(name, text string) string {
	if rest, ok := strings.CutPrefix(text, "the "); ok {
		return "The " + strings.TrimSuffix(rest, ".") + "."
	}
	rest, ok := strings.CutPrefix(text, fmt.Sprintf("parameter %q", name))
	if !ok {
		return text
	}
	first, size := utf8.DecodeRuneInString(strings.TrimLeft(rest, ": "))
	return string(unicode.ToUpper(first)) + strings.TrimLeft(rest, ": ")[size:]
}

// checked makes the fields ones that a script asks about while they are typed.
func (f *form) checked() {
	for i := range f.Fields {
		f.Fields[i].Live = f.Fields[i].Kind != "hidden" && !f.Fields[i].ReadOnly
	}
}

// faults are what is wrong with each live field, by the id of where it is
// said; empty for those that are well.
type faults map[string]string

func (f form) faults(wrong []client.ValidationError) faults {
	for _, w := range wrong {
		f.fault(w.Field, w.Detail)
	}
	out := faults{}
	for _, q := range f.Fields {
		if q.Live {
			out[q.FaultID()] = q.Error
		}
	}
	return out
}

func (f faults) write(v *visit) {
	v.w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(v.w).Encode(f) // the browser is gone; nobody is left to tell
}

// aboutInput tells whether a refusal can be mended by typing something else.
func aboutInput(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusConflict, http.StatusForbidden, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusPreconditionFailed, http.StatusTooManyRequests:
		return true
	}
	return false
}

// forgetSecrets keeps passwords out of the page that comes back.
func (f *form) forgetSecrets() {
	for i := range f.Fields {
		if f.Fields[i].Kind == "password" {
			f.Fields[i].Value = ""
		}
	}
}

// parsed reads the form that was posted; a body that is too large or no form
// is refused.
func (v *visit) parsed() (url.Values, error) {
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxForm)
	if err := v.r.ParseForm(); err != nil {
		return nil, &client.Error{StatusCode: http.StatusBadRequest, Message: "What was sent is not a form of these pages, or it is too long."}
	}
	return v.r.PostForm, nil
}

// formPage is a page that is nothing but a form.
type formPage struct {
	page
	Form form
	// Intro says what the form does; Command is the same on the command line.
	Intro, Command string
	Submit         string
	// Danger marks what cannot be undone.
	Danger bool
	// Cancel is where to go without doing it.
	Cancel string
	Crumbs []crumb
}

// crumb is a page above this one.
type crumb struct{ Text, Path string }

// guarded adds when what the form shows was last changed, so that a form that
// stood open for long overwrites nothing that somebody else did since.
func (f form) guarded(changed time.Time) form { return f.guardedBy(machineExact(changed)) }

// guardedByContent is guarded for what the API tells no date of, and for what
// changes by itself while nobody touches the form: the values decide.
func (f form) guardedByContent(more ...string) form {
	sum := sha256.New()
	for _, q := range f.Fields {
		fmt.Fprintf(sum, "%q %q %q\n", q.Name, q.Value, q.Values)
	}
	fmt.Fprintf(sum, "%q", more)
	return f.guardedBy(hex.EncodeToString(sum.Sum(nil)[:8]))
}

func (f form) guardedBy(shown string) form {
	f.Fields, f.shown = append(f.Fields, field{Name: "changed", Kind: "hidden", Value: shown}), shown
	return f
}

func machineExact(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }

// stale refuses a form that shows what somebody has changed since. The page
// that comes back has what was typed, and may then be sent.
func (f *form) stale() error {
	i := f.index("changed")
	if f.Fields[i].Value == f.shown {
		return nil
	}
	f.Fields[i].Value = f.shown
	return &client.Error{
		StatusCode: http.StatusConflict, Message: "Somebody changed this while the form was open; nothing was saved.",
		Detail: "Below is what you typed. Look at the page in another tab, and save again to overwrite.",
	}
}

// confirmation asks to type the name of what goes for good.
func confirmation(name string) form {
	return form{Fields: []field{{Name: "confirm", Label: "Type " + name + " to confirm", Required: true, Expect: name}}}
}

// confirmed refuses a name that was not typed.
func (f *form) confirmed(name string) error {
	if f.value("confirm") == name {
		return nil
	}
	return &client.Error{
		StatusCode: http.StatusBadRequest, Message: "Nothing was done.",
		Validations: []client.ValidationError{{Field: "confirm", Detail: "This is not the name: type " + name + "."}},
	}
}

// invalidField is a fault that was found before the API was asked.
func invalidField(name string, err error) error {
	return &client.Error{StatusCode: http.StatusBadRequest, Message: "Nothing was saved.", Validations: []client.ValidationError{{Field: name, Detail: sentence(err)}}}
}

// sentence is an error as people read it.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}
