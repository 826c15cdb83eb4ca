// Package archive reads and writes the tar and zip archives that template
// source travels in. Archives come from strangers: what is not plainly a
// regular file or a directory inside the root is refused, and so is an
// archive over a limit. Nothing is ever skipped or cut in silence.
package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// Limits bound one archive. Every field must be set; a zero allows nothing.
type Limits struct {
	Entries int   // files and directories together
	Total   int64 // bytes of all files, unpacked
	File    int64 // bytes of one file, unpacked
	Depth   int   // parts of one path
}

// TemplateLimits are the limits of template source on the server and on
// daemons. An upload may be 100 MiB, so what it unpacks to may be no more.
func TemplateLimits() Limits {
	return Limits{Entries: 10_000, Total: 100 << 20, File: 100 << 20, Depth: 64}
}

// MaxTemplate is the size in bytes of the largest archive that clients push.
const MaxTemplate = 1 << 20

// Rule is what an archive may break.
type Rule string

// The rules, in words that complete "refused: ".
const (
	RuleFormat   Rule = "it is damaged or of another format"
	RuleName     Rule = "the name is empty, too long, or holds control characters or invalid UTF-8"
	RuleAbsolute Rule = "the path is absolute; archive a directory's content with relative paths"
	RuleParent   Rule = `the path holds ".."; archive paths must stay inside the archive`
	RuleKind     Rule = "only regular files and directories are allowed, no links, devices or pipes"
	RuleTwice    Rule = "the path is there twice, or is both a file and a directory"
	RuleEntries  Rule = "the archive holds too many files and directories"
	RuleTotal    Rule = "the archive unpacks to too many bytes"
	RuleFile     Rule = "the file is too large"
	RuleDepth    Rule = "the path has too many parts"
	RuleSource   Rule = "a template needs at least one .tf or .tf.json file at its root"
)

// Error says which entry of an archive broke which rule. Entry is empty where
// the archive as a whole did.
type Error struct {
	Entry  string
	Rule   Rule
	Detail string // the limit, or what was found
	Err    error  // the cause, where there is one
}

func (e *Error) Error() string {
	text := "archive refused: "
	if e.Entry != "" {
		text = fmt.Sprintf("archive entry %q refused: ", e.Entry)
	}
	text += string(e.Rule)
	if e.Detail != "" {
		text += " (" + e.Detail + ")"
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// Entry is one file or directory of an archive.
type Entry struct {
	Name string // clean, relative, with slashes
	Size int64
	Dir  bool
	Exec bool // the owner may execute it
}

func (e Entry) mode() fs.FileMode {
	if e.Exec {
		return 0o700
	}
	return 0o600
}

// List returns the entries of a tar archive and reads it to its end, so that
// an archive that List accepts is one that Extract accepts too. The errors
// about the archive are of type *Error.
func List(r io.Reader, limits Limits) ([]Entry, error) {
	entries := []Entry{}
	err := walkTar(r, limits, func(e Entry, content io.Reader) error {
		entries = append(entries, e)
		_, err := io.Copy(io.Discard, content)
		return err
	})
	if err != nil {
		return nil, err
	}
	return entries, nil
}

// walkTar calls visit for each entry in the order of the archive, after every
// check. What visit leaves unread of content is skipped.
func walkTar(r io.Reader, limits Limits, visit func(Entry, io.Reader) error) error {
	checks := newChecker(limits)
	archive := tar.NewReader(r)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return &Error{Rule: RuleFormat, Detail: "tar was expected", Err: err}
		}
		if header.Typeflag == tar.TypeXGlobalHeader {
			continue // git archive begins with one; it holds a comment
		}
		entry := Entry{Size: header.Size, Dir: header.Typeflag == tar.TypeDir, Exec: header.Mode&0o100 != 0}
		regular := header.Typeflag == tar.TypeReg || entry.Dir
		if err := checks.admit(header.Name, regular, &entry); err != nil {
			return err
		}
		if entry.Name == "." {
			continue
		}
		if err := visit(entry, tarContent{archive, entry.Name}); err != nil {
			return err
		}
	}
}

// tarContent turns a reader's error into one about the archive, so that it
// can be told from an error of the writing side.
type tarContent struct {
	r    io.Reader
	name string
}

func (c tarContent) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &Error{Entry: c.name, Rule: RuleFormat, Err: err}
	}
	return n, err
}
