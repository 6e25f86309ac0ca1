package bolt_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/bolt"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal"
)

var errDisk = errors.New("the disk fails")

// press is a store whose commits wait.
type press struct {
	*testing.T
	*bolt.Store
	path string
	keys *seal.Keys
	log  *zap.Logger
	// waits gets what each commit waits for: an error to fail with, or nil.
	waits chan chan error
}

func newPress(t *testing.T) *press { return newPressWith(t, nil) }

// newPressWith has keys.
func newPressWith(t *testing.T, keys *seal.Keys) *press {
	p := &press{T: t, path: filepath.Join(fastDir(t), "deliveries.db"), keys: keys, waits: make(chan chan error)}
	p.open()
	t.Cleanup(func() { p.free(); require.NoError(t, p.Store.Close()) })
	return p
}

func (p *press) open() {
	s, err := bolt.Open(bolt.Options{Path: p.path, Keys: p.keys, Log: p.log})
	require.NoError(p, err)
	p.Store = s
	_, err = s.Count(p.Context()) // when it is ready
	require.NoError(p, err)
	s.Frozen(p.Context(), func() {}) // when its own first commits are done
}

// hold makes commits wait from now on; what fails after it is in the file all
// the same.
func (p *press) hold(afterwards bool) {
	p.Commits(func(commit func() error) error {
		goOn := make(chan error)
		p.waits <- goOn
		err := <-goOn
		if err == nil || afterwards {
			err = errors.Join(err, commit())
		}
		return err
	})
}

func (p *press) free() { p.Commits(nil) }

// commit waits for a commit.
func (p *press) commit() (goOn chan<- error) {
	p.Helper()
	select {
	case goOn = <-p.waits:
		return goOn
	case <-time.After(10 * time.Second):
		p.Fatal("nothing is committed")
		return nil
	}
}

// start calls f in another goroutine.
func start(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

func (p *press) result(of <-chan error) error {
	p.Helper()
	select {
	case err := <-of:
		return err
	case <-time.After(10 * time.Second):
		p.Fatal("it does not return")
		return nil
	}
}

func (p *press) put(d *delivery.Delivery) <-chan error {
	return start(func() error { return p.Put(p.Context(), []*delivery.Delivery{d}) })
}

func (p *press) claim() []*delivery.Delivery {
	p.Helper()
	got, _, err := p.Claim(p.Context(), lane, time.Now().Add(time.Hour), 10)
	require.NoError(p, err)
	return got
}

// absent requires that a delivery was never put.
func (p *press) absent(d *delivery.Delivery) {
	p.Helper()
	found, err := p.Find(p.Context(), d.Key)
	require.NoError(p, err)
	require.Empty(p, found)
	_, err = p.Get(p.Context(), d.ID)
	require.ErrorIs(p, err, delivery.ErrNotFound)
	page, err := p.List(p.Context(), delivery.Query{Limit: 10})
	require.NoError(p, err)
	for _, other := range page.Deliveries {
		require.NotEqual(p, d.ID, other.ID)
	}
	for _, other := range p.claim() {
		require.NotEqual(p, d.ID, other.ID)
	}
}

func delivered(d *delivery.Delivery) *delivery.Delivery {
	saved := *d
	saved.State, saved.Body = delivery.Delivered, nil
	return &saved
}

// A webhook whose sender was told that it is not accepted is not: what comes
// again is no duplicate of it.
func TestPut_given_up(t *testing.T) {
	for _, fails := range []error{nil, errDisk} {
		p := newPress(t)
		d := webhook()
		p.hold(false)
		ctx, cancel := context.WithCancel(t.Context())
		put := start(func() error { return p.Put(ctx, []*delivery.Delivery{d}) })
		goOn := p.commit()
		cancel()
		require.ErrorIs(t, p.result(put), context.Canceled)
		p.free()
		goOn <- fails
		for until := time.Now().Add(100 * time.Millisecond); time.Now().Before(until); {
			p.absent(d)
		}
		again := webhook()
		again.Key, again.ChatID, again.Claimed = d.Key, d.ChatID, true
		require.NoError(t, p.Put(t.Context(), []*delivery.Delivery{again}))
		require.True(t, again.Claimed)
		require.NoError(t, p.Store.Close())
		p.open()
		p.absent(&delivery.Delivery{ID: d.ID})
		found, err := p.Find(t.Context(), d.Key)
		require.NoError(t, err)
		require.Len(t, found, 1)
		require.Equal(t, again.ID, found[0].ID)
	}
}

func TestPut_given_up_at_the_end(t *testing.T) {
	p := newPress(t)
	d := webhook()
	p.hold(false)
	ctx, cancel := context.WithCancel(t.Context())
	put := start(func() error { return p.Put(ctx, []*delivery.Delivery{d}) })
	goOn := p.commit()
	closed := start(p.Store.Close)
	require.Eventually(t, func() bool {
		_, err := p.Count(t.Context())
		return errors.Is(err, delivery.ErrClosed)
	}, 5*time.Second, time.Millisecond)
	cancel()
	require.ErrorIs(t, p.result(put), context.Canceled)
	p.free()
	goOn <- nil
	require.NoError(t, p.result(closed))
	p.open()
	p.absent(d)
}

// A flush fails, but what was to be flushed is in the file.
func TestPut_visible(t *testing.T) {
	p := newPress(t)
	d := webhook()
	p.hold(true)
	put := p.put(d)
	goOn := p.commit()
	p.free()
	goOn <- errDisk
	require.ErrorIs(t, p.result(put), errDisk)
	for until := time.Now().Add(100 * time.Millisecond); time.Now().Before(until); {
		p.absent(d)
	}
	require.NoError(t, p.Store.Close())
	p.open()
	p.absent(d)
}

func TestSave_visible(t *testing.T) {
	for _, state := range []delivery.State{delivery.Pending, delivery.Delivered, delivery.Dead} {
		t.Run(state.String(), func(t *testing.T) {
			p := newPress(t)
			var all []*delivery.Delivery
			for range 3 {
				d := webhook()
				d.ChatID, d.Claimed = "chat", true
				require.NoError(t, p.result(p.put(d)))
				all = append(all, d)
			}
			saved := *all[0]
			saved.State = state
			save := func() <-chan error {
				return start(func() error {
					_, err := p.Save(t.Context(), &saved)
					return err
				})
			}
			p.hold(true)
			first := save()
			goOn := p.commit()
			p.free()
			goOn <- errDisk
			require.ErrorIs(t, p.result(first), errDisk)
			require.NoError(t, p.result(save()))
			head := all[1]
			if state == delivery.Pending {
				head = all[0]
			}
			got := p.claim()
			require.Len(t, got, 1)
			require.Equal(t, head.ID, got[0].ID)
			counts, err := p.Count(t.Context())
			require.NoError(t, err)
			c := counts[lane]
			require.Equal(t, 3, c.Pending+c.Delivered+c.Dead)
			if state != delivery.Pending {
				require.Equal(t, 2, c.Pending)
			}
		})
	}
}

// Who meets a webhook that is being stored waits for that, and shares its
// failure.
func TestPut_duplicate_of_a_failure(t *testing.T) {
	p := newPress(t)
	p.hold(false)
	before := p.put(webhook())
	goOn := p.commit()
	d, again := webhook(), webhook()
	again.Key = d.Key
	one, two := p.put(d), p.put(again)
	time.Sleep(10 * time.Millisecond) // so that both are in one transaction; else the test proves less
	goOn <- nil
	require.NoError(t, p.result(before))
	goOn = p.commit()
	p.free()
	goOn <- errDisk
	first, second := p.result(one), p.result(two)
	require.NotErrorIs(t, first, delivery.ErrDuplicate)
	require.NotErrorIs(t, second, delivery.ErrDuplicate)
	require.True(t, first != nil || second != nil)
}

// A drop that fails has not taken the claim away from anybody.
func TestSave_while_a_drop_fails(t *testing.T) {
	for _, state := range []delivery.State{delivery.Pending, delivery.Delivered, delivery.Dead} {
		t.Run(state.String(), func(t *testing.T) {
			p := newPress(t)
			d := webhook()
			d.Claimed = true
			require.NoError(t, p.result(p.put(d)))
			p.hold(false)
			drop := start(func() error {
				_, err := p.Drop(t.Context(), d.ID)
				return err
			})
			goOn := p.commit()
			saved := *d
			saved.State = state
			save := start(func() error {
				_, err := p.Save(t.Context(), &saved)
				return err
			})
			time.Sleep(10 * time.Millisecond) // the save is under way; else the test proves less
			p.free()
			goOn <- errDisk
			require.ErrorIs(t, p.result(drop), errDisk)
			require.NoError(t, p.result(save))
			got, err := p.Get(t.Context(), d.ID)
			require.NoError(t, err)
			require.Equal(t, state, got.State)
			require.False(t, got.Claimed)
		})
	}
}

// What is being attempted, or delivered already, is not given to anybody else
// because it is being dropped.
func TestClaim_while_dropped(t *testing.T) {
	for _, settle := range []bool{false, true} {
		p := newPress(t)
		d := webhook()
		require.NoError(t, p.result(p.put(d)))
		require.Len(t, p.claim(), 1)
		p.hold(false)
		if settle {
			_, err := p.Save(t.Context(), delivered(d))
			require.NoError(t, err)
		}
		drop := start(func() error {
			_, err := p.Drop(t.Context(), d.ID)
			return err
		})
		goOn := p.commit()
		require.Empty(t, p.claim())
		p.free()
		goOn <- nil
		require.NoError(t, p.result(drop))
		require.Empty(t, p.claim())
		_, err := p.Save(t.Context(), delivered(d))
		require.ErrorIs(t, err, delivery.ErrNotFound)
		p.absent(d)
		time.Sleep(100 * time.Millisecond) // longer than a completion waits
		p.absent(d)
		counts, err := p.Count(t.Context())
		require.NoError(t, err)
		require.Empty(t, counts)
	}
}

// However long a commit takes, nobody waits longer than he wants to.
func TestFind_in_time(t *testing.T) {
	p := newPress(t)
	d := webhook()
	p.hold(false)
	put := p.put(d)
	goOn := p.commit()
	require.Eventually(t, func() bool { // another commit may have been the first
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		find := start(func() error {
			_, err := p.Find(ctx, d.Key)
			return err
		})
		return errors.Is(p.result(find), context.DeadlineExceeded)
	}, 10*time.Second, time.Millisecond)
	p.free()
	goOn <- nil
	require.NoError(t, p.result(put))
}

// Damage takes a delivery away that is being attempted: neither the counts nor
// its chat suffer from that.
func TestSave_of_what_damage_took(t *testing.T) {
	for _, state := range []delivery.State{delivery.Pending, delivery.Delivered, delivery.Dead} {
		for _, early := range []bool{false, true} {
			t.Run(state.String(), func(t *testing.T) {
				p := newPress(t)
				d := webhook()
				d.ChatID, d.Claimed = "chat", true
				require.NoError(t, p.result(p.put(d)))
				saved := *d
				saved.State = state
				save := func() {
					_, err := p.Save(t.Context(), &saved)
					require.NoError(t, err)
				}
				var goOn chan<- error
				if early && state == delivery.Delivered {
					p.hold(false)
					save()
					goOn = p.commit()
				}
				info, err := os.Stat(p.path)
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(p.path, make([]byte, info.Size()), 0o600))
				if p.free(); goOn != nil {
					goOn <- errDisk
				}
				_, err = p.Get(t.Context(), d.ID)
				if !early || state != delivery.Delivered {
					require.ErrorIs(t, err, delivery.ErrNotFound)
					save()
				}
				next := webhook()
				next.ChatID, next.Claimed = "chat", true
				require.NoError(t, p.result(p.put(next)))
				require.Equal(t, state != delivery.Pending, next.Claimed)
				counts, err := p.Count(t.Context())
				require.NoError(t, err)
				c := counts[lane]
				c.OldestPending = time.Time{}
				require.Equal(t, map[delivery.State]delivery.Counts{
					delivery.Pending: {Pending: 2}, delivery.Delivered: {Pending: 1, Delivered: 1}, delivery.Dead: {Pending: 1, Dead: 1},
				}[state], c)
				got, err := p.Get(t.Context(), d.ID)
				require.NoError(t, err)
				require.Equal(t, state, got.State)
			})
		}
	}
}
