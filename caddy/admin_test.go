package kindly

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/memory"
)

// adminRig is the admin API of a dispatcher whose upstream does as the test
// says, as Caddy serves it. Its time is virtual.
type adminRig struct {
	*testing.T
	http.Handler
	q     *delivery.Dispatcher
	store *adminStore
	desk  *adminDesk
	ahead time.Duration // of the virtual clock
}

// adminStart is when a test begins.
var adminStart = time.Date(2026, 11, 22, 14, 28, 0, 0, time.UTC)

var (
	zendesk = delivery.Lane{Webhook: "support", Upstream: "zendesk"}
	slack   = delivery.Lane{Webhook: "support", Upstream: "slack"}
)

// runAdmin runs a test in virtual time.
func runAdmin(t *testing.T, test func(t *testing.T, r *adminRig)) {
	t.Helper()
	runAdminOver(t, func(s delivery.Store) delivery.Store { return s }, test)
}

// runAdminOver has a store that is wrapped.
func runAdminOver(t *testing.T, wrap func(delivery.Store) delivery.Store, test func(t *testing.T, r *adminRig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &adminRig{T: t, desk: &adminDesk{outcome: taken}, ahead: time.Until(adminStart)}
		r.store = &adminStore{Store: wrap(memory.New(memory.Options{Now: r.now}))}
		r.q = delivery.NewDispatcher(r.store, delivery.WithNow(r.now), delivery.WithLosses(delivery.NewLosses(nil)))
		t.Cleanup(func() { require.NoError(t, r.q.Close()) })
		r.q.Push(map[delivery.Lane]delivery.Definition{
			zendesk: {Target: r.desk, Concurrency: 4, Retry: delivery.DefaultRetryPolicy},
			slack:   {Target: r.desk, Concurrency: 4, Retry: delivery.DefaultRetryPolicy},
		})
		r.Handler = serveAdmin(t, &adminAPI{func() *delivery.Dispatcher { return r.q }})
		test(t, r)
	})
}

// serveAdmin serves the API's one route, with errors as Caddy writes them.
func serveAdmin(t *testing.T, api *adminAPI) http.Handler {
	t.Helper()
	routes := api.Routes()
	require.Len(t, routes, 1)
	mux := http.NewServeMux()
	mux.HandleFunc(routes[0].Pattern, func(w http.ResponseWriter, r *http.Request) {
		err := routes[0].Handler.ServeHTTP(w, r)
		if err == nil {
			return
		}
		problem, ok := err.(caddy.APIError) // Caddy does not look into what is wrapped
		if !ok {
			problem = caddy.APIError{HTTPStatus: http.StatusInternalServerError, Err: err}
		}
		problem.Message = problem.Err.Error()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(problem.HTTPStatus)
		_ = json.NewEncoder(w).Encode(problem)
	})
	return mux
}

func (r *adminRig) now() time.Time { return time.Now().Add(r.ahead) }

// passes lets time pass, and what happens then come to rest.
func (r *adminRig) passes(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// adminDesk is a Target.
type adminDesk struct {
	mu      sync.Mutex
	outcome delivery.Outcome
}

var (
	taken   = delivery.Outcome{Verdict: delivery.Success, Stage: delivery.StageUpstream, Status: 201, Ticket: delivery.Ticket{ID: "4711", URL: "https://help.example.com/4711"}}
	refused = delivery.Outcome{Verdict: delivery.Permanent, Stage: delivery.StageUpstream, Status: 422, Err: errors.New("the upstream answered 422 Unprocessable Entity")}
	lost    = delivery.Outcome{Stage: delivery.StageUpstream, Err: errors.New("connection reset"), Down: true, Unknown: true, RetryAfter: time.Hour}
	denied  = delivery.Outcome{Verdict: delivery.Misconfigured, Stage: delivery.StageUpstream, Status: 401, Err: errors.New("the upstream answered 401 Unauthorized")}
)

func (d *adminDesk) answers(o delivery.Outcome) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.outcome = o
}

func (d *adminDesk) Attempt(_ context.Context, _ *delivery.Delivery, proceed func() error) delivery.Outcome {
	if err := proceed(); err != nil {
		return delivery.Outcome{Stage: delivery.StageTicket, Err: err}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.outcome
}

func (d *adminDesk) Answer(*delivery.Delivery) []byte { return []byte("{}") }

func (d *adminDesk) Preview(of *delivery.Delivery) []byte { return of.Body }

// adminStore fails, and tells of itself, as the test says.
type adminStore struct {
	delivery.Store
	fails  error
	status any
	count  func(context.Context) error // nil: it counts
}

func (s *adminStore) Status() any { return s.status }

func (s *adminStore) Count(ctx context.Context) (map[delivery.Lane]delivery.Counts, error) {
	if s.count != nil {
		if err := s.count(ctx); err != nil {
			return nil, err
		}
	}
	return s.Store.Count(ctx)
}

func (s *adminStore) Revive(ctx context.Context, id uuid.UUID) (*delivery.Delivery, error) {
	if s.fails != nil {
		return nil, s.fails
	}
	return s.Store.Revive(ctx, id)
}

// numbered returns an id that sorts by its number.
func numbered(n byte) uuid.UUID {
	id := uuid.MustParse("0198f3c2-7a10-7c3e-9d54-2f6a1b0c8e00")
	id[15] = n
	return id
}

// submits takes in a delivery, which is attempted once.
func (r *adminRig) submits(n byte, lane delivery.Lane, chat string, o delivery.Outcome) uuid.UUID {
	r.Helper()
	r.desk.answers(o)
	d := &delivery.Delivery{
		ID:         numbered(n),
		Lane:       lane,
		Event:      "dialogue",
		ChatID:     chat,
		ReceivedAt: r.now(),
		Body:       []byte(`{"message":"<b>create ticket</b>"}`),
	}
	if n == 1 {
		d.Trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	}
	_, err := r.q.Submit(r.Context(), []*delivery.Delivery{d}, time.Minute)
	require.NoError(r, err)
	return d.ID
}

// request returns the status and the body of an answer, which is JSON.
func (r *adminRig) request(method, path, body string) (int, string) {
	r.Helper()
	return request(r.T, r.Handler, method, path, body)
}

func request(t *testing.T, server http.Handler, method, path, body string) (int, string) {
	t.Helper()
	recorder := httptest.NewRecorder()
	server.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)))
	answer := recorder.Body.String()
	require.Equal(t, "application/json", recorder.Header().Get("Content-Type"), answer)
	require.True(t, json.Valid([]byte(answer)), answer)
	if recorder.Code == http.StatusMethodNotAllowed {
		require.NotEmpty(t, recorder.Header().Get("Allow"))
	}
	return recorder.Code, answer
}

// gets requires an answer.
func (r *adminRig) gets(path, want string) {
	r.Helper()
	status, got := r.request(http.MethodGet, path, "")
	require.Equal(r, http.StatusOK, status, got)
	require.JSONEq(r, want, got)
}

// posts requires an answer.
func (r *adminRig) posts(path, body, want string) {
	r.Helper()
	status, got := r.request(http.MethodPost, path, body)
	require.Equal(r, http.StatusOK, status, got)
	require.JSONEq(r, want, got)
}

// fails requires an error.
func (r *adminRig) fails(method, path, body string, status int, want string) {
	r.Helper()
	got, answer := r.request(method, path, body)
	require.Equal(r, status, got, answer)
	requireProblem(r.T, want, answer)
}

func requireProblem(t *testing.T, want, answer string) {
	t.Helper()
	var problem map[string]string
	require.NoError(t, json.Unmarshal([]byte(answer), &problem))
	require.Len(t, problem, 1)
	require.Contains(t, problem["error"], want)
}

// is requires a delivery to be in a state when all has come to rest.
func (r *adminRig) is(id uuid.UUID, state delivery.State) {
	r.Helper()
	synctest.Wait()
	d, err := r.q.Get(r.Context(), id)
	require.NoError(r, err)
	require.Equal(r, state, d.State)
	require.False(r, d.Claimed)
}

func TestAdminModule(t *testing.T) {
	info, err := caddy.GetModule("admin.api.kindly")
	require.NoError(t, err)
	server := serveAdmin(t, info.New().(*adminAPI))
	status, answer := request(t, server, http.MethodGet, "/kindly/status", "")
	require.Equal(t, http.StatusServiceUnavailable, status, "nothing runs")
	requireProblem(t, "no kindly app runs", answer)
	status, _ = request(t, server, http.MethodGet, "/kindly/nothing", "")
	require.Equal(t, http.StatusNotFound, status)
}

func TestAdminRefuses(t *testing.T) {
	delivered := numbered(1).String()
	const (
		get, post, del = http.MethodGet, http.MethodPost, http.MethodDelete
		deliveries     = "/kindly/deliveries"
		unknown        = "0198f3c2-7a10-7c3e-9d54-2f6a1b0c8eff"
	)
	for _, test := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{get, "/kindly/", "", 404, "there are /kindly/status, /kindly/deliveries"},
		{get, "/kindly/statuses", "", 404, `nothing is at "/kindly/statuses"`},
		{get, deliveries + "/", "", 404, "nothing is at"},
		{get, deliveries + "/" + unknown + "/retries", "", 404, "nothing is at"},
		{post, "/kindly/chats", "", 404, "nothing is at"},
		{post, "/kindly/upstreams/support/zendesk/stop", "", 404, "nothing is at"},
		{post, "/kindly/upstreams/pause", "", 404, "nothing is at"},

		{post, "/kindly/status", "", 405, `"POST" is no method for this path: use GET`},
		{http.MethodPut, deliveries + "/" + unknown, "", 405, "use DELETE, GET"},
		{get, deliveries + "/retry", "", 405, "use POST"},
		{del, deliveries, "", 405, "use GET"},
		{get, "/kindly/upstreams/support/zendesk/pause", "", 405, "use POST"},

		{get, deliveries + "/4711", "", 400, `"4711" is no id of a delivery: write one such as`},
		{get, deliveries + "/%7B" + unknown + "%7D", "", 400, "is no id of a delivery"},
		{get, deliveries + "/" + strings.ReplaceAll(unknown, "-", ""), "", 400, "is no id of a delivery"},
		{post, deliveries + "/x/retry", "", 400, "is no id of a delivery"},
		{del, deliveries + "/x", "", 400, "is no id of a delivery"},
		{get, deliveries + "/" + unknown, "", 404, "no such delivery"},
		{post, deliveries + "/" + unknown + "/retry", "", 404, "no such delivery"},
		{del, deliveries + "/" + unknown, "", 404, "no such delivery"},
		{post, deliveries + "/" + delivered + "/retry", "", 409, "it is delivered already"},

		{get, deliveries + "?state=undead", "", 400, `state "undead": write pending, delivered or dead`},
		{get, deliveries + "?state=", "", 400, `"state" has 1 values, or an empty one`},
		{get, deliveries + "?state=dead&state=pending", "", 400, `"state" has 2 values`},
		{get, deliveries + "?limit=0", "", 400, `limit "0": write a number from 1 to 1000`},
		{get, deliveries + "?limit=1001", "", 400, "write a number from 1 to 1000"},
		{get, deliveries + "?limit=ten", "", 400, "write a number from 1 to 1000"},
		{get, deliveries + "?after=4711", "", 400, `write what the page before has as its "after"`},
		{get, deliveries + "?after=" + uuid.Nil.String(), "", 400, `write what the page before has as its "after"`},
		{get, deliveries + "?colour=red", "", 400, `no parameter "colour": there are state, name, upstream, chat_id, limit and after`},
		{get, deliveries + "?%zz", "", 400, "the parameters cannot be read"},
		{get, "/kindly/status?name=support", "", 400, "parameters mean nothing here"},
		{get, deliveries + "/" + delivered + "?state=dead", "", 400, "parameters mean nothing here"},
		{post, "/kindly/upstreams/support/zendesk/pause?for=1h", "", 400, "parameters mean nothing here"},

		{post, deliveries + "/retry", "", 400, `(EOF): write {"state": "dead"}`},
		{post, deliveries + "/retry", "state=dead", 400, "not the JSON that is expected"},
		{post, deliveries + "/retry", "[]", 400, "not the JSON that is expected"},
		{post, deliveries + "/retry", "null", 400, `state "" cannot be retried`},
		{post, deliveries + "/retry", `{}`, 400, `state "" cannot be retried`},
		{post, deliveries + "/retry", `{"state":"delivered"}`, 400, `state "delivered" cannot be retried: write {"state": "dead"}`},
		{post, deliveries + "/retry", `{"state":"dead","chat_id":"x"}`, 400, `unknown field "chat_id"`},
		{post, deliveries + "/retry", `{"state":"dead"} {}`, 400, "something comes after the JSON"},
		{post, deliveries + "/retry?state=dead", `{"state":"dead"}`, 400, "parameters mean nothing here"},
		{post, deliveries + "/retry", `{"state":"` + strings.Repeat("x", maxAdminBody) + `"}`, 413, "too large"},
		{post, "/kindly/chats/erase", `{}`, 400, `no chat_id: write {"chat_id": <id>}`},
		{post, "/kindly/chats/erase", `{"chat_id":4711}`, 400, "not the JSON that is expected"},
		{post, "/kindly/chats/erase", `{"chat":"x"}`, 400, "not the JSON that is expected"},

		{post, "/kindly/upstreams/support/jira/pause", "", 404, "no such upstream: GET /kindly/status shows their names and labels"},
		{post, "/kindly/upstreams/sales/zendesk/resume", "", 404, "no such upstream"},
	} {
		t.Run(test.method+" "+test.path+" "+test.body[:min(len(test.body), 30)], func(t *testing.T) {
			runAdmin(t, func(_ *testing.T, r *adminRig) {
				r.submits(1, zendesk, "chat", taken)
				r.fails(test.method, test.path, test.body, test.status, test.want)
			})
		})
	}
}

const aDelivered = `{"id":"0198f3c2-7a10-7c3e-9d54-2f6a1b0c8e01","name":"support","upstream":"zendesk","event":"dialogue","chat_id":"one",
	"state":"delivered","received_at":"2026-11-22T14:28:00.000Z","attempts":1,"next_attempt_at":null,
	"ticket":{"id":"4711","url":"https://help.example.com/4711"},"error":null}`

const aDead = `{"id":"0198f3c2-7a10-7c3e-9d54-2f6a1b0c8e02","name":"support","upstream":"slack","event":"dialogue","chat_id":null,
	"state":"dead","received_at":"2026-11-22T14:29:00.000Z","attempts":1,"next_attempt_at":null,
	"ticket":null,"error":"the upstream answered 422 Unprocessable Entity"}`

const aPending = `{"id":"0198f3c2-7a10-7c3e-9d54-2f6a1b0c8e03","name":"support","upstream":"zendesk","event":"dialogue","chat_id":"two",
	"state":"pending","received_at":"2026-11-22T14:30:00.000Z","attempts":1,"next_attempt_at":"2026-11-22T15:30:00.000Z",
	"ticket":null,"error":"connection reset"}`

// one of each state.
func (r *adminRig) ofEach() (delivered, dead, pending uuid.UUID) {
	delivered = r.submits(1, zendesk, "one", taken)
	r.passes(time.Minute)
	dead = r.submits(2, slack, "", refused)
	r.passes(time.Minute)
	return delivered, dead, r.submits(3, zendesk, "two", lost)
}

func TestAdminList(t *testing.T) {
	runAdmin(t, func(t *testing.T, r *adminRig) {
		r.gets("/kindly/deliveries", `{"deliveries":[],"after":null}`)
		r.ofEach()
		all := func(deliveries ...string) string {
			return `{"deliveries":[` + strings.Join(deliveries, ",") + `],"after":null}`
		}
		r.gets("/kindly/deliveries", all(aPending, aDead, aDelivered))
		r.gets("/kindly/deliveries?state=pending", all(aPending))
		r.gets("/kindly/deliveries?state=delivered", all(aDelivered))
		r.gets("/kindly/deliveries?state=dead", all(aDead))
		r.gets("/kindly/deliveries?name=support&chat_id=two", all(aPending))
		r.gets("/kindly/deliveries?name=sales", all())
		r.gets("/kindly/deliveries?name=support&upstream=slack", all(aDead))

		r.gets("/kindly/deliveries?limit=2", `{"deliveries":[`+aPending+","+aDead+`],"after":"0198f3c2-7a10-7c3e-9d54-2f6a1b0c8e02"}`)
		r.gets("/kindly/deliveries?limit=2&after=0198f3c2-7a10-7c3e-9d54-2f6a1b0c8e02", all(aDelivered))
		r.gets("/kindly/deliveries?limit=1000&after=0198f3c2-7a10-7c3e-9d54-2f6a1b0c8e01", all())
	})
}

// sparse is a store that looks at two deliveries for each page, at the most.
type sparse struct{ delivery.Store }

func (s sparse) List(ctx context.Context, q delivery.Query) (delivery.Page, error) {
	states := q.States
	q.Limit, q.States = min(q.Limit, 2), nil
	page, err := s.Store.List(ctx, q)
	page.Deliveries = slices.DeleteFunc(page.Deliveries, func(d *delivery.Delivery) bool {
		return len(states) > 0 && d.State != states[0]
	})
	return page, err
}

func TestAdminListFillsItsPages(t *testing.T) {
	runAdminOver(t, func(s delivery.Store) delivery.Store { return sparse{s} }, func(t *testing.T, r *adminRig) {
		r.ofEach()
		r.gets("/kindly/deliveries?state=delivered", `{"deliveries":[`+aDelivered+`],"after":null}`)
		r.gets("/kindly/deliveries?limit=2", `{"deliveries":[`+aPending+","+aDead+`],"after":"0198f3c2-7a10-7c3e-9d54-2f6a1b0c8e02"}`)
		another := r.submits(4, zendesk, "", taken)
		_, answer := r.request(http.MethodGet, "/kindly/deliveries?limit=3", "")
		var page pageDocument
		require.NoError(t, json.Unmarshal([]byte(answer), &page))
		require.Len(t, page.Deliveries, 3, "of a page of two and one of one")
		require.Equal(t, numbered(2), *page.After)
		_, err := r.q.Drop(t.Context(), another)
		require.NoError(t, err)
		for n := range byte(2 * maxPages) {
			r.submits(50+n, zendesk, "", taken)
		}
		r.gets("/kindly/deliveries?state=dead", `{"deliveries":[],"after":"0198f3c2-7a10-7c3e-9d54-2f6a1b0c8e32"}`)
	})
}

func TestAdminShow(t *testing.T) {
	runAdmin(t, func(t *testing.T, r *adminRig) {
		delivered, dead, pending := r.ofEach()
		details := func(of, attempts, document string) string {
			trace := "null"
			if of == aDelivered {
				trace = `"4bf92f3577b34da6a3ce929d0e0e4736"`
			}
			return strings.Replace(of, `"attempts":1`, `"attempts":[`+attempts+`],"attempts_total":1,"trace_id":`+trace+`,"document":`+document, 1)
		}
		r.gets("/kindly/deliveries/"+delivered.String(), details(aDelivered,
			`{"time":"2026-11-22T14:28:00.000Z","stage":"upstream","status":201,"error":null,"duration":0,"unknown":false}`, "null"))
		r.gets("/kindly/deliveries/"+dead.String(), details(aDead,
			`{"time":"2026-11-22T14:29:00.000Z","stage":"upstream","status":422,"error":"the upstream answered 422 Unprocessable Entity","duration":0,"unknown":false}`,
			`{"message":"<b>create ticket</b>"}`))
		r.gets("/kindly/deliveries/"+pending.String(), details(aPending,
			`{"time":"2026-11-22T14:30:00.000Z","stage":"upstream","status":null,"error":"connection reset","duration":0,"unknown":true}`,
			`{"message":"<b>create ticket</b>"}`))
	})
}

func TestAdminRetry(t *testing.T) {
	runAdmin(t, func(t *testing.T, r *adminRig) {
		_, dead, pending := r.ofEach()
		r.desk.answers(taken)
		for _, id := range []uuid.UUID{dead, pending} {
			r.posts("/kindly/deliveries/"+id.String()+"/retry", "", `{"retried":1}`)
			r.is(id, delivery.Delivered)
		}

		busy := r.submits(4, zendesk, "three", lost)
		held := r.submits(5, zendesk, "three", lost)
		r.fails(http.MethodPost, "/kindly/deliveries/"+held.String()+"/retry", "", http.StatusConflict, "waits for an earlier one of its chat: GET /kindly/deliveries?chat_id=<id>")
		_, err := r.store.Take(t.Context(), busy)
		require.NoError(t, err)
		r.fails(http.MethodPost, "/kindly/deliveries/"+busy.String()+"/retry", "", http.StatusConflict, "is being attempted")
		_, shown := r.request(http.MethodGet, "/kindly/deliveries/"+busy.String(), "")
		require.Contains(t, shown, `"next_attempt_at":null`)
		r.store.fails = fmt.Errorf("%w: for a reason", delivery.ErrUnreadable)
		r.fails(http.MethodPost, "/kindly/deliveries/"+held.String()+"/retry", "", http.StatusConflict, "the delivery cannot be read here: for a reason")
	})
}

func TestAdminRetryMany(t *testing.T) {
	runAdmin(t, func(t *testing.T, r *adminRig) {
		_, dead, pending := r.ofEach()
		another := r.submits(4, zendesk, "", refused)
		r.desk.answers(taken)
		r.posts("/kindly/deliveries/retry", `{"state":"dead","name":"sales"}`, `{"retried":0}`)
		r.posts("/kindly/deliveries/retry", `{"state":"dead","name":"support"}`, `{"retried":2}`)
		r.is(dead, delivery.Delivered)
		r.is(another, delivery.Delivered)
		r.is(pending, delivery.Pending)
		r.posts("/kindly/deliveries/retry", `{"state":"pending"}`, `{"retried":1}`)
		r.is(pending, delivery.Delivered)
	})
}

func TestAdminDropAndErase(t *testing.T) {
	runAdmin(t, func(t *testing.T, r *adminRig) {
		delivered, dead, pending := r.ofEach()
		status, answer := r.request(http.MethodDelete, "/kindly/deliveries/"+dead.String(), "")
		require.Equal(t, http.StatusOK, status)
		require.JSONEq(t, `{"dropped":1}`, answer)
		r.fails(http.MethodDelete, "/kindly/deliveries/"+dead.String(), "", http.StatusNotFound, "no such delivery")

		r.posts("/kindly/chats/erase", `{"chat_id":"nobody's"}`, `{"erased":0}`)
		r.posts("/kindly/chats/erase", `{"chat_id":"two"}`, `{"erased":1}`)
		r.fails(http.MethodGet, "/kindly/deliveries/"+pending.String(), "", http.StatusNotFound, "no such delivery")
		_, err := r.q.Get(t.Context(), delivered)
		require.NoError(t, err)
	})
}

func TestAdminStatus(t *testing.T) {
	runAdmin(t, func(t *testing.T, r *adminRig) {
		idle := `{"name":"support","upstream":"slack","configured":true,"condition":"healthy","since":"2026-11-22T14:28:00.000Z",
		"last_error":null,"next_probe_at":null,"held_until":null,"deliveries":{"pending":0,"delivered":0,"dead":0},"oldest_pending_at":null,"losses":{}}`
		r.gets("/kindly/status", `{"store":null,"deliveries":{"pending":0,"delivered":0,"dead":0},"oldest_pending_at":null,"losses":{},
		"upstreams":[`+idle+`,`+strings.Replace(idle, "slack", "zendesk", 1)+`]}`)

		r.ofEach()
		r.passes(time.Minute)
		r.submits(4, zendesk, "", denied)
		gone := r.submits(5, delivery.Lane{Webhook: "long", Upstream: "gone"}, "", taken)
		r.store.status = map[string]any{"path": "deliveries.db"}
		r.gets("/kindly/status", `{"store":{"path":"deliveries.db"},"deliveries":{"pending":3,"delivered":1,"dead":1},"oldest_pending_at":"2026-11-22T14:30:00.000Z","losses":{"dead":1},
		"upstreams":[
			{"name":"long","upstream":"gone","configured":false,"condition":null,"since":null,"last_error":null,"next_probe_at":null,"held_until":null,
				"deliveries":{"pending":1,"delivered":0,"dead":0},"oldest_pending_at":"2026-11-22T14:31:00.000Z","losses":{}},
			{"name":"support","upstream":"slack","configured":true,"condition":"healthy","since":"2026-11-22T14:28:00.000Z",
				"last_error":{"time":"2026-11-22T14:29:00.000Z","error":"the upstream answered 422 Unprocessable Entity"},"next_probe_at":null,"held_until":null,
				"deliveries":{"pending":0,"delivered":0,"dead":1},"oldest_pending_at":null,"losses":{"dead":1}},
			{"name":"support","upstream":"zendesk","configured":true,"condition":"paused","since":"2026-11-22T14:31:00.000Z",
				"last_error":{"time":"2026-11-22T14:31:00.000Z","error":"the upstream answered 401 Unauthorized"},"next_probe_at":"2026-11-22T14:32:00.000Z","held_until":null,
				"deliveries":{"pending":2,"delivered":1,"dead":0},"oldest_pending_at":"2026-11-22T14:30:00.000Z","losses":{}}]}`)
		r.is(gone, delivery.Pending)
	})
}

// notReady is what a store does that never becomes ready.
func notReady(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestAdminStatusOfAStoreThatIsNotReady(t *testing.T) {
	runAdmin(t, func(t *testing.T, r *adminRig) {
		r.submits(1, zendesk, "", lost)
		r.store.status, r.store.count = map[string]any{"ready": false}, notReady
		upstream := func(label, condition, lastError string) string {
			return `{"name":"support","upstream":"` + label + `","configured":true,"condition":"` + condition + `","since":"2026-11-22T14:28:00.000Z",
				"last_error":` + lastError + `,"next_probe_at":null,"held_until":null,"deliveries":null,"oldest_pending_at":null,"losses":{}}`
		}
		zendesk := upstream("zendesk", "healthy", `{"time":"2026-11-22T14:28:00.000Z","error":"connection reset"}`)
		r.gets("/kindly/status", `{"store":{"ready":false},"deliveries":null,"oldest_pending_at":null,"losses":{},
			"upstreams":[`+upstream("slack", "healthy", "null")+`,`+zendesk+`]}`)
		require.Equal(t, time.Second, r.now().Sub(adminStart))
		r.posts("/kindly/upstreams/support/slack/resume", "", upstream("slack", "healthy", "null"))

		r.store.count = func(context.Context) error { return errors.New("input/output error") }
		r.fails(http.MethodGet, "/kindly/status", "", http.StatusInternalServerError, "the store failed: input/output error")
	})
}

// What is gone from the configuration is shown as long as it says something.
func TestAdminStatusOfWhatIsGone(t *testing.T) {
	runAdmin(t, func(t *testing.T, r *adminRig) {
		names := func() (names []string) {
			_, answer := r.request(http.MethodGet, "/kindly/status", "")
			var document statusDocument
			require.NoError(t, json.Unmarshal([]byte(answer), &document))
			for _, u := range document.Upstreams {
				names = append(names, u.Upstream)
			}
			return names
		}
		pop := r.q.Push(map[delivery.Lane]delivery.Definition{slack: {Target: r.desk, Concurrency: 1}})
		require.Equal(t, []string{"slack"}, names())
		require.NoError(t, r.q.Pause(zendesk))
		require.Equal(t, []string{"slack", "zendesk"}, names())
		require.NoError(t, r.q.Resume(zendesk))
		require.Equal(t, []string{"slack"}, names())
		r.submits(1, zendesk, "", taken)
		require.Equal(t, []string{"slack", "zendesk"}, names())
		pop()
	})
}

func TestAdminPauseAndResume(t *testing.T) {
	runAdmin(t, func(t *testing.T, r *adminRig) {
		zendesk := func(condition, since, pending, oldest string) string {
			return `{"name":"support","upstream":"zendesk","configured":true,"condition":"` + condition + `","since":"` + since + `",
			"last_error":null,"next_probe_at":null,"held_until":null,"deliveries":{"pending":` + pending + `,"delivered":0,"dead":0},"oldest_pending_at":` + oldest + `,"losses":{}}`
		}
		r.passes(time.Minute)
		r.posts("/kindly/upstreams/support/zendesk/pause", "", zendesk("paused_by_hand", "2026-11-22T14:29:00.000Z", "0", "null"))
		id := r.submits(1, delivery.Lane{Webhook: "support", Upstream: "zendesk"}, "", taken)
		r.is(id, delivery.Pending)
		r.posts("/kindly/upstreams/support/zendesk/pause", "", zendesk("paused_by_hand", "2026-11-22T14:29:00.000Z", "1", `"2026-11-22T14:29:00.000Z"`))
		status, _ := r.request(http.MethodPost, "/kindly/upstreams/support/zendesk/resume", "")
		require.Equal(t, http.StatusOK, status)
		r.is(id, delivery.Delivered)
	})
}

func TestAdminOfABrokenStore(t *testing.T) {
	runAdmin(t, func(t *testing.T, r *adminRig) {
		dead := r.submits(1, zendesk, "", refused)
		r.store.fails = errors.New("no space left on device")
		r.fails(http.MethodPost, "/kindly/deliveries/"+dead.String()+"/retry", "", http.StatusInternalServerError, "the store failed: no space left on device")
		r.fails(http.MethodPost, "/kindly/deliveries/retry", `{"state":"dead"}`, http.StatusInternalServerError, "the store failed: no space left on device")
	})
}

func TestAdminOfAStoppedServer(t *testing.T) {
	runAdmin(t, func(t *testing.T, r *adminRig) {
		require.NoError(t, r.q.Close())
		for _, path := range []string{"/kindly/status", "/kindly/deliveries", "/kindly/deliveries/" + numbered(1).String()} {
			r.fails(http.MethodGet, path, "", http.StatusServiceUnavailable, "the server is stopping")
		}
	})
}
