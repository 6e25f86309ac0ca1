package memory_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/memory"
)

func TestRetention(t *testing.T) {
	for _, test := range []struct {
		name      string
		retention time.Duration
		window    time.Duration
		want      time.Duration
	}{
		{"by default", 0, time.Minute, time.Hour},
		{"as set", 3 * time.Hour, time.Minute, 3 * time.Hour},
		{"longer, for its key", time.Minute, 2 * time.Hour, 2 * time.Hour},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, memory.Options{DeadRetention: test.retention})
			d := b.new(1)
			d.KeyExpires = b.time.Add(test.window)
			require.NoError(t, b.Put(t.Context(), []*delivery.Delivery{d}))
			b.settle(d, delivery.Dead)

			b.time = b.time.Add(test.want - 1)
			b.tidy()
			found, err := b.Find(t.Context(), d.Key)
			require.NoError(t, err)
			require.Equal(t, test.window >= test.want, len(found) == 1)
			revived, err := b.Revive(t.Context(), d.ID)
			require.NoError(t, err, "it is kept")

			b.settle(revived, delivery.Dead) // from now on it is kept anew
			b.time = b.time.Add(max(test.want, time.Hour) + time.Hour)
			b.tidy()
			require.False(t, b.kept(d))
		})
	}
}

func TestRetentionSparesWhatIsPending(t *testing.T) {
	b := newBench(t, memory.Options{Retention: time.Minute})
	old := b.put(1)
	revived := b.dead(1)
	_, err := b.Revive(t.Context(), revived.ID)
	require.NoError(t, err)

	b.time = b.time.Add(24 * time.Hour)
	b.tidy()
	b.settle(old, delivery.Delivered)
	b.settle(revived, delivery.Delivered)
}

func TestRetentionOfSiblings(t *testing.T) {
	b := newBench(t, memory.Options{Retention: time.Minute})
	one, two := b.new(1), b.new(1)
	two.Lane.Upstream, two.Key = "slack", one.Key
	require.NoError(t, b.Put(t.Context(), []*delivery.Delivery{one, two}))
	b.settle(one, delivery.Delivered)
	b.time = b.time.Add(time.Hour)
	b.tidy()

	reused := b.new(1)
	reused.Key = one.Key
	require.NoError(t, b.Put(t.Context(), []*delivery.Delivery{reused}))
	b.settle(two, delivery.Delivered)
	b.time = b.time.Add(time.Minute)
	b.tidy()
	found, err := b.Find(t.Context(), one.Key)
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Equal(t, reused.ID, found[0].ID)
}

// A retention goes on where it was in the other store, and no file makes it
// longer.
func TestRetentionOfImports(t *testing.T) {
	b := newBench(t, memory.Options{})
	all := make([]*delivery.Delivery, 4)
	for i := range all {
		d := b.new(i + 1)
		d.State, d.Key = delivery.Delivered, delivery.Key{}
		if i >= 2 {
			d.State = delivery.Dead
		}
		at := b.time.Add(-50 * time.Minute)
		if i%2 == 1 {
			at = b.time.Add(1000 * time.Hour)
		}
		d.Attempts = []delivery.Attempt{{At: at, Duration: time.Second}}
		all[i] = d
	}
	_, err := b.Import(t.Context(), all)
	require.NoError(t, err)
	kept := func() (kept []bool) {
		b.tidy()
		for _, d := range all {
			_, err := b.Get(t.Context(), d.ID)
			kept = append(kept, err == nil)
		}
		return kept
	}
	require.Equal(t, []bool{true, true, true, true}, kept())
	b.time = b.time.Add(15 * time.Minute)
	require.Equal(t, []bool{false, true, false, true}, kept())
	b.time = b.time.Add(time.Hour)
	require.Equal(t, []bool{false, false, false, false}, kept())
}
