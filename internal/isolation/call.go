package isolation

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// callTimeout is long against every answer that is none of a long poll's.
const callTimeout = 2 * time.Minute

type request struct {
	method, path, body string
	as                 credential
	// outside: the path is not one of the API.
	outside bool
}

func (r request) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s as %s %s", r.method, r.path, r.as.name, r.body))
}

type answer struct {
	status int
	body   string
}

func (a answer) String() string { return fmt.Sprintf("%d %.400s", a.status, strings.TrimSpace(a.body)) }

func (a answer) good() bool {
	return a.status >= 200 && a.status < 300 || a.status == http.StatusSwitchingProtocols
}

// call never fails: what keeps it from being answered is the answer.
func (w *world) call(ctx context.Context, r request) answer {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	prefix := "/api/v2"
	if r.outside {
		prefix = ""
	}
	req, err := http.NewRequestWithContext(ctx, r.method, w.options.URL+prefix+r.path, strings.NewReader(r.body))
	if err != nil {
		return answer{body: err.Error()}
	}
	for name, values := range w.options.Header {
		req.Header[name] = values
	}
	for name, values := range r.as.header {
		req.Header[name] = values
	}
	if strings.HasPrefix(r.path, "/files") {
		req.Header.Set("Content-Type", "application/x-tar")
	}
	reply, err := w.http.Do(req)
	if err != nil {
		return answer{body: err.Error()}
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(io.LimitReader(reply.Body, streamed(reply)))
	if err != nil {
		return answer{reply.StatusCode, err.Error()}
	}
	return answer{reply.StatusCode, string(body)}
}

// streamed is how much of a body is read: of one that does not end, its start.
func streamed(reply *http.Response) int64 {
	if strings.HasPrefix(reply.Header.Get("Content-Type"), "text/event-stream") {
		return 1
	}
	return 1 << 20
}

var (
	timestamp = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`)
	requestID = regexp.MustCompile(`"request_id":"[^"]*"`)
	waited    = regexp.MustCompile(`"oldest_wait_seconds":\d+`)
)

// normal takes out of an answer what differs between any two calls, and what
// the caller said.
func normal(a answer, said []string) answer {
	body := timestamp.ReplaceAllString(a.body, "TIME")
	body = requestID.ReplaceAllString(body, "REQUEST")
	body = waited.ReplaceAllString(body, "WAITED")
	for _, value := range said {
		if len(value) > 3 {
			body = strings.ReplaceAll(body, value, "SAID")
		}
	}
	return answer{a.status, body}
}
