package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// Error is the body of every refusal of the API, and where it came from.
type Error struct {
	Message     string            `json:"message" doc:"What was refused and why"`
	Detail      string            `json:"detail,omitempty" doc:"What to do, or the cause"`
	Validations []ValidationError `json:"validations,omitempty" doc:"One entry per input that is wrong"`
	// Quota are the figures where a limit on cost or number refused.
	Quota *QuotaRefusal `json:"quota,omitempty" doc:"The figures, where a quota refused"`

	Method     string `json:"-"`
	URL        string `json:"-"`
	StatusCode int    `json:"-"`
	// ContentType is set when the reply was not the API's JSON, so that
	// something else than a Coder server may have answered.
	ContentType string `json:"-"`
}

// ValidationError names an input by its JSON or query name, and says what is
// wrong with it.
type ValidationError struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// Error is the whole of the refusal on one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	for _, v := range e.Validations {
		fmt.Fprintf(&b, "; %s: %s", v.Field, v.Detail)
	}
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	return b.String()
}

// GetStatus is the HTTP status, so that a server may return an Error as it is.
func (e *Error) GetStatus() int { return e.StatusCode }

// FromServer says whether a Coder server gave this reply, and not something between.
func (e *Error) FromServer() bool { return e.ContentType == "" }

// StatusCode is the HTTP status of an API refusal in err's chain, else 0.
func StatusCode(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.StatusCode
	}
	return 0
}

// IsNotFound says whether a Coder server answered 404: the thing does not
// exist, or the caller may not see it.
func IsNotFound(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.StatusCode == http.StatusNotFound && e.FromServer()
}

// ConnectionError says that no reply came from the deployment.
type ConnectionError struct {
	URL string
	Err error
}

func (e *ConnectionError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("no reply from %s: %s. %s", e.URL, e.Err, e.hint()))
}

// Unwrap returns the cause.
func (e *ConnectionError) Unwrap() error { return e.Err }

func (e *ConnectionError) hint() string {
	var (
		dns       *net.DNSError
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		record    tls.RecordHeaderError
		timeout   net.Error
	)
	switch {
	case errors.Is(e.Err, errPlain):
		return ""
	case errors.Is(e.Err, syscall.ECONNREFUSED):
		return "Check that the server runs and listens on that address and port."
	case errors.As(e.Err, &dns):
		return "Check the host name, and that this machine can resolve it."
	case errors.As(e.Err, &authority):
		return "The server's certificate is signed by an authority that this machine does not trust: install that authority's certificate, or name its file in SSL_CERT_FILE (not on macOS)."
	case errors.As(e.Err, &hostname):
		return "The server's certificate is for another name: use the URL that it was issued for."
	case errors.As(e.Err, &record), strings.Contains(e.Err.Error(), "server gave HTTP response to HTTPS client"):
		return "The server does not speak TLS on that port: try http:// instead of https://."
	case errors.Is(e.Err, context.DeadlineExceeded), errors.As(e.Err, &timeout) && timeout.Timeout():
		return "Check that the server runs, and that no firewall drops the connection."
	}
	return "Check the URL, the network and any proxy between."
}
