package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"coder/client"
	"coder/internal/browser"
)

// tellingTemplate writes the time of day, in milliseconds, every half second.
const tellingTemplate = `
resource "terraform_data" "clock" {
  provisioner "local-exec" {
    command = "for i in 1 2 3 4 5 6 7 8 9 10; do echo at $(date +%s%3N); sleep 0.5; done"
  }
}
`

// watchLines notes in the page how old each line is when it is shown.
const watchLines = `window.ages = [], new MutationObserver(() => {
	for (const line of document.querySelectorAll(".log .line:not([data-noted])")) {
		line.dataset.noted = "yes";
		const written = line.innerText.match(/: at (\d{13})$/);
		if (written) window.ages.push(Date.now() - Number(written[1]));
	}
}).observe(document.querySelector(".log ol"), { childList: true }), true`

// measurePages looks through a real Chromium how soon a line that the engine
// writes is on the screen.
func measurePages(ctx context.Context, binary, dir string, _ int, out *report) error {
	d, err := deploy(ctx, binary, dir)
	if err != nil {
		return err
	}
	defer d.stop()
	engine, err := exec.LookPath("terraform")
	if err != nil {
		return err
	}
	if err := d.join(ctx, binary, dir, engine); err != nil {
		return err
	}
	version, err := d.push(ctx, "", tellingTemplate)
	if err != nil {
		return err
	}
	if _, err := d.owner.CreateTemplate(ctx, d.org.Name, client.CreateTemplateRequest{Name: "clock", VersionID: version.ID}); err != nil {
		return err
	}
	b, err := browser.Start(ctx, d.url)
	if err != nil {
		return err
	}
	defer b.Close()
	var ready bool
	var ages []int64
	err = errors.Join(
		b.Open("/login"), b.Fill("Email", "bench@example.com"), b.Fill("Password", password), b.Click("Sign in"), b.See("Your first workspace"),
		b.Open("/templates/bench/clock/workspace"), b.Fill("Name", "clock"), b.Click("Create workspace"), b.See("Build 1"),
		b.Evaluate(watchLines, &ready), b.See("running"), b.Evaluate(`window.ages`, &ages),
	)
	if err != nil {
		return err
	}
	var shown []time.Duration
	for _, age := range ages {
		shown = append(shown, time.Duration(age)*time.Millisecond)
	}
	out.add("a line of the engine is on the screen after, median and slowest", fmt.Sprintf("%s, %s of %d", ms(median(shown)), ms(percentile(shown, 100)), len(shown)), "300 ms", "")
	return nil
}
