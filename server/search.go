package server

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"coder/client"
)

// search is a parsed search string, section 1.7 of the reference. Problems
// gather in it, so that one reply names all of them.
type search struct {
	// term is what stood without a key, words the same as it was typed.
	term, words string
	values      map[string][]string
	typed       map[string][]string
	problems    []client.ValidationError
}

// maxSearch bounds a search string: SQLite refuses patterns of more than 50,000
// bytes, and escaping doubles what it escapes.
const maxSearch = 10_000

// parseSearch splits q into keys and values, in lower case and as typed;
// double quotes keep blanks and colons together.
func parseSearch(q string, keys ...string) *search {
	s := &search{values: map[string][]string{}, typed: map[string][]string{}}
	if len(q) > maxSearch {
		s.refuse("q", "is longer than %d bytes", maxSearch)
		return s
	}
	var bare []string
	for _, token := range splitSearch(q) {
		parts := splitOutsideQuotes(token, ':')
		for i := range parts {
			parts[i] = strings.ReplaceAll(parts[i], `"`, "")
		}
		key := strings.ToLower(parts[0])
		switch {
		case len(parts) == 1:
			bare = append(bare, parts[0])
		case len(parts) > 2:
			s.refuse("q", "%q has more than one colon; put the value in double quotes", token)
		case parts[0] == "" || parts[1] == "":
			s.refuse("q", "%q begins or ends with a colon; write key:value", token)
		case !slices.Contains(keys, key):
			s.refuse(key, "%q is not a key of this search; use one of %s", key, strings.Join(keys, ", "))
		default:
			s.values[key] = append(s.values[key], strings.ToLower(parts[1]))
			s.typed[key] = append(s.typed[key], parts[1])
		}
	}
	s.words = strings.Join(bare, " ")
	s.term = strings.ToLower(s.words)
	return s
}

func splitSearch(q string) []string {
	return slices.DeleteFunc(splitOutsideQuotes(strings.Map(plainBlank, q), ' '), func(t string) bool { return t == "" })
}

func plainBlank(r rune) rune {
	if r == '\t' || r == '\n' || r == '\r' {
		return ' '
	}
	return r
}

func splitOutsideQuotes(text string, separator rune) []string {
	quoted := false
	var parts []string
	start := 0
	for i, r := range text {
		switch {
		case r == '"':
			quoted = !quoted
		case r == separator && !quoted:
			parts = append(parts, text[start:i])
			start = i + 1
		}
	}
	return append(parts, text[start:])
}

func (s *search) refuse(field, format string, args ...any) {
	s.problems = append(s.problems, client.ValidationError{Field: field, Detail: fmt.Sprintf(format, args...)})
}

// err is a 400 with all problems, or nil.
func (s *search) err() error {
	if len(s.problems) == 0 {
		return nil
	}
	return badRequest("The search is not valid.", s.problems...)
}

// one is the value of a key that may be given once.
func (s *search) one(key string) (string, bool) {
	values := s.values[key]
	if len(values) > 1 {
		s.refuse(key, "give %s once", key)
	}
	if len(values) == 0 {
		return "", false
	}
	return values[0], true
}

// text is one, as it was typed: for columns with letters beyond ASCII, of
// which databases and Go do not make the same small ones.
func (s *search) text(key string) (string, bool) {
	if _, given := s.one(key); !given {
		return "", false
	}
	return s.typed[key][0], true
}

// list is all values of a key, each of which may name several with commas.
func (s *search) list(key string) []string {
	var out []string
	for _, value := range s.values[key] {
		for part := range strings.SplitSeq(value, ",") {
			if part = strings.TrimSpace(part); part != "" {
				out = append(out, part)
			}
		}
	}
	return out
}

func (s *search) bool(key string) (value, given bool) {
	text, given := s.one(key)
	if !given {
		return false, false
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		s.refuse(key, "%q is neither true nor false", text)
		return false, false
	}
	return value, true
}

func (s *search) time(key string) (time.Time, bool) {
	text, given := s.one(key)
	if !given {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, strings.ToUpper(text))
	if err != nil {
		s.refuse(key, "%q is not a time such as \"2026-01-31T12:00:00Z\"", text)
		return time.Time{}, false
	}
	return t, true
}

func (s *search) ids(key string) []uuid.UUID {
	var out []uuid.UUID
	for _, text := range s.list(key) {
		id, err := uuid.Parse(text)
		if err != nil {
			s.refuse(key, "%q is not a UUID", text)
			continue
		}
		out = append(out, id)
	}
	return out
}

// oneOf is a value among those named.
func (s *search) oneOf(key string, choices ...string) (string, bool) {
	text, given := s.one(key)
	if given && !slices.Contains(choices, text) {
		s.refuse(key, "%q is not one of %s", text, strings.Join(choices, ", "))
		return "", false
	}
	return text, given
}

// likePattern finds text anywhere, with ESCAPE '\'.
func likePattern(text string) string {
	return "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(text) + "%"
}
