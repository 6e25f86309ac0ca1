package postgres_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres/pgtest"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal/sealtest"
)

func names(all ...*seal.Keys) (ids []string) {
	for _, keys := range all {
		ids = append(ids, keys.Sealer().String())
	}
	return ids
}

// needed returns the ids of the keys that the database needs, after it was asked.
func needed(t *testing.T, s *postgres.Store) (ids []string) {
	t.Helper()
	s.Sweep(t.Context())
	for _, key := range s.Status().(postgres.Status).EncryptionKeys {
		if key.Needed {
			ids = append(ids, key.ID)
		}
	}
	return ids
}

// The marks of a person, as they are in deliveries.
var marks = map[string]string{
	"body": "Ola Nordmann of Body Street", "customer": "ola.customer@example.com", "transcript": "my transcript's number is 4711",
	"answer": "dear Ola, the answer is", "ticket": "TICKET-OLA-1", "link": "https://desk.example.com/ola/1",
}

// arrives stores a delivered, a dead and a pending delivery of a person, and
// returns them as they are then.
func arrives(t *testing.T, s *postgres.Store, chat string) []*delivery.Delivery {
	t.Helper()
	var left []*delivery.Delivery
	for _, state := range []delivery.State{delivery.Delivered, delivery.Dead, delivery.Pending} {
		d := claimed(newDelivery(zendesk, chat))
		d.Body, d.Customer = []byte(`{"message":"`+marks["body"]+`"}`), []byte(marks["customer"])
		put(t, s, d)
		require.True(t, d.Claimed)
		saved := *d
		saved.State, saved.Answer, saved.Transcript = state, []byte(marks["answer"]), bytes.Repeat([]byte(marks["transcript"]), 50)
		saved.DueAt = d.DueAt.Add(-time.Second)
		if state == delivery.Delivered {
			saved.Ticket = delivery.Ticket{ID: marks["ticket"], URL: marks["link"]}
			saved.Body, saved.Customer, saved.Transcript = nil, nil, nil
		}
		_, err := s.Save(t.Context(), &saved)
		require.NoError(t, err)
		left = append(left, &saved)
	}
	return left
}

// kept requires deliveries to be there as they were.
func kept(t *testing.T, s *postgres.Store, left []*delivery.Delivery) {
	t.Helper()
	for _, d := range left {
		got, err := s.Get(t.Context(), d.ID)
		require.NoError(t, err)
		require.Equal(t, d.State, got.State)
		require.Equal(t, d.Body, got.Body)
		require.Equal(t, d.Customer, got.Customer)
		require.Equal(t, d.Transcript, got.Transcript)
		require.Equal(t, d.Answer, got.Answer)
		require.Equal(t, d.Ticket, got.Ticket)
		found, err := s.Find(t.Context(), d.Key)
		require.NoError(t, err)
		require.Equal(t, d.Answer, found[0].Answer)
	}
}

// rewritten has deliveries attempted once more, without success.
func rewritten(t *testing.T, s *postgres.Store, left []*delivery.Delivery) {
	t.Helper()
	for _, d := range left {
		var again *delivery.Delivery
		var err error
		if d.State == delivery.Dead {
			again, err = s.Revive(t.Context(), d.ID)
		} else {
			again, err = s.Take(t.Context(), d.ID)
		}
		require.NoError(t, err)
		again.State, again.Answer = d.State, d.Answer
		_, err = s.Save(t.Context(), again)
		require.NoError(t, err)
	}
}

// seen returns which marks of the person are in a server's files, its WAL among
// them.
func seen(t *testing.T, server *pgtest.Server) (found []string) {
	t.Helper()
	require.NoError(t, pgtest.Do(server.DSN(), "CHECKPOINT"))
	there := make(map[string]bool)
	require.NoError(t, filepath.WalkDir(filepath.Join(server.Dir, "data"), func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && !entry.Type().IsRegular() {
			return nil
		}
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		for name, mark := range marks {
			there[name] = there[name] || bytes.Contains(content, []byte(mark))
		}
		return err
	}))
	for name, is := range there {
		if is {
			found = append(found, name)
		}
	}
	return found
}

// Nothing of what quotes people is in the bytes of any of the database's files;
// without a key all of it is there.
func TestEncryption(t *testing.T) {
	for _, encrypts := range []bool{false, true} {
		server := pgtest.Start(t, pgtest.Options{})
		o := postgres.Options{DSN: server.DSN()}
		if encrypts {
			o.Keys = sealtest.Keys(t, 1)
		}
		s := open(t, o)
		left := arrives(t, s, "chat")
		imported := *left[0]
		imported.ID, imported.Key = uuid.Must(uuid.NewV7()), delivery.Key{}
		n, err := s.Import(t.Context(), []*delivery.Delivery{&imported})
		require.NoError(t, err)
		require.Equal(t, 1, n)
		kept(t, s, left)
		if encrypts {
			require.Empty(t, seen(t, server))
			require.Equal(t, 4, query[int](t, server.DSN(), `SELECT count(*) FROM kindly_deliveries WHERE sealer = $1`, sealer(sealtest.Keys(t, 1))))
		} else {
			require.Len(t, seen(t, server), len(marks), "what is looked for would be found")
		}
		require.NoError(t, s.Close())
		require.NoError(t, server.Close())
	}
}

func sealer(keys *seal.Keys) []byte {
	id := keys.Sealer()
	return id[:]
}

// contents is a digest of everything in the tables of a schema.
func contents(t *testing.T, dsn string) (all string) {
	t.Helper()
	for _, table := range []string{"deliveries", "keys", "counts", "instances", "schema"} {
		all += query[string](t, dsn, `SELECT coalesce(md5(string_agg(x::text, ',' ORDER BY x::text)), '') FROM kindly_`+table+` x`)
	}
	return all
}

// Keys that are too few open no store, and change nothing.
func TestKeysThatAreTooFew(t *testing.T) {
	dsn := pgtest.Schema(t)
	s := open(t, postgres.Options{DSN: dsn, Keys: sealtest.Keys(t, 1)})
	left := arrives(t, s, "chat")
	require.NoError(t, s.Close())
	before := contents(t, dsn)
	for name, wrong := range map[string]*seal.Keys{"another": sealtest.Keys(t, 2), "none": nil, "off": sealtest.Off(t, 2)} {
		_, err := postgres.Open(postgres.Options{DSN: dsn, Keys: wrong})
		var unknown *seal.UnknownKeyError
		require.ErrorAs(t, err, &unknown, name)
		require.Equal(t, []seal.ID{sealtest.Keys(t, 1).Sealer()}, unknown.IDs)
		require.ErrorContains(t, err, "store postgres: there may be content that is encrypted with the key "+names(sealtest.Keys(t, 1))[0])
		require.NotContains(t, err.Error(), sealtest.Text(1))
		require.NotContains(t, err.Error(), sealtest.Text(2))
		require.Equal(t, before, contents(t, dsn))
	}
	kept(t, open(t, postgres.Options{DSN: dsn, Keys: sealtest.Keys(t, 2, 1)}), left)
}

// A database that is reached only later refuses keys that are too few as well,
// until there are more.
func TestKeysThatAreTooFewLater(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{Fast: true})
	s := open(t, postgres.Options{DSN: server.DSN(), Keys: sealtest.Keys(t, 1)})
	left := arrives(t, s, "chat")
	require.NoError(t, s.Close())
	before := contents(t, server.DSN())
	require.NoError(t, server.Stop(false))
	late := open(t, postgres.Hurried(postgres.Options{DSN: server.DSN(), Keys: sealtest.Keys(t, 2)}))
	require.NoError(t, server.Start())
	soon(t, func() bool {
		return errors.As(late.Put(t.Context(), []*delivery.Delivery{newDelivery(zendesk, "")}), new(*seal.UnknownKeyError))
	}, "it says what is missing")
	require.Contains(t, late.Status().(postgres.Status).Error, "encrypted with the key "+names(sealtest.Keys(t, 1))[0])
	require.Equal(t, before, contents(t, server.DSN()))
	require.Error(t, late.CheckKeys(sealtest.Keys(t, 3)))
	require.NoError(t, late.SetKeys(sealtest.Keys(t, 3, 1)), "the wrong key was not used")
	soon(t, func() bool { return late.Put(t.Context(), []*delivery.Delivery{newDelivery(zendesk, "")}) == nil }, "it goes on")
	kept(t, late, left)
}

// An old key is needed as long as something is encrypted with it.
func TestRotation(t *testing.T) {
	dsn := pgtest.Schema(t)
	log, logs := logger()
	s := open(t, postgres.Options{DSN: dsn, Keys: sealtest.Keys(t, 1), Log: log})
	old := arrives(t, s, "chat")
	require.NoError(t, s.SetKeys(sealtest.Keys(t, 2, 1)))
	fresh := arrives(t, s, "another chat")
	kept(t, s, old)
	kept(t, s, fresh)
	require.ElementsMatch(t, names(sealtest.Keys(t, 1), sealtest.Keys(t, 2)), needed(t, s))
	for _, wrong := range []*seal.Keys{sealtest.Keys(t, 1), sealtest.Keys(t, 2), nil} {
		require.Error(t, s.CheckKeys(wrong))
		require.Error(t, s.SetKeys(wrong))
	}
	rewritten(t, s, old[1:])
	kept(t, s, old)
	require.ElementsMatch(t, names(sealtest.Keys(t, 1), sealtest.Keys(t, 2)), needed(t, s), "the delivered one has its answer")
	_, err := s.Drop(t.Context(), old[0].ID)
	require.NoError(t, err)
	require.Equal(t, names(sealtest.Keys(t, 2)), needed(t, s))
	require.Equal(t, 1, logs.FilterMessage("an encryption key is not needed any more").Len())
	require.NoError(t, s.SetKeys(sealtest.Keys(t, 2)))
	require.NoError(t, s.Close())
	s = open(t, postgres.Options{DSN: dsn, Keys: sealtest.Keys(t, 2)})
	kept(t, s, fresh)
	kept(t, s, old[1:])
}

// What was there before the first key stays readable, and is told of until all is
// encrypted; with off nothing more is.
func TestTheFirstKeyAndNone(t *testing.T) {
	dsn := pgtest.Schema(t)
	s := open(t, postgres.Options{DSN: dsn})
	plain := arrives(t, s, "chat")
	require.Empty(t, needed(t, s))
	require.NoError(t, s.SetKeys(sealtest.Keys(t, 1)))
	kept(t, s, plain)
	require.Equal(t, names(sealtest.Keys(t, 1)), needed(t, s))
	require.True(t, s.Status().(postgres.Status).Unencrypted)
	rewritten(t, s, plain[1:])
	_, err := s.Drop(t.Context(), plain[0].ID)
	require.NoError(t, err)
	s.Sweep(t.Context())
	require.False(t, s.Status().(postgres.Status).Unencrypted)
	kept(t, s, plain[1:])

	require.Error(t, s.SetKeys(nil))
	require.NoError(t, s.SetKeys(sealtest.Off(t, 1)))
	again := arrives(t, s, "another chat")
	rewritten(t, s, plain[1:])
	kept(t, s, append(again, plain[1:]...))
	require.Empty(t, needed(t, s))
	require.NoError(t, s.SetKeys(nil))
	kept(t, s, append(again, plain[1:]...))
}

// An instance leaves what it lacks the key of to others, takes it for no damage,
// and is held up by it no more than by a chat's order.
func TestAFleetWhoseKeysDiffer(t *testing.T) {
	dsn := pgtest.Schema(t)
	log, logs := logger()
	behind := open(t, postgres.Hurried(postgres.Options{DSN: dsn, Keys: sealtest.Keys(t, 1), Log: log}))
	ahead := open(t, postgres.Hurried(postgres.Options{DSN: dsn, Keys: sealtest.Keys(t, 2, 1)}))
	theirs := arrives(t, ahead, "chat")
	delivered, dead, pending := theirs[0], theirs[1], theirs[2]
	held, own := newDelivery(zendesk, "chat"), newDelivery(zendesk, "")
	put(t, behind, held)
	put(t, behind, own)

	got, next, err := behind.Claim(t.Context(), zendesk, time.Now(), 10)
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, own.ID, got[0].ID)
	require.True(t, next.IsZero(), "there is nothing that it could wait for")
	settle(t, behind, got[0], delivery.Delivered)
	for what, call := range map[string]func() (*delivery.Delivery, error){
		"get":    func() (*delivery.Delivery, error) { return behind.Get(t.Context(), pending.ID) },
		"take":   func() (*delivery.Delivery, error) { return behind.Take(t.Context(), pending.ID) },
		"revive": func() (*delivery.Delivery, error) { return behind.Revive(t.Context(), dead.ID) },
	} {
		_, err := call()
		require.ErrorIs(t, err, delivery.ErrUnreadable, what)
		require.ErrorContains(t, err, names(sealtest.Keys(t, 2))[0], what)
	}
	_, err = behind.Revive(t.Context(), pending.ID)
	require.ErrorIs(t, err, delivery.ErrNotFound)
	found, err := behind.Find(t.Context(), delivered.Key)
	require.NoError(t, err)
	require.Equal(t, delivery.Delivered, found[0].State, "it makes no second ticket")
	require.Empty(t, found[0].Answer)
	page, err := behind.List(t.Context(), delivery.Query{ChatID: "chat", Limit: 10})
	require.NoError(t, err)
	require.Len(t, page.Deliveries, 4)
	for range 3 {
		behind.Sweep(t.Context())
	}
	require.Equal(t, 1, logs.FilterMessageSnippet("wait for an instance that has it").Len())
	require.Contains(t, behind.Status().(postgres.Status).EncryptionKeys, postgres.Key{ID: names(sealtest.Keys(t, 2))[0], Needed: true, Missing: true})
	require.Error(t, behind.CheckKeys(sealtest.Keys(t, 1)))
	require.Error(t, ahead.CheckKeys(sealtest.Keys(t, 2)), "the other one encrypts with the old one")
	kept(t, ahead, theirs)

	require.Equal(t, []uuid.UUID{pending.ID}, claim(t, ahead, zendesk))
	settle(t, ahead, pending, delivery.Delivered)
	require.Equal(t, []uuid.UUID{held.ID}, claim(t, behind, zendesk))
	settle(t, behind, held, delivery.Delivered)
	require.NoError(t, behind.SetKeys(sealtest.Keys(t, 2, 1)))
	_, err = behind.Revive(t.Context(), dead.ID)
	require.NoError(t, err)
	require.ElementsMatch(t, names(sealtest.Keys(t, 2), sealtest.Keys(t, 1)), needed(t, ahead))
	for _, d := range []*delivery.Delivery{held, own} {
		_, err = behind.Drop(t.Context(), d.ID)
		require.NoError(t, err)
	}
	soon(t, func() bool { return ahead.CheckKeys(sealtest.Keys(t, 2)) == nil }, "nobody needs the old one")
}

// Whatever instance saves a delivery seals all of it with its key, the body that
// it has not changed as well.
func TestSavesSealAllAnew(t *testing.T) {
	dsn := pgtest.Schema(t)
	one, two := open(t, postgres.Options{DSN: dsn, Keys: sealtest.Keys(t, 1, 2)}), open(t, postgres.Options{DSN: dsn, Keys: sealtest.Keys(t, 2, 1)})
	d := newDelivery(zendesk, "")
	put(t, one, d)
	for i, s := range []*postgres.Store{two, two, one, two} {
		taken, err := s.Take(t.Context(), d.ID)
		require.NoError(t, err)
		taken.Transcript = fmt.Appendf(nil, "transcript %d", i)
		_, err = s.Save(t.Context(), taken)
		require.NoError(t, err)
		got, err := one.Get(t.Context(), d.ID)
		require.NoError(t, err)
		require.Equal(t, d.Body, got.Body)
		require.Equal(t, taken.Transcript, got.Transcript)
	}
	require.NoError(t, one.SetKeys(sealtest.Keys(t, 2, 1)))
	require.NoError(t, one.SetKeys(sealtest.Keys(t, 2)), "which all of it is encrypted with")
	got, err := one.Get(t.Context(), d.ID)
	require.NoError(t, err)
	require.Equal(t, d.Body, got.Body)

	// One that comes late, when another instance has sealed it since, has no effect.
	late, err := one.Take(t.Context(), d.ID)
	require.NoError(t, err)
	require.NoError(t, pgtest.Do(dsn, `UPDATE kindly_deliveries SET sealer = ''`))
	_, err = one.Save(t.Context(), late)
	require.ErrorIs(t, err, delivery.ErrNotFound)
}

// What is encrypted is nothing in another delivery's place.
func TestTampering(t *testing.T) {
	dsn := pgtest.Schema(t)
	s := open(t, postgres.Options{DSN: dsn, Keys: sealtest.Keys(t, 1)})
	one, two := newDelivery(zendesk, ""), newDelivery(zendesk, "")
	put(t, s, one)
	put(t, s, two)
	require.NoError(t, pgtest.Do(dsn, `UPDATE kindly_deliveries SET body = (SELECT body FROM kindly_deliveries WHERE id = '`+one.ID.String()+`')`))
	require.Equal(t, []uuid.UUID{one.ID}, claim(t, s, zendesk))
	_, err := s.Get(t.Context(), two.ID)
	require.ErrorIs(t, err, seal.ErrBroken)
	require.Equal(t, 1, count(t, s, zendesk).Dead)
}

// Keys change while deliveries come and go: each is read as it was written.
func TestKeysThatChange(t *testing.T) {
	s := open(t, postgres.Options{DSN: pgtest.Schema(t), Keys: sealtest.Keys(t, 0)})
	var changing, working sync.WaitGroup
	stop := make(chan struct{})
	changes := 0
	changing.Go(func() {
		for n := byte(1); ; {
			select {
			case <-stop:
				return
			default:
			}
			if s.SetKeys(sealtest.Keys(t, n, n-1)) == nil { // unless an older key is needed still
				changes++
				n++
			}
		}
	})
	for range 8 {
		working.Go(func() {
			for range 40 {
				d := claimed(newDelivery(zendesk, ""))
				if err := s.Put(t.Context(), []*delivery.Delivery{d}); err != nil {
					t.Error(err)
					return
				}
				done := *d
				done.Answer = []byte("answer")
				if _, err := s.Save(t.Context(), &done); err != nil {
					t.Error(err)
				}
				if got, err := s.Get(t.Context(), d.ID); err != nil || string(got.Answer) != "answer" || !bytes.Equal(got.Body, d.Body) {
					t.Error(err, got)
				}
				if _, err := s.Drop(t.Context(), d.ID); err != nil {
					t.Error(err)
				}
			}
		})
	}
	working.Wait()
	close(stop)
	changing.Wait()
	require.Greater(t, changes, 3)
}
