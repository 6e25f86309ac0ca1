package memory

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// TestArchive_pointers proves that the garbage collector has nothing to follow
// in what there is of each delivery.
func TestArchive_pointers(t *testing.T) {
	var check func(of reflect.Type)
	check = func(of reflect.Type) {
		switch of.Kind() {
		case reflect.Struct:
			for field := range of.Fields() {
				check(field.Type)
			}
		case reflect.Array:
			check(of.Elem())
		case reflect.Int64, reflect.Uint32, reflect.Uint8:
		default:
			t.Errorf("%s may have a pointer", of)
		}
	}
	for _, value := range []any{entry{}, expiration{}, uuid.UUID{}, delivery.Key{}} {
		check(reflect.TypeOf(value))
	}
}

func TestPack(t *testing.T) {
	at := rapid.Map(rapid.Int64Min(never+1), func(n int64) time.Time { return time.Unix(0, n) })
	body := rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) []byte { return append([]byte(nil), b...) })
	attempt := rapid.Custom(func(t *rapid.T) delivery.Attempt {
		return delivery.Attempt{
			At: at.Draw(t, "at"), Duration: time.Duration(rapid.Int64().Draw(t, "duration")), Stage: rapid.String().Draw(t, "stage"),
			Status: rapid.Int().Draw(t, "status"), Error: rapid.String().Draw(t, "error"), Unknown: rapid.Bool().Draw(t, "unknown"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		d := &delivery.Delivery{
			Event: rapid.String().Draw(t, "event"), ChatID: rapid.String().Draw(t, "chat"), ReceivedAt: at.Draw(t, "received"),
			Body: body.Draw(t, "body"), Customer: body.Draw(t, "customer"), Transcript: body.Draw(t, "transcript"), TranscriptError: rapid.String().Draw(t, "transcript error"),
			Trace: rapid.String().Draw(t, "trace"), DueAt: at.Draw(t, "due"), Elapsed: time.Duration(rapid.Int64().Draw(t, "elapsed")), Tries: rapid.Int().Draw(t, "tries"),
			Attempts: rapid.SliceOf(attempt).Draw(t, "attempts"),
			Ticket:   delivery.Ticket{ID: rapid.String().Draw(t, "id"), URL: rapid.String().Draw(t, "url")},
			Answer:   body.Draw(t, "answer"),
		}
		copy(d.Key[:], body.Draw(t, "key"))
		packed := pack(nil, d)
		require.Equal(t, d, unpack(packed))
		require.Equal(t, d.Key, packedKey(packed))
		require.Equal(t, d.ChatID, string(packedChat(packed)))
	})
}

// TestArchive_pages proves that pages go with what is in them, and that nothing
// of a delivery stays when it is removed.
func TestArchive_pages(t *testing.T) {
	const count, chat = 1000, "erase me"
	a := newArchive()
	now := time.Date(2026, 11, 22, 14, 28, 0, 0, time.UTC)
	var ids []uuid.UUID
	for i := range 2 * count {
		expires := now.Add(time.Hour + time.Duration(i))
		if i%2 == 1 {
			expires = now.Add(24 * time.Hour)
		}
		id := uuid.New()
		ids = append(ids, id)
		a.add(&delivery.Delivery{ID: id, ChatID: chat, Answer: make([]byte, 300)}, uuid.Nil, expires)
	}
	a.add(&delivery.Delivery{ID: uuid.New(), Body: make([]byte, 2*pageSize)}, uuid.Nil, now.Add(48*time.Hour))
	pages := len(a.pages)
	require.Greater(t, pages, 10)

	for n := range count {
		id, expires, ok := a.first()
		require.True(t, ok)
		require.Equal(t, ids[2*n], id, "in the order of their time")
		require.True(t, expires.Equal(now.Add(time.Hour+time.Duration(2*n))))
		a.remove(id)
	}
	require.InDelta(t, pages/2, len(a.pages), 1, "what stays longer keeps none of the others' pages")
	e := a.entries[ids[1]]
	require.Contains(t, string(a.packed(e)), chat)
	a.remove(ids[1])
	require.NotContains(t, string(a.packed(e)), chat)
	require.Nil(t, a.get(ids[1]))
	for range count {
		id, _, ok := a.first()
		require.True(t, ok)
		a.remove(id)
	}
	_, _, ok := a.first()
	require.False(t, ok)
	require.Empty(t, a.pages)
	require.Empty(t, a.filling)
	require.Empty(t, a.entries)
}

func BenchmarkSettled(b *testing.B) {
	for _, settled := range []int{1, 100_000} {
		b.Run(fmt.Sprint(settled), func(b *testing.B) {
			s := New(Options{MaxSettled: settled})
			put := func() {
				id := uuid.Must(uuid.NewV7())
				d := &delivery.Delivery{ID: id, ChatID: id.String(), KeyExpires: time.Now().Add(time.Minute), Claimed: true, Event: "dialogue"}
				copy(d.Key[:], id[:])
				if err := s.Put(b.Context(), []*delivery.Delivery{d}); err != nil {
					b.Fatal(err)
				}
				d.State, d.Answer, d.Attempts = delivery.Delivered, []byte(`{"reply":"Thank you."}`), make([]delivery.Attempt, 1)
				if _, err := s.Save(b.Context(), d); err != nil {
					b.Fatal(err)
				}
			}
			for range settled {
				put()
			}
			b.ReportAllocs()
			for b.Loop() {
				put()
			}
		})
	}
}
