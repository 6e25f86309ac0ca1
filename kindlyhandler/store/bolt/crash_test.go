package bolt_test

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/bolt"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal/sealtest"
)

// Whatever happened before a crash, or a restart: what was accepted is still
// there, in the state that was saved last (but for completions, which may be
// lost by a crash), and what is pending can be claimed, once, and in the order
// of its chat.
func TestCrashes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(fastTemp(), "kindly-")
		require.NoError(rt, err)
		defer os.RemoveAll(dir)
		m := &machine{t: rt, dir: dir, now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
		if rapid.Bool().Draw(rt, "encrypted") {
			m.texts = []string{sealtest.Text(0)}
		}
		m.open(filepath.Join(dir, "0.db"))
		defer func() { _ = m.store.Close() }()
		rt.Repeat(map[string]func(*rapid.T){
			"put":     m.put,
			"claim":   m.claim,
			"save":    m.save,
			"revive":  m.revive,
			"drop":    m.drop,
			"restart": func(*rapid.T) { m.restart() },
			"crash":   func(*rapid.T) { m.crash() },
			"rotate":  func(*rapid.T) { m.rotate() },
			"compact": func(*rapid.T) { _ = m.store.Compact(rt.Context()) },
			"fail": func(*rapid.T) {
				m.fails = !m.fails
				m.store.FailCommits(m.fails)
			},
			"wait": func(*rapid.T) { m.pass(time.Minute) },
			"":     func(*rapid.T) { m.check() },
		})
		m.works()
		m.drain()
	})
}

// fastTemp is where flushing costs little, if there is such a place.
func fastTemp() string {
	if _, err := os.Stat("/dev/shm"); err == nil {
		return "/dev/shm"
	}
	return ""
}

// known is what is known of a delivery.
type known struct {
	delivery.Delivery
	revived bool
	// uncertain: a crash may have undone its completion.
	uncertain bool
}

type machine struct {
	t     *rapid.T
	dir   string
	store *bolt.Store
	mu    sync.Mutex
	now   time.Time
	// all are the accepted deliveries, in their order.
	all []*known
	ids uint64
	// fails: the disk does.
	fails bool
	// texts are those of the keys, the one that encrypts first; rotated is how
	// many there were.
	texts   []string
	rotated byte
}

// done tells whether a call that is to be committed had an effect.
func (m *machine) done(err error) bool {
	if m.fails {
		require.ErrorContains(m.t, err, "disk")
		return false
	}
	require.NoError(m.t, err)
	return true
}

func (m *machine) works() {
	m.fails = false
	m.store.FailCommits(false)
}

func (m *machine) clock() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

func (m *machine) pass(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = m.now.Add(d)
}

func (m *machine) open(path string) {
	keys, err := seal.Parse(m.texts...)
	require.NoError(m.t, err)
	s, err := bolt.Open(bolt.Options{Path: path, Now: m.clock, Keys: keys})
	require.NoError(m.t, err)
	m.store = s
}

// rotate has a new key encrypt, and takes away those that are not needed.
func (m *machine) rotate() {
	m.rotated++
	m.store.Sweep(m.t.Context())
	texts := []string{sealtest.Text(m.rotated)}
	for i, key := range m.store.Status().(bolt.Status).EncryptionKeys {
		if key.Needed {
			texts = append(texts, m.texts[i])
		}
	}
	keys, err := seal.Parse(texts...)
	require.NoError(m.t, err)
	require.NoError(m.t, m.store.SetKeys(keys))
	m.texts = texts
}

func (m *machine) put(t *rapid.T) {
	var webhook []*delivery.Delivery
	chat := rapid.SampledFrom([]string{"", "one", "two"}).Draw(t, "chat")
	m.ids++
	for i := range rapid.IntRange(1, 2).Draw(t, "upstreams") {
		webhook = append(webhook, &delivery.Delivery{
			ID: uuid.Must(uuid.NewV7()), Lane: []delivery.Lane{lane, {Webhook: "support", Upstream: "slack"}}[i],
			Key: delivery.Key{byte(m.ids), byte(m.ids >> 8), 1}, KeyExpires: m.clock().Add(time.Hour),
			Event: "dialogue", ChatID: chat, ReceivedAt: m.clock(), DueAt: m.clock(),
			Body:    []byte("body"),
			Claimed: rapid.Bool().Draw(t, "claimed"),
		})
	}
	if !m.done(m.putSoon(t, webhook)) {
		for _, d := range webhook {
			_, err := m.store.Get(t.Context(), d.ID)
			require.ErrorIs(t, err, delivery.ErrNotFound)
		}
		return
	}
	for _, d := range webhook {
		m.all = append(m.all, &known{Delivery: *d})
	}
}

// putSoon puts a webhook. After a full disk the store needs a second to find out
// that there is room again.
func (m *machine) putSoon(t *rapid.T, webhook []*delivery.Delivery) error {
	for until := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := m.store.Put(t.Context(), webhook)
		if err == nil || m.fails || time.Now().After(until) {
			return err
		}
	}
}

// some draws one of the deliveries for which a condition holds, nil if there is
// none.
func (m *machine) some(t *rapid.T, condition func(*known) bool) *known {
	var fit []*known
	for _, k := range m.all {
		if condition(k) {
			fit = append(fit, k)
		}
	}
	if len(fit) == 0 {
		return nil
	}
	return rapid.SampledFrom(fit).Draw(t, "delivery")
}

func (m *machine) claim(t *rapid.T) {
	m.claimed(rapid.SampledFrom([]string{"zendesk", "slack"}).Draw(t, "upstream"), rapid.IntRange(1, 3).Draw(t, "limit"))
}

// claimed claims, and requires that to be right.
func (m *machine) claimed(upstream string, limit int) int {
	got, _, err := m.store.Claim(m.t.Context(), delivery.Lane{Webhook: "support", Upstream: upstream}, m.clock(), limit)
	require.NoError(m.t, err)
	for _, d := range got {
		i := slices.IndexFunc(m.all, func(k *known) bool { return k.ID == d.ID })
		require.GreaterOrEqual(m.t, i, 0, "claimed, but never accepted, or dropped")
		k := m.all[i]
		require.False(m.t, k.Claimed, "claimed twice")
		require.Equal(m.t, delivery.Pending, k.State)
		require.Equal(m.t, []byte("body"), d.Body)
		for _, older := range m.all[:i] {
			if older.ChatID != "" && older.ChatID == k.ChatID && older.Lane == k.Lane && !older.revived && !k.revived {
				require.NotEqual(m.t, delivery.Pending, older.State, "an older one of the chat is pending")
			}
		}
		k.Claimed = true
	}
	return len(got)
}

func (m *machine) save(t *rapid.T) {
	k := m.some(t, func(k *known) bool { return k.Claimed })
	if k == nil {
		return
	}
	state := rapid.SampledFrom([]delivery.State{delivery.Pending, delivery.Delivered, delivery.Delivered, delivery.Dead}).Draw(t, "state")
	m.saves(k, state, m.clock().Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "due"))*time.Minute))
}

func (m *machine) saves(k *known, state delivery.State, due time.Time) {
	d := k.Delivery
	d.State, d.DueAt = state, due
	d.Tries++
	if state == delivery.Delivered {
		d.Body, d.Answer = nil, []byte("answer")
	}
	_, err := m.store.Save(m.t.Context(), &d)
	if err != nil {
		m.done(err)
		return
	}
	d.Claimed, d.Body = false, k.Body
	k.Delivery, k.uncertain = d, state == delivery.Delivered
}

func (m *machine) revive(t *rapid.T) {
	if k := m.some(t, func(k *known) bool { return k.State == delivery.Dead }); k != nil {
		if _, err := m.store.Revive(t.Context(), k.ID); !m.done(err) {
			return
		}
		k.State, k.Claimed, k.revived, k.DueAt = delivery.Pending, true, true, m.clock()
	}
}

func (m *machine) drop(t *rapid.T) {
	if k := m.some(t, func(*known) bool { return true }); k != nil {
		if _, err := m.store.Drop(t.Context(), k.ID); !m.done(err) {
			return
		}
		m.all = slices.DeleteFunc(m.all, func(o *known) bool { return o == k })
	}
}

func (m *machine) restart() {
	m.works()
	require.NoError(m.t, m.store.Close())
	m.open(filepath.Join(m.dir, "0.db"))
	for _, k := range m.all {
		k.Claimed, k.uncertain = false, false
	}
}

// crash goes on with what is on disk at a moment.
func (m *machine) crash() {
	path := filepath.Join(m.dir, "0.db")
	var image []byte
	m.store.Frozen(m.t.Context(), func() {
		var err error
		image, err = os.ReadFile(path)
		require.NoError(m.t, err)
	})
	require.NoError(m.t, m.store.Close())
	m.fails = false
	require.NoError(m.t, os.WriteFile(path, image, 0o600))
	m.open(path)
	for _, k := range m.all {
		k.Claimed = false
		if !k.uncertain {
			continue
		}
		d, err := m.store.Get(m.t.Context(), k.ID)
		require.NoError(m.t, err)
		k.State, k.DueAt, k.Tries, k.uncertain = d.State, d.DueAt, d.Tries, false
	}
}

// check compares everything.
func (m *machine) check() {
	counts := make(map[delivery.Lane]delivery.Counts)
	for _, k := range m.all {
		d, err := m.store.Get(m.t.Context(), k.ID)
		require.NoError(m.t, err)
		require.Equal(m.t, k.State, d.State)
		require.Equal(m.t, k.Claimed, d.Claimed)
		require.Equal(m.t, k.Tries, d.Tries)
		require.WithinDuration(m.t, k.DueAt, d.DueAt, 0)
		if k.State != delivery.Delivered {
			require.Equal(m.t, k.Body, d.Body)
		}
		c := counts[k.Lane]
		switch k.State {
		case delivery.Pending:
			c.Pending++
		case delivery.Delivered:
			c.Delivered++
		case delivery.Dead:
			c.Dead++
		}
		counts[k.Lane] = c
		if m.clock().Before(k.KeyExpires) {
			found, err := m.store.Find(m.t.Context(), k.Key)
			require.NoError(m.t, err)
			require.True(m.t, slices.ContainsFunc(found, func(f *delivery.Delivery) bool { return f.ID == k.ID }))
		}
	}
	got, err := m.store.Count(m.t.Context())
	require.NoError(m.t, err)
	for l, c := range got {
		c.OldestPending = time.Time{}
		got[l] = c
	}
	require.Equal(m.t, counts, got)
}

// drain delivers all that is pending.
func (m *machine) drain() {
	for {
		m.pass(3 * time.Minute) // what waits longest is due
		n := 0
		for _, k := range m.all {
			if k.Claimed {
				m.saves(k, delivery.Delivered, m.clock())
				n++
			}
		}
		n += m.claimed("zendesk", 100) + m.claimed("slack", 100)
		if n == 0 {
			break
		}
	}
	for i, k := range m.all {
		require.NotEqual(m.t, delivery.Pending, k.State, "delivery %d is stuck", i)
	}
}
