package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/term"
)

// question is something that a person is asked on standard error.
type question struct {
	text string
	// instead is how to answer without being asked, for when nobody is there.
	instead string
	// preset is the answer of an empty line.
	preset string
	secret bool
	check  func(string) error
}

// ask puts a question until it has a good answer. Where no one can be asked
// again, a bad answer is an error.
func (e *Env) ask(ctx context.Context, q question) (string, error) {
	for {
		e.errf("> %s ", q.text)
		if q.preset != "" {
			e.errf("(%s) ", e.paint(e.Stderr, bold, q.preset))
		}
		answer, err := e.readAnswer(ctx, q.secret)
		if err != nil {
			return "", noAnswer(q, err)
		}
		if answer == "" {
			answer = q.preset
		}
		if q.check == nil {
			return answer, nil
		}
		if err = q.check(answer); err == nil {
			return answer, nil
		}
		if !e.interactive() {
			return "", err
		}
		e.errf("%s %s\n", e.paint(e.Stderr, red, "✘"), printableLines(err.Error()))
	}
}

func noAnswer(q question, err error) error {
	if !errors.Is(err, io.EOF) {
		return err
	}
	text := strings.TrimRight(q.text, "?: ")
	if q.instead == "" {
		return fmt.Errorf("nobody is there to answer %q: standard input is at its end", text)
	}
	return fmt.Errorf("nobody is there to answer %q: standard input is at its end; %s", text, q.instead)
}

// confirm asks for a yes. Only yes and y are one; an empty line is preset.
// Anything else ends the command without a word.
func (e *Env) confirm(ctx context.Context, yes bool, text string, preset bool) error {
	if yes {
		return nil
	}
	hint := "yes/" + e.paint(e.Stderr, bold, "no")
	if preset {
		hint = e.paint(e.Stderr, bold, "yes") + "/no"
	}
	e.errf("> %s (%s) ", text, hint)
	answer, err := e.readAnswer(ctx, false)
	if err != nil {
		return noAnswer(question{text: text, instead: "confirm with --yes"}, err)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "yes", "y":
		return nil
	case "":
		if preset {
			return nil
		}
	}
	return errSilent
}

// choice is one thing to choose from: how it is shown, and what it is.
type choice struct {
	text  string
	about string
}

// choose lets a person pick one of several by number or by name.
func (e *Env) choose(ctx context.Context, text, instead string, choices []choice, preset int) (int, error) {
	for i, c := range choices {
		line := printable(c.text)
		if c.about != "" {
			line += "  " + e.paint(e.Stderr, dim, printable(c.about))
		}
		e.errf("  %2d  %s\n", i+1, line)
	}
	picked := -1
	q := question{text: text, instead: instead, check: func(answer string) error {
		picked = pick(answer, choices)
		if picked < 0 {
			return fmt.Errorf("%q is none of them: answer with a number from 1 to %d, or with a name", answer, len(choices))
		}
		return nil
	}}
	if preset >= 0 {
		q.preset = choices[preset].text
	}
	_, err := e.ask(ctx, q)
	return picked, err
}

func pick(answer string, choices []choice) int {
	for i, c := range choices {
		if strings.EqualFold(answer, c.text) {
			return i
		}
	}
	if n, err := strconv.Atoi(answer); err == nil && n >= 1 && n <= len(choices) {
		return n - 1
	}
	return -1
}

// readAnswer reads one line of standard input, or ends with the context.
func (e *Env) readAnswer(ctx context.Context, secret bool) (string, error) {
	type result struct {
		line string
		err  error
	}
	f, terminal := e.Stdin.(*os.File)
	terminal = terminal && term.IsTerminal(int(f.Fd()))
	restore := func() {}
	if secret && terminal {
		if state, err := term.GetState(int(f.Fd())); err == nil {
			restore = func() { _ = term.Restore(int(f.Fd()), state) }
		}
	}
	done := make(chan result, 1)
	go func() {
		if secret && terminal {
			line, err := term.ReadPassword(int(f.Fd()))
			done <- result{string(line), err}
			return
		}
		line, err := e.readLine()
		done <- result{line, err}
	}()
	select {
	case <-ctx.Done():
		restore()
		e.errf("\n")
		return "", context.Cause(ctx)
	case r := <-done:
		if r.err != nil || (secret && terminal) || !terminal {
			e.errf("\n")
		}
		return r.line, r.err
	}
}

// maxAnswer bounds what is read of one line that never ends.
const maxAnswer = 1 << 20

func (e *Env) readLine() (string, error) {
	if e.lines == nil {
		e.lines = bufio.NewReader(e.Stdin)
	}
	var b strings.Builder
	for b.Len() < maxAnswer {
		c, err := e.lines.ReadByte()
		if err == io.EOF && b.Len() > 0 {
			break
		}
		if err != nil {
			return "", err
		}
		if c == '\n' {
			break
		}
		b.WriteByte(c)
	}
	return strings.TrimRight(b.String(), "\r"), nil
}
