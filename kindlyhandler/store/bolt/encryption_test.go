package bolt_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/bolt"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal/sealtest"
)

// reopens closes the store and opens it with other keys.
func (p *press) reopens(keys *seal.Keys) {
	p.Helper()
	require.NoError(p, p.Store.Close())
	p.keys = keys
	p.open()
}

// secrets counts the marks of a person that encryption is to hide: all but the
// chat's id.
func (p *press) secrets(who *person) int {
	return p.traces(&person{marks: who.marks[1:]})
}

// kept requires all that a person has left to be there, as it was.
func (p *press) kept(who *person) {
	p.Helper()
	for _, d := range who.left {
		got, err := p.Get(p.Context(), d.ID)
		require.NoError(p, err)
		require.Equal(p, d.State, got.State)
		require.Equal(p, d.Body, got.Body)
		require.Equal(p, d.Customer, got.Customer)
		require.Equal(p, d.Transcript, got.Transcript)
		require.Equal(p, d.Answer, got.Answer)
		require.Equal(p, d.Ticket, got.Ticket)
		found, err := p.Find(p.Context(), d.Key)
		require.NoError(p, err)
		require.Equal(p, d.Answer, found[0].Answer)
	}
	page, err := p.List(p.Context(), delivery.Query{ChatID: who.chat, Limit: 10})
	require.NoError(p, err)
	require.Len(p, page.Deliveries, len(who.left))
}

// needed returns the IDs of the keys that the file needs when it is purged.
func (p *press) needed() []string {
	p.Helper()
	require.Eventually(p, func() bool { return !p.Status().(bolt.Status).Purging }, 30*time.Second, time.Millisecond)
	return p.neededNow()
}

func (p *press) neededNow() (ids []string) {
	for _, key := range p.Status().(bolt.Status).EncryptionKeys {
		if key.Needed {
			ids = append(ids, key.ID)
		}
	}
	return ids
}

func names(all ...*seal.Keys) (ids []string) {
	for _, keys := range all {
		ids = append(ids, keys.Sealer().String())
	}
	return ids
}

// TestEncryption has nothing of what quotes people in the bytes of any of its
// files; without a key all of it is there.
func TestEncryption(t *testing.T) {
	plain := newPress(t)
	seen := plain.arrives()
	require.GreaterOrEqual(t, plain.secrets(seen), len(seen.marks)-1, "what is looked for would be found")

	p := newPressWith(t, sealtest.Keys(t, 1))
	who := p.arrives()
	for range 500 { // so that a compaction takes a while
		require.NoError(t, p.Put(t.Context(), []*delivery.Delivery{webhook()}))
	}
	require.Zero(t, p.secrets(who))
	require.NoError(t, p.Compact(t.Context()))
	require.Eventually(t, p.compacting, 5*time.Second, 100*time.Microsecond)
	require.Eventually(t, func() bool {
		require.Zero(t, p.secrets(who))
		return !p.compacting()
	}, 30*time.Second, time.Millisecond)
	p.kept(who)

	p.reopens(p.keys)
	p.kept(who)
	require.NoError(t, p.Store.Close())
	harm(t, p.path)
	p.open()
	require.Len(t, p.Status().(bolt.Status).SetAside, 1)
	require.Zero(t, p.secrets(who))
	p.kept(who)
	p.erases(who, 3)
	p.gone(who)
}

// harm takes the meta pages out of a file.
func harm(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	clear(content[:2*bolt.PageSize])
	require.NoError(t, os.WriteFile(path, content, 0o600))
}

// TestKeys_wrong does not open a store with keys that are too few, and leaves its
// files as they are.
func TestKeys_wrong(t *testing.T) {
	p := newPressWith(t, sealtest.Keys(t, 1))
	who := p.arrives()
	require.NoError(t, p.Store.Close())
	before, err := os.ReadFile(p.path)
	require.NoError(t, err)
	info, err := os.Stat(p.path)
	require.NoError(t, err)
	for name, wrong := range map[string]*seal.Keys{"another": sealtest.Keys(t, 2), "none": nil, "off": sealtest.Off(t, 2)} {
		_, err := bolt.Open(bolt.Options{Path: p.path, Keys: wrong})
		var unknown *seal.UnknownKeyError
		require.ErrorAs(t, err, &unknown, name)
		require.Equal(t, []seal.ID{p.keys.Sealer()}, unknown.IDs)
		require.ErrorContains(t, err, "store bolt "+p.path)
		require.NotContains(t, err.Error(), sealtest.Text(1))
		require.NotContains(t, err.Error(), sealtest.Text(2))
		after, err := os.ReadFile(p.path)
		require.NoError(t, err)
		require.True(t, bytes.Equal(before, after))
		now, err := os.Stat(p.path)
		require.NoError(t, err)
		require.Equal(t, info.ModTime(), now.ModTime())
		files, err := filepath.Glob(p.path + ".*")
		require.NoError(t, err)
		require.Equal(t, []string{p.path + ".lock"}, files)
	}
	p.open()
	p.kept(who)
}

// TestKeys_wrong_damaged has a damaged file wait, whole, for its key.
func TestKeys_wrong_damaged(t *testing.T) {
	p := newPressWith(t, sealtest.Keys(t, 1))
	who := p.arrives()
	require.NoError(t, p.Store.Close())
	harm(t, p.path)
	core, logs := observer.New(zap.ErrorLevel)
	p.keys, p.log = sealtest.Keys(t, 2), zap.New(core)
	p.open()
	aside := p.Status().(bolt.Status).SetAside
	require.Len(t, aside, 1)
	require.False(t, aside[0].Done)
	require.Contains(t, fmt.Sprint(messages(logs)), "encrypted with the key "+sealtest.Keys(t, 1).Sealer().String())
	page, err := p.List(t.Context(), delivery.Query{Limit: 10})
	require.NoError(t, err)
	require.Empty(t, page.Deliveries, "nothing of it is taken over by half")
	later := p.arrives()

	p.reopens(sealtest.Keys(t, 2, 1))
	p.kept(who)
	p.kept(later)
	require.True(t, p.Status().(bolt.Status).SetAside[0].Done)
	require.ElementsMatch(t, names(sealtest.Keys(t, 1), sealtest.Keys(t, 2)), p.needed())
}

// TestKeys_rotation has an old key be needed as long as something is encrypted
// with it, and the file have nothing of that afterwards.
func TestKeys_rotation(t *testing.T) {
	p := newPressWith(t, sealtest.Keys(t, 1))
	old := p.arrives()
	require.NoError(t, p.SetKeys(sealtest.Keys(t, 2, 1)))
	fresh := p.arrives()
	p.kept(old)
	p.kept(fresh)
	p.Sweep(t.Context())
	require.ElementsMatch(t, names(sealtest.Keys(t, 1), sealtest.Keys(t, 2)), p.needed())
	for _, wrong := range []*seal.Keys{sealtest.Keys(t, 1), sealtest.Keys(t, 2), nil} {
		require.Error(t, p.CheckKeys(wrong))
		require.Error(t, p.SetKeys(wrong))
	}
	p.reopens(sealtest.Keys(t, 2, 1))
	require.ElementsMatch(t, names(sealtest.Keys(t, 1), sealtest.Keys(t, 2)), p.needed())

	// The dead letter and what is pending are attempted, and encrypted anew by
	// that.
	revived, err := p.Revive(t.Context(), old.left[1].ID)
	require.NoError(t, err)
	taken, err := p.Take(t.Context(), old.left[2].ID)
	require.NoError(t, err)
	for _, d := range []*delivery.Delivery{revived, taken} {
		d.State = delivery.Dead
		_, err = p.Save(t.Context(), d)
		require.NoError(t, err)
	}
	p.Sweep(t.Context())
	require.ElementsMatch(t, names(sealtest.Keys(t, 1), sealtest.Keys(t, 2)), p.needed(), "the delivered one has its answer")
	_, err = p.Drop(t.Context(), old.left[0].ID)
	require.NoError(t, err)
	p.Sweep(t.Context())
	require.True(t, len(p.neededNow()) == 2 || !p.has(sealtest.Keys(t, 1).Sealer()), "the key is needed until nothing has it")
	require.Equal(t, names(sealtest.Keys(t, 2)), p.needed())
	require.False(t, p.has(sealtest.Keys(t, 1).Sealer()))

	require.NoError(t, p.SetKeys(sealtest.Keys(t, 2)))
	p.reopens(sealtest.Keys(t, 2))
	p.kept(fresh)
	for _, d := range []*delivery.Delivery{revived, taken} {
		got, err := p.Get(t.Context(), d.ID)
		require.NoError(t, err)
		require.Equal(t, d.Body, got.Body)
		require.Equal(t, d.Transcript, got.Transcript)
	}
}

// has tells whether something in the file says that it was encrypted with a key.
func (p *press) has(id seal.ID) bool {
	content, err := os.ReadFile(p.path)
	require.NoError(p, err)
	return bytes.Contains(content, id[:])
}

// TestKeys_first has what was there before the first key stay readable, and be
// nowhere in the file when all of it is encrypted.
func TestKeys_first(t *testing.T) {
	p := newPress(t)
	who := p.arrives()
	require.Empty(t, p.Status().(bolt.Status).EncryptionKeys)
	p.reopens(sealtest.Keys(t, 1))
	p.kept(who)
	p.Sweep(t.Context())
	require.True(t, p.Status().(bolt.Status).Unencrypted)
	require.Positive(t, p.secrets(who))

	revived, err := p.Revive(t.Context(), who.left[1].ID)
	require.NoError(t, err)
	taken, err := p.Take(t.Context(), who.left[2].ID)
	require.NoError(t, err)
	for _, d := range []*delivery.Delivery{revived, taken} {
		_, err = p.Save(t.Context(), d)
		require.NoError(t, err)
	}
	_, err = p.Drop(t.Context(), who.left[0].ID)
	require.NoError(t, err)
	p.Sweep(t.Context())
	require.False(t, p.Status().(bolt.Status).Unencrypted)
	require.Eventually(t, func() bool { return !p.Status().(bolt.Status).Purging }, 30*time.Second, time.Millisecond)
	require.Zero(t, p.secrets(who))
	got, err := p.Get(t.Context(), taken.ID)
	require.NoError(t, err)
	require.Equal(t, who.left[2].Body, got.Body)
	require.Equal(t, who.left[2].Customer, got.Customer)
}

// TestKeys_off reads what is encrypted, and encrypts nothing more.
func TestKeys_off(t *testing.T) {
	p := newPressWith(t, sealtest.Keys(t, 1))
	old := p.arrives()
	require.Error(t, p.SetKeys(nil))
	require.NoError(t, p.SetKeys(sealtest.Off(t, 1)))
	fresh := p.arrives()
	p.kept(old)
	require.Positive(t, p.secrets(fresh))
	for _, d := range old.left {
		_, err := p.Drop(t.Context(), d.ID)
		require.NoError(t, err)
	}
	p.Sweep(t.Context())
	require.Empty(t, p.needed())
	require.NoError(t, p.SetKeys(nil))
	p.reopens(nil)
	p.kept(fresh)
}

// TestKeys_changing changes them while deliveries come and go: each is read as it
// was written.
func TestKeys_changing(t *testing.T) {
	p := newPressWith(t, sealtest.Keys(t, 0))
	var all sync.WaitGroup
	stop := make(chan struct{})
	changes := 0
	all.Go(func() {
		for n := byte(1); ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := p.SetKeys(sealtest.Keys(t, n, n-1, n-2, n-3)); err == nil {
				changes++
				continue
			}
			n-- // an older key is needed still
			p.Sweep(t.Context())
		}
	})
	var some sync.WaitGroup
	for range 8 {
		some.Go(func() {
			for range 60 {
				d := webhook()
				d.Claimed = true
				if err := p.Put(p.Context(), []*delivery.Delivery{d}); err != nil {
					t.Error(err)
					return
				}
				done := delivered(d)
				if _, err := p.Save(p.Context(), done); err != nil {
					t.Error(err)
				}
				if got, err := p.Get(p.Context(), d.ID); err != nil || string(got.Answer) != string(done.Answer) {
					t.Error(err, got)
				}
				if _, err := p.Drop(p.Context(), d.ID); err != nil {
					t.Error(err)
				}
			}
		})
	}
	some.Wait()
	close(stop)
	all.Wait()
	require.Greater(t, changes, 10)
}

// TestEncryption_tampered has somebody change what is encrypted, checksum
// included: that is damage, and is mended as such, once.
func TestEncryption_tampered(t *testing.T) {
	p := newPressWith(t, sealtest.Keys(t, 1))
	d := webhook()
	require.NoError(t, p.Put(t.Context(), []*delivery.Delivery{d}))
	require.NoError(t, p.Tamper(t.Context(), d.ID))
	got, err := p.Get(t.Context(), d.ID)
	require.NoError(t, err)
	require.Empty(t, got.Body)
	aside := p.Status().(bolt.Status).SetAside
	require.Len(t, aside, 1)
	require.True(t, aside[0].Done)
	require.Positive(t, aside[0].Lost)
}

// TestKeys_changed_meanwhile has nothing be encrypted any more with a key that
// does not encrypt when it comes to be committed, whenever it was encoded.
func TestKeys_changed_meanwhile(t *testing.T) {
	p := newPressWith(t, sealtest.Keys(t, 1))
	saved := webhook()
	saved.Claimed = true
	require.NoError(t, p.Put(t.Context(), []*delivery.Delivery{saved}))
	p.hold(false)
	first, second := webhook(), webhook()
	putFirst := p.put(first)
	goOn := p.commit()
	putSecond := p.put(second)
	require.Eventually(t, func() bool {
		webhooks, _ := p.Waiting()
		return webhooks == 1
	}, 10*time.Second, time.Millisecond)
	done := delivered(saved)
	done.Answer = []byte("answer")
	_, err := p.Save(t.Context(), done)
	require.NoError(t, err)
	_, completions := p.Waiting()
	require.Equal(t, 1, completions, "it is not committed yet")
	require.NoError(t, p.SetKeys(sealtest.Keys(t, 2, 1)))
	p.free()
	goOn <- nil
	require.NoError(t, p.result(putFirst))
	require.NoError(t, p.result(putSecond))
	_, err = p.Drop(t.Context(), first.ID)
	require.NoError(t, err)

	p.Sweep(t.Context())
	require.Equal(t, names(sealtest.Keys(t, 2)), p.needed())
	p.reopens(sealtest.Keys(t, 2))
	for _, d := range []*delivery.Delivery{second, done} {
		got, err := p.Get(t.Context(), d.ID)
		require.NoError(t, err)
		require.Equal(t, d.Body, got.Body)
		require.Equal(t, d.Answer, got.Answer)
	}
}

// TestKeys_revived encrypts all of a delivery anew that is written by half.
func TestKeys_revived(t *testing.T) {
	p := newPressWith(t, sealtest.Keys(t, 1))
	d := webhook()
	d.Claimed = true
	require.NoError(t, p.Put(t.Context(), []*delivery.Delivery{d}))
	dead := *d
	dead.State, dead.Transcript, dead.Answer = delivery.Dead, []byte("transcript"), []byte("answer")
	_, err := p.Save(t.Context(), &dead)
	require.NoError(t, err)
	require.NoError(t, p.SetKeys(sealtest.Keys(t, 2, 1)))
	_, err = p.Revive(t.Context(), d.ID)
	require.NoError(t, err)
	p.Sweep(t.Context())
	require.Equal(t, names(sealtest.Keys(t, 2)), p.needed())
	p.reopens(sealtest.Keys(t, 2))
	got, err := p.Get(t.Context(), d.ID)
	require.NoError(t, err)
	require.Equal(t, d.Body, got.Body)
	require.Equal(t, dead.Transcript, got.Transcript)
}

// TestKeys_first_empty purges the file of what was there before the first key
// also if all of it had gone by then: it is on free pages.
func TestKeys_first_empty(t *testing.T) {
	for name, told := range map[string]bool{"file of this version": true, "older file": false} {
		t.Run(name, func(t *testing.T) {
			p := newPress(t)
			who := p.crowd()
			for _, d := range who.left {
				_, err := p.Drop(t.Context(), d.ID)
				require.NoError(t, err)
			}
			if !told {
				require.NoError(t, p.ForgetSealers(t.Context()))
			}
			require.Positive(t, p.secrets(who))
			p.reopens(sealtest.Keys(t, 1))
			p.Sweep(t.Context())
			require.False(t, p.Status().(bolt.Status).Unencrypted)
			p.gone(who)
		})
	}
}

// TestKeys_first_restart does not forget the purge when the store is closed
// before it has noticed that nothing unencrypted is left.
func TestKeys_first_restart(t *testing.T) {
	p := newPress(t)
	who := p.crowd()
	p.reopens(sealtest.Keys(t, 1))
	fresh := p.arrives()
	for _, d := range who.left {
		_, err := p.Drop(t.Context(), d.ID)
		require.NoError(t, err)
	}
	require.Positive(t, p.secrets(who))
	p.reopens(sealtest.Keys(t, 1))
	p.Sweep(t.Context())
	p.gone(who)
	p.kept(fresh)
}

// crowd returns, as one, so many that what is written later does not take all of
// their pages.
func (p *press) crowd() *person {
	p.Helper()
	all := new(person)
	for range 20 {
		one := p.arrives()
		all.marks, all.left = append(all.marks, one.marks...), append(all.left, one.left...)
	}
	return all
}
