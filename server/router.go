package server

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"

	"coder/client"
)

// apiPrefix stands before every path of the table in routes.go.
const apiPrefix = "/api/v2"

// Limits of a request unless the route says otherwise.
const (
	maxBody        = 1 << 20
	requestTimeout = 30 * time.Second
)

// jsonType is the content type of every JSON reply.
const jsonType = "application/json; charset=utf-8"

// router registers operations: one declaration gives the route, the
// permission, the validation and the OpenAPI entry.
//
// Working out the schemas of all operations takes as long as the rest of the
// server's start, and much memory; so an operation is worked out when it is
// first called, and all of them when the document is first asked for.
type router struct {
	api     *api
	mux     *http.ServeMux
	entries []route
}

// route is a row of the table, for the document and the tests.
type route struct {
	Method, Path, Summary string
	Permission            permission
	// describe adds the operation to an API: its schemas and its handler.
	describe func(huma.API)
}

// operation is what options change.
type operation struct {
	huma.Operation
	timeout time.Duration
}

type option func(*operation)

func status(code int) option      { return func(o *operation) { o.DefaultStatus = code } }
func body(limit int64) option     { return func(o *operation) { o.MaxBodyBytes = limit } }
func slow(d time.Duration) option { return func(o *operation) { o.timeout = d } }
func strictQuery() option         { return func(o *operation) { o.RejectUnknownQueryParameters = true } }
func deprecated() option          { return func(o *operation) { o.Deprecated = true } }

// takenWhenFull is the mark of an operation that a server with a full disk takes.
const takenWhenFull = "taken when full"

// evenFull lets an operation write while the server's disk is full, because
// people need it to put that right.
func evenFull() option {
	return func(o *operation) { o.Metadata = map[string]any{takenWhenFull: true} }
}

var created = status(http.StatusCreated)
var noContent = status(http.StatusNoContent)

// shapeHumaErrors sets huma's error constructors, which are its package
// variables: once, because servers may be made while others answer.
var shapeHumaErrors sync.Once

func newRouter(a *api) *router {
	shapeHumaErrors.Do(func() {
		huma.NewErrorWithContext = newHumaError
		huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
			return newHumaError(nil, status, message, errs...)
		}
	})
	return &router{api: a, mux: http.NewServeMux()}
}

// describe is an API of the operations given. What they put on the adapter
// is called by nobody but the adapter.
func (r *router) describe(on huma.Adapter, entries ...route) huma.API {
	config := huma.DefaultConfig("coder", r.api.version)
	config.CreateHooks = nil
	format := huma.Format{Marshal: encode, Unmarshal: json.Unmarshal}
	config.Formats = map[string]huma.Format{"application/json": format, "json": format}
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.AllowAdditionalPropertiesByDefault = true
	config.FieldsOptionalByDefault = true
	config.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	api := huma.NewAPI(config, on)
	for _, e := range entries {
		e.describe(api)
	}
	return api
}

// handle registers a typed handler. There is no form without a permission.
func handle[I, O any](r *router, method, path, summary string, p permission, fn func(context.Context, *I) (*O, error), options ...option) {
	op := operation{timeout: requestTimeout}
	op.Operation = huma.Operation{
		Method: method, Path: apiPrefix + path, Summary: summary, OperationID: operationID(method, path),
		MaxBodyBytes: maxBody, BodyReadTimeout: -1, // requestBody bounds it
		Extensions: map[string]any{"x-permission": p.String()},
	}
	for _, o := range options {
		o(&op)
	}
	answer := func(ctx context.Context, in *I) (*O, error) {
		ctx, cancel := context.WithTimeout(ctx, op.timeout)
		defer cancel()
		var out *O
		err := r.api.stillAdmitted(ctx)
		if err == nil {
			out, err = fn(ctx, in)
		}
		if err != nil {
			return nil, r.api.refusal(ctx, err)
		}
		return out, nil
	}
	op.Middlewares = huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) {
		r.api.gate(ctx, p, func() {
			if !answerDirectly(ctx, answer) {
				next(ctx)
			}
		})
	}}
	entry := route{method, path, summary, p, func(api huma.API) { huma.Register(api, op.Operation, answer) }}
	handler := sync.OnceValue(func() http.HandlerFunc {
		var on adapter
		r.describe(&on, entry)
		return on.serve
	})
	r.mux.HandleFunc(pattern(method, path), func(w http.ResponseWriter, req *http.Request) { handler()(w, req) })
	r.entries = append(r.entries, entry)
}

// handleRaw registers a plain handler (streams, downloads, uploads) behind
// the same gate and in the same document.
func handleRaw(r *router, method, path, summary string, p permission, fn http.HandlerFunc, options ...option) {
	op := operation{}
	op.Operation = huma.Operation{
		Method: method, Path: apiPrefix + path, Summary: summary, OperationID: operationID(method, path),
		Extensions: map[string]any{"x-permission": p.String()}, Responses: map[string]*huma.Response{"200": {Description: "OK"}},
	}
	for _, o := range options {
		o(&op)
	}
	for _, name := range pathParameters(path) {
		op.Parameters = append(op.Parameters, &huma.Param{Name: name, In: "path", Required: true, Schema: &huma.Schema{Type: "string"}})
	}
	r.mux.HandleFunc(pattern(method, path), func(w http.ResponseWriter, req *http.Request) {
		ctx := humago.NewContext(&op.Operation, req, w)
		r.api.gate(ctx, p, func() { fn(w, req) })
	})
	r.entries = append(r.entries, route{method, path, summary, p, func(api huma.API) {
		described := op.Operation
		api.OpenAPI().AddOperation(&described)
	}})
}

// encode writes a reply's value as JSON, unless it can be handed to a page.
func encode(w io.Writer, value any) error {
	if to := handover(w); to != nil && to.Take(value) {
		return nil
	}
	return huma.DefaultJSONFormat.Marshal(w, value)
}

// answerDirectly answers a question that a page has handed over as a value,
// where the operation has no other input than its body. It tells whether it
// has; only a reply that is as expected is handed over.
func answerDirectly[I, O any](hctx huma.Context, answer func(context.Context, *I) (*O, error)) bool {
	r, w := humago.Unwrap(hctx)
	to := handover(w)
	if to == nil || to.Asked() == nil {
		return false
	}
	asked, in := reflect.ValueOf(to.Asked()), new(I)
	fields := reflect.ValueOf(in).Elem()
	if fields.NumField() != 1 || fields.Type().Field(0).Name != "Body" || fields.Field(0).Type() != asked.Type() {
		return false
	}
	fields.Field(0).Set(asked)
	out, err := answer(r.Context(), in)
	if err != nil {
		return false // huma answers it, as it does all errors
	}
	body := reflect.ValueOf(out).Elem().FieldByName("Body")
	return body.IsValid() && to.Take(body.Interface())
}

// handover is the client of a page that w leads to; nil where there is none.
func handover(w io.Writer) client.Handover {
	for {
		switch inner := w.(type) {
		case client.Handover:
			return inner
		case interface{ Unwrap() http.ResponseWriter }:
			w = inner.Unwrap()
		default:
			return nil
		}
	}
}

// pattern is how the mux knows an operation: this path only, not all below it.
func pattern(method, path string) string {
	if strings.HasSuffix(path, "/") {
		path += "{$}"
	}
	return method + " " + apiPrefix + path
}

var operationWords = strings.NewReplacer("/{", "-by-", "{", "by-", "}", "", "/", "-", ".", "-")

// operationID is unique and readable: get-organizations-by-organization-members.
func operationID(method, path string) string {
	return strings.ToLower(method) + operationWords.Replace(path)
}

func pathParameters(path string) []string {
	var names []string
	for part := range strings.SplitSeq(path, "/") {
		if strings.HasPrefix(part, "{") {
			names = append(names, strings.Trim(part, "{}"))
		}
	}
	return names
}

// adapter keeps the handler of the operation registered last, and makes its
// replies carry the charset.
type adapter struct {
	operation *huma.Operation
	handler   func(huma.Context)
}

func (a *adapter) Handle(op *huma.Operation, handler func(huma.Context)) {
	a.operation, a.handler = op, handler
}

func (a *adapter) serve(w http.ResponseWriter, r *http.Request) {
	a.handler(jsonContext{humago.NewContext(a.operation, r, w)})
}

// ServeHTTP completes the interface; requests come through the router's mux.
func (a *adapter) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.serve(w, r) }

// humaContext is embedded under a name that leaves its method Context callable.
type humaContext = huma.Context

type jsonContext struct{ humaContext }

func (c jsonContext) Unwrap() huma.Context { return c.humaContext }

// Header reads every body as JSON, whatever it calls itself, as the reference does.
func (c jsonContext) Header(name string) string {
	if name == "Content-Type" {
		return "application/json"
	}
	return c.humaContext.Header(name)
}

func (c jsonContext) SetHeader(name, value string) {
	if name == "Content-Type" && value == "application/json" {
		value = jsonType
	}
	c.humaContext.SetHeader(name, value)
}

// givenID is an optional id of a request. Clients whose language has no empty
// UUID send the nil UUID for one that they leave out.
func givenID(id *uuid.UUID) *uuid.UUID {
	if id == nil || *id == uuid.Nil {
		return nil
	}
	return id
}

// Outputs that many handlers share.

type output[T any] struct{ Body T }

func reply[T any](body T) *output[T] { return &output[T]{Body: body} }

type statusOutput[T any] struct {
	Status int
	Body   T
}

type message struct {
	Message string `json:"message"`
}

func said(text string) *output[message] { return reply(message{Message: text}) }

type empty struct{}
