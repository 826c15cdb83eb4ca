package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"coder/client"
	"coder/internal/browser"
)

// tellingTemplate writes the time of day, in milliseconds, every half second,
// as often as it is told.
const tellingTemplate = `
resource "terraform_data" "clock" {
  provisioner "local-exec" {
    command = "for i in $(seq %d); do echo at $(date +%%s%%3N); sleep 0.5; done"
  }
}
`

// people are those who follow one log at a time.
const people = 500

// watchLines notes in the page how old each line is when it is shown.
const watchLines = `window.ages = [], new MutationObserver(() => {
	for (const line of document.querySelectorAll(".log .line:not([data-noted])")) {
		line.dataset.noted = "yes";
		const written = line.innerText.match(/: at (\d{13})$/);
		if (written) window.ages.push(Date.now() - Number(written[1]));
	}
}).observe(document.querySelector(".log ol"), { childList: true }), true`

// measurePages looks through a real Chromium how soon a line that the engine
// writes is on the screen, and measures what a visit and what followers cost.
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
	if err := d.measureVisit(ctx, out); err != nil {
		return err
	}
	for name, lines := range map[string]int{"clock": 10, "long": 60} {
		version, err := d.push(ctx, "", fmt.Sprintf(tellingTemplate, lines))
		if err != nil {
			return err
		}
		if _, err := d.owner.CreateTemplate(ctx, d.org.Name, client.CreateTemplateRequest{Name: name, VersionID: version.ID}); err != nil {
			return err
		}
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
	if len(shown) == 0 {
		return errors.New("no line of the engine was on the screen")
	}
	out.add("click on Create: its first line is on the screen after the engine wrote it", ms(shown[0]), "300 ms", "")
	out.add("the lines after it, median and slowest", fmt.Sprintf("%s, %s of %d", ms(median(shown)), ms(percentile(shown, 100)), len(shown)), "300 ms", "")
	return d.measureFollowers(ctx, out)
}

// measureVisit is what goes over the wire when somebody comes for the first
// time: the sign-in page with all that it loads, and the page after it.
func (d *deployment) measureVisit(ctx context.Context, out *report) error {
	key, err := d.owner.CreateAPIKey(ctx, client.Me)
	if err != nil {
		return err
	}
	h := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	defer h.CloseIdleConnections()
	seen, total := map[string]bool{}, 0
	for queue := []string{"/login", "/workspaces"}; len(queue) > 0; queue = queue[1:] {
		if seen[queue[0]] {
			continue
		}
		seen[queue[0]] = true
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url+queue[0], nil)
		if err != nil {
			return err
		}
		r.Header.Set("Accept-Encoding", "gzip")
		r.AddCookie(&http.Cookie{Name: client.SessionCookie, Value: key.Key})
		reply, err := h.Do(r)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(reply.Body)
		reply.Body.Close()
		if err != nil || reply.StatusCode != http.StatusOK {
			return errors.Join(err, fmt.Errorf("%s answered %s", queue[0], reply.Status))
		}
		total += len(body)
		for _, asset := range loads.FindAllSubmatch(body, -1) {
			queue = append(queue, string(asset[1]))
		}
	}
	out.add("first visit: sign-in page, all that it loads, list of workspaces", fmt.Sprintf("%.1f KB in %d files", float64(total)/1000, len(seen)), "120 KB", "")
	return nil
}

// loads is how a page names what it loads.
var loads = regexp.MustCompile(`(?:src|href)="(/static/[^"]+)"`)

// measureFollowers is what the server's memory grows by while people follow
// one log.
func (d *deployment) measureFollowers(ctx context.Context, out *report) error {
	templates, err := d.owner.Templates(ctx, "exact_name:long")
	if err != nil || len(templates) != 1 {
		return errors.Join(err, fmt.Errorf("%d templates to follow", len(templates)))
	}
	w, err := d.owner.CreateWorkspace(ctx, d.org.Name, client.Me, client.CreateWorkspaceRequest{TemplateID: &templates[0].ID, Name: "watched"})
	if err != nil {
		return err
	}
	before := memory(d.server.Process.Pid)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var lines, here atomic.Int64
	var wg sync.WaitGroup
	for range people {
		wg.Go(func() {
			first := true
			for _, err := range d.owner.FollowWorkspaceBuildLogs(ctx, w.LatestBuild.ID, 0) {
				if err != nil {
					return
				}
				if first {
					here.Add(1)
					first = false
				}
				lines.Add(1)
			}
		})
	}
	most := 0.0
	var followed time.Time
	for followed.IsZero() || time.Since(followed) < 3*time.Second {
		time.Sleep(50 * time.Millisecond)
		most = max(most, memory(d.server.Process.Pid))
		if ctx.Err() != nil {
			return fmt.Errorf("%d of %d people followed", here.Load(), people)
		}
		if followed.IsZero() && here.Load() == people {
			followed = time.Now()
		}
	}
	cancel()
	wg.Wait()
	out.add(fmt.Sprintf("%d people following one log (%d lines told)", people, lines.Load()), fmt.Sprintf("%.0f MiB more", most-before), "100 MiB", "")
	return nil
}
