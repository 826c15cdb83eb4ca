package browser

import (
	"errors"
	"fmt"
	"strings"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Keys that a walk without a mouse presses.
const (
	Tab       = kb.Tab
	Enter     = kb.Enter
	Space     = " "
	ArrowDown = kb.ArrowDown
	ArrowUp   = kb.ArrowUp
	Escape    = kb.Escape
)

// maxTabs is how many controls one walks past before giving up.
const maxTabs = 60

// focus is where the keyboard is.
type focus struct {
	// Name is what is read out of the control; empty if nothing has the focus.
	Name string
	// Wrong is why one cannot see where one is.
	Wrong string
}

// Focus is the name of the control that has the focus; empty for none. It is
// an error if one does not see that it has.
func (b *Browser) Focus() (string, error) {
	var at focus
	err := b.Evaluate(`(async () => {
		await new Promise((done) => requestAnimationFrame(() => setTimeout(done))); // what a key has set off has come
		const e = document.activeElement;
		if (!e || e === document.body || e === document.documentElement) return { Name: "", Wrong: "" };
		const labels = e.labels ? [...e.labels].map((l) => l.innerText).join(" ") : "";
		const name = (e.getAttribute("aria-label") || labels || e.innerText || e.title || e.tagName).replace("*", "").replace(/\s+/g, " ").trim();
		const box = e.getClientRects()[0] ?? e.getBoundingClientRect(), style = getComputedStyle(e);
		const over = document.elementFromPoint((Math.max(box.left, 0) + Math.min(box.right, innerWidth)) / 2, (Math.max(box.top, 0) + Math.min(box.bottom, innerHeight)) / 2);
		let wrong = "";
		if (e.id !== "content" && (style.outlineStyle === "none" || parseFloat(style.outlineWidth) === 0)) wrong = "no ring around it";
		if (!over || !(e.contains(over) || over.contains(e))) wrong = "outside the window, or something lies over it";
		return { Name: name, Wrong: wrong };
	})()`, &at)
	if err == nil && at.Wrong != "" {
		err = fmt.Errorf("the focus is at %q, and is not seen: %s", at.Name, at.Wrong)
	}
	return at.Name, err
}

// Press presses keys, one after the other.
func (b *Browser) Press(keys ...string) error {
	return b.run("press a key", chromedp.KeyEvent(strings.Join(keys, "")))
}

// TabTo presses Tab until the control whose name begins with a text has the
// focus. It is an error if the focus is not seen on the way, or gets lost.
func (b *Browser) TabTo(name string) error {
	if err := b.poll("load", `document.readyState === "complete"`); err != nil {
		return err
	}
	var passed []string
	for range maxTabs {
		at, err := b.Focus()
		if err != nil {
			return err
		}
		if at != "" && strings.HasPrefix(at, name) {
			return nil
		}
		passed = append(passed, at)
		if err := b.Press(Tab); err != nil {
			return err
		}
	}
	return errors.New("no Tab leads to " + name + ", only to: " + strings.Join(passed, ", "))
}
