package client

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
)

// Handover passes values between a client and a server of one process, which
// need not be encoded for the one by the other.
type Handover interface {
	// Take keeps the value of a reply and tells so, if it is what the client
	// asked for; else the reply must be encoded.
	Take(value any) bool
	// Asked is what the body of the request says, as a value that the client's
	// own code has made; nil where the body must be read.
	Asked() any
}

type handoverKey struct{}

// HandoverFrom is what the context of a request from within the process
// brings along; nil where the reply must be encoded.
func HandoverFrom(ctx context.Context) Handover {
	h, _ := ctx.Value(handoverKey{}).(Handover)
	return h
}

// handed is a reply's value of the type that the client's method returns.
type handed[T any] struct {
	value T
	asked any
}

// Take implements Handover.
func (h *handed[T]) Take(value any) bool {
	v, ok := value.(T)
	if ok {
		h.value = v
	}
	return ok
}

// Asked implements Handover.
func (h *handed[T]) Asked() any { return h.asked }

// unread is JSON that is written when somebody reads it.
type unread struct {
	value   any
	written io.Reader
}

// Read implements io.Reader.
func (u *unread) Read(p []byte) (int, error) {
	if u.written == nil {
		data, err := json.Marshal(u.value)
		if err != nil {
			return 0, err
		}
		u.written = bytes.NewReader(data)
	}
	return u.written.Read(p)
}
