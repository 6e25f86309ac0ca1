package bolt_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/bolt"
)

// person is somebody whose chat has left deliveries, with marks of his own in
// all that is stored of them.
type person struct {
	chat  string
	marks []string
	left  []*delivery.Delivery
}

// mark returns a text that is nowhere else.
func (p *person) mark() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	p.marks = append(p.marks, hex.EncodeToString(b))
	return hex.EncodeToString(b)
}

// arrives makes the deliveries of a person, one in each state.
func (p *press) arrives() *person {
	p.Helper()
	who := new(person)
	who.chat = who.mark()
	for _, state := range []delivery.State{delivery.Delivered, delivery.Dead, delivery.Pending} {
		d := webhook()
		d.Claimed, d.ChatID = true, who.chat
		d.Body, d.Customer = []byte(who.mark()), []byte(who.mark())
		require.NoError(p, p.Put(p.Context(), []*delivery.Delivery{d}))
		saved := *d
		if saved.State = state; state == delivery.Delivered {
			saved.Body, saved.Customer = nil, nil
			saved.Answer, saved.Ticket.ID = []byte(who.mark()), who.mark()
		} else {
			saved.Transcript = []byte(who.mark())
		}
		_, err := p.Save(p.Context(), &saved)
		require.NoError(p, err)
		who.left = append(who.left, &saved)
	}
	p.Frozen(p.Context(), func() {})
	return who
}

// traces counts the person's marks in the files beside the store.
func (p *press) traces(who *person) (n int) {
	p.Helper()
	files, err := filepath.Glob(p.path + "*")
	require.NoError(p, err)
	require.NotEmpty(p, files)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if os.IsNotExist(err) { // a copy that has taken the file's place
			continue
		}
		require.NoError(p, err)
		for _, mark := range who.marks {
			n += bytes.Count(content, []byte(mark))
		}
	}
	return n
}

func (p *press) erases(who *person, want int) {
	p.Helper()
	n, err := p.Erase(p.Context(), who.chat)
	require.NoError(p, err)
	require.Equal(p, want, n)
}

// gone waits until nothing is left of a person.
func (p *press) gone(who *person) {
	p.Helper()
	require.Eventually(p, func() bool { return !p.Status().(bolt.Status).Purging }, 30*time.Second, time.Millisecond)
	require.Zero(p, p.traces(who))
}

// TestErase_bytes has nothing left of a chat in the file's bytes, however they
// came to be there, and all of another one.
func TestErase_bytes(t *testing.T) {
	p := newPress(t)
	erased, other := p.arrives(), p.arrives()
	require.GreaterOrEqual(t, p.traces(erased), len(erased.marks), "what is looked for would be found")
	p.erases(erased, 3)
	require.True(t, p.Status().(bolt.Status).Purging || p.traces(erased) == 0)
	p.gone(erased)
	for _, d := range other.left {
		got, err := p.Get(t.Context(), d.ID)
		require.NoError(t, err)
		require.Equal(t, d.State, got.State)
		require.Equal(t, string(d.Body), string(got.Body))
		require.Equal(t, string(d.Transcript), string(got.Transcript))
	}
	for _, d := range erased.left {
		p.absent(d)
	}
}

// What was dropped before is erased, too, though nothing leads to it any more.
func TestErase_dropped(t *testing.T) {
	p := newPress(t)
	who := p.arrives()
	for _, d := range who.left {
		_, err := p.Drop(t.Context(), d.ID)
		require.NoError(t, err)
	}
	require.Positive(t, p.traces(who))
	p.erases(who, 0)
	p.gone(who)
}

// An erasure is no less one if the store is closed right after it.
func TestErase_restart(t *testing.T) {
	p := newPress(t)
	who := p.arrives()
	p.erases(who, 3)
	require.NoError(t, p.Store.Close())
	p.open()
	p.gone(who)
}

// TestErase_compacting erases what a compaction under way has copied.
func TestErase_compacting(t *testing.T) {
	p := newPress(t)
	who := p.arrives()
	for range 500 { // that come after them
		require.NoError(t, p.Put(t.Context(), []*delivery.Delivery{webhook()}))
	}
	require.NoError(t, p.Compact(t.Context()))
	require.Eventually(t, p.compacting, 5*time.Second, 100*time.Microsecond)
	require.Eventually(t, func() bool {
		content, _ := os.ReadFile(p.path + ".compact")
		return bytes.Contains(content, []byte(who.marks[0]))
	}, 20*time.Second, 100*time.Microsecond, "they are copied")
	p.erases(who, 3)
	p.gone(who)
}

// TestErase_setAside has nothing left in a damaged file either.
func TestErase_setAside(t *testing.T) {
	p := newPress(t)
	who := p.arrives()
	require.NoError(t, p.Store.Close())
	content, err := os.ReadFile(p.path)
	require.NoError(t, err)
	clear(content[:2*bolt.PageSize]) // both meta pages
	require.NoError(t, os.WriteFile(p.path, content, 0o600))
	p.open()
	require.Len(t, p.Status().(bolt.Status).SetAside, 1)
	require.Greater(t, p.traces(who), len(who.marks), "in two files")
	p.erases(who, 3)
	p.gone(who)
	require.Empty(t, p.Status().(bolt.Status).SetAside)
}

// What could not be read of a file that was set aside may be of the chat: who
// erases it is told, and which file that is.
func TestErase_unread(t *testing.T) {
	p := newPress(t)
	who := p.arrives()
	require.NoError(t, p.Store.Close())
	require.NoError(t, os.WriteFile(p.path, []byte("this is no database\n"), 0o600))
	bolt.Renames(func(from, to string) error {
		if from == p.path {
			return errors.Join(os.Remove(from), os.Symlink("nowhere", to)) // cannot be opened
		}
		return os.Rename(from, to)
	})
	t.Cleanup(func() { bolt.Renames(os.Rename) })
	p.open()
	aside := p.Status().(bolt.Status).SetAside
	require.Len(t, aside, 1)
	_, err := p.Erase(t.Context(), who.chat)
	require.ErrorContains(t, err, aside[0].Path+" could not be read, and may have something of the chat: remove it")
	require.NotContains(t, err.Error(), who.chat)
	require.NoError(t, os.Remove(aside[0].Path))
	p.erases(who, 0)
}
