package archive

import (
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Longest names that common file systems take.
const (
	maxName = 255
	maxPath = 3000
)

// checker holds what has been seen of one archive.
type checker struct {
	limits  Limits
	entries int
	total   int64
	seen    map[string]bool // clean path → is a directory
}

func newChecker(limits Limits) *checker {
	return &checker{limits: limits, seen: map[string]bool{}}
}

// admit checks an entry as the archive names it, and sets its clean name.
func (c *checker) admit(name string, regular bool, entry *Entry) error {
	c.entries++
	if c.entries > c.limits.Entries {
		return &Error{Rule: RuleEntries, Detail: fmt.Sprintf("more than %d", c.limits.Entries)}
	}
	clean, err := c.cleanName(name)
	if err != nil {
		return err
	}
	entry.Name = clean
	if !regular {
		return &Error{Entry: name, Rule: RuleKind}
	}
	if err := c.checkSize(name, entry); err != nil {
		return err
	}
	return c.checkTwice(name, entry)
}

func (c *checker) cleanName(name string) (string, error) {
	if rule, broken := brokenName(name); broken {
		return "", &Error{Entry: shorten(name), Rule: rule}
	}
	clean := path.Clean(name)
	if depth := strings.Count(clean, "/") + 1; depth > c.limits.Depth {
		return "", &Error{Entry: shorten(name), Rule: RuleDepth, Detail: fmt.Sprintf("%d, at most %d", depth, c.limits.Depth)}
	}
	return clean, nil
}

func brokenName(name string) (Rule, bool) {
	if name == "" || len(name) > maxPath || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return RuleName, true
	}
	// A backslash or a drive is a way out on Windows, whatever packed it.
	if isSeparator(rune(name[0])) || len(name) > 1 && name[1] == ':' && unicode.IsLetter(rune(name[0])) {
		return RuleAbsolute, true
	}
	for part := range strings.FieldsFuncSeq(name, isSeparator) {
		if part == ".." {
			return RuleParent, true
		}
		if len(part) > maxName {
			return RuleName, true
		}
	}
	return "", false
}

func isSeparator(r rune) bool { return r == '/' || r == '\\' }

func (c *checker) checkSize(name string, entry *Entry) error {
	if entry.Dir {
		entry.Size = 0
		return nil
	}
	if entry.Size < 0 || entry.Size > c.limits.File {
		return &Error{Entry: name, Rule: RuleFile, Detail: fmt.Sprintf("%d bytes, at most %d", entry.Size, c.limits.File)}
	}
	if c.total += entry.Size; c.total > c.limits.Total {
		return &Error{Entry: name, Rule: RuleTotal, Detail: fmt.Sprintf("at most %d", c.limits.Total)}
	}
	return nil
}

// checkTwice refuses a second file of a name, and a name that is a file here
// and a directory there. A directory may come twice, or after its content.
func (c *checker) checkTwice(name string, entry *Entry) error {
	clean := entry.Name
	if clean == "." {
		if entry.Dir {
			return nil
		}
		return &Error{Entry: name, Rule: RuleName}
	}
	if dir, known := c.seen[clean]; known && (!dir || !entry.Dir) {
		return &Error{Entry: name, Rule: RuleTwice}
	}
	c.seen[clean] = entry.Dir
	for parent := path.Dir(clean); parent != "."; parent = path.Dir(parent) {
		dir, known := c.seen[parent]
		if known && !dir {
			return &Error{Entry: name, Rule: RuleTwice}
		}
		if known {
			break // and so its parents
		}
		c.seen[parent] = true
	}
	return nil
}

func shorten(name string) string {
	const most = 200
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "…"
}
