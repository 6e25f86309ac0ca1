package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
)

// methods are those that carry a ticket. HTTP tells upper from lower case.
var methods = []string{http.MethodPost, http.MethodPut, http.MethodPatch}

// word is what was meant as the name of a method.
var word = regexp.MustCompile(`^[A-Za-z-]+$`)

// readMethod tells a method from an expression that gives one, with which POST is
// that of the upstream.
func readMethod(s string) (method, expression string, err error) {
	switch {
	case s == "":
		return http.MethodPost, "", nil
	case slices.Contains(methods, s):
		return s, "", nil
	case word.MatchString(s):
		return "", "", fmt.Errorf("method %q is not one: write POST, PUT or PATCH, or a jq expression that gives one of them", s)
	default:
		return http.MethodPost, s, nil
	}
}

// methodFor returns the method for a ticket, "" for that of the upstream.
func (m *mapping) methodFor(ctx context.Context, ticket map[string]any) (string, error) {
	if m.method == nil {
		return "", nil
	}
	result, err := m.method.Eval(ctx, ticket, m.variables...)
	if err != nil {
		return "", fmt.Errorf("method: %w", err)
	}
	method, _ := result.(string)
	if !slices.Contains(methods, method) {
		return "", errors.New("method: its result is none of POST, PUT and PATCH")
	}
	return method, nil
}
