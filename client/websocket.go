package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/coder/websocket"
)

const (
	// followReadLimit bounds one message; a log line is at most MaxLogLine,
	// and JSON escapes may make each byte six.
	followReadLimit = 8 << 20
	followRetries   = 10
)

// dial opens a WebSocket through the same HTTP client as all other calls.
func (c *Client) dial(ctx context.Context, path string) (*websocket.Conn, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	conn, reply, err := websocket.Dial(ctx, c.base.String()+path, &websocket.DialOptions{ //nolint:bodyclose // the library closes it
		HTTPClient: c.http,
		HTTPHeader: c.header,
	})
	if reply != nil && c.onResponse != nil {
		c.onResponse(reply)
	}
	if err == nil {
		conn.SetReadLimit(followReadLimit)
		return conn, nil
	}
	if reply == nil || reply.StatusCode == http.StatusSwitchingProtocols {
		return nil, c.connectionError(ctx, err)
	}
	body, _ := io.ReadAll(reply.Body)
	return nil, c.errorReply(http.MethodGet, path, reply, body)
}

// followLogs yields the rows of a log from after on, until the server ends the
// stream, ctx ends, or the consumer stops. A broken connection is taken up
// again behind the last row, so rows neither repeat nor go missing.
func (c *Client) followLogs(ctx context.Context, path string, after int64) iter.Seq2[ProvisionerJobLog, error] {
	return func(yield func(ProvisionerJobLog, error) bool) {
		stopped := false
		row := func(l ProvisionerJobLog) bool {
			after = l.ID
			stopped = !yield(l, nil)
			return !stopped
		}
		for failures := 0; ; failures++ {
			before := after
			err := c.readLogs(ctx, path, after, row)
			if after != before {
				failures = 0
			}
			if err == nil || stopped {
				return
			}
			if ctx.Err() != nil || StatusCode(err) != 0 || failures >= followRetries || !pause(ctx, failures) {
				yield(ProvisionerJobLog{}, err)
				return
			}
		}
	}
}

// readLogs reads one connection to its end; nil means the log is complete or
// the consumer stopped.
func (c *Client) readLogs(ctx context.Context, path string, after int64, row func(ProvisionerJobLog) bool) error {
	conn, err := c.dial(ctx, withQuery(path, url.Values{"follow": {""}, "after": {strconv.FormatInt(after, 10)}}))
	if err != nil {
		return err
	}
	defer conn.CloseNow() //nolint:errcheck // the stream is over either way
	for {
		_, message, err := conn.Read(ctx)
		if websocket.CloseStatus(err) == websocket.StatusNormalClosure {
			return nil
		}
		if err != nil {
			return c.connectionError(ctx, err)
		}
		var l ProvisionerJobLog
		if err := json.Unmarshal(message, &l); err != nil {
			return fmt.Errorf("read a log line of %s: %w", c.display(path), err)
		}
		if !row(l) {
			return nil
		}
	}
}

// pause waits before another try; false means that ctx ended.
func pause(ctx context.Context, failures int) bool {
	t := time.NewTimer(min(100*time.Millisecond<<failures, 5*time.Second))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
