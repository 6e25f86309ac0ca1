//go:build !unix

// Package pgtest runs a real PostgreSQL for tests, on systems like Unix only.
package pgtest
