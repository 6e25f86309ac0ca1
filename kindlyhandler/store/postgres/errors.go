package postgres

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// problem is an error of the database in words of ours. It quotes no row: the
// server's details do.
type problem struct {
	text string
	// final: it will not go away by itself. down: nothing else would fare
	// better, and no connection of the pool is worth anything.
	final, down bool
	cause       error
}

func (p *problem) Error() string { return p.text }
func (p *problem) Unwrap() error { return p.cause }

func isFinal(err error) bool {
	var p *problem
	return errors.As(err, &p) && p.final
}

// codes are the SQLSTATEs that ask something of the operator.
var codes = map[string]problem{
	"28P01": {text: "the database refuses the password: correct user and password in the DSN", final: true, down: true},
	"28000": {text: "the database refuses the user: correct the DSN, or let the user connect from here in pg_hba.conf", final: true, down: true},
	"3D000": {text: "there is no such database: create it, or correct its name in the DSN", final: true, down: true},
	"42501": {text: "the role lacks a right: GRANT USAGE, CREATE ON SCHEMA … TO it, and let it own the tables", final: true},
	"3F000": {text: "there is no schema to create the tables in, or the role may not use it: CREATE SCHEMA, GRANT USAGE, CREATE ON SCHEMA … TO the role, or correct search_path in the DSN or of the role", final: true},
	"25006": {text: "the database is read-only, for it is a standby or default_transaction_read_only is on: name the primary in the DSN, or all hosts and target_session_attrs=read-write", down: true},
	"53100": {text: "the database's disk is full: make room on it"},
	"53200": {text: "the database is out of memory: see its log"},
	"53300": {text: "the database has too many connections: raise max_connections, or lower the store's or other programs'"},
	"57P01": {text: "the database is being shut down", down: true},
	"57P02": {text: "the database has crashed and starts again", down: true},
	"57P03": {text: "the database does not take connections yet: it starts, or stops", down: true},
	"57014": {text: "the database took too long: see what it is busy with in pg_stat_activity"},
	"55P03": {text: "a lock was not to be had in time: see pg_locks"},
	"40001": {text: "the database could not serialise the call with others, also when it was repeated"},
	"40P01": {text: "the database has found a deadlock, also when the call was repeated"},
	"42P01": {text: "a table is gone: the store makes its tables when it is opened, so restart it"},
	"42703": {text: "a column is gone: the tables are not as the store has made them"},
}

// explain turns an error into one that tells an operator what to do, without
// anything secret or anybody's data in it.
func explain(err error) error {
	var known *problem
	var server *pgconn.PgError
	switch {
	case err == nil, errors.As(err, &known),
		errors.Is(err, delivery.ErrClosed), errors.Is(err, delivery.ErrNotFound), errors.Is(err, delivery.ErrBusy),
		errors.Is(err, delivery.ErrUnreadable):
		return err
	case errors.As(err, &server):
		return explainServer(server)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded) && !isConnecting(err):
		return err
	}
	if !isNetwork(err) { // its text may quote what could not be encoded
		return &problem{text: fmt.Sprintf("an error of the store itself (%T)", err), cause: quiet{err}}
	}
	return &problem{text: "the database cannot be reached: " + reason(err), down: true, cause: quiet{err}}
}

// isNetwork tells whether an error is one of the connection.
func isNetwork(err error) bool {
	for _, known := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.EPIPE, syscall.ECONNRESET, os.ErrDeadlineExceeded} {
		if errors.Is(err, known) {
			return true
		}
	}
	_, network := errors.AsType[net.Error](err)
	return network || isConnecting(err) || pgconn.SafeToRetry(err) || pgconn.Timeout(err)
}

// quiet keeps what an error is, not what it says.
type quiet struct{ err error }

func (quiet) Error() string          { return "connection error" }
func (q quiet) Is(target error) bool { return errors.Is(q.err, target) }

func explainServer(e *pgconn.PgError) error {
	if p, ok := codes[e.Code]; ok {
		p.text += " (SQLSTATE " + e.Code + ")"
		return &p
	}
	// Messages of these classes speak of the server; others quote values.
	switch e.Code[:min(2, len(e.Code))] {
	case "08", "53", "57", "58", "XX", "42":
		return &problem{text: fmt.Sprintf("the database says: %s (SQLSTATE %s)", e.Message, e.Code), down: strings.HasPrefix(e.Code, "08")}
	}
	return &problem{text: fmt.Sprintf("the database refuses the call with SQLSTATE %s", e.Code)}
}

func isConnecting(err error) bool {
	var e *pgconn.ConnectError
	return errors.As(err, &e)
}

// reason says why a connection fails. Texts of errors that may have the DSN in
// them are not used.
func reason(err error) string {
	var op *net.OpError
	var dns *net.DNSError
	var unknown x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		return "its certificate is of an authority that is not known here: name that in sslrootcert"
	case errors.As(err, &hostname):
		return "its certificate is not for this host: " + hostname.Error()
	case errors.As(err, &invalid):
		return "its certificate is not valid: " + invalid.Error()
	case errors.As(err, &dns):
		return dns.Error()
	case errors.As(err, &op):
		return op.Error()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer in time"
	case strings.Contains(err.Error(), "refused TLS"):
		return "the server does not speak TLS: set it up there, or sslmode=disable in the DSN if nobody can listen on the way"
	}
	return "the connection was closed"
}

// definite tells whether a failed call is known to have had no effect: the
// server has said so, or was not asked.
func definite(err error) bool {
	if isConnecting(err) {
		return true
	}
	if server, ok := errors.AsType[*pgconn.PgError](err); ok { // else the session has ended
		return server.Severity == "ERROR" || server.SeverityUnlocalized == "ERROR"
	}
	_, known := errors.AsType[*problem](err)
	return known || errors.Is(err, delivery.ErrUnreadable) || pgconn.SafeToRetry(err)
}

// repeatable tells whether a call that failed without an effect may fare better
// at once.
func repeatable(err error) bool {
	server, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return false
	}
	switch server.Code {
	case "40001", "40P01", "55P03",
		"53300": // those that the pool has may be idle soon
		return true
	}
	return false
}
