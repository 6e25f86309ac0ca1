package bolt_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/bolt"
)

func (p *press) importing(ctx context.Context, all ...*delivery.Delivery) <-chan error {
	return start(func() error {
		_, err := p.Import(ctx, all)
		return err
	})
}

// An import that was given up has stored nothing, has taken nothing away, and
// can be repeated at once.
func TestImport_given_up(t *testing.T) {
	for _, fails := range []error{nil, errDisk} {
		p := newPress(t)
		there, d := webhook(), webhook()
		require.NoError(t, p.result(p.put(there)))
		p.hold(false)
		ctx, cancel := context.WithCancel(t.Context())
		imported := p.importing(ctx, there, d)
		goOn := p.commit()
		cancel()
		require.ErrorIs(t, p.result(imported), context.Canceled)
		p.free()
		goOn <- fails
		n, err := p.Import(t.Context(), []*delivery.Delivery{there, d})
		require.NoError(t, err)
		require.Equal(t, 1, n)
		time.Sleep(100 * time.Millisecond) // longer than the removal of what was given up waits
		require.Len(t, p.claim(), 2)
		_, err = p.Save(t.Context(), delivered(d))
		require.NoError(t, err)
		require.NoError(t, p.Store.Close())
		p.open()
		got, err := p.Get(t.Context(), d.ID)
		require.NoError(t, err)
		require.Equal(t, delivery.Delivered, got.State)
		require.Len(t, p.claim(), 1)
	}
}

func TestImport_given_up_for_good(t *testing.T) {
	p := newPress(t)
	there, d, dead := webhook(), webhook(), webhook()
	dead.State = delivery.Dead
	require.NoError(t, p.result(p.put(there)))
	p.hold(false)
	ctx, cancel := context.WithCancel(t.Context())
	imported := p.importing(ctx, d, there, dead)
	goOn := p.commit()
	cancel()
	require.ErrorIs(t, p.result(imported), context.Canceled)
	p.free()
	goOn <- nil
	for until := time.Now().Add(100 * time.Millisecond); time.Now().Before(until); {
		p.absent(d)
		p.absent(dead)
	}
	counts, err := p.Count(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, counts[lane].Pending)
	require.Zero(t, counts[lane].Dead)
	require.NoError(t, p.Store.Close())
	p.open()
	p.absent(d)
	_, err = p.Get(t.Context(), there.ID)
	require.NoError(t, err)
}

// A flush fails, but what was to be flushed is in the file.
func TestImport_visible(t *testing.T) {
	p := newPress(t)
	d := webhook()
	p.hold(true)
	imported := p.importing(t.Context(), d)
	goOn := p.commit()
	p.free()
	goOn <- errDisk
	require.ErrorIs(t, p.result(imported), errDisk)
	for until := time.Now().Add(100 * time.Millisecond); time.Now().Before(until); {
		p.absent(d)
	}
	require.NoError(t, p.result(p.importing(t.Context(), d)))
	require.NoError(t, p.Store.Close())
	p.open()
	require.Len(t, p.claim(), 1)
}

// What was imported is as after a restart: the order of a chat, what makes
// duplicates, the other deliveries of a webhook.
func TestImport_restart(t *testing.T) {
	p := newPress(t)
	second, first := webhook(), webhook()
	first.ChatID, second.ChatID = "chat", "chat"
	one, two := webhook(), webhook()
	one.State, one.Body = delivery.Delivered, nil
	two.Key, two.KeyExpires, two.State = one.Key, one.KeyExpires, delivery.Dead
	require.NoError(t, p.result(p.importing(t.Context(), first, second, one, two)))
	require.NoError(t, p.Store.Close())
	p.open()
	got := p.claim()
	require.Len(t, got, 1)
	require.Equal(t, first.ID, got[0].ID)
	_, err := p.Save(t.Context(), delivered(first))
	require.NoError(t, err)
	require.Equal(t, second.ID, p.claim()[0].ID)
	found, err := p.Find(t.Context(), one.Key)
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.Equal(t, two.ID, found[1].ID)
	again := webhook()
	again.Key = one.Key
	require.ErrorIs(t, p.result(p.put(again)), delivery.ErrDuplicate)
}

// A retention goes on where it was, and no file makes it longer.
func TestImport_retention(t *testing.T) {
	now := time.Now()
	losses := delivery.NewLosses(nil)
	s, err := bolt.Open(bolt.Options{
		Path: filepath.Join(fastDir(t), "deliveries.db"), Now: func() time.Time { return now }, Losses: losses,
		Limits: bolt.Limits{Retention: time.Hour, DeadRetention: 2 * time.Hour},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	var all []*delivery.Delivery
	for _, state := range []delivery.State{delivery.Delivered, delivery.Dead} {
		for _, ended := range []time.Duration{-110 * time.Minute, 1000 * time.Hour} {
			d := webhook()
			d.State, d.Key = state, delivery.Key{}
			d.Attempts = []delivery.Attempt{{At: now.Add(ended - time.Second), Duration: time.Second}}
			all = append(all, d)
		}
	}
	_, err = s.Import(t.Context(), all)
	require.NoError(t, err)
	there := func() (there []int) {
		s.Sweep(t.Context())
		for i, d := range all {
			_, err := s.Get(t.Context(), d.ID)
			if err == nil {
				there = append(there, i)
			} else {
				require.ErrorIs(t, err, delivery.ErrNotFound)
			}
		}
		return there
	}
	require.Equal(t, []int{1, 2, 3}, there())
	now = now.Add(20 * time.Minute)
	require.Equal(t, []int{1, 3}, there())
	now = now.Add(2 * time.Hour)
	require.Empty(t, there())
	require.Equal(t, 2, losses.Total()[delivery.LossExpired])
}

func TestImport_unreadable(t *testing.T) {
	s := openStore(t, filepath.Join(fastDir(t), "deliveries.db"))
	d, wrong := webhook(), webhook()
	wrong.Lane.Webhook = strings.Repeat("a", 256)
	_, err := s.Import(t.Context(), []*delivery.Delivery{d, wrong})
	require.ErrorContains(t, err, "longer than 255 bytes")
	_, err = s.Get(t.Context(), d.ID)
	require.ErrorIs(t, err, delivery.ErrNotFound)

	many := make([]*delivery.Delivery, 300) // no webhook has so many upstreams
	for i := range many {
		many[i] = webhook()
		many[i].Key = d.Key
	}
	n, err := s.Import(t.Context(), many)
	require.NoError(t, err)
	require.Equal(t, 300, n)
	found, err := s.Find(t.Context(), d.Key)
	require.NoError(t, err)
	require.Len(t, found, 256)
}

// A full disk takes nothing, rather than a part.
func TestImport_full(t *testing.T) {
	p := newPress(t)
	require.NoError(t, p.LimitSize(t.Context(), 1<<21))
	all := make([]*delivery.Delivery, 5000)
	for i := range all {
		all[i] = webhook()
	}
	n, err := p.Import(t.Context(), all)
	require.Error(t, err)
	require.False(t, errors.Is(err, delivery.ErrFull), "max_pending does not matter")
	require.Zero(t, n)
	counts, err := p.Count(t.Context())
	require.NoError(t, err)
	require.Empty(t, counts)
	require.Eventually(t, func() bool {
		n, err := p.Import(t.Context(), all[:10])
		return err == nil && n == 10
	}, time.Minute, 10*time.Millisecond)
}
