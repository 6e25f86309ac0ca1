package kindly

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery/transfer"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/memory"
)

// exports returns what the API exports.
func (r *adminRig) exports() string {
	r.Helper()
	recorder := httptest.NewRecorder()
	r.ServeHTTP(recorder, httptest.NewRequestWithContext(r.Context(), http.MethodGet, "/kindly/deliveries/export", nil))
	require.Equal(r, http.StatusOK, recorder.Code, recorder.Body)
	require.Equal(r, "application/x-ndjson", recorder.Header().Get("Content-Type"))
	require.Equal(r, "no-store", recorder.Header().Get("Cache-Control"))
	return recorder.Body.String()
}

// elsewhere returns an export of another store: a delivered one, a dead letter
// and a pending one of one chat.
func elsewhere(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	w := transfer.NewWriter(&b)
	for n, state := range []delivery.State{delivery.Delivered, delivery.Dead, delivery.Pending} {
		require.NoError(t, w.Write(&delivery.Delivery{
			ID: numbered(byte(n + 1)), Lane: zendesk, Event: "dialogue", ChatID: "chat", State: state, Tries: 1,
			Key: delivery.Key{1, byte(n)}, KeyExpires: adminStart.Add(time.Hour), ReceivedAt: adminStart, DueAt: adminStart,
			Attempts: []delivery.Attempt{{At: adminStart, Duration: time.Second, Stage: delivery.StageUpstream}},
			Body:     []byte(`{"message":"create ticket"}`),
		}))
	}
	require.NoError(t, w.Close())
	return b.String()
}

func TestAdminExport(t *testing.T) {
	runAdmin(t, func(t *testing.T, r *adminRig) {
		require.Equal(t, "{\"format\":\"kindly-deliveries\",\"version\":1}\n{\"deliveries\":0}\n", r.exports())
		r.ofEach()
		lines := strings.Split(r.exports(), "\n")
		require.Len(t, lines, 6)
		for i, state := range []string{"delivered", "dead", "pending"} {
			require.Contains(t, lines[i+1], `"state":"`+state+`"`)
			require.Contains(t, lines[i+1], numbered(byte(i+1)).String())
		}
		require.NotContains(t, lines[1], "create ticket")
		require.Contains(t, lines[2], `"body":"{\"message\":\"<b>create ticket</b>\"}"`)
	})
}

// What is pending goes out at once, what is known is known, and nothing comes
// twice.
func TestAdminImport(t *testing.T) {
	runAdmin(t, func(t *testing.T, r *adminRig) {
		file := elsewhere(t)
		r.posts("/kindly/deliveries/import", file, `{"imported":3,"there_already":0,"refused":[]}`)
		r.is(numbered(1), delivery.Delivered)
		r.is(numbered(2), delivery.Dead)
		r.is(numbered(3), delivery.Delivered)
		after := r.exports()
		r.posts("/kindly/deliveries/import", file, `{"imported":0,"there_already":3,"refused":[]}`)
		r.passes(time.Hour / 2)
		require.Equal(t, after, r.exports())
		require.Empty(t, r.q.Losses().Total(), "nothing of it is lost")
	})
}

func TestAdminImportOfWhatIsWrong(t *testing.T) {
	const path = "/kindly/deliveries/import"
	runAdmin(t, func(t *testing.T, r *adminRig) {
		lines := strings.SplitAfter(elsewhere(t), "\n")
		r.fails(http.MethodPost, path+"?name=support", "", http.StatusBadRequest, "parameters mean nothing here")
		r.fails(http.MethodGet, "/kindly/deliveries/export?state=dead", "", http.StatusBadRequest, "parameters mean nothing here")
		r.fails(http.MethodGet, path, "", http.StatusMethodNotAllowed, "use POST")
		r.fails(http.MethodPost, "/kindly/deliveries/export", "", http.StatusMethodNotAllowed, "use GET")
		r.fails(http.MethodPost, path, "", http.StatusBadRequest, "line 1: this is no export of deliveries")
		r.fails(http.MethodPost, path, strings.Replace(elsewhere(t), `"version":1`, `"version":2`, 1), http.StatusBadRequest,
			"line 1: the file has version 2 of the format")
		r.fails(http.MethodPost, path, lines[0]+lines[1]+lines[2], http.StatusBadRequest, "line 4: the file is cut off")
		r.fails(http.MethodPost, path, lines[0]+lines[1]+lines[2], http.StatusBadRequest, "(0 imported, 2 there already)")
		r.posts(path, lines[0]+strings.Replace(lines[1], "-7c3e-", "-4c3e-", 1)+lines[2]+lines[3]+lines[4], `{"imported":1,"there_already":1,"refused":[
			{"line":2,"error":"its id is no UUID of version 7, such as 0198f3c2-7a10-7c3e-9d54-2f6a1b0c8e77"}]}`)
	})
}

func TestAdminTransferThatFails(t *testing.T) {
	runAdmin(t, func(_ *testing.T, r *adminRig) {
		require.NoError(r, r.store.Store.Close())
		r.fails(http.MethodGet, "/kindly/deliveries/export", "", http.StatusServiceUnavailable, "the server is stopping")
		r.fails(http.MethodPost, "/kindly/deliveries/import", elsewhere(r.T), http.StatusServiceUnavailable, "the server is stopping")
	})
}

// unreadable is a store that has lost a delivery's content.
type unreadable struct {
	delivery.Store
	id uuid.UUID
}

func (u unreadable) Get(ctx context.Context, id uuid.UUID) (*delivery.Delivery, error) {
	if id == u.id {
		return nil, errors.New("the file is damaged")
	}
	return u.Store.Get(ctx, id)
}

// adminServer serves the API of a store over a connection, on which a request
// must be there within a moment, as Caddy has it.
func adminServer(t *testing.T, store delivery.Store) string {
	t.Helper()
	q := delivery.NewDispatcher(store)
	t.Cleanup(func() { require.NoError(t, q.Close()) })
	server := httptest.NewUnstartedServer(serveAdmin(t, &adminAPI{func() *delivery.Dispatcher { return q }}))
	server.Config.ReadTimeout = 50 * time.Millisecond
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

// large returns deliveries that no buffer holds.
func large() []*delivery.Delivery {
	var all []*delivery.Delivery
	for n := range byte(10) {
		all = append(all, &delivery.Delivery{
			ID: numbered(n), Lane: zendesk, ReceivedAt: time.Now(), DueAt: time.Now(), Body: bytes.Repeat([]byte("x"), 100_000),
		})
	}
	return all
}

// Who is told that all is well, and gets a part, would lose the rest.
func TestAdminExportThatIsCutOff(t *testing.T) {
	store := memory.New(memory.Options{})
	_, err := store.Import(t.Context(), large())
	require.NoError(t, err)
	url := adminServer(t, unreadable{store, numbered(7)})
	response, err := http.Get(url + "/kindly/deliveries/export")
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	got, err := io.ReadAll(response.Body)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.NotEmpty(t, got)
	_, err = transfer.Import(t.Context(), bytes.NewReader(got), store.Import)
	require.ErrorContains(t, err, "the file is cut off")
}

// slow is a store that takes longer than a request may.
type slow struct{ delivery.Store }

func (s slow) Get(ctx context.Context, id uuid.UUID) (*delivery.Delivery, error) {
	time.Sleep(20 * time.Millisecond)
	return s.Store.Get(ctx, id)
}

func (s slow) Import(ctx context.Context, all []*delivery.Delivery) (int, error) {
	time.Sleep(200 * time.Millisecond)
	return s.Store.Import(ctx, all)
}

// drip reads slowly.
type drip struct{ io.Reader }

func (d drip) Read(p []byte) (int, error) {
	time.Sleep(10 * time.Millisecond)
	return d.Reader.Read(p[:min(len(p), 50_000)])
}

func TestAdminTransferThatTakesLong(t *testing.T) {
	from, to := memory.New(memory.Options{}), memory.New(memory.Options{})
	_, err := from.Import(t.Context(), large())
	require.NoError(t, err)
	response, err := http.Get(adminServer(t, slow{from}) + "/kindly/deliveries/export")
	require.NoError(t, err)
	defer response.Body.Close()
	file, err := io.ReadAll(response.Body)
	require.NoError(t, err)

	imported, err := http.Post(adminServer(t, slow{to})+"/kindly/deliveries/import", transferType, drip{bytes.NewReader(file)})
	require.NoError(t, err)
	defer imported.Body.Close()
	answer, err := io.ReadAll(imported.Body)
	require.NoError(t, err)
	require.JSONEq(t, `{"imported":10,"there_already":0,"refused":[]}`, string(answer))
}
