package postgres

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/doctor"
)

const (
	// examining is how long Examine waits for the database.
	examining = 5 * time.Second
	// clockSkew is by how much the clocks of a fleet may differ.
	clockSkew = time.Second
)

// Examine says whether the database can be the store of whoever asks, and what
// should be known of it. It changes nothing: servers may be running with it. Of
// the options, it uses DSN, Prefix and Now.
func Examine(ctx context.Context, o Options) []doctor.Finding {
	ctx, cancel := context.WithTimeout(ctx, examining)
	defer cancel()
	if err := checkPrefix(o.Prefix); err != nil {
		return []doctor.Finding{{Check: "store", Status: doctor.Problem, Message: err.Error(), Fix: "write another `table_prefix`, or leave it out"}}
	}
	config, err := parse(o.DSN)
	if err != nil {
		return []doctor.Finding{fault("", err)}
	}
	where := targetOf(config).String()
	c, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return []doctor.Finding{fault(where, err)}
	}
	defer func() { _ = c.Close(ctx) }()
	e := examination{conn: c, prefix: cmp.Or(o.Prefix, DefaultPrefix)}
	_, err = findPooler(ctx, c, config.ConnConfig)
	if err == nil {
		err = e.askServer(ctx)
	}
	if err == nil {
		err = e.askTables(ctx)
	}
	var ahead time.Duration
	if err == nil {
		now := o.Now
		if now == nil {
			now = time.Now
		}
		ahead, err = askClock(ctx, e.conn, now)
	}
	if err != nil {
		return []doctor.Finding{fault(where, err)}
	}
	return append([]doctor.Finding{{Check: "store", Status: doctor.OK, Message: where + " can be used: " + e.tables}}, e.warnings(where, ahead)...)
}

// examination is what was found out.
type examination struct {
	conn                 *pgx.Conn
	prefix               string
	exists               bool
	tables               string
	commit, fsync, pages string
}

const (
	serverSQL    = `SELECT ` + placeColumns + `, current_setting('synchronous_commit'), current_setting('fsync'), current_setting('full_page_writes')`
	mayCreateSQL = `SELECT has_schema_privilege(current_schema(), 'CREATE')`
	mayUseSQL    = `SELECT bool_and(has_table_privilege(t, p)) FROM unnest('{@deliveries,@keys,@counts,@instances,@fences,@schema}'::text[]) t, unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) p`
)

func (e *examination) askServer(ctx context.Context) error {
	var schema *string
	var readOnly bool
	err := e.conn.QueryRow(ctx, named(serverSQL, e.prefix), pgx.QueryExecModeExec).
		Scan(&schema, &readOnly, &e.exists, &e.commit, &e.fsync, &e.pages)
	if err != nil {
		return err
	}
	return placeProblem(schema, readOnly)
}

// askTables fails if the tables are not there and cannot be made, or if they
// cannot be used.
func (e *examination) askTables(ctx context.Context) error {
	question := mayCreateSQL
	e.tables = "its tables are made when the server starts"
	if e.exists {
		version, err := versionOf(ctx, e.conn, e.prefix)
		if err != nil {
			return err
		}
		if e.tables = "its tables are there"; version < Version {
			e.tables = fmt.Sprintf("its tables, of version %d, become those of version %d when the server starts", version, Version)
		}
		question = mayUseSQL
	}
	var may bool
	err := e.conn.QueryRow(ctx, named(question, e.prefix), pgx.QueryExecModeExec).Scan(&may)
	if err == nil && !may {
		p := codes["42501"]
		return &p
	}
	return err
}

// askClock returns by how much this machine's clock is ahead of the server's,
// as far as that can be known: 0 within what an answer takes.
func askClock(ctx context.Context, c *pgx.Conn, now func() time.Time) (time.Duration, error) {
	var server time.Time
	asked := now()
	err := c.QueryRow(ctx, `SELECT clock_timestamp()`, pgx.QueryExecModeExec).Scan(&server)
	answered := now()
	switch {
	case server.Before(asked):
		return asked.Sub(server), err
	case server.After(answered):
		return answered.Sub(server), err
	}
	return 0, err
}

// skewed says what follows from a clock that is ahead of the database's.
func skewed(ahead time.Duration) string {
	direction := "ahead of"
	if ahead < 0 {
		direction = "behind"
	}
	return fmt.Sprintf("this machine's clock is %s %s the database's: deliveries are attempted too early or too late, and duplicates may go unnoticed", ahead.Abs().Round(100*time.Millisecond), direction)
}

func (e *examination) warnings(where string, ahead time.Duration) (found []doctor.Finding) {
	warn := func(message, fix string) {
		found = append(found, doctor.Finding{Check: "store", Status: doctor.Warning, Message: where + ": " + message, Fix: fix})
	}
	if e.fsync == "off" || e.pages == "off" {
		warn("fsync or full_page_writes is off: a crash of the database's machine may lose or damage acknowledged webhooks", "switch both on in postgresql.conf")
	}
	if e.commit == "off" {
		warn("synchronous_commit is off: the store sets it on for its own sessions", "switch it on for the role, so that nothing else is lost either: ALTER ROLE … SET synchronous_commit = on")
	}
	if ahead.Abs() > clockSkew {
		warn(skewed(ahead), "let NTP set the clocks of this machine, of the database's and of the other Caddys")
	}
	return found
}

// fault makes a finding of an error, whose text mostly says what to do.
func fault(where string, err error) doctor.Finding {
	f := doctor.Finding{Check: "store", Status: doctor.Problem, Message: explain(err).Error()}
	f.Fix = "let the database run, and be reached from this machine, or correct the DSN: until then webhooks are refused"
	if what, advice, ok := strings.Cut(f.Message, ": "); ok && !strings.HasPrefix(what, "the database cannot be reached") && !strings.HasPrefix(what, "the database says") {
		f.Message, f.Fix = what, advice
	}
	if where != "" {
		f.Message = where + ": " + f.Message
	}
	return f
}
