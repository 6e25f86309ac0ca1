package kindly

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/google/uuid"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

func init() {
	caddy.RegisterModule(new(adminAPI))
}

// adminAPI is /kindly/ in Caddy's admin API: what operators see of deliveries
// and upstreams, and what they can do to them. It belongs to no configuration;
// it asks whatever runs.
type adminAPI struct{ running func() *delivery.Dispatcher }

// CaddyModule returns the Caddy module information.
func (*adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.kindly",
		New: func() caddy.Module { return &adminAPI{runningDispatcher} },
	}
}

func runningDispatcher() *delivery.Dispatcher {
	if r := currentRuntime(); r != nil {
		return r.dispatcher
	}
	return nil
}

// adminPrefix is the one pattern of the admin API. What is below it is routed
// here, so that each answer is JSON.
const adminPrefix = "/kindly/"

// Routes implements [caddy.AdminRouter].
func (a *adminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: adminPrefix, Handler: caddy.AdminHandlerFunc(a.serve)}}
}

// operation answers a request with what is encoded as JSON, or with an
// [onConnection].
type operation func(q *delivery.Dispatcher, r *http.Request) (any, error)

// operations returns those of a path, by method.
func operations(path string) map[string]operation {
	parts := strings.Split(strings.TrimPrefix(path, adminPrefix), "/")
	switch n := len(parts); {
	case n == 1 && parts[0] == "status":
		return map[string]operation{http.MethodGet: showStatus}
	case n == 1 && parts[0] == "deliveries":
		return map[string]operation{http.MethodGet: listDeliveries}
	case n == 2 && parts[0] == "deliveries" && parts[1] == "retry":
		return map[string]operation{http.MethodPost: retryDeliveries}
	case n == 2 && parts[0] == "deliveries" && parts[1] == "export":
		return map[string]operation{http.MethodGet: exportDeliveries}
	case n == 2 && parts[0] == "deliveries" && parts[1] == "import":
		return map[string]operation{http.MethodPost: importDeliveries}
	case n == 2 && parts[0] == "deliveries" && parts[1] != "":
		return map[string]operation{
			http.MethodGet:    withID(parts[1], showDelivery),
			http.MethodDelete: withID(parts[1], dropDelivery),
		}
	case n == 3 && parts[0] == "deliveries" && parts[1] != "" && parts[2] == "retry":
		return map[string]operation{http.MethodPost: withID(parts[1], retryDelivery)}
	case n == 2 && parts[0] == "chats" && parts[1] == "erase":
		return map[string]operation{http.MethodPost: eraseChat}
	case n == 4 && parts[0] == "upstreams" && parts[3] == "pause":
		return map[string]operation{http.MethodPost: onLane(parts[1], parts[2], (*delivery.Dispatcher).Pause)}
	case n == 4 && parts[0] == "upstreams" && parts[3] == "resume":
		return map[string]operation{http.MethodPost: onLane(parts[1], parts[2], (*delivery.Dispatcher).Resume)}
	default:
		return nil
	}
}

func (a *adminAPI) serve(w http.ResponseWriter, r *http.Request) error {
	methods := operations(r.URL.Path)
	if methods == nil {
		return problem(http.StatusNotFound, "nothing is at %.200q: there are /kindly/status, /kindly/deliveries, /kindly/chats/erase and /kindly/upstreams/<name>/<label>/pause or resume", r.URL.Path)
	}
	do := methods[r.Method]
	if do == nil {
		allow := strings.Join(slices.Sorted(maps.Keys(methods)), ", ")
		w.Header().Set("Allow", allow)
		return problem(http.StatusMethodNotAllowed, "%.20q is no method for this path: use %s", r.Method, allow)
	}
	q := a.running()
	if q == nil {
		return problem(http.StatusServiceUnavailable, "no kindly app runs: the configuration has no kindly_webhook with an upstream")
	}
	result, err := do(q, r)
	if further, ok := result.(onConnection); ok && err == nil {
		result, err = further(w)
	}
	if errors.Is(err, errWritten) {
		return nil
	}
	if err != nil {
		return asProblem(err)
	}
	var answer bytes.Buffer
	encoder := json.NewEncoder(&answer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(result); err != nil {
		return problem(http.StatusInternalServerError, "encoding the answer: %v", err)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer.Bytes()) // who has hung up misses nothing but this
	return nil
}

// problem returns an error in the form of Caddy's admin API.
func problem(status int, format string, args ...any) error {
	return caddy.APIError{HTTPStatus: status, Err: fmt.Errorf(format, args...)}
}

// asProblem gives an error of the dispatcher its status.
func asProblem(err error) error {
	var already caddy.APIError
	switch {
	case errors.As(err, &already):
		return already
	case errors.Is(err, delivery.ErrNotFound):
		return problem(http.StatusNotFound, "no such delivery: it never was, was dropped, or is no longer kept")
	case errors.Is(err, delivery.ErrBusy):
		return problem(http.StatusConflict, "%w: GET /kindly/deliveries?chat_id=<id> shows those of its chat", err)
	case errors.Is(err, delivery.ErrUnreadable):
		return problem(http.StatusConflict, "%w", err)
	case errors.Is(err, delivery.ErrNoLane):
		return problem(http.StatusNotFound, "no such upstream: GET /kindly/status shows their names and labels")
	case errors.Is(err, delivery.ErrClosed):
		return problem(http.StatusServiceUnavailable, "the server is stopping")
	default:
		return problem(http.StatusInternalServerError, "the store failed: %w", err)
	}
}

// withID makes an operation of one on a delivery.
func withID(id string, do func(*delivery.Dispatcher, *http.Request, uuid.UUID) (any, error)) operation {
	return func(q *delivery.Dispatcher, r *http.Request) (any, error) {
		parsed, err := parseID(id)
		if err != nil {
			return nil, problem(http.StatusBadRequest, "%w", err)
		}
		if err := noParameters(r); err != nil {
			return nil, err
		}
		return do(q, r, parsed)
	}
}

// parseID reads an id in the one form in which we write it.
func parseID(id string) (uuid.UUID, error) {
	parsed, err := uuid.Parse(id)
	if err != nil || len(id) != len(parsed.String()) {
		return uuid.Nil, fmt.Errorf("%.100q is no id of a delivery: write one such as 0198f3c2-7a10-7c3e-9d54-2f6a1b0c8e77", id)
	}
	return parsed, nil
}

func noParameters(r *http.Request) error {
	if r.URL.RawQuery != "" {
		return problem(http.StatusBadRequest, "parameters mean nothing here: leave out all from the ?")
	}
	return nil
}

// maxAdminBody is ample for what the API takes, in bytes.
const maxAdminBody = 64 << 10

// readJSON reads the body, one JSON object with known fields, into a struct.
func readJSON(r *http.Request, into any, example string) error {
	if err := noParameters(r); err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxAdminBody+1))
	if err != nil {
		return problem(http.StatusBadRequest, "reading the body: %w", err)
	}
	if len(body) > maxAdminBody {
		return problem(http.StatusRequestEntityTooLarge, "the body is too large: write %s", example)
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return problem(http.StatusBadRequest, "the body is not the JSON that is expected (%w): write %s", err, example)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return problem(http.StatusBadRequest, "something comes after the JSON in the body: write %s", example)
	}
	return nil
}

// Interface guards
var (
	_ caddy.Module      = (*adminAPI)(nil)
	_ caddy.AdminRouter = (*adminAPI)(nil)
)
