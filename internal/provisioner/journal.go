package provisioner

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"coder/client"
	"coder/internal/terraform"
)

// Who wrote a log line.
const (
	sourceDaemon = "provisioner_daemon"
	sourceEngine = "provisioner"
)

// entryOverhead is what a line counts beside its own bytes: its newline.
const entryOverhead = 1

// journal is an attempt's log as a file of the spool. What is in it has an
// offset for good; the shipper sends it from there, and a successor goes on
// where it ends.
type journal struct {
	now   func() time.Time
	level string
	// mask hides the job's secrets in lines.
	mask *strings.Replacer

	mu    sync.Mutex
	file  *os.File
	next  int64
	stage string
	// read is how far each of the engine's files has been read into the journal.
	read       map[string]int64
	overflowed bool
	closed     bool
	// size is the length of the file. short, when set, makes room after a
	// write that failed for want of it. held are intents, and dropped a number
	// of lines, that there was no room for.
	size    int64
	short   func(error) bool
	held    []client.Intent
	dropped int
	// news is closed and replaced when something was added.
	news chan struct{}
}

// record is one line of the journal's file.
type record struct {
	Entry  *client.JobLogEntry `json:"e,omitempty"`
	Intent *client.Intent      `json:"i,omitempty"`
	// File and Read say that the engine's file was read up to here.
	File string `json:"f,omitempty"`
	Read int64  `json:"r,omitempty"`
	// PlanTold: the intents up to here are all that the plan wants.
	PlanTold bool `json:"p,omitempty"`
	// Overflowed: lines were dropped from here on.
	Overflowed bool `json:"o,omitempty"`
}

// openJournal opens or makes the journal at path, and cuts off a last line
// that was not written to its end.
func openJournal(path string, level string, mask *strings.Replacer, now func() time.Time) (*journal, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the job's log: %w", err)
	}
	j := &journal{now: now, level: level, mask: mask, file: file, read: map[string]int64{}, news: make(chan struct{})}
	whole, err := readRecords(file, 0, func(r record, _ int64) bool {
		j.note(r)
		return true
	})
	if err == nil {
		err = file.Truncate(whole)
	}
	j.size = whole
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the job's log: %w", err), file.Close())
	}
	return j, nil
}

// note takes over what a record says about the journal's own state.
func (j *journal) note(r record) {
	if r.Entry != nil {
		j.next = r.Entry.Offset + int64(len(r.Entry.Output)) + entryOverhead
		j.stage = r.Entry.Stage
	}
	if r.File != "" {
		j.read[r.File] = r.Read
	}
	j.overflowed = j.overflowed || r.Overflowed
}

// readRecords calls visit with each whole record from a byte position of the
// file, and the position behind it, until visit says stop. It returns the
// position behind the last one visited.
func readRecords(file io.ReaderAt, from int64, visit func(record, int64) bool) (int64, error) {
	reader := bufio.NewReaderSize(io.NewSectionReader(file, from, 1<<62), 64<<10)
	for {
		line, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return from, nil
		}
		if err != nil {
			return from, err
		}
		var r record
		if json.Unmarshal(line, &r) != nil {
			return from, nil
		}
		if !visit(r, from+int64(len(line))) {
			return from, nil
		}
		from += int64(len(line))
	}
}

// enterStage begins a stage with an empty line of the daemon, as readers of
// the log expect. It tells whether the log was not in it already.
func (j *journal) enterStage(stage string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.stage == stage {
		return false
	}
	j.catchUp()
	j.stage = stage
	j.write([]record{j.entry(sourceDaemon, terraform.LevelInfo, "")})
	return true
}

// say adds a line of the daemon's own.
func (j *journal) say(level, format string, values ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.catchUp()
	j.write([]record{j.entry(sourceDaemon, level, terraform.CleanLine(fmt.Sprintf(format, values...)))})
}

// addEvent adds what the engine said, and how far its file is read now.
func (j *journal) addEvent(event terraform.Event, level, file string, read int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.catchUp()
	records := []record{}
	verbose := level == terraform.LevelDebug || level == "trace"
	if !verbose || j.level == terraform.LevelDebug {
		for _, line := range event.Lines {
			records = append(records, j.entry(sourceEngine, level, line))
		}
	}
	// The server takes an intent together with the line that told of it.
	if (event.Intent != nil || event.Planned) && len(records) == 0 {
		records = append(records, record{})
	}
	if len(records) == 0 {
		return
	}
	records[0].Intent, records[0].PlanTold = event.Intent, event.Planned && len(j.held) == 0
	records[len(records)-1].File, records[len(records)-1].Read = file, read
	j.write(records)
}

// addIntents adds what became known without a line of the engine's.
func (j *journal) addIntents(intents []client.Intent) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.catchUp()
	records := []record{}
	for _, intent := range intents {
		records = append(records, record{Intent: &intent})
	}
	j.write(records)
}

// entry makes the next line, or an empty record once the log is full.
func (j *journal) entry(source, level, output string) record {
	output = j.mask.Replace(output)
	if j.next+int64(len(output))+entryOverhead > client.MaxJobLog {
		r := record{Overflowed: !j.overflowed}
		j.overflowed = true
		return r
	}
	entry := client.JobLogEntry{
		Offset: j.next, CreatedAt: j.now().UTC(), Source: source, Level: level, Stage: j.stage, Output: output,
	}
	j.next += int64(len(output)) + entryOverhead
	return record{Entry: &entry}
}

// write appends records in one call. A disk that is full loses lines of the
// log, not the job: the log says so as soon as there is room, and intents wait.
func (j *journal) write(records []record) {
	content := encode(records)
	if len(content) == 0 || j.closed {
		return
	}
	if err := j.append(content); err != nil {
		j.drop(records)
		return
	}
	for _, r := range records {
		j.note(r)
	}
	close(j.news)
	j.news = make(chan struct{})
}

func encode(records []record) []byte {
	var content bytes.Buffer
	for _, r := range records {
		if r == (record{}) {
			continue
		}
		if line, err := json.Marshal(r); err == nil {
			content.Write(append(line, '\n'))
		}
	}
	return content.Bytes()
}

// append writes all or nothing behind the end of the file.
func (j *journal) append(content []byte) error {
	_, err := j.file.WriteAt(content, j.size)
	if err != nil && j.short != nil && j.short(err) {
		_, err = j.file.WriteAt(content, j.size)
	}
	if err != nil {
		return errors.Join(err, j.file.Truncate(j.size))
	}
	j.size += int64(len(content))
	return nil
}

// drop keeps of records that found no room what must not be lost.
func (j *journal) drop(records []record) {
	for _, r := range slices.Backward(records) {
		if r.Entry != nil {
			j.next = r.Entry.Offset
			j.dropped++
		}
	}
	for _, r := range records {
		if r.Intent != nil {
			j.held = append(j.held, *r.Intent)
		}
	}
}

// catchUp writes what earlier records could not, before anything new is.
func (j *journal) catchUp() {
	if j.dropped == 0 && len(j.held) == 0 {
		return
	}
	held, dropped := j.held, j.dropped
	j.held, j.dropped = nil, 0
	records := []record{}
	if dropped > 0 {
		records = append(records, j.entry(sourceDaemon, terraform.LevelWarn, fmt.Sprintf("Lines of this log were dropped here, because the disk of the provisioner's spool was full: %d.", dropped)))
	}
	for _, intent := range held {
		records = append(records, record{Intent: &intent})
	}
	j.write(records)
	if j.dropped > 0 {
		j.dropped = dropped // the line about them is none of them
	}
}

// end is the offset behind the last line that could be written.
func (j *journal) end() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.catchUp()
	return j.next
}

// readUpTo is how much of an engine's file is in the journal already.
func (j *journal) readUpTo(file string) int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.read[file]
}

// added is closed when something is added after this call.
func (j *journal) added() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.news
}

func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	return j.file.Close()
}
