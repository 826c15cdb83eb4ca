// Package browser drives a real Chromium over the pages: it finds what a
// person finds, by the texts that they read, and keeps every error that the
// browser reports.
package browser

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long a text may take to appear.
const patience = 60 * time.Second

// Browser is one window, with its own cookies. It is not safe for concurrent use.
type Browser struct {
	ctx  context.Context
	stop []context.CancelFunc
	base string

	mu       sync.Mutex
	troubles []string
}

// Start opens a window on the deployment at base. Chromium must be on PATH.
func Start(ctx context.Context, base string) (*Browser, error) {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.Flag("hide-scrollbars", true))
	allocator, stopAllocator := chromedp.NewExecAllocator(ctx, options...)
	window, stopWindow := chromedp.NewContext(allocator)
	b := &Browser{ctx: window, stop: []context.CancelFunc{stopWindow, stopAllocator}, base: base}
	chromedp.ListenTarget(window, b.listen)
	if err := chromedp.Run(window, network.Enable(), log.Enable(), emulation.SetFocusEmulationEnabled(true), chromedp.EmulateViewport(1280, 900)); err != nil {
		b.Close()
		return nil, fmt.Errorf("start Chromium: %w", err)
	}
	return b, nil
}

// Close ends the browser.
func (b *Browser) Close() {
	for _, stop := range b.stop {
		stop()
	}
}

// listen keeps what a developer would see as red lines.
func (b *Browser) listen(event any) {
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.trouble("exception: " + e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
			b.trouble(fmt.Sprintf("console: %v", e.Args))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError || e.Entry.Level == log.LevelWarning {
			b.trouble(e.Entry.Text + " " + e.Entry.URL)
		}
	}
}

func (b *Browser) trouble(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.troubles = append(b.troubles, text)
}

// Troubles are the errors since the last call.
func (b *Browser) Troubles() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	troubles := b.troubles
	b.troubles = nil
	return troubles
}

func (b *Browser) run(what string, actions ...chromedp.Action) error {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		return fmt.Errorf("%s: %w; the page says: %s", what, err, b.said())
	}
	return nil
}

func (b *Browser) said() string {
	text, err := b.Text()
	if err != nil {
		return err.Error()
	}
	return text
}

// Open goes to a page.
func (b *Browser) Open(path string) error {
	if strings.HasPrefix(path, "/") {
		path = b.base + path
	}
	return b.run("open "+path, chromedp.Navigate(path))
}

// Forget takes the browser's cookies: nobody is signed in with it any more.
func (b *Browser) Forget() error { return b.run("forget", network.ClearBrowserCookies()) }

// Click presses the first link or button of that text.
func (b *Browser) Click(text string) error {
	q := quote(text)
	path := fmt.Sprintf(`//main//a[normalize-space()=%[1]s] | //main//button[normalize-space()=%[1]s] | //header//a[normalize-space()=%[1]s] | //header//summary[normalize-space()=%[1]s] | //header//button[normalize-space()=%[1]s]`, q)
	return b.run("click "+text, chromedp.Click(path, chromedp.BySearch, chromedp.NodeVisible))
}

// labelled is the JavaScript that finds the field of a label.
func labelled(label string) string {
	return fmt.Sprintf(`(() => {
		const label = [...document.querySelectorAll("label")].find((l) => l.innerText.replace("*", "").trim() === %s);
		if (!label) throw new Error("no label " + %[1]s);
		return document.getElementById(label.htmlFor);
	})()`, quote(label))
}

// await waits for the page with a field of that label: a click may still be
// on its way to it.
func (b *Browser) await(label string) error {
	return b.poll("find "+label, fmt.Sprintf(`document.readyState === "complete" && [...document.querySelectorAll("label")].some((l) => l.innerText.replace("*", "").trim() === %s)`, quote(label)))
}

// Fill types into the field of that label, in place of what it holds.
func (b *Browser) Fill(label, value string) error {
	field := labelled(label)
	if err := b.await(label); err != nil {
		return err
	}
	return b.run("fill "+label, chromedp.Evaluate(field+`.focus(), `+field+`.select()`, nil), chromedp.KeyEvent(value))
}

// Choose takes the option of that value from the list of that label.
func (b *Browser) Choose(label, value string) error {
	field := labelled(label)
	if err := b.await(label); err != nil {
		return err
	}
	return b.run("choose "+label, chromedp.Evaluate(fmt.Sprintf(`%s.value = %s, %[1]s.dispatchEvent(new Event("change", { bubbles: true }))`, field, quote(value)), nil))
}

// Tick marks the box or the radio button whose label begins with a text.
func (b *Browser) Tick(label string) error {
	found := fmt.Sprintf(`[...document.querySelectorAll("label")].find((l) => l.innerText.trim().startsWith(%s))`, quote(label))
	if err := b.poll("find "+label, `!!`+found); err != nil {
		return err
	}
	return b.run("tick "+label, chromedp.Evaluate(found+`.click()`, nil))
}

// See waits until the page says a text, without loading it again.
func (b *Browser) See(text string) error {
	return b.poll("see "+text, fmt.Sprintf(`(document.body?.innerText ?? "").replace(/\s+/g, " ").includes(%s)`, quote(text)))
}

// SeeGone waits until the page no longer says a text.
func (b *Browser) SeeGone(text string) error {
	return b.poll("no longer see "+text, fmt.Sprintf(`!(document.body?.innerText ?? "").replace(/\s+/g, " ").includes(%s)`, quote(text)))
}

// poll asks a page until it says yes. Between two pages nobody answers.
func (b *Browser) poll(what, expression string) error {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	for {
		var yes bool
		err := chromedp.Run(ctx, chromedp.Evaluate(expression, &yes))
		if err == nil && yes {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %s; the page says: %s", what, patience, b.said())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Text is what the page says now.
func (b *Browser) Text() (string, error) {
	var text string
	err := chromedp.Run(b.ctx, chromedp.Evaluate(`(document.body?.innerText ?? "").replace(/\s+/g, " ")`, &text))
	return text, err
}

// Path is where the browser is.
func (b *Browser) Path() (string, error) {
	var path string
	err := b.run("read the address", chromedp.Evaluate(`location.pathname + location.search`, &path))
	return path, err
}

// Read is the text of the first element that a CSS selector finds.
func (b *Browser) Read(selector string) (string, error) {
	var text string
	err := b.run("read "+selector, chromedp.Text(selector, &text, chromedp.ByQuery))
	return text, err
}

// Evaluate runs an expression in the page, and waits for what it promises.
func (b *Browser) Evaluate(expression string, into any) error {
	wait := func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }
	return b.run("evaluate", chromedp.Evaluate(expression, into, wait))
}

// Look sets how wide the window is, and whether it is dark.
func (b *Browser) Look(width int64, dark bool) error {
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	return b.run("look", emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}), chromedp.EmulateViewport(width, 900))
}

// Picture is the whole page as PNG.
func (b *Browser) Picture() ([]byte, error) {
	var png []byte
	err := b.run("take a picture", chromedp.FullScreenshot(&png, 100))
	return png, err
}

// quote makes an XPath or JavaScript text of words without double quotes.
func quote(text string) string { return `"` + strings.ReplaceAll(text, `"`, "") + `"` }
