package kindly

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/doctor"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/postgres"
)

func init() {
	caddy.RegisterModule(PostgresStore{})
}

// PostgresStore keeps deliveries in a PostgreSQL database that several Caddys, a
// fleet, share: whichever takes a webhook in, any of them may deliver it, and a
// repeated webhook gets the first one's answer from each. What was accepted was
// flushed by the database before Kindly is answered.
//
// The tables are made, and changed with new versions, by the module itself; the
// role needs `CREATE` on one schema and no more. Each Caddy looks every two
// seconds whether the others are alive, and takes over what one that has been
// silent for 15 seconds was delivering. A `rate` is for the fleet; breakers and
// pauses are each one's own. The Caddys should have the same configuration, and
// clocks that agree to a second or so.
//
// With `encryption_key`, what quotes people is encrypted before it is sent to the
// database. A Caddy that lacks a key which the others encrypt with leaves what
// they have stored to them.
//
// While the database cannot be reached, webhooks are refused, and Caddy goes on
// trying. PgBouncer works in session mode only.
type PostgresStore struct {
	// Where the database is and who connects, as a URL such as
	// `postgres://kindly:{env.KINDLY_PASSWORD}@db.example.com/kindly?sslmode=verify-full`,
	// or as keywords (`host=… user=…`). What it leaves open, PostgreSQL's
	// environment variables say (`PGHOST`, `PGPASSWORD`, …). Global placeholders
	// are resolved when the configuration is loaded; a password that is written
	// here as it is gets into the saved configuration. Required.
	DSN string `json:"dsn,omitempty"`

	// What the names of the tables begin with: lower-case letters, digits and
	// underscores. Fleets with different prefixes, or in different schemas
	// (`search_path` in the DSN), know nothing of each other. Default:
	// `kindly_`.
	TablePrefix string `json:"table_prefix,omitempty"`

	// How many connections this Caddy has at the most, beside one that listens.
	// Default: 8.
	MaxConnections int `json:"max_connections,omitempty"`

	dsn    string
	target string // without secrets
}

// CaddyModule returns the Caddy module information.
func (PostgresStore) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  stores + ".postgres",
		New: func() caddy.Module { return new(PostgresStore) },
	}
}

// UnmarshalCaddyfile implements [caddyfile.Unmarshaler]. Syntax:
//
//	postgres <dsn> {
//		table_prefix    <prefix>
//		max_connections <n>
//	}
func (p *PostgresStore) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	const usage = "postgres <dsn>"
	d.Next() // consume the engine's name
	if !d.NextArg() || d.Val() == "" {
		return d.Err("store postgres has no DSN: write `store postgres postgres://<user>:<password>@<host>/<database>`, or `host=… user=…` in quotes")
	}
	p.DSN = d.Val()
	if d.NextArg() {
		return wrongArgs(d, "store", usage)
	}
	for d.NextBlock(0) {
		var err error
		switch d.Val() {
		case "table_prefix":
			err = oneArg(d, &p.TablePrefix, "<prefix>")
		case "max_connections":
			err = countArg(d, &p.MaxConnections, "connections")
		default:
			err = unknown(d, "store postgres", "table_prefix, max_connections")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Provision implements [caddy.Provisioner]. It does not connect.
func (p *PostgresStore) Provision(caddy.Context) (err error) {
	if p.DSN == "" {
		return errors.New("dsn is missing: write where the database is, such as postgres://user:password@host/database")
	}
	if p.dsn, err = resolve("dsn", p.DSN); err != nil {
		return err
	}
	if p.MaxConnections < 0 {
		return fmt.Errorf("max_connections is negative: write a whole number such as %d", postgres.DefaultMaxConns)
	}
	p.target, err = postgres.Locate(p.dsn, p.TablePrefix)
	return err
}

// fingerprints tells DSNs with different passwords from each other, as long as
// the process lives, and is of no use to anybody else.
var fingerprints = func() (key [32]byte) {
	_, _ = rand.Read(key[:])
	return key
}()

// Locate implements [Engine]. A configuration with another password, say, shares
// no open store with the one before: both are of the fleet for a moment.
func (p *PostgresStore) Locate() (string, error) {
	mac := hmac.New(sha256.New, fingerprints[:])
	_, _ = fmt.Fprintf(mac, "%q %q %d", p.dsn, p.TablePrefix, p.MaxConnections)
	return fmt.Sprintf("%s (%x)", p.target, mac.Sum(nil)[:4]), nil
}

// Open implements [Engine].
func (p *PostgresStore) Open(_ string, o StoreOptions) (Store, error) {
	store, err := postgres.Open(postgres.Options{
		DSN:      p.dsn,
		Prefix:   p.TablePrefix,
		MaxConns: p.MaxConnections,
		Limits:   o.Limits,
		Keys:     o.Keys,
		Log:      o.Log,
		Losses:   o.Losses,
	})
	if err != nil {
		return nil, err
	}
	return store, nil
}

// Examine implements [Examiner]. It connects, for a few seconds at the most.
func (p *PostgresStore) Examine(ctx context.Context) []doctor.Finding {
	return postgres.Examine(ctx, postgres.Options{DSN: p.dsn, Prefix: p.TablePrefix})
}

// Durable implements [Engine].
func (*PostgresStore) Durable() bool { return true }

// Encrypts implements [Encrypter].
func (*PostgresStore) Encrypts() bool { return true }

// Interface guards
var (
	_ caddy.Provisioner     = (*PostgresStore)(nil)
	_ Encrypter             = (*PostgresStore)(nil)
	_ KeyedStore            = (*postgres.Store)(nil)
	_ Examiner              = (*PostgresStore)(nil)
	_ delivery.Shared       = (*postgres.Store)(nil)
	_ caddyfile.Unmarshaler = (*PostgresStore)(nil)
)
