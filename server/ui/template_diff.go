package ui

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"coder/client"
)

// Limits of what is compared: files of a version, bytes of a file, and pairs
// of lines that may match.
const (
	diffFiles = 500
	diffBytes = 256 << 10
	diffPairs = 4 << 20
	// diffAllLines and diffAllBytes bound what is compared of all files together.
	diffAllLines = 20_000
	diffAllBytes = 4 << 20
	// diffAround is how many unchanged lines are shown beside a change.
	diffAround = 3
)

// Kinds of changes.
const (
	lineSame    = "same"
	lineAdded   = "added"
	lineRemoved = "removed"
)

// fileDiff is what differs in one file.
type fileDiff struct {
	Name string
	// Status is added, removed or changed.
	Status string
	Hunks  []diffHunk
	// Note is said instead of lines that are not compared.
	Note string
}

// diffHunk is a run of lines with changes in it.
type diffHunk struct {
	// Old and New are where it begins, from 1.
	Old, New int
	Lines    []diffLine
}

type diffLine struct{ Kind, Text string }

// Mark is what stands before a line, so that its colour is not all.
func (l diffLine) Mark() string {
	switch l.Kind {
	case lineAdded:
		return "+"
	case lineRemoved:
		return "-"
	}
	return " "
}

type templateChangesPage struct {
	templatePage
	Version, Base client.TemplateVersion
	Files         []fileDiff
}

// templateVersionChanges compares a version with the active one, or the active
// one with the version that is asked for.
func (u *UI) templateVersionChanges(ctx context.Context, v *visit) (reply, error) {
	p, err := v.templatePage(ctx, "versions", "Changes of "+v.path("version"))
	if err != nil {
		return nil, err
	}
	data := &templateChangesPage{templatePage: p}
	if data.Version, err = v.api.TemplateVersionByName(ctx, p.Template.ID, v.path("version")); err != nil {
		return nil, err
	}
	if from := v.query("from"); from != "" {
		data.Base, err = v.api.TemplateVersionByName(ctx, p.Template.ID, from)
	} else {
		data.Base, err = v.api.TemplateVersion(ctx, p.Template.ActiveVersionID)
	}
	if err != nil {
		return nil, err
	}
	before, err := v.sourceOf(ctx, data.Base)
	if err != nil {
		return nil, err
	}
	after, err := v.sourceOf(ctx, data.Version)
	if err != nil {
		return nil, err
	}
	data.Files = diffSources(before, after)
	return show("template_changes.html", data), nil
}

// sourceOf reads the files of a version.
func (v *visit) sourceOf(ctx context.Context, version client.TemplateVersion) (map[string][]byte, error) {
	data, _, err := v.api.Download(ctx, version.Job.FileID)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for archive := tar.NewReader(bytes.NewReader(data)); len(files) < diffFiles; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		// One byte more than is compared tells that the file is too long.
		content, err := io.ReadAll(io.LimitReader(archive, diffBytes+1))
		if err != nil {
			return nil, err
		}
		files[path.Clean(header.Name)] = content
	}
	return files, nil
}

// diffSources compares files by their names, in order.
func diffSources(before, after map[string][]byte) []fileDiff {
	var names []string
	for name := range before {
		names = append(names, name)
	}
	for name := range after {
		if _, both := before[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var out []fileDiff
	left := diffBudget{diffAllLines, diffAllBytes}
	for _, name := range names {
		old, had := before[name]
		now, has := after[name]
		if had && has && bytes.Equal(old, now) {
			continue
		}
		d := fileDiff{Name: name, Status: "changed"}
		if !had {
			d.Status = lineAdded
		}
		if !has {
			d.Status = lineRemoved
		}
		d.compare(old, now, &left)
		out = append(out, d)
	}
	return out
}

// diffBudget is how much may still be compared.
type diffBudget struct{ lines, bytes int }

// take tells whether a file fits in, and takes it off.
func (b *diffBudget) take(old, now []byte) bool {
	lines, size := bytes.Count(old, []byte("\n"))+bytes.Count(now, []byte("\n")), len(old)+len(now)
	if lines > b.lines || size > b.bytes {
		return false
	}
	b.lines, b.bytes = b.lines-lines, b.bytes-size
	return true
}

func (d *fileDiff) compare(old, now []byte, left *diffBudget) {
	if len(old) > diffBytes || len(now) > diffBytes {
		d.Note = "The file is too long to be shown here."
		return
	}
	if !isText(old) || !isText(now) {
		d.Note = "It is no text."
		return
	}
	if !left.take(old, now) {
		d.Note = "Too much differs to show this too."
		return
	}
	d.Hunks = hunksOf(diffLines(textLines(old), textLines(now)))
}

func isText(content []byte) bool {
	return utf8.Valid(content) && !bytes.ContainsRune(content, 0)
}

func textLines(content []byte) []string {
	if len(content) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
}

// diffLines turns one text into the other: the lines both begin and end with,
// and between them the longest common sequence.
func diffLines(old, now []string) []diffLine {
	head := 0
	for head < len(old) && head < len(now) && old[head] == now[head] {
		head++
	}
	tail := 0
	for tail < len(old)-head && tail < len(now)-head && old[len(old)-1-tail] == now[len(now)-1-tail] {
		tail++
	}
	var out []diffLine
	add := func(kind string, lines []string) {
		for _, line := range lines {
			out = append(out, diffLine{kind, line})
		}
	}
	add(lineSame, old[:head])
	a, b := old[head:len(old)-tail], now[head:len(now)-tail]
	if len(a)*len(b) > diffPairs {
		add(lineRemoved, a)
		add(lineAdded, b)
	} else {
		out = append(out, commonLines(a, b)...)
	}
	add(lineSame, old[len(old)-tail:])
	return out
}

// commonLines keeps the longest common sequence of two lists of lines.
func commonLines(a, b []string) []diffLine {
	// longest[i][j] is the length of the sequence of a[i:] and b[j:].
	longest := make([][]int32, len(a)+1)
	for i := range longest {
		longest[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				longest[i][j] = longest[i+1][j+1] + 1
			} else {
				longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			}
		}
	}
	var out []diffLine
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, diffLine{lineSame, a[i]})
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && longest[i+1][j] >= longest[i][j+1]:
			out = append(out, diffLine{lineRemoved, a[i]})
			i++
		default:
			out = append(out, diffLine{lineAdded, b[j]})
			j++
		}
	}
	return out
}

// hunksOf leaves out the lines that are far from every change.
func hunksOf(lines []diffLine) []diffHunk {
	var hunks []diffHunk
	old, now, last := 1, 1, -1
	for i, line := range lines {
		if nearChange(lines, i) {
			if last != i-1 || len(hunks) == 0 {
				hunks = append(hunks, diffHunk{Old: old, New: now})
			}
			last = i
			h := &hunks[len(hunks)-1]
			h.Lines = append(h.Lines, line)
		}
		if line.Kind != lineAdded {
			old++
		}
		if line.Kind != lineRemoved {
			now++
		}
	}
	return hunks
}

func nearChange(lines []diffLine, i int) bool {
	return slices.ContainsFunc(lines[max(0, i-diffAround):min(len(lines), i+diffAround+1)], func(l diffLine) bool { return l.Kind != lineSame })
}
