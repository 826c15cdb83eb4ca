package cli_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var metricsAddress = regexp.MustCompile(`serving metrics.* address=(\S+)`)

// scrape is the command `scrape log line...`: it reads the metrics of the
// process whose log names their address, until they have every line.
func scrape(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: scrape log line...")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	last := ""
	for {
		log, _ := os.ReadFile(ts.MkAbs(args[0])) // it may not be there yet
		if m := metricsAddress.FindSubmatch(log); m != nil {
			last = scrapeOnce(ctx, "http://"+string(m[1])+"/metrics")
		}
		missing := ""
		for _, line := range args[1:] {
			if !strings.Contains("\n"+last, "\n"+line) {
				missing = line
			}
		}
		if missing == "" {
			return
		}
		select {
		case <-ctx.Done():
			ts.Fatalf("the metrics never had %q; last: %s", missing, last)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// scrapeOnce is empty where nobody answers.
func scrapeOnce(ctx context.Context, url string) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return ""
	}
	reply, err := http.DefaultClient.Do(req)
	if err != nil {
		return ""
	}
	defer reply.Body.Close()
	body, _ := io.ReadAll(reply.Body) // cut off is tried again
	return string(body)
}
