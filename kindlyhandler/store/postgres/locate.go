package postgres

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Locate says where the database of a DSN is and who connects, as far as that
// may be told: user@host:port/database. It fails where Open does before it
// connects.
func Locate(dsn, prefix string) (string, error) {
	if err := checkPrefix(prefix); err != nil {
		return "", err
	}
	c, err := parse(dsn)
	if err != nil {
		return "", err
	}
	return targetOf(c).String(), nil
}

func (t target) String() string {
	return fmt.Sprintf("%s@%s:%d/%s", t.User, t.Host, t.Port, t.Database)
}

func targetOf(c *pgxpool.Config) target {
	return target{Host: c.ConnConfig.Host, Port: c.ConnConfig.Port, Database: c.ConnConfig.Database, User: c.ConnConfig.User}
}

// parse reads a DSN. Errors of parsing are not told: they may quote the password.
func parse(dsn string) (*pgxpool.Config, error) {
	if dsn == "" {
		return nil, &problem{text: "no DSN: write postgres://user:password@host:5432/database", final: true} //nolint:gosec // no password
	}
	c, err := pgxpool.ParseConfig(dsn)
	if err != nil || torn(dsn) {
		return nil, errDSN
	}
	return c, nil
}

// torn tells whether a URL has an @ behind its host, as it has if a password
// with @ and / in it is not encoded: then the host, which is told, is a part of
// that.
func torn(dsn string) bool {
	_, rest, ok := strings.Cut(dsn, "://")
	end := strings.IndexAny(rest, "/?#")
	return ok && strings.HasPrefix(dsn, "postgres") && end >= 0 && strings.Contains(rest[end:], "@")
}

func checkPrefix(prefix string) error {
	if prefix != "" && !prefixes.MatchString(prefix) {
		return fmt.Errorf("the table prefix %q must be at most 32 lower-case letters, digits and underscores, and begin with no digit", prefix)
	}
	return nil
}
