package provisioner

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"time"

	"coder/internal/terraform"
)

// Lines of the engine are looked for this often: soon after the last one, and
// less often the longer it is silent.
const (
	tailSoon = 20 * time.Millisecond
	tailLate = 200 * time.Millisecond
)

// maxTailLine is how much of one line is kept; the rest of it is skipped.
const maxTailLine = 2 << 20

// tail reads one growing file of the engine line by line.
type tail struct {
	path string
	file *os.File
	// at is behind the last whole line that was read.
	at int64
}

// create makes the file, where it is not there, and opens it: whatever becomes
// of its folder, what the engine writes can be read from then on.
func (t *tail) create() (err error) {
	t.file, err = os.OpenFile(t.path, os.O_CREATE|os.O_RDONLY, 0o600)
	return err
}

// read calls line with each new whole line and the position behind it. With
// last set, the end of the file ends a line too.
func (t *tail) read(last bool, line func(content []byte, behind int64)) error {
	if t.file == nil {
		file, err := os.Open(t.path)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		t.file = file
	}
	info, err := t.file.Stat()
	if err != nil || info.Size() <= t.at {
		return err
	}
	reader := bufio.NewReaderSize(io.NewSectionReader(t.file, t.at, info.Size()-t.at), 64<<10)
	for {
		content, length, err := readLine(reader)
		if errors.Is(err, io.EOF) && (!last || length == 0) {
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		t.at += length
		line(content, t.at)
	}
}

// readLine returns a line without its end, cut at maxTailLine, and how many
// bytes it took from the reader. io.EOF says that the line has no end.
func readLine(reader *bufio.Reader) ([]byte, int64, error) {
	var content []byte
	length := int64(0)
	for {
		part, err := reader.ReadSlice('\n')
		length += int64(len(part))
		if room := maxTailLine - len(content); room > 0 {
			content = append(content, part[:min(room, len(part))]...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		return bytes.TrimSuffix(content, []byte("\n")), length, err
	}
}

func (t *tail) close() {
	if t.file != nil {
		_ = t.file.Close()
	}
}

// output follows what the steps of a run print, into the journal and into
// what is known about the engine's work.
type output struct {
	journal *journal
	work    *engineWork
	// follows are the files in the order of the steps.
	follows []*follow
	// asked brings what is closed once everything printed till now was read,
	// and done is closed when nothing more is.
	asked chan chan struct{}
	done  chan struct{}
}

func newOutput(j *journal, w *engineWork, follows []*follow) *output {
	return &output{journal: j, work: w, follows: follows, asked: make(chan chan struct{}), done: make(chan struct{})}
}

// create makes the files of the first step before it begins.
func (o *output) create() error {
	for _, f := range o.follows {
		if !f.first {
			continue
		}
		if err := f.create(); err != nil {
			return err
		}
	}
	return nil
}

// unread tells whether the file of a step's output was never seen.
func (o *output) unread(step string) bool {
	return slices.ContainsFunc(o.follows, func(f *follow) bool { return f.name == step+".out" && f.file == nil })
}

type follow struct {
	tail
	// first: it belongs to the first step.
	first bool
	name  string
	// stage that begins with the file's first line.
	stage string
	// applyStage begins where the plan ends.
	applyStage string
	// level of lines that are no events; empty is info.
	level string
}

// poll reads everything new; it tells whether there was anything.
func (o *output) poll(last bool) (bool, error) {
	found := false
	for _, f := range o.follows {
		err := f.read(last, func(line []byte, behind int64) {
			found = true
			o.take(f, line, behind)
		})
		if err != nil {
			return found, err
		}
	}
	return found, nil
}

// take reads one line. A successor reads the engine's files from their
// beginning, to know what was done; the journal gets only what is new to it.
func (o *output) take(f *follow, line []byte, behind int64) {
	event := terraform.ParseEvent(line)
	o.work.note(event)
	if behind <= o.journal.readUpTo(f.name) {
		return
	}
	level := event.Level
	if f.level != "" && event.Plain {
		level = f.level
	}
	if f.stage != "" {
		o.journal.enterStage(f.stage)
		f.stage = ""
	}
	made := event.Hook != nil && event.Hook.Done && !event.Hook.Failed && makes(event.Hook.Action)
	if made {
		// Fulfilled only when the server has the state that says so: till
		// then it knows the object's id, to find it in a state or to name it.
		event.Intent.Done, event.Intent.ID = false, event.Hook.ID
	}
	o.journal.addEvent(event, level, f.name, behind)
	if made {
		o.journal.addIntents(o.work.fulfilled())
	}
	if event.Planned && f.applyStage != "" {
		o.journal.enterStage(f.applyStage)
		f.applyStage = ""
	}
}

// catchUp returns when what the steps have printed till now is in the journal.
func (o *output) catchUp(ctx context.Context) {
	read := make(chan struct{})
	select {
	case o.asked <- read:
		<-read
	case <-o.done:
	case <-ctx.Done():
	}
}

// run follows until stop is closed, and then reads what is left.
func (o *output) run(stop <-chan struct{}) error {
	defer close(o.done)
	wait := tailSoon
	for {
		found, err := o.poll(false)
		if err != nil {
			return err
		}
		if wait = min(wait+wait/8, tailLate); found {
			wait = tailSoon
		}
		timer := time.NewTimer(wait)
		select {
		case <-stop:
			timer.Stop()
			_, err := o.poll(true)
			return err
		case read := <-o.asked:
			timer.Stop()
			_, err := o.poll(false)
			close(read)
			if err != nil {
				return err
			}
		case <-timer.C:
		}
	}
}

func (o *output) close() {
	for _, f := range o.follows {
		f.close()
	}
}

// cutLine splits off the first line.
func cutLine(content []byte) (line, behind []byte, found bool) {
	line, behind, found = bytes.Cut(content, []byte("\n"))
	return line, behind, found
}
