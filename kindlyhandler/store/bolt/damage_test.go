package bolt_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/bolt"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal/sealtest"
)

// filled returns a file with deliveries: of every ten, five are delivered, one
// is dead, four are pending.
func filled(t *testing.T, n int) (file []byte, all []*delivery.Delivery) {
	return filledWith(t, n, nil)
}

// filledWith has them encrypted.
func filledWith(t *testing.T, n int, keys *seal.Keys) (file []byte, all []*delivery.Delivery) {
	path := filepath.Join(fastDir(t), "deliveries.db")
	s, err := bolt.Open(bolt.Options{Path: path, Keys: keys})
	require.NoError(t, err)
	for i := range n {
		d := webhook()
		d.ChatID = fmt.Sprint("chat ", i)
		d.Claimed = i%10 < 7
		if i%2 == 0 {
			d.Customer = fmt.Appendf(nil, "customer %d", i)
		}
		require.NoError(t, s.Put(t.Context(), []*delivery.Delivery{d}))
		saved := *d
		switch {
		case i%10 < 5:
			saved.State, saved.Body, saved.Customer, saved.Answer = delivery.Delivered, nil, nil, []byte("answer")
		case i%10 < 6:
			saved.State = delivery.Dead
		case i%10 < 7:
			saved.Transcript = []byte("transcript")
		}
		if d.Claimed {
			_, err := s.Save(t.Context(), &saved)
			require.NoError(t, err)
		}
		all = append(all, &saved)
	}
	require.NoError(t, s.Close())
	file, err = os.ReadFile(path)
	require.NoError(t, err)
	return file, all
}

// Whatever has happened to the file, the store opens at once, gives back what
// the damage has left, and takes new webhooks.
func TestDamage(t *testing.T) {
	t.Run("plain", func(t *testing.T) { testDamage(t, nil, 1) })
	t.Run("encrypted", func(t *testing.T) { testDamage(t, sealtest.Keys(t, 1), 5) })
}

// testDamage does only some of the rounds, one of so many.
func testDamage(t *testing.T, keys *seal.Keys, of int) {
	const deliveries = 1000
	file, all := filledWith(t, deliveries, keys)
	pages := len(file) / bolt.PageSize
	random := rand.New(rand.NewPCG(1, 2))
	somewhere := func() int { return random.IntN(len(file)) }
	for _, test := range []struct {
		name string
		// harm returns the file after one round of damage.
		harm   func(file []byte) []byte
		rounds int
		// keeps is how many of the deliveries are left at the least.
		keeps int
	}{
		{"no damage", func(f []byte) []byte { return f }, 1, deliveries},
		{"a flipped bit", func(f []byte) []byte { f[somewhere()] ^= 1 << random.IntN(8); return f }, 25, deliveries - 30},
		{"a zeroed page", func(f []byte) []byte { clear(f[random.IntN(pages)*bolt.PageSize:][:bolt.PageSize]); return f }, 25, deliveries - 80},
		{"a page's elements zeroed", func(f []byte) []byte { clear(f[random.IntN(pages)*bolt.PageSize+16:][:2048]); return f }, 25, deliveries - 80},
		{"zeroes somewhere", func(f []byte) []byte { i := somewhere(); clear(f[i:min(i+20_000, len(f))]); return f }, 10, deliveries - 250},
		{"both meta pages zeroed", func(f []byte) []byte { clear(f[:2*bolt.PageSize]); return f }, 1, deliveries},
		{"one meta page zeroed", func(f []byte) []byte { clear(f[random.IntN(2)*bolt.PageSize:][:bolt.PageSize]); return f }, 4, deliveries - 1},
		{"cut off by a page", func(f []byte) []byte { return f[:len(f)-bolt.PageSize] }, 1, deliveries - 80},
		{"cut off", func(f []byte) []byte { return f[:somewhere()] }, 10, 0},
		{"garbage", func(f []byte) []byte { fill(random, f); return f }, 3, 0},
		{"garbage behind a sound meta page", func(f []byte) []byte { fill(random, f[2*bolt.PageSize:]); return f }, 3, 0},
		{"garbage of odd length", func([]byte) []byte { b := make([]byte, 12_345); fill(random, b); return b }, 1, 0},
		{"text", func([]byte) []byte { return []byte("this is no database\n") }, 1, 0},
		{"nothing in it", func([]byte) []byte { return nil }, 1, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			for round := range (test.rounds + of - 1) / of {
				harmed := test.harm(append([]byte(nil), file...))
				path := filepath.Join(fastDir(t), "deliveries.db")
				require.NoError(t, os.WriteFile(path, harmed, 0o600))
				core, logs := observer.New(zap.ErrorLevel)
				s, err := bolt.Open(bolt.Options{Path: path, Log: zap.New(core), Keys: keys})
				require.NoError(t, err)

				left := 0
				for _, d := range all {
					got, err := s.Get(t.Context(), d.ID)
					if err != nil {
						require.ErrorIs(t, err, delivery.ErrNotFound)
						continue
					}
					if got.State == d.State && (got.State == delivery.Delivered || string(got.Body) == string(d.Body) && string(got.Customer) == string(d.Customer)) {
						left++
					}
				}
				assert.GreaterOrEqual(t, left, test.keeps, "round %d; %v", round, messages(logs))
				counts, err := s.Count(t.Context())
				require.NoError(t, err)
				claimable, empty := 0, 0
				for {
					got, _, err := s.Claim(t.Context(), lane, time.Now().Add(time.Hour), 1000)
					require.NoError(t, err)
					if len(got) == 0 {
						break
					}
					claimable += len(got)
					for _, d := range got {
						if len(d.Body) == 0 {
							empty++
						}
					}
				}
				assert.Equal(t, counts[lane].Pending, claimable, "all that is pending can be claimed; round %d; %v", round, messages(logs))

				d := webhook()
				require.NoError(t, s.Put(t.Context(), []*delivery.Delivery{d}))
				got, err := s.Get(t.Context(), d.ID)
				require.NoError(t, err)
				require.Equal(t, d.Body, got.Body)
				require.NoError(t, s.Close())
			}
		})
	}
}

func fill(random *rand.Rand, b []byte) {
	for i := range b {
		b[i] = byte(random.Uint32())
	}
}

func messages(logs *observer.ObservedLogs) (all []string) {
	for _, e := range logs.All() {
		all = append(all, fmt.Sprint(e.Message, e.ContextMap()))
	}
	return all
}

// Damage that shows later only: the file is replaced while it is in use.
func TestDamage_found_later(t *testing.T) {
	file, all := filled(t, 300)
	path := filepath.Join(fastDir(t), "deliveries.db")
	for i := 0; i+4 < len(file); i++ { // in the bodies, which are not read at the start
		if string(file[i:i+4]) == "xxxx" && i%9 == 0 {
			file[i] = 'y'
		}
	}
	require.NoError(t, os.WriteFile(path, file, 0o600))
	s, err := bolt.Open(bolt.Options{Path: path})
	require.NoError(t, err)
	defer s.Close()

	taken := webhook()
	taken.Claimed = true
	require.NoError(t, s.Put(t.Context(), []*delivery.Delivery{taken}))
	got, _, err := s.Claim(t.Context(), lane, time.Now().Add(time.Hour), 1)
	require.NoError(t, err)
	require.Len(t, got, 1)

	// What is attempted meanwhile is saved afterwards.
	taken.State, taken.Body = delivery.Delivered, nil
	_, err = s.Save(t.Context(), taken)
	require.NoError(t, err)
	for _, d := range append(all, taken) {
		got, err := s.Get(t.Context(), d.ID)
		require.NoError(t, err)
		require.Equal(t, d.State, got.State)
	}
	status := s.Status().(bolt.Status)
	require.Len(t, status.SetAside, 1)
	aside := status.SetAside[0]
	require.True(t, aside.Done)
	require.Equal(t, 301, aside.Imported)
	require.Positive(t, aside.Lost)
	require.True(t, strings.HasPrefix(aside.Path, path+".corrupt-"))

	// An erasure takes the file that was set aside with it.
	_, err = s.Erase(t.Context(), "somebody else's chat")
	require.NoError(t, err)
	require.NoFileExists(t, aside.Path)
}

// Somebody cuts off the file while it is in use: nobody waits for ever.
func TestDamage_cut_off_in_use(t *testing.T) {
	for range 20 {
		path := filepath.Join(fastDir(t), "deliveries.db")
		s, err := bolt.Open(bolt.Options{Path: path})
		require.NoError(t, err)
		d := webhook()
		require.NoError(t, s.Put(t.Context(), []*delivery.Delivery{d}))
		require.NoError(t, os.Truncate(path, 0))

		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				if i%2 == 0 {
					_, err := s.Get(ctx, d.ID)
					assert.NotErrorIs(t, err, context.DeadlineExceeded)
				} else {
					assert.NoError(t, s.Put(ctx, []*delivery.Delivery{webhook()}))
				}
			})
		}
		all.Wait()
		cancel()
		require.NoError(t, s.Close())
	}
}

// The lock is given up only when it is known to be worth nothing.
func TestOpen_lock(t *testing.T) {
	path := filepath.Join(fastDir(t), "deliveries.db")
	for _, damaged := range []string{"", "no database", strings.Repeat("\x00", 1<<15)} {
		require.NoError(t, os.WriteFile(path+".lock", []byte(damaged), 0o600))
		s, err := bolt.Open(bolt.Options{Path: path})
		require.NoError(t, err)
		require.NoError(t, s.Close())
	}
	require.NoError(t, os.Remove(path+".lock"))
	require.NoError(t, os.Mkdir(path+".lock", 0o700)) // stands for whatever cannot be opened
	_, err := bolt.Open(bolt.Options{Path: path})
	require.Error(t, err)
	require.DirExists(t, path+".lock")
}

// A webhook that is gone is not delivered as an empty one without a word.
func TestDamage_lost_body(t *testing.T) {
	s := openStore(t, filepath.Join(fastDir(t), "deliveries.db"))
	kept, lost := webhook(), webhook()
	for _, d := range []*delivery.Delivery{kept, lost} {
		require.NoError(t, s.Put(t.Context(), []*delivery.Delivery{d}))
	}
	require.NoError(t, s.LoseBody(t.Context(), lost.ID))
	got, _, err := s.Claim(t.Context(), lane, time.Now().Add(time.Hour), 10)
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.Equal(t, kept.Body, got[0].Body)
	require.Empty(t, got[1].Body)
	aside := s.Status().(bolt.Status).SetAside
	require.Len(t, aside, 1)
	require.Equal(t, 1, aside[0].Lost)
}

// TestDamage_beginning reads what is behind a beginning that is lost, however
// long that is: no page there tells how large pages are.
func TestDamage_beginning(t *testing.T) {
	path := filepath.Join(fastDir(t), "deliveries.db")
	s, err := bolt.Open(bolt.Options{Path: path})
	require.NoError(t, err)
	for range 1000 {
		d := webhook()
		d.Body = bytes.Repeat([]byte("x"), 3*bolt.PageSize/2)
		require.NoError(t, s.Put(t.Context(), []*delivery.Delivery{d}))
	}
	require.NoError(t, s.Close())
	file, err := os.ReadFile(path)
	require.NoError(t, err)
	clear(file[:1000*bolt.PageSize])
	require.Greater(t, len(file), 1500*bolt.PageSize)
	require.NoError(t, os.WriteFile(path, file, 0o600))
	s, err = bolt.Open(bolt.Options{Path: path})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	_, err = s.Count(t.Context())
	require.NoError(t, err)
	aside := s.Status().(bolt.Status).SetAside
	require.Len(t, aside, 1)
	require.Greater(t, aside[0].Imported, 300)
}
