package ui

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// markup writes the rows of long lists. A template looks every value up by its
// name and calls its escaper by reflection, which costs more than reading the
// row from the database.
type markup struct{ out strings.Builder }

// rowSize is about what a row of a list takes.
const rowSize = 640

// rowsOf begins the rows of a list of that length.
func rowsOf(count int) *markup {
	var m markup
	m.out.Grow(count * rowSize)
	return &m
}

// marks are HTML of the program's own: a constant is taken as it stands, and
// nothing else becomes marks without saying so.
type marks string

// put writes marks in which each % stands for the next value. A value is
// escaped for text and for attributes in double quotes, the only places where
// % may stand, unless it is HTML already.
func (m *markup) put(form marks, values ...any) {
	rest := string(form)
	for _, value := range values {
		before, after, found := strings.Cut(rest, "%")
		if !found {
			panic("markup: more values than places in " + string(form))
		}
		m.out.WriteString(before)
		m.value(value)
		rest = after
	}
	if strings.Contains(rest, "%") {
		panic("markup: fewer values than places in " + string(form))
	}
	m.out.WriteString(rest)
}

func (m *markup) value(value any) {
	switch v := value.(type) {
	case template.HTML:
		m.out.WriteString(string(v))
	case string:
		m.text(v)
	case int:
		m.out.WriteString(strconv.Itoa(v))
	case uuid.UUID:
		m.out.WriteString(v.String())
	default:
		m.text(fmt.Sprint(v))
	}
}

// text writes a value so that it cannot be taken for marks.
func (m *markup) text(value string) {
	if strings.ContainsAny(value, "<>&'\"\x00") {
		value = template.HTMLEscapeString(value)
	}
	m.out.WriteString(value)
}

// html is what was written.
func (m *markup) html() template.HTML { return template.HTML(m.out.String()) }
