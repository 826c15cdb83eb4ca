package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"coder/client"
)

const (
	fleetDaemons = 2000
	fleetJobs    = 200
	fleetWatch   = 10 * time.Second
)

// fleet is many daemons that wait, each with tags of its own.
type fleet struct {
	d       *deployment
	daemons []*fleetDaemon
	jobs    chan arrival
	// nothing counts the polls that ended without a job.
	nothing atomic.Int64
}

type fleetDaemon struct {
	client *client.Client
	id     uuid.UUID
	name   string
}

// arrival is a job in the hands of a daemon.
type arrival struct {
	daemon *fleetDaemon
	job    *client.AcquiredJob
	at     time.Time
}

// measureFleet lets 2,000 daemons wait on one server, and asks how much that
// costs and how soon a job reaches the one that it is for.
func measureFleet(ctx context.Context, binary, dir string, _ int, out *report) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d, err := deploy(ctx, binary, dir)
	if err != nil {
		return err
	}
	defer d.stop()
	template, err := d.template(ctx)
	if err != nil {
		return err
	}
	f := &fleet{d: d, jobs: make(chan arrival, fleetDaemons)}
	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer cancel()
	if err := f.join(ctx, &waiting); err != nil {
		return err
	}
	time.Sleep(5 * time.Second) // all of them wait now
	before := processorTime(d.server.Process.Pid)
	time.Sleep(fleetWatch)
	spent := (processorTime(d.server.Process.Pid) - before).Seconds() / fleetWatch.Seconds()
	out.add("2,000 waiting daemons: memory of the server", fmt.Sprintf("%.0f MiB", memory(d.server.Process.Pid)), "300 MiB", "")
	out.add("2,000 waiting daemons: part of a core", fmt.Sprintf("%.1f%%", 100*spent), "3%", "")
	return f.handOut(ctx, template, out)
}

// join brings the daemons in by one key; they wait for jobs until ctx ends.
func (f *fleet) join(ctx context.Context, waiting *sync.WaitGroup) error {
	key, err := f.d.owner.CreateProvisionerKey(ctx, f.d.org.Name, client.CreateProvisionerKeyRequest{Name: "fleet"})
	if err != nil {
		return err
	}
	transport := &http.Transport{MaxIdleConnsPerHost: fleetDaemons, DialContext: (&net.Dialer{Timeout: time.Minute}).DialContext}
	c, err := client.New(f.d.url, client.Options{Header: http.Header{client.HeaderDaemonKey: {key.Key}}, HTTPClient: &http.Client{Transport: transport}})
	if err != nil {
		return err
	}
	for i := range fleetDaemons {
		name := fmt.Sprintf("fleet-%d", i)
		joined, err := c.RegisterDaemon(ctx, client.RegisterDaemonRequest{Name: name, Provisioners: []string{"terraform"}, Version: "v0", APIVersion: "1.0", HostID: name})
		if err != nil {
			return err
		}
		one := &fleetDaemon{c, joined.ID, name}
		f.daemons = append(f.daemons, one)
		waiting.Go(func() { f.wait(ctx, one) })
	}
	return nil
}

func (f *fleet) wait(ctx context.Context, one *fleetDaemon) {
	for ctx.Err() == nil {
		job, err := one.client.AcquireJob(ctx, one.id, client.AcquireJobRequest{RequestID: uuid.New()})
		switch {
		case err != nil:
			time.Sleep(100 * time.Millisecond)
		case job == nil:
			f.nothing.Add(1)
		default:
			f.jobs <- arrival{one, job, time.Now()}
		}
	}
}

// handOut asks for builds one by one, each ended before the next.
func (f *fleet) handOut(ctx context.Context, template client.Template, out *report) error {
	var times []time.Duration
	idle := f.nothing.Load()
	begun := time.Now()
	for i := range fleetJobs {
		asked := time.Now()
		if _, err := f.d.owner.CreateWorkspace(ctx, f.d.org.Name, client.Me, client.CreateWorkspaceRequest{TemplateID: &template.ID, Name: fmt.Sprintf("w-%d", i)}); err != nil {
			return err
		}
		select {
		case a := <-f.jobs:
			times = append(times, a.at.Sub(asked))
			if err := finish(ctx, a.daemon.client, a.job, nil); err != nil {
				return err
			}
		case <-time.After(30 * time.Second):
			return errors.New("a job reached no daemon")
		}
	}
	polls := int64(float64(fleetDaemons) * time.Since(begun).Seconds() / 25)
	slices.Sort(times)
	out.add("2,000 waiting daemons: request to daemon, median", ms(median(times)), "", "")
	out.add("2,000 waiting daemons: request to daemon, p99", ms(percentile(times, 99)), "50 ms", "")
	out.add("2,000 waiting daemons: polls that ended for nothing while 200 jobs came", fmt.Sprintf("%d (time alone ends about %d)", f.nothing.Load()-idle, polls), "no more", "")
	return nil
}

// finish ends a build well, with the newest state that was handed in.
func finish(ctx context.Context, daemon *client.Client, job *client.AcquiredJob, state *client.StateRef) error {
	_, err := daemon.Attempt(job.AttemptID, job.Secret).Complete(ctx, client.CompleteJobRequest{State: state, Build: &client.BuildResult{
		Resources: []client.ProvisionedResource{{Address: "terraform_data.a", Type: "terraform_data", Name: "a"}},
	}})
	return err
}
