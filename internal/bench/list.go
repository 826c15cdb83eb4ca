package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"coder/client"
)

const (
	listRows  = 1000
	listPage  = 20
	listSlice = 2 * time.Second
)

// measureList loads the list of workspaces beside a handler that encodes the
// same rows and does nothing else.
func measureList(ctx context.Context, binary, dir string, rounds int, out *report) error {
	d, err := deploy(ctx, binary, dir)
	if err != nil {
		return err
	}
	defer d.stop()
	out.add("resident memory: server idle", fmt.Sprintf("%.0f MiB", d.idle), "45 MiB", "30 MiB")
	if err := d.fill(ctx); err != nil {
		return err
	}
	page, err := d.owner.Workspaces(ctx, client.WorkspacesRequest{Page: client.Page{Limit: listPage}})
	if err != nil {
		return err
	}
	if page.Count != listRows || len(page.Workspaces) != listPage {
		return fmt.Errorf("the list has %d rows of %d", len(page.Workspaces), page.Count)
	}
	raw, err := rawServer(page)
	if err != nil {
		return err
	}
	defer raw.Close()
	token, err := d.owner.CreateAPIKey(ctx, client.Me)
	if err != nil {
		return err
	}
	listURL := fmt.Sprintf("%s/api/v2/workspaces?limit=%d", d.url, listPage)
	var ratios, spent []float64
	for range max(rounds/3, 3) {
		before := processorTime(d.server.Process.Pid)
		ours, times, err := load(ctx, listURL, token.Key, 10)
		if err != nil {
			return err
		}
		theirs, _, err := load(ctx, "http://"+raw.Addr().String(), token.Key, 10)
		if err != nil {
			return err
		}
		ratios = append(ratios, ours/theirs)
		spent = append(spent, (processorTime(d.server.Process.Pid)-before).Seconds()*1000/float64(len(times)))
	}
	out.add("list of 20 of 1,000 rows ÷ raw handler, 10 connections", fmt.Sprintf("%.2f (CPU %.2f ms a request)", median(ratios), median(spent)), "0.25", "0.42")
	_, times, err := load(ctx, listURL, token.Key, 100)
	if err != nil {
		return err
	}
	out.add("the same with 100 connections, p99", ms(percentile(times, 99)), "60 ms", "35 ms")
	out.add("resident memory: server after the list load", fmt.Sprintf("%.0f MiB", memory(d.server.Process.Pid)), "75 MiB", "45 MiB")
	return d.measureListPages(ctx, token.Key, out)
}

// listPages are pages of lists, by what they are called in the report.
func (d *deployment) listPages() [][2]string {
	in := "/organizations/" + d.org.Name
	return [][2]string{
		{"workspaces", "/workspaces?q="}, {"templates", "/templates"}, {"organizations", "/organizations"}, {"users", "/users"}, {"audit", "/audit"},
		{"members", in + "/members"}, {"groups", in + "/groups"}, {"jobs", in + "/jobs"},
	}
}

// measureListPages opens list pages alone and fifty at a time, as their owner.
func (d *deployment) measureListPages(ctx context.Context, token string, out *report) error {
	for _, page := range d.listPages() {
		_, alone, err := load(ctx, d.url+page[1], token, 1)
		if err != nil {
			return err
		}
		before := processorTime(d.server.Process.Pid)
		_, many, err := load(ctx, d.url+page[1], token, 50)
		if err != nil {
			return err
		}
		spent := (processorTime(d.server.Process.Pid) - before).Seconds() * 1000 / float64(len(many))
		out.add("page of "+page[0]+" beside 1,000 workspaces: alone, p50", ms(median(alone)), "20 ms", "")
		out.add("page of "+page[0]+" beside 1,000 workspaces: 50 connections, p99", fmt.Sprintf("%s (CPU %.2f ms a page)", ms(percentile(many, 99)), spent), "60 ms", "")
	}
	return nil
}

// fill makes the rows, each with a finished build and an agent.
func (d *deployment) fill(ctx context.Context) error {
	template, err := d.template(ctx)
	if err != nil {
		return err
	}
	for i := range listRows {
		if _, err := d.owner.CreateWorkspace(ctx, d.org.Name, client.Me, client.CreateWorkspaceRequest{TemplateID: &template.ID, Name: fmt.Sprintf("w-%d", i)}); err != nil {
			return err
		}
		if err := d.builder.finish(ctx); err != nil {
			return err
		}
	}
	return nil
}

// builder ends builds through the daemon protocol, so that no engine is needed.
type builder struct {
	daemon *client.Client
	id     uuid.UUID
}

func (b *builder) finish(ctx context.Context) error {
	job, err := b.daemon.AcquireJob(ctx, b.id, client.AcquireJobRequest{RequestID: uuid.New()})
	if err != nil || job == nil {
		return errors.Join(err, errors.New("no build to finish"))
	}
	_, err = b.daemon.Attempt(job.AttemptID, job.Secret).Complete(ctx, client.CompleteJobRequest{Build: &client.BuildResult{
		Resources: []client.ProvisionedResource{{Address: "terraform_data.a", Type: "terraform_data", Name: "a",
			Agents: []client.ProvisionedAgent{{ID: uuid.NewString(), Name: "main", Token: uuid.NewString(), OperatingSystem: "linux", Architecture: "amd64"}}}},
	}})
	return err
}

// template makes one whose builds need no engine.
func (d *deployment) template(ctx context.Context) (client.Template, error) {
	v, err := d.imported(ctx)
	if err != nil {
		return client.Template{}, err
	}
	return d.owner.CreateTemplate(ctx, d.org.Name, client.CreateTemplateRequest{Name: "bench", VersionID: v.ID})
}

// imported completes an import through the daemon protocol, so that no engine is needed.
func (d *deployment) imported(ctx context.Context) (client.TemplateVersion, error) {
	key, err := d.owner.CreateProvisionerKey(ctx, d.org.Name, client.CreateProvisionerKeyRequest{Name: "list"})
	if err != nil {
		return client.TemplateVersion{}, err
	}
	daemon, err := client.New(d.url, client.Options{Header: http.Header{client.HeaderDaemonKey: {key.Key}}})
	if err != nil {
		return client.TemplateVersion{}, err
	}
	joined, err := daemon.RegisterDaemon(ctx, client.RegisterDaemonRequest{Name: "list", Provisioners: []string{"terraform"}, Version: "v0", APIVersion: "1.0"})
	if err != nil {
		return client.TemplateVersion{}, err
	}
	pushed := make(chan error, 1)
	var v client.TemplateVersion
	go func() {
		var err error
		v, err = d.push(ctx, "", fmt.Sprintf(plainTemplate, "list"))
		pushed <- err
	}()
	job, err := daemon.AcquireJob(ctx, joined.ID, client.AcquireJobRequest{RequestID: uuid.New()})
	if err != nil || job == nil {
		return client.TemplateVersion{}, errors.Join(err, errors.New("no import to complete"))
	}
	attempt := daemon.Attempt(job.AttemptID, job.Secret)
	if err := attempt.Confirm(ctx); err != nil {
		return client.TemplateVersion{}, err
	}
	if _, err := attempt.Complete(ctx, client.CompleteJobRequest{Import: &client.ImportResult{Graph: []byte(`{}`)}}); err != nil {
		return client.TemplateVersion{}, err
	}
	err = <-pushed
	d.builder = builder{daemon, joined.ID}
	return v, err
}

// rawServer encodes the rows for every request and does nothing else.
func rawServer(rows any) (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(rows) // the load generator counts failures
	})
	go func() { _ = http.Serve(l, handler) }() // ends with the listener
	return l, nil
}

// load asks as fast as the connections allow for a short while, and returns
// requests a second and the time of each.
func load(ctx context.Context, url, token string, connections int) (float64, []time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, listSlice)
	defer cancel()
	h := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var times []time.Duration
	var failed error
	begun := time.Now()
	for range connections {
		wg.Go(func() {
			for ctx.Err() == nil {
				took, err := ask(ctx, h, url, token)
				mu.Lock()
				switch {
				case err == nil:
					times = append(times, took)
				case ctx.Err() == nil:
					failed = err
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	h.CloseIdleConnections()
	return float64(len(times)) / time.Since(begun).Seconds(), times, failed
}

func ask(ctx context.Context, h *http.Client, url, token string) (time.Duration, error) {
	begun := time.Now()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	if strings.Contains(url, "/api/") {
		r.Header.Set(client.HeaderSessionToken, token)
	} else {
		r.AddCookie(&http.Cookie{Name: client.SessionCookie, Value: token})
	}
	reply, err := h.Do(r)
	if err != nil {
		return 0, err
	}
	defer reply.Body.Close()
	if _, err := io.Copy(io.Discard, reply.Body); err != nil {
		return 0, err
	}
	if reply.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s answered %s", url, reply.Status)
	}
	return time.Since(begun), nil
}
