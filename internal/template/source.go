// Package template reads template source without running Terraform: the
// variables it declares, its README, its workspace tags and what Terraform
// must not be left to find out. Errors name file and line, for the author of
// the template.
package template

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"coder/internal/archive"
)

// Source is what the root directory of a template says.
type Source struct {
	Readme    string     // README.md, empty where there is none
	Variables []Variable // in the order of files, then lines
	Providers []Provider // required_providers, in the order of files, then lines
	// RemoteState are the backend and cloud blocks that would keep the state
	// elsewhere; a local backend is not among them.
	RemoteState []Block

	tags       []tagExpression
	parameters []parameterBlock
}

// Position is a place in the source, relative to the template's root.
type Position struct {
	File string
	Line int
}

func (p Position) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Block is a block of the source, such as `backend "s3"`.
type Block struct {
	Position
	Text string
}

// Provider is one entry of required_providers.
type Provider struct {
	Position
	Name       string // local name, such as coder
	Source     string // as written, such as coder/coder; empty where not written
	Constraint string // as written, such as ~> 2.0; empty where not written
}

// ErrNoSource is returned for a template without a .tf or .tf.json file at its root.
var ErrNoSource = errors.New("the template holds no .tf or .tf.json file at its root; push the directory that holds main.tf")

// Error lists all that is wrong with a template.
type Error struct {
	Problems []Problem
}

// Problem is one thing wrong, at one place.
type Problem struct {
	Position
	Text string
}

func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = fmt.Sprintf("%s: %s", p.Position, p.Text)
	}
	return strings.Join(lines, "\n")
}

// Read reads the template at the root of fsys. It returns ErrNoSource, or an
// *Error for source that does not parse, or the error of the file system.
func Read(fsys fs.FS) (*Source, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("read template: %w", err)
	}
	files := map[string][]byte{}
	for _, e := range entries {
		if e.IsDir() || !wanted(e.Name()) {
			continue
		}
		if files[e.Name()], err = fs.ReadFile(fsys, e.Name()); err != nil {
			return nil, fmt.Errorf("read template: %w", err)
		}
	}
	return parse(files)
}

// ReadTar reads a template from a tar archive that archive.List has accepted.
// Errors are those of Read.
func ReadTar(r io.Reader) (*Source, error) {
	files := map[string][]byte{}
	for in := tar.NewReader(r); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return parse(files)
		}
		if err != nil {
			return nil, fmt.Errorf("read template archive: %w", err)
		}
		name := path.Clean(header.Name)
		if header.Typeflag != tar.TypeReg || strings.Contains(name, "/") || !wanted(name) {
			continue
		}
		if files[name], err = io.ReadAll(in); err != nil {
			return nil, fmt.Errorf("read template archive: %w", err)
		}
	}
}

const readme = "README.md"

func wanted(name string) bool {
	return name == readme || archive.IsSource(name) && !ignored(name)
}

// ignored follows Terraform: hidden files and editors' copies are no source.
func ignored(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasPrefix(name, "#")
}

// CheckState returns an *Error naming each block that would keep the state
// elsewhere, nil where there is none.
func (s *Source) CheckState() error {
	var problems []Problem
	for _, b := range s.RemoteState {
		problems = append(problems, Problem{b.Position, b.Text + ": the state of workspaces is kept by the server; remove this block"})
	}
	if problems == nil {
		return nil
	}
	return &Error{problems}
}

// templateError turns HCL's diagnostics into ours; nil where none is an error.
func templateError(diags hcl.Diagnostics) error {
	var problems []Problem
	for _, d := range diags {
		if d.Severity == hcl.DiagError {
			problems = append(problems, problem(d))
		}
	}
	if problems == nil {
		return nil
	}
	return &Error{problems}
}

func problem(d *hcl.Diagnostic) Problem {
	text := d.Summary
	if d.Detail != "" {
		text += ": " + d.Detail
	}
	if d.Subject == nil {
		return Problem{Text: text}
	}
	return Problem{position(*d.Subject), text}
}

func position(r hcl.Range) Position { return Position{r.Filename, r.Start.Line} }
