package postgres

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/seal"
)

// With a key, what quotes people is encrypted before it is sent to the database:
// webhooks, customers, transcripts, tickets and answers. What finds, orders and
// counts deliveries is not: names, states, times, attempts, and the chat's id,
// by which a chat is erased.
//
// All of a delivery is encrypted with one key, whose ID its row has, its sealer,
// or nothing of it is, and its sealer is empty. An instance claims only what it has the key of: the rest
// waits for an instance that has. Instances tell each other by their rows which
// key they encrypt with: who lacks that may not come, nor give it up.

// sealersSQL finds the sealers of all deliveries, also the empty one of those
// that are not encrypted, by as many steps through an index, and those of other
// instances that are alive.
const sealersSQL = `
WITH RECURSIVE s AS (
	(SELECT sealer FROM @deliveries ORDER BY sealer LIMIT 1)
	UNION ALL
	SELECT (SELECT d.sealer FROM @deliveries d WHERE d.sealer > s.sealer ORDER BY d.sealer LIMIT 1) FROM s WHERE s.sealer IS NOT NULL
)
SELECT sealer FROM s WHERE sealer IS NOT NULL
UNION ALL SELECT sealer FROM @instances WHERE sealer <> '' AND id IS DISTINCT FROM $1 AND seen > clock_timestamp() - make_interval(secs => $2)`

// sealing is what is known of the keys.
type sealing struct {
	// The mutex is not held while anything is waited for. The zero ID is for what
	// is not encrypted.
	mu   sync.Mutex
	keys *seal.Keys
	// asked counts how often the database was asked for sealers, learned is the
	// number of the latest of these whose answer was taken over.
	asked, learned int
	// writing counts the transactions under way that write with each key; written
	// is the value of asked when the latest of them began, or ended.
	writing, written map[seal.ID]int
	// needed are the sealers that there were; admitted says that the database was
	// asked, and that all were known.
	needed   map[seal.ID]bool
	admitted bool
	told     map[seal.ID]bool // missing ones that were logged
}

func (s *sealing) init(keys *seal.Keys) {
	s.keys = keys
	s.writing, s.written = make(map[seal.ID]int), make(map[seal.ID]int)
	s.needed, s.told = make(map[seal.ID]bool), make(map[seal.ID]bool)
}

func (s *sealing) current() *seal.Keys {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keys
}

// use returns the keys for a transaction; done says that its outcome is known.
// In between, no keys are admitted without the one that seals.
func (s *sealing) use() *seal.Keys {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.keys.Sealer()
	s.writing[id]++
	s.written[id] = s.asked
	return s.keys
}

func (s *sealing) done(keys *seal.Keys) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := keys.Sealer()
	s.written[id] = s.asked
	if s.writing[id]--; s.writing[id] == 0 {
		delete(s.writing, id)
	}
}

// require fails if keys are too few for what there is, or may be at any moment.
// The mutex is held.
func (s *sealing) require(keys *seal.Keys) error {
	ids := append(slices.Collect(maps.Keys(s.needed)), slices.Collect(maps.Keys(s.writing))...)
	if s.admitted { // it may have been used
		ids = append(ids, s.keys.Sealer())
	}
	return keys.Require(ids...)
}

// CheckKeys tells whether SetKeys would take the keys. It asks the database, for
// a second at the most; while that does not answer, what is known of it counts.
func (s *Store) CheckKeys(keys *seal.Keys) error {
	s.refreshSealers()
	s.sealing.mu.Lock()
	defer s.sealing.mu.Unlock()
	return s.sealing.require(keys)
}

// SetKeys changes the keys from now on; nil has nothing encrypted. What is there
// is encrypted anew when it is written the next time. It fails with a
// [*seal.UnknownKeyError], and changes nothing, unless the keys have those that
// something in the database is encrypted with, those that other instances
// encrypt with, and the one that encrypts here until now.
//
// In a fleet, keys change one instance after the other. So that each can read
// what the others write all the time, first all get the new key behind the old
// one, then all get it before the old one, and, when nothing needs that any more,
// then all lose the old one. An instance that lacks a key that others encrypt
// with goes on, but leaves what they have stored to them.
func (s *Store) SetKeys(keys *seal.Keys) error {
	s.refreshSealers()
	s.sealing.mu.Lock()
	defer s.sealing.mu.Unlock()
	if err := s.sealing.require(keys); err != nil {
		return err
	}
	s.sealing.keys = keys
	return nil
}

// refreshSealers asks the database which keys are needed, if it can be asked.
func (s *Store) refreshSealers() {
	if s.health.err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, opening)
	defer cancel()
	if err := s.learnSealers(ctx); err != nil && ctx.Err() == nil {
		_ = s.blame(ctx, err)
	}
}

// learnSealers asks the database which keys are needed, and tells of what is
// news.
func (s *Store) learnSealers(ctx context.Context) error {
	return s.call(ctx, func(ctx context.Context, c *pgxpool.Conn) error { return s.askSealers(ctx, c.Conn()) })
}

func (s *Store) askSealers(ctx context.Context, c *pgx.Conn) error {
	number := s.sealing.ask()
	rows, err := c.Query(ctx, s.sql(sealersSQL), idOf(s.identity.id()), s.timing.lease.Seconds())
	if err != nil {
		return err
	}
	found := make(map[seal.ID]bool)
	var sealer []byte
	if _, err := pgx.ForEachRow(rows, []any{&sealer}, func() error {
		found[sealerOf(sealer)] = true
		return nil
	}); err != nil {
		return err
	}
	forgotten, missing := s.sealing.learn(number, found)
	for _, id := range forgotten {
		if id == (seal.ID{}) {
			s.log.Info("all deliveries are encrypted now")
		} else {
			s.log.Info("an encryption key is not needed any more", zap.Stringer("key", id))
		}
	}
	for _, id := range missing {
		s.log.Error("deliveries may be encrypted with a key that encryption_key does not have here: they wait for an instance that has it", zap.Stringer("key", id))
	}
	return nil
}

// ask returns the number of a question to the database.
func (s *sealing) ask() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return s.asked
}

// learn takes over what the database has said, and returns which of the known
// keys are not needed any more, and which are missing that were not before.
func (s *sealing) learn(number int, found map[seal.ID]bool) (forgotten, missing []seal.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if number < s.learned { // a later one was answered sooner
		return nil, nil
	}
	s.learned = number
	for id, at := range s.written {
		if at >= number || s.writing[id] > 0 { // the database need not have known of it yet
			found[id] = true
		}
	}
	sealer := s.keys.Sealer()
	for id := range s.needed {
		if !found[id] && id != sealer && s.keys.Require(id) == nil {
			forgotten = append(forgotten, id)
		}
	}
	for id := range found {
		if s.admitted && !s.told[id] && s.keys.Require(id) != nil {
			s.told[id] = true
			missing = append(missing, id)
		}
	}
	for id := range s.told {
		if !found[id] || s.keys.Require(id) == nil {
			delete(s.told, id)
		}
	}
	s.needed = found
	return forgotten, missing
}

// admit fails unless the keys are those that the database needs, which has just
// been reached for the first time. Later, what others have written since is
// theirs.
func (s *Store) admit(ctx context.Context, c *pgx.Conn) error {
	s.sealing.mu.Lock()
	admitted := s.sealing.admitted
	s.sealing.mu.Unlock()
	if admitted {
		return nil
	}
	if err := s.askSealers(ctx, c); err != nil {
		return err
	}
	s.sealing.mu.Lock()
	defer s.sealing.mu.Unlock()
	if err := s.sealing.require(s.sealing.keys); err != nil {
		return &problem{text: err.Error(), final: true, down: true, cause: err}
	}
	s.sealing.admitted = true
	return nil
}

// sealerOf is the zero ID for nothing.
func sealerOf(b []byte) (id seal.ID) {
	copy(id[:], b)
	return id
}

// sealerArgument is empty, not NULL, for the zero ID.
func sealerArgument(id seal.ID) []byte {
	if id == (seal.ID{}) {
		return []byte{}
	}
	return id[:]
}

// legible are the sealers of what can be read with keys, what is not encrypted
// among it.
func legible(keys *seal.Keys) [][]byte {
	known := keys.IDs()
	sealers := make([][]byte, 1+len(known))
	sealers[0] = []byte{}
	for i := range known {
		sealers[1+i] = known[i][:]
	}
	return sealers
}

// Key is what [Status] tells of an encryption key.
type Key struct {
	ID string `json:"id"`
	// Encrypts says that what this instance writes is encrypted with it.
	Encrypts bool `json:"encrypts"`
	// Needed says that something in the database may be encrypted with it, or that
	// another instance encrypts with it; it is looked for every ten seconds.
	Needed bool `json:"needed"`
	// Missing says that it is needed, and not configured: what is encrypted with it
	// waits for an instance that has it.
	Missing bool `json:"missing"`
}

// status returns what there is to tell of the keys, and whether there may be
// something that is not encrypted.
func (s *sealing) status() (keys []Key, unencrypted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sealer := s.keys.Sealer()
	for _, id := range s.keys.IDs() {
		keys = append(keys, Key{ID: id.String(), Encrypts: id == sealer, Needed: id == sealer || s.needed[id]})
	}
	for _, id := range slices.SortedFunc(maps.Keys(s.needed), func(a, b seal.ID) int { return slices.Compare(a[:], b[:]) }) {
		if s.keys.Require(id) != nil {
			keys = append(keys, Key{ID: id.String(), Needed: true, Missing: true})
		}
	}
	return keys, s.needed[seal.ID{}]
}

// associated says of which delivery, and what of it, something sealed is: it is
// nothing in another place.
func associated(id uuid.UUID, kind byte) []byte { return append(id[:], kind) }
