package storetest

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// workers is how many goroutines work at once.
const workers = 8

// together calls f in each of them.
func together(f func(worker int)) {
	var start, end sync.WaitGroup
	start.Add(workers)
	for worker := range workers {
		end.Go(func() {
			start.Done()
			start.Wait()
			f(worker)
		})
	}
	end.Wait()
}

var concurrency = []test{
	{"claims are exclusive", func(b *bench) {
		const deliveries = 200
		for range deliveries {
			b.put(b.new(zendesk))
		}
		var mu sync.Mutex
		times := make(map[uuid.UUID]int)
		together(func(worker int) {
			for {
				got, _, err := b.store.Claim(b.Context(), zendesk, b.clock.now(), 1+worker)
				if !b.ok(err) || len(got) == 0 {
					return
				}
				mu.Lock()
				for _, d := range got {
					times[d.ID]++
				}
				mu.Unlock()
			}
		})
		require.Len(b, times, deliveries)
		for id, n := range times {
			require.Equal(b, 1, n, "claims of %s", id)
		}
	}},
	{"one of identical webhooks is stored", func(b *bench) {
		for range 20 {
			key := newKey()
			var stored atomic.Int32
			together(func(int) {
				d := b.new(zendesk)
				d.Key = key
				err := b.store.Put(b.Context(), []*delivery.Delivery{d})
				if err == nil {
					stored.Add(1)
				} else if !errors.Is(err, delivery.ErrDuplicate) {
					b.ok(err)
				}
			})
			require.EqualValues(b, 1, stored.Load())
			require.Len(b, b.find(key), 1)
		}
		require.Equal(b, 20, b.pending())
	}},
	{"one claim of a chat is granted", func(b *bench) {
		var granted atomic.Int32
		together(func(int) {
			d := claimed(b.inChat(zendesk, "chat"))
			if b.ok(b.store.Put(b.Context(), []*delivery.Delivery{d})) && d.Claimed {
				granted.Add(1)
			}
		})
		require.EqualValues(b, 1, granted.Load())
		require.Empty(b, b.claim(zendesk))
	}},
	{"a chat goes in order", func(b *bench) {
		const perWorker, chats = 10, 3
		var order [chats]struct {
			sync.Mutex
			of map[uuid.UUID]int // of the puts, which are one at a time
		}
		for i := range order {
			order[i].of = make(map[uuid.UUID]int)
		}
		var delivered [chats]struct {
			sync.Mutex
			ids []uuid.UUID
		}
		var left atomic.Int32
		left.Store(workers * perWorker * chats)
		work := func(d *delivery.Delivery) {
			chat := &delivered[d.ChatID[0]-'0']
			chat.Lock()
			chat.ids = append(chat.ids, d.ID)
			chat.Unlock()
			settled := *d
			settled.State = delivery.Delivered
			_, err := b.store.Save(b.Context(), &settled)
			b.ok(err)
			left.Add(-1)
		}
		together(func(int) {
			for range perWorker {
				for chat := range chats {
					d := claimed(b.inChat(zendesk, string(rune('0'+chat))))
					order[chat].Lock()
					order[chat].of[d.ID] = len(order[chat].of)
					err := b.store.Put(b.Context(), []*delivery.Delivery{d})
					order[chat].Unlock()
					if !b.ok(err) {
						return
					}
					if d.Claimed {
						work(d)
					}
				}
				got, _, err := b.store.Claim(b.Context(), zendesk, b.clock.now(), 2)
				b.ok(err)
				for _, d := range got {
					work(d)
				}
			}
		})
		for left.Load() > 0 {
			got := b.claim(zendesk)
			require.NotEmpty(b, got, "%d are pending", left.Load())
			for _, d := range got {
				work(d)
			}
		}
		for chat := range chats {
			require.Len(b, delivered[chat].ids, workers*perWorker)
			for i, id := range delivered[chat].ids {
				require.Equal(b, i, order[chat].of[id])
			}
		}
		require.Zero(b, b.pending())
	}},
	{"takes and claims exclude each other", func(b *bench) {
		all := make([]*delivery.Delivery, 100)
		for i := range all {
			all[i] = b.new(zendesk)
			b.put(all[i])
		}
		var got atomic.Int32
		together(func(worker int) {
			for i := range all {
				switch _, err := b.store.Take(b.Context(), all[(i+worker)%len(all)].ID); {
				case err == nil:
					got.Add(1)
				case !errors.Is(err, delivery.ErrBusy):
					b.ok(err)
				}
				claimed, _, err := b.store.Claim(b.Context(), zendesk, b.clock.now(), 1)
				b.ok(err)
				got.Add(int32(len(claimed)))
			}
		})
		require.EqualValues(b, len(all), got.Load())
	}},
	{"a drop is before a save, or after it", func(b *bench) {
		all := make([]*delivery.Delivery, 100)
		for i := range all {
			all[i] = claimed(b.inChat(zendesk, "chat"))
			b.put(all[i])
		}
		var dropped atomic.Int32
		together(func(worker int) {
			for _, d := range all {
				if worker%2 == 0 {
					saved := *d
					saved.State = delivery.Delivered
					if _, err := b.store.Save(b.Context(), &saved); !errors.Is(err, delivery.ErrNotFound) {
						b.ok(err)
					}
					continue
				}
				switch _, err := b.store.Drop(b.Context(), d.ID); {
				case err == nil:
					dropped.Add(1)
				case !errors.Is(err, delivery.ErrNotFound):
					b.ok(err)
				}
			}
		})
		require.EqualValues(b, len(all), dropped.Load())
		require.Empty(b, b.count())
	}},
	{"one revival succeeds", func(b *bench) {
		d := b.dead(b.new(zendesk))
		var revived atomic.Int32
		together(func(int) {
			switch _, err := b.store.Revive(b.Context(), d.ID); {
			case err == nil:
				revived.Add(1)
			case !errors.Is(err, delivery.ErrNotFound):
				b.ok(err)
			}
		})
		require.EqualValues(b, 1, revived.Load())
	}},
}
