package ui

import (
	"bytes"
	"io"
	"net/http"

	"coder/client"
)

// inProcess carries requests to a handler of this process, on behalf of the
// browser that asked for the page: its address counts for the rate limits.
type inProcess struct {
	handler http.Handler
	browser *http.Request
}

// RoundTrip implements http.RoundTripper.
func (t *inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	inner := r.Clone(r.Context())
	inner.RemoteAddr = t.browser.RemoteAddr
	inner.Header.Set("User-Agent", t.browser.UserAgent())
	if inner.Body == nil {
		inner.Body = http.NoBody
	}
	w := &recorder{header: http.Header{}, status: http.StatusOK, handover: client.HandoverFrom(r.Context())}
	t.handler.ServeHTTP(w, inner)
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r,
	}, nil
}

// recorder keeps a reply. The value of one that is as expected goes to the
// page's client as it is; a refusal is encoded.
type recorder struct {
	header   http.Header
	status   int
	body     bytes.Buffer
	handover client.Handover
}

// Take implements client.Handover.
func (w *recorder) Take(value any) bool {
	return w.handover != nil && w.status < http.StatusBadRequest && w.handover.Take(value)
}

// Asked implements client.Handover.
func (w *recorder) Asked() any {
	if w.handover == nil {
		return nil
	}
	return w.handover.Asked()
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) { w.status = status }

func (w *recorder) Write(b []byte) (int, error) { return w.body.Write(b) }
