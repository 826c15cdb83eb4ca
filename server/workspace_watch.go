package server

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/google/uuid"

	"coder/internal/authz"
)

// Types of events of a watch.
const (
	eventPing  = "ping"
	eventData  = "data"
	eventError = "error"
)

// watchEvent is a message of a watch over a WebSocket.
type watchEvent struct {
	Type string `json:"type"`
	Data any    `json:"data,omitempty"`
}

// watchWorkspace sends a ping first, then the whole workspace now and after
// each change.
func (a *api) watchWorkspace(w http.ResponseWriter, r *http.Request) {
	id, err := a.watched(r)
	if err != nil {
		a.writeError(r.Context(), w, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Accel-Buffering", "no")
	stream := http.NewResponseController(w)
	a.watch(r.Context(), r, id, func(e watchEvent) error {
		text, err := eventText(e)
		if err != nil {
			return err
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
		return stream.Flush()
	})
}

func eventText(e watchEvent) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("event: " + e.Type + "\n")
	if e.Data != nil {
		data, err := json.Marshal(e.Data)
		if err != nil {
			return nil, err
		}
		b.WriteString("data: ")
		b.Write(data)
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// watchWorkspaceSocket sends the same events as JSON.
func (a *api) watchWorkspaceSocket(w http.ResponseWriter, r *http.Request) {
	id, err := a.watched(r)
	if err != nil {
		a.writeError(r.Context(), w, err)
		return
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return // Accept has answered
	}
	defer conn.CloseNow()
	ctx := conn.CloseRead(r.Context())
	a.watch(ctx, r, id, func(e watchEvent) error { return wsjson.Write(ctx, conn, e) })
	_ = conn.Close(websocket.StatusGoingAway, "") // the watcher is gone or may no longer look
}

func (a *api) watched(r *http.Request) (uuid.UUID, error) {
	id, err := uuid.Parse(r.PathValue("workspace"))
	if err != nil {
		return uuid.Nil, invalid("workspace", "%q is not a UUID.", r.PathValue("workspace"))
	}
	_, err = a.workspace(r.Context(), authz.Read, id)
	return id, err
}

// watch sends events until the watcher leaves or may no longer read the
// workspace. It subscribes before it looks, so no change is missed.
func (a *api) watch(ctx context.Context, r *http.Request, id uuid.UUID, send func(watchEvent) error) {
	wake, stop := a.bus.Subscribe(workspaceTopic(id))
	defer stop()
	if send(watchEvent{Type: eventPing}) != nil {
		return
	}
	ticker := time.NewTicker(askAgain)
	defer ticker.Stop()
	for event := eventData; ; {
		if !a.sendWatched(ctx, r, id, event, send) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-wake:
			event = eventData
		case <-ticker.C:
			event = eventPing
		}
	}
}

// sendWatched asks again who watches, because rights and sessions end while a
// watch goes on; false ends it.
func (a *api) sendWatched(ctx context.Context, r *http.Request, id uuid.UUID, event string, send func(watchEvent) error) bool {
	err := a.authenticate(ctx, r)
	if err == nil {
		_, err = a.workspace(ctx, authz.Read, id)
	}
	if err == nil && event == eventPing {
		return send(watchEvent{Type: eventPing}) == nil
	}
	if err == nil {
		body, failed := a.workspaceResponse(ctx, id)
		if failed == nil {
			return send(watchEvent{Type: eventData, Data: body}) == nil
		}
		err = failed
	}
	if ctx.Err() == nil {
		_ = send(watchEvent{Type: eventError, Data: a.refusal(ctx, err)}) // the last word, heard or not
	}
	return false
}
