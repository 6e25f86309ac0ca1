package delivery_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// imports imports deliveries, of which n must be new.
func (r *rig) imports(n int, deliveries ...*delivery.Delivery) {
	r.Helper()
	imported, err := r.q.Import(r.Context(), deliveries)
	require.NoError(r, err)
	require.Equal(r, n, imported)
	synctest.Wait()
}

// settled returns a delivery that another store has settled.
func (r *rig) settled(state delivery.State) *delivery.Delivery {
	d := r.new()
	d.State, d.Answer = state, []byte("answer: elsewhere")
	return d
}

func TestImport(t *testing.T) {
	run(t, func(r *rig) {
		r.passes(time.Hour)
		now, later := r.new(), r.new()
		now.DueAt, later.DueAt = time.Now().Add(-time.Hour), time.Now().Add(time.Minute)
		later.Attempts = []delivery.Attempt{{At: time.Now().Add(-time.Minute)}}
		longest := definition(r.upstream)
		longest.Retry.MaxInterval = time.Hour
		r.define(longest)
		delivered, dead := r.settled(delivery.Delivered), r.settled(delivery.Dead)
		r.imports(4, delivered, dead, now, later)
		r.attempted(now)
		r.passes(time.Minute)
		r.attempted(later)
		r.is(delivery.Delivered, now, later, delivered)
		r.is(delivery.Dead, dead)
		r.imports(0, delivered, dead, now, later)
		r.passes(time.Hour)
		r.attempted()
	})
}

func TestImportOfAChat(t *testing.T) {
	run(t, func(r *rig) {
		r.upstream.replies(slowly(time.Second, success))
		first, third, second := r.inChat("chat"), r.inChat("chat"), r.inChat("chat")
		go r.submit(0, first)
		synctest.Wait()
		r.imports(2, second, third)
		r.passes(time.Hour)
		r.attempted(first, second, third)
	})
}

func TestImportMakesDuplicates(t *testing.T) {
	run(t, func(r *rig) {
		delivered, dead := r.settled(delivery.Delivered), r.settled(delivery.Dead)
		r.imports(2, delivered, dead)
		receipt := r.submit(5*time.Second, r.again(delivered))
		require.True(r, receipt.Duplicate)
		require.Equal(r, delivered.ID, receipt.Delivery.ID)
		require.Equal(r, "answer: elsewhere", string(receipt.Delivery.Answer))
		receipt = r.submit(5*time.Second, r.again(dead))
		require.True(r, receipt.Duplicate)
		require.Equal(r, delivery.Delivered, receipt.Delivery.State)
		r.attempted(dead)
	})
}

func TestImportOfAnUnknownLaneWaits(t *testing.T) {
	run(t, func(r *rig) {
		d := r.new()
		d.Lane = other
		r.imports(1, d)
		r.passes(time.Hour)
		r.attempted()
		r.q.Push(map[delivery.Lane]delivery.Definition{other: definition(r.upstream)})
		synctest.Wait()
		r.attempted(d)
	})
}

// The time in which nobody could have delivered it does not count.
func TestImportOfWhatWasDueLongAgo(t *testing.T) {
	run(t, func(r *rig) {
		r.passes(100 * time.Hour)
		r.upstream.replies(inTurn(unavailable, success))
		d := r.new()
		d.DueAt = time.Now().Add(-99 * time.Hour)
		before := d.DueAt
		r.imports(1, d)
		require.Equal(r, before, d.DueAt, "of the caller")
		r.is(delivery.Pending, d)
		r.passes(time.Minute)
		r.is(delivery.Delivered, d)
	})
}

func TestImportIsRefusedAtTheEnd(t *testing.T) {
	run(t, func(r *rig) {
		require.NoError(r, r.q.Close())
		_, err := r.q.Import(r.Context(), []*delivery.Delivery{r.new()})
		require.ErrorIs(r, err, delivery.ErrClosed)
	})
}
