package outbound

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRead(t *testing.T) {
	const limit = 100_000
	for _, size := range []int{0, 1, unknownLength - 1, unknownLength, unknownLength + 1, trustedLength - 1, trustedLength, trustedLength + 1, limit - 1, limit} {
		content := bytes.Repeat([]byte("x"), size)
		for name, length := range map[string]int{"true": size, "unknown": -1, "too short": size / 2, "too long": min(2*size+1, limit)} {
			readers := map[string]io.Reader{
				"at once":       bytes.NewReader(content),
				"half by half":  iotest.HalfReader(bytes.NewReader(content)),
				"EOF with data": iotest.DataErrReader(bytes.NewReader(content)),
			}
			for how, r := range readers {
				budget := NewBudget(1 << 20)
				lease := budget.Lease()
				got, err := Read(r, int64(length), limit, lease)
				require.NoError(t, err, "%d bytes, %s length, %s", size, name, how)
				require.Len(t, got, size)
				require.GreaterOrEqual(t, budget.Taken(), int64(cap(got)))
				require.LessOrEqual(t, budget.Taken(), int64(limit+1))
				lease.Release()
				require.Zero(t, budget.Taken())
			}
		}
	}
}

func TestRead_tooLarge(t *testing.T) {
	for _, limit := range []int64{0, 1, 1000, unknownLength, trustedLength, 100_000} {
		content := bytes.Repeat([]byte("x"), int(limit)+1)
		for _, length := range []int64{-1, 0, limit / 2, limit, limit + 1, 1 << 62} {
			budget := NewBudget(1 << 20)
			lease := budget.Lease()
			_, err := Read(bytes.NewReader(content), length, limit, lease)
			require.ErrorIs(t, err, ErrTooLarge, "limit %d, length %d", limit, length)
			lease.Release()
			require.Zero(t, budget.Taken())
		}
	}
}

// Who only says that much will come occupies little.
func TestRead_lengthsAreNotBelieved(t *testing.T) {
	broken := errors.New("broken")
	budget := NewBudget(1 << 20)
	lease := budget.Lease()
	_, err := Read(iotest.ErrReader(broken), 1<<20, 1<<20, lease)
	require.ErrorIs(t, err, broken)
	assert.Equal(t, int64(trustedLength), budget.Taken())
	lease.Release()
	assert.Zero(t, budget.Taken())
}

func TestRead_budget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := NewBudget(10_000)
		first, second := budget.Lease(), budget.Lease()
		content := bytes.Repeat([]byte("x"), 6_000)
		_, err := Read(bytes.NewReader(content), 6_000, 20_000, first)
		require.NoError(t, err)
		started := time.Now()
		_, err = Read(bytes.NewReader(content), 6_000, 20_000, second)
		require.ErrorIs(t, err, ErrNoMemory)
		require.Equal(t, time.Second, time.Since(started))
		_, err = Read(bytes.NewReader(content), -1, 20_000, second)
		require.ErrorIs(t, err, ErrNoMemory, "does not start either")

		first.Release()
		_, err = Read(bytes.NewReader(content), 6_000, 20_000, second)
		require.NoError(t, err)
		second.Release()
		second.Release() // once more changes nothing
		assert.Zero(t, budget.Taken())
	})
}

// What is given back soon is waited for, by all who can have a part of it.
func TestRead_waitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		budget := NewBudget(10_000)
		first := budget.Lease()
		require.True(t, first.take(7_000))
		started := time.Now()
		for range 2 {
			go func() {
				lease := budget.Lease()
				defer lease.Release()
				content := bytes.Repeat([]byte("x"), 3_000)
				_, err := Read(bytes.NewReader(content), 3_000, 20_000, lease)
				assert.NoError(t, err)
				assert.Equal(t, 500*time.Millisecond, time.Since(started))
			}()
		}
		time.Sleep(500 * time.Millisecond)
		first.Release()
		synctest.Wait()
		require.Zero(t, budget.Taken())
	})
}

// Who needs little finds room when others hold all that they can.
func TestBudget_ordinaryLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 256 << 10
		budget := NewBudget(most)
		large, second, last := budget.Lease(), budget.Lease(), budget.Lease()
		require.True(t, large.take(Largest(most)))
		require.True(t, second.take(Largest(most)))
		require.False(t, last.take(1025), "no ordinary one")
		require.True(t, last.take(1024))
		require.False(t, last.take(1), "no ordinary one any more")
		started := time.Now()
		for range 63 {
			lease := budget.Lease()
			defer lease.Release()
			require.True(t, lease.take(1024))
		}
		require.Zero(t, time.Since(started))
		require.EqualValues(t, most, budget.Taken())
		require.False(t, budget.Lease().take(1))
		require.Equal(t, time.Second, time.Since(started))
		require.False(t, budget.Lease().take(most))
		require.Equal(t, time.Second, time.Since(started), "it does not wait for what cannot be")
		large.Release()
		second.Release()
		last.Release()
	})
}

func TestBudget_concurrently(t *testing.T) {
	budget := NewBudget(10)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 1000 {
				lease := budget.Lease()
				assert.True(t, lease.take(3), "there soon is room")
				assert.LessOrEqual(t, budget.Taken(), int64(8))
				lease.Release()
			}
		})
	}
	group.Wait()
	assert.Zero(t, budget.Taken())
}

func BenchmarkRead(b *testing.B) {
	content := bytes.Repeat([]byte("x"), 1024)
	budget := NewBudget(1 << 20)
	r := bytes.NewReader(content)
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(content)
		lease := budget.Lease()
		if _, err := Read(r, int64(len(content)), 4<<20, lease); err != nil {
			b.Fatal(err)
		}
		lease.Release()
	}
}
