package child

import (
	"strconv"
	"time"
)

// exit is what is recorded so far; the parent reads it as JSON.
type exit struct {
	steps      []stepExit
	finished   bool
	reason     string
	stragglers int
}

type stepExit struct {
	name               string
	startedAt, endedAt time.Time
	code               int
	signal, err        string
	interrupted        bool
	killed             bool
}

// encode writes the record as JSON, by hand, see the package comment.
func (e exit) encode() []byte {
	text := []byte(`{"steps":[`)
	for i, s := range e.steps {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, `{"name":`...)
		text = quote(text, s.name)
		text = append(text, `,"started_at":`...)
		text = quote(text, s.startedAt.UTC().Format(time.RFC3339Nano))
		text = append(text, `,"ended_at":`...)
		text = quote(text, s.endedAt.UTC().Format(time.RFC3339Nano))
		text = append(text, `,"code":`...)
		text = strconv.AppendInt(text, int64(s.code), 10)
		text = append(text, `,"signal":`...)
		text = quote(text, s.signal)
		text = append(text, `,"error":`...)
		text = quote(text, s.err)
		text = append(text, `,"interrupted":`...)
		text = strconv.AppendBool(text, s.interrupted)
		text = append(text, `,"killed":`...)
		text = strconv.AppendBool(text, s.killed)
		text = append(text, '}')
	}
	text = append(text, `],"finished":`...)
	text = strconv.AppendBool(text, e.finished)
	text = append(text, `,"reason":`...)
	text = quote(text, e.reason)
	text = append(text, `,"stragglers":`...)
	text = strconv.AppendInt(text, int64(e.stragglers), 10)
	return append(text, '}', '\n')
}

func quote(text []byte, value string) []byte {
	const hex = "0123456789abcdef"
	text = append(text, '"')
	for i := range len(value) {
		switch c := value[i]; {
		case c == '"' || c == '\\':
			text = append(text, '\\', c)
		case c < ' ' || c == 0x7f:
			text = append(text, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			text = append(text, c)
		}
	}
	return append(text, '"')
}
