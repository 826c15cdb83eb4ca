// Package client speaks the v2 HTTP API: the wire types, and a typed client.
// It has one file per noun and imports nothing else of this module.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-resty/resty/v2"
)

// Headers of the API.
const (
	HeaderSessionToken        = "Coder-Session-Token"
	HeaderDaemonKey           = "Coder-Provisioner-Daemon-Key"
	HeaderDaemonPSK           = "Coder-Provisioner-Daemon-PSK"
	HeaderAttempt             = "Coder-Provisioner-Attempt"
	HeaderBuildVersion        = "X-Coder-Build-Version"
	HeaderEntitlementsWarning = "X-Coder-Entitlements-Warning"
	HeaderBypassRateLimit     = "X-Coder-Bypass-Ratelimit"
)

// SessionCookie is the name of the cookie that carries a session token.
const SessionCookie = "coder_session_token"

// Options configure a Client; the zero value is an anonymous client.
type Options struct {
	// Token is a session or API token; empty sends none.
	Token string
	// Header is added to every request, WebSocket handshakes included.
	Header http.Header
	// HTTPClient carries the requests. The default dials with time-outs, and
	// waits up to a minute for the head of a reply.
	HTTPClient *http.Client
	// OnResponse sees the head of every reply, before its body is judged.
	OnResponse func(*http.Response)
	// InProcess says that HTTPClient reaches a server of this process, which
	// may then hand over the values of its replies. They may be shared with
	// others: whoever gets them must not change what is in them.
	InProcess bool
}

// Client calls the API of one deployment. It is safe for concurrent use.
type Client struct {
	base       *url.URL
	header     http.Header
	http       *http.Client
	resty      *resty.Client
	onResponse func(*http.Response)
	inProcess  bool
}

// New returns a client of the deployment at base, an http or https URL. It
// connects to nothing.
func New(base string, opts Options) (*Client, error) {
	u, err := parseBase(base)
	if err != nil {
		return nil, err
	}
	header := opts.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	if opts.Token != "" {
		header.Set(HeaderSessionToken, opts.Token)
	}
	if header.Get("User-Agent") == "" {
		header.Set("User-Agent", "coder")
	}
	transport := &http.Client{Transport: DefaultTransport()}
	if opts.HTTPClient != nil {
		transport = new(*opts.HTTPClient)
	}
	// A redirect would carry the token to wherever it points, and turn a POST
	// into a GET: it is reported, not followed.
	transport.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	rc := resty.NewWithClient(transport).SetDisableWarn(true)
	rc.Header = header
	return &Client{base: u, header: header, http: transport, resty: rc, onResponse: opts.OnResponse, inProcess: opts.InProcess}, nil
}

// DefaultTransport returns the transport that New uses when it is given none,
// for callers that wrap it.
func DefaultTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          32,
		MaxIdleConnsPerHost:   8,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   15 * time.Second,
		ResponseHeaderTimeout: time.Minute,
		ExpectContinueTimeout: time.Second,
	}
}

func parseBase(base string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(strings.TrimSpace(base), "/"))
	if err != nil {
		return nil, fmt.Errorf("the URL of the deployment cannot be read: %w", err)
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("%q is not the URL of a deployment: it must look like https://coder.example.com", base)
	}
	u.RawQuery, u.Fragment = "", ""
	return u, nil
}

// URL is the address of the deployment, without a slash at the end.
func (c *Client) URL() string { return c.base.String() }

// apiPath is the path of an API route; every part is escaped.
func apiPath(parts ...any) string {
	var b strings.Builder
	b.WriteString("/api/v2")
	for _, part := range parts {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(fmt.Sprint(part)))
	}
	return b.String()
}

// withQuery appends the values that are set.
func withQuery(path string, q url.Values) string {
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// ErrNoName is a name in a request that is empty or only dots: nothing has it,
// and a path with it would lead elsewhere.
var ErrNoName = errors.New("a name is empty or only dots")

func checkPath(path string) error {
	path, _, _ = strings.Cut(path, "?")
	for _, segment := range strings.Split(path[1:], "/") {
		if segment == "" || segment == "." || segment == ".." {
			return fmt.Errorf("the request %q cannot be made: %w", path, ErrNoName)
		}
	}
	return nil
}

// get reads one JSON value.
func get[T any](ctx context.Context, c *Client, path string) (T, error) {
	return send[T](ctx, c, http.MethodGet, path, nil)
}

// send makes one request and decodes the JSON of its reply; a reply without
// content leaves the zero value.
func send[T any](ctx context.Context, c *Client, method, path string, body any) (T, error) {
	return sendWith(ctx, c, method, path, body, &handed[T]{})
}

// ask is send of what no person has written, and what nobody need check: a
// server of this process may take it as it is.
func ask[T any](ctx context.Context, c *Client, method, path string, body any) (T, error) {
	if !c.inProcess {
		return send[T](ctx, c, method, path, body)
	}
	return sendWith(ctx, c, method, path, &unread{value: body}, &handed[T]{asked: body})
}

func sendWith[T any](ctx context.Context, c *Client, method, path string, body any, direct *handed[T]) (T, error) {
	if c.inProcess {
		ctx = context.WithValue(ctx, handoverKey{}, direct)
	}
	reply, content, err := c.exchange(ctx, method, path, body)
	if err != nil {
		return direct.value, err
	}
	defer reply.Body.Close()
	if len(content) == 0 {
		return direct.value, nil
	}
	var value T
	if !isJSON(reply.Header) {
		return value, c.foreignReply(method, path, reply)
	}
	if err := json.Unmarshal(content, &value); err != nil {
		return value, fmt.Errorf("read the reply to %s %s: %w", method, c.display(path), err)
	}
	return value, nil
}

// list is get for arrays: they are never null.
func list[T any](ctx context.Context, c *Client, path string) ([]T, error) {
	rows, err := get[[]T](ctx, c, path)
	if rows == nil {
		rows = []T{}
	}
	return rows, err
}

// exec makes one request and drops the content of its reply, which must be
// JSON all the same: a page of a proxy is no success.
func (c *Client) exec(ctx context.Context, method, path string, body any) error {
	_, err := send[json.RawMessage](ctx, c, method, path, body)
	return err
}

// request makes one request. A status of 400 and more, a redirect and a lost
// connection are errors; 304 is not.
func (c *Client) request(ctx context.Context, method, path string, body any, header http.Header) (*resty.Response, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	r := c.resty.R().SetContext(ctx)
	for name, values := range header {
		r.Header[name] = values
	}
	if body != nil {
		if r.Header.Get("Content-Type") == "" {
			r.SetHeader("Content-Type", "application/json")
		}
		r.SetBody(body)
	}
	reply, err := r.Execute(method, c.base.String()+path)
	if err != nil {
		return nil, c.connectionError(ctx, err)
	}
	if err := c.judge(method, path, reply.RawResponse, reply.Body()); err != nil {
		return nil, err
	}
	return reply, nil
}

// judge turns a status that is no success into an error.
func (c *Client) judge(method, path string, reply *http.Response, content []byte) error {
	if c.onResponse != nil {
		c.onResponse(reply)
	}
	if status := reply.StatusCode; status == http.StatusNotModified || (status >= 200 && status < 300) {
		return nil
	}
	return c.errorReply(method, path, reply, content)
}

// exchange is request with a body that is JSON. Within a process it goes
// straight to the transport: there is nothing to redirect, to retry or to time out.
func (c *Client) exchange(ctx context.Context, method, path string, body any) (*http.Response, []byte, error) {
	if !c.inProcess {
		reply, err := c.request(ctx, method, path, body, nil)
		if err != nil {
			return nil, nil, err
		}
		return reply.RawResponse, reply.Body(), nil
	}
	if err := checkPath(path); err != nil {
		return nil, nil, err
	}
	content, isReader := body.(io.Reader)
	if body != nil && !isReader {
		content = &unread{value: body}
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base.String()+path, content)
	if err != nil {
		return nil, nil, c.connectionError(ctx, err)
	}
	r.Header = c.header.Clone()
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	reply, err := c.http.Transport.RoundTrip(r)
	if err != nil {
		return nil, nil, c.connectionError(ctx, err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		return nil, nil, c.connectionError(ctx, err)
	}
	return reply, text, c.judge(method, path, reply, text)
}

// display is a path as error messages name it.
func (c *Client) display(path string) string {
	path, _, _ = strings.Cut(path, "?")
	return c.base.Redacted() + path
}

func isJSON(h http.Header) bool {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json"))
}

// errPlain is what a port that speaks TLS only says to a plain request.
var errPlain = errors.New("the server speaks TLS on that port: try https:// instead of http://")

func (c *Client) errorReply(method, path string, reply *http.Response, body []byte) error {
	e := &Error{Method: method, URL: c.display(path), StatusCode: reply.StatusCode}
	if isJSON(reply.Header) && json.Unmarshal(body, e) == nil && e.Message != "" {
		return e
	}
	if bytes.Contains(body, []byte("HTTP request to an HTTPS server")) {
		return &ConnectionError{URL: c.base.Redacted(), Err: errPlain}
	}
	return c.foreignReply(method, path, reply)
}

// foreignReply is the error for a reply that no Coder server gives.
func (c *Client) foreignReply(method, path string, reply *http.Response) error {
	kind := reply.Header.Get("Content-Type")
	e := &Error{Method: method, URL: c.display(path), StatusCode: reply.StatusCode, ContentType: kind}
	if kind == "" {
		kind = "none"
		e.ContentType = kind
	}
	status := fmt.Sprintf("%d %s", reply.StatusCode, http.StatusText(reply.StatusCode))
	if to := reply.Header.Get("Location"); to != "" {
		e.Message = fmt.Sprintf("%s redirects to %s (status %s)", c.base.Redacted(), to, status)
		e.Detail = "If that is the deployment, use its URL directly."
		return e
	}
	e.Message = fmt.Sprintf("%s is not what a Coder server answers: status %s, content type %s", e.URL, status, kind)
	e.Detail = "Check that the URL is that of a Coder deployment, and that no proxy or sign-in page answers in its place."
	return e
}

func (c *Client) connectionError(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	return &ConnectionError{URL: c.base.Redacted(), Err: err}
}

// download reads a reply that is not JSON, whole.
func (c *Client) download(ctx context.Context, path string) ([]byte, string, error) {
	reply, err := c.request(ctx, http.MethodGet, path, nil, nil)
	if err != nil {
		return nil, "", err
	}
	return reply.Body(), reply.Header().Get("Content-Type"), nil
}

// upload sends raw bytes with a content type and decodes the JSON reply.
func upload[T any](ctx context.Context, c *Client, method, path, contentType string, body io.Reader) (T, error) {
	var value T
	reply, err := c.request(ctx, method, path, body, http.Header{"Content-Type": {contentType}})
	if err != nil {
		return value, err
	}
	if !isJSON(reply.Header()) {
		return value, c.foreignReply(method, path, reply.RawResponse)
	}
	if err := json.Unmarshal(reply.Body(), &value); err != nil {
		return value, fmt.Errorf("read the reply to %s %s: %w", method, c.display(path), err)
	}
	return value, nil
}
