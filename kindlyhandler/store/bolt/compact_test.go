package bolt_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// roomy returns a press with deliveries, and free pages.
func roomy(t *testing.T, n, size int) (p *press, all []*delivery.Delivery) {
	p = newPress(t)
	for range n {
		d := webhook()
		d.Body = make([]byte, size)
		require.NoError(t, p.Put(t.Context(), []*delivery.Delivery{d}))
		all = append(all, d)
	}
	return p, all
}

func (p *press) compacting() bool {
	_, err := os.Stat(p.path + ".compact")
	return err == nil
}

// However long a compaction takes, completions are committed.
func TestCompact_completions(t *testing.T) {
	p, all := roomy(t, 3000, 100)
	require.Len(t, p.claim(), 10)
	require.NoError(t, p.Compact(t.Context()))
	require.Eventually(t, p.compacting, 5*time.Second, time.Millisecond)
	p.hold(false)
	_, err := p.Save(t.Context(), delivered(all[0]))
	require.NoError(t, err)
	goOn := p.commit()
	require.True(t, p.compacting())
	p.free()
	goOn <- nil
	require.Eventually(t, func() bool { return !p.compacting() }, 30*time.Second, time.Millisecond)
	got, err := p.Get(t.Context(), all[0].ID)
	require.NoError(t, err)
	require.Equal(t, delivery.Delivered, got.State)
}

// A store that is closed leaves no copy behind.
func TestCompact_close(t *testing.T) {
	p, all := roomy(t, 1000, 100)
	require.NoError(t, p.Compact(t.Context()))
	require.Eventually(t, p.compacting, 5*time.Second, 100*time.Microsecond)
	require.NoError(t, p.Store.Close())
	require.False(t, p.compacting())
	p.open()
	for _, d := range all {
		_, err := p.Get(t.Context(), d.ID)
		require.NoError(t, err)
	}
}

// Few keys with large values are not copied at once.
func TestCompact_large(t *testing.T) {
	p, _ := roomy(t, 40, 1<<20)
	bytes := p.CopyOne(t.Context(), 1000)
	require.Positive(t, bytes)
	require.Less(t, bytes, 5<<20)
}

// Nor does a commit that fails leave the copy behind the file.
func TestCompact_failure(t *testing.T) {
	p, all := roomy(t, 1000, 100)
	for _, afterwards := range []bool{false, true} {
		require.NoError(t, p.Compact(t.Context()))
		require.Eventually(t, p.compacting, 5*time.Second, 100*time.Microsecond)
		p.hold(afterwards)
		d := webhook()
		put := p.put(d)
		goOn := p.commit()
		p.free()
		goOn <- errDisk
		require.ErrorIs(t, p.result(put), errDisk)
		require.Eventually(t, func() bool { return !p.compacting() }, 5*time.Second, 100*time.Microsecond)
		p.absent(d)
	}
	require.NoError(t, p.Compact(t.Context()))
	require.Eventually(t, p.compacting, 5*time.Second, 100*time.Microsecond)
	require.Eventually(t, func() bool { return !p.compacting() }, 30*time.Second, time.Millisecond)
	for _, d := range all {
		_, err := p.Get(t.Context(), d.ID)
		require.NoError(t, err)
	}
}
