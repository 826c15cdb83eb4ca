package client

import "context"

// Handover takes the value of a reply as it is. Where client and server are
// one process the value need not be encoded for the one by the other.
type Handover interface {
	// Take keeps the value and tells so, if it is what the client asked for;
	// else the reply must be encoded.
	Take(value any) bool
}

type handoverKey struct{}

// HandoverFrom is what the context of a request from within the process
// brings along; nil where the reply must be encoded.
func HandoverFrom(ctx context.Context) Handover {
	h, _ := ctx.Value(handoverKey{}).(Handover)
	return h
}

// handed is a reply's value of the type that the client's method returns.
type handed[T any] struct{ value T }

// Take implements Handover.
func (h *handed[T]) Take(value any) bool {
	v, ok := value.(T)
	if ok {
		h.value = v
	}
	return ok
}
