package browser

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Every opens one page of each kind that links lead to, from the starting
// paths on, and calls visit on each while it is open.
func (b *Browser) Every(starts []string, visit func(path string) error) error {
	seen := map[string]bool{}
	for queue := slices.Clone(starts); len(queue) > 0; {
		path := queue[0]
		queue = queue[1:]
		if seen[kind(path)] {
			continue
		}
		seen[kind(path)] = true
		if err := b.Open(path); err != nil {
			return err
		}
		if err := visit(path); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		var links []string
		if err := b.Evaluate(`[...document.querySelectorAll("a[href]")].map((a) => new URL(a.href, location.href)).filter((u) => u.origin === location.origin && !u.pathname.startsWith("/api/") && !u.pathname.startsWith("/static/")).map((u) => u.pathname + u.search)`, &links); err != nil {
			return err
		}
		queue = append(queue, links...)
	}
	return nil
}

// kind is a path without the names in it: pages of one kind look alike.
func kind(path string) string {
	u, err := url.Parse(path)
	if err != nil {
		return path
	}
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	names := map[string][]int{"organizations": {1, 3}, "templates": {1, 2, 4}, "users": {1}, "tokens": {1}}[parts[0]]
	if strings.HasPrefix(parts[0], "@") {
		parts[0], names = "@", []int{1, 3}
	}
	for _, i := range names {
		if i < len(parts) && parts[i] != "new" {
			parts[i] = "*"
		}
	}
	keys := []string{}
	for key := range u.Query() {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return strings.Join(parts, "/") + "?" + strings.Join(keys, "&")
}

// Wrongs are what no page may have at its width: what sticks out to the side
// or is cut off, a control without a name, and what moved after it was drawn.
func (b *Browser) Wrongs() ([]string, error) {
	var wrongs []string
	err := b.Evaluate(`(async () => {
		const found = [];
		const width = document.documentElement.clientWidth;
		if (document.documentElement.scrollWidth > width) {
			const out = [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > width + 1 && !e.closest(".wide-table, pre, .log"));
			found.push("wider than the window: " + out.slice(-3).map((e) => e.tagName + "." + e.className + " " + e.textContent.trim().slice(0, 40)).join(" | "));
		}
		for (const e of document.querySelectorAll("input:not([type=hidden]), select, textarea, button, a[href]")) {
			if (!e.checkVisibility()) continue;
			const name = e.getAttribute("aria-label") || (e.labels && [...e.labels].map((l) => l.textContent).join("").trim()) || e.textContent.trim() || e.title;
			if (!name) found.push("no name: " + e.outerHTML.slice(0, 120));
		}
		for (const e of document.querySelectorAll("body *")) {
			if (!e.checkVisibility() || e.closest(".unseen, .log, pre") || !e.textContent.trim() || e.clientWidth < 2) continue;
			const style = getComputedStyle(e);
			const hides = style.overflowX === "hidden" || style.overflowX === "clip" || style.scrollbarWidth === "none" && style.overflowX === "auto";
			if (hides && style.textOverflow !== "ellipsis" && e.scrollWidth > e.clientWidth + 1) found.push("cut off: " + e.tagName + "." + e.className + " " + e.textContent.trim().slice(0, 40));
		}
		const shift = await new Promise((done) => {
			let sum = 0;
			const o = new PerformanceObserver((list) => { for (const s of list.getEntries()) sum += s.value; });
			o.observe({ type: "layout-shift", buffered: true });
			setTimeout(() => { o.disconnect(); done(sum); }, 100);
		});
		if (shift > 0.02) found.push("jumped by " + shift.toFixed(3));
		return found;
	})()`, &wrongs)
	return wrongs, err
}
