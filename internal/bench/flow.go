package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"coder/client"
)

const (
	flowWorkers   = 16
	flowJobs      = 1500
	flowLines     = 50_000
	flowBatch     = 200
	flowFollowers = 5
	crowd         = 500
	bigState      = 20 << 20
)

// measureFlow drives whole jobs through the daemon protocol, with an executor
// that does nothing: jobs a second, a large state, a fast log and its readers.
func measureFlow(ctx context.Context, binary, dir string, _ int, out *report) error {
	d, err := deploy(ctx, binary, dir)
	if err != nil {
		return err
	}
	defer d.stop()
	template, err := d.template(ctx)
	if err != nil {
		return err
	}
	b, err := d.take(ctx, template, "logs")
	if err != nil {
		return err
	}
	if err := b.log(ctx, d, out); err != nil {
		return err
	}
	state, err := b.state(ctx, out)
	if err != nil {
		return err
	}
	if err := finish(ctx, d.builder.daemon, b.job, state); err != nil {
		return err
	}
	return d.jobs(ctx, dir, template, out)
}

// busyBuild is a build in the hands of an executor.
type busyBuild struct {
	id      uuid.UUID
	job     *client.AcquiredJob
	attempt *client.Attempt
}

// take makes a workspace and takes its build.
func (d *deployment) take(ctx context.Context, template client.Template, name string) (*busyBuild, error) {
	w, err := d.owner.CreateWorkspace(ctx, d.org.Name, client.Me, client.CreateWorkspaceRequest{TemplateID: &template.ID, Name: name})
	if err != nil {
		return nil, err
	}
	job, err := d.builder.daemon.AcquireJob(ctx, d.builder.id, client.AcquireJobRequest{RequestID: uuid.New()})
	if err != nil || job == nil {
		return nil, errors.Join(err, errors.New("no build to take"))
	}
	attempt := d.builder.daemon.Attempt(job.AttemptID, job.Secret)
	if err := errors.Join(attempt.Confirm(ctx), attempt.StartEngine(ctx)); err != nil {
		return nil, err
	}
	return &busyBuild{w.LatestBuild.ID, job, attempt}, nil
}

// log writes lines as fast as the server takes them while five read them,
// each of which must get every line once and in order; then five hundred
// people follow it.
func (b *busyBuild) log(ctx context.Context, d *deployment, out *report) error {
	follow, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	failed := make(chan error, flowFollowers)
	for range flowFollowers {
		wg.Go(func() { failed <- b.follow(follow, d) })
	}
	begun := time.Now()
	for offset := int64(0); offset < flowLines; offset += flowBatch {
		req := client.AppendLogsRequest{Offset: offset, Next: offset + flowBatch}
		for i := range int64(flowBatch) {
			req.Entries = append(req.Entries, client.JobLogEntry{Offset: offset + i, CreatedAt: time.Now(), Source: "provisioner", Level: "info", Stage: "Starting workspace", Output: fmt.Sprintf("line %d", offset+i)})
		}
		if _, err := b.attempt.AppendLogs(ctx, req); err != nil {
			return err
		}
	}
	written := time.Since(begun)
	for range flowFollowers {
		if err := <-failed; err != nil {
			return err
		}
	}
	read := time.Since(begun)
	wg.Wait()
	out.add("log lines a second through one job with five followers, written / read by all", fmt.Sprintf("%.0f / %.0f", flowLines/written.Seconds(), flowLines/read.Seconds()), "10,000", "")
	return b.crowd(ctx, d, out)
}

// follow reads lines until the last; each must be the next.
func (b *busyBuild) follow(ctx context.Context, d *deployment) error {
	next := 0
	for row, err := range d.owner.FollowWorkspaceBuildLogs(ctx, b.id, 0) {
		if err != nil {
			return err
		}
		if row.Output == "" {
			continue
		}
		if row.Output != fmt.Sprintf("line %d", next) {
			return fmt.Errorf("line %d came as %q", next, row.Output)
		}
		if next++; next == flowLines {
			return nil
		}
	}
	return fmt.Errorf("the log ended after %d lines", next)
}

// crowd is 500 people who have the log open.
func (b *busyBuild) crowd(ctx context.Context, d *deployment, out *report) error {
	ctx, stop := context.WithCancel(ctx)
	before := memory(d.server.Process.Pid)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	var ready atomic.Int64
	for range crowd {
		wg.Go(func() {
			for row, err := range d.owner.FollowWorkspaceBuildLogs(ctx, b.id, flowLines-1000) {
				if err != nil {
					return
				}
				if row.Output == fmt.Sprintf("line %d", flowLines-1) {
					ready.Add(1)
				}
			}
		})
	}
	for deadline := time.Now().Add(time.Minute); ready.Load() < crowd; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d followers have the log", ready.Load(), crowd)
		}
	}
	out.add("500 people who follow one build: memory more", fmt.Sprintf("%.0f MiB", memory(d.server.Process.Pid)-before), "100 MiB", "")
	return nil
}

// state hands in a state of 20 MB that does not compress well.
func (b *busyBuild) state(ctx context.Context, out *report) (*client.StateRef, error) {
	noise := make([]byte, bigState*3/4)
	_, _ = rand.Read(noise) // never fails
	var doc bytes.Buffer
	fmt.Fprintf(&doc, `{"version":4,"terraform_version":"1.11.4","serial":1,"lineage":"%s","outputs":{"a":{"type":"string","value":"%s"}},"resources":[]}`, uuid.New(), base64.StdEncoding.EncodeToString(noise))
	sum := sha256.Sum256(doc.Bytes())
	ref := client.StateRef{N: 1, SHA256: hex.EncodeToString(sum[:])}
	begun := time.Now()
	if err := b.attempt.PutState(ctx, ref, doc.Bytes()); err != nil {
		return nil, err
	}
	out.add("a state of 20 MB is stored", ms(time.Since(begun)), "1 s", "")
	return &ref, nil
}

// jobs counts whole jobs from submit to done, each with logs.
func (d *deployment) jobs(ctx context.Context, dir string, template client.Template, out *report) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	var done atomic.Int64
	key, err := d.owner.CreateProvisionerKey(ctx, d.org.Name, client.CreateProvisionerKeyRequest{Name: "flow"})
	if err != nil {
		return err
	}
	for i := range flowWorkers {
		w, err := d.worker(ctx, key.Key, fmt.Sprintf("flow-%d", i))
		if err != nil {
			return err
		}
		wg.Go(func() { w.run(ctx, &done) })
	}
	begun := time.Now()
	var submit sync.WaitGroup
	var failed atomic.Value
	for part := range flowWorkers {
		submit.Go(func() {
			for i := part; i < flowJobs; i += flowWorkers {
				if _, err := d.owner.CreateWorkspace(ctx, d.org.Name, client.Me, client.CreateWorkspaceRequest{TemplateID: &template.ID, Name: fmt.Sprintf("j-%d", i)}); err != nil {
					failed.Store(err)
					return
				}
			}
		})
	}
	submit.Wait()
	if err, ok := failed.Load().(error); ok {
		return err
	}
	for deadline := time.Now().Add(2 * time.Minute); done.Load() < flowJobs; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("%d of %d jobs ended", done.Load(), flowJobs)
		}
	}
	rate, syncs := flowJobs/time.Since(begun).Seconds(), syncRate(dir)
	out.add("jobs a second from submit to done, with logs", fmt.Sprintf("%.0f (%.3f of the %.0f syncs a second of this disk)", rate, rate/syncs, syncs), "0.075 of the syncs", "")
	return nil
}

func (d *deployment) worker(ctx context.Context, key, name string) (*builder, error) {
	c, err := client.New(d.url, client.Options{Header: daemonHeader(key)})
	if err != nil {
		return nil, err
	}
	joined, err := c.RegisterDaemon(ctx, client.RegisterDaemonRequest{Name: name, Provisioners: []string{"terraform"}, Version: "v0", APIVersion: "1.0", HostID: name})
	return &builder{c, joined.ID}, err
}

// run takes jobs and ends them, as an executor that has nothing to do.
func (b *builder) run(ctx context.Context, done *atomic.Int64) {
	for ctx.Err() == nil {
		job, err := b.daemon.AcquireJob(ctx, b.id, client.AcquireJobRequest{RequestID: uuid.New()})
		if err != nil || job == nil {
			continue
		}
		attempt := b.daemon.Attempt(job.AttemptID, job.Secret)
		entries := []client.JobLogEntry{{CreatedAt: time.Now(), Source: "provisioner", Level: "info", Stage: "Starting workspace", Output: "nothing to do"}}
		_, err = attempt.AppendLogs(ctx, client.AppendLogsRequest{Next: 1, Entries: entries})
		if err = errors.Join(attempt.Confirm(ctx), attempt.StartEngine(ctx), err, finish(ctx, b.daemon, job, nil)); err == nil {
			done.Add(1)
		}
	}
}
