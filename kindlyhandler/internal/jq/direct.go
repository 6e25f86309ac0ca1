package jq

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/itchyny/gojq"
)

// direct evaluates an expression without the virtual machine, whose start alone
// costs more than most answers need: fields such as .body.ticket.id, variables,
// and texts with such in them. It gives false if that is not enough for the
// values there are, such as where an error is due.
type direct func(input any, values []any) (result any, ok bool)

// directly returns how an expression can be evaluated so, nil if it cannot.
func directly(query *gojq.Query, variables []string) direct {
	if query.Op != 0 || query.Term == nil || len(query.FuncDefs) > 0 || len(query.Imports) > 0 || query.Meta != nil || len(query.Patterns) > 0 {
		return nil
	}
	term := query.Term
	switch {
	case term.Type == gojq.TermTypeIndex && term.Index.Name != "":
		return path(term)
	case len(term.SuffixList) > 0:
		return nil
	case term.Type == gojq.TermTypeQuery: // in brackets
		return directly(term.Query, variables)
	case term.Type == gojq.TermTypeNull:
		return func(any, []any) (any, bool) { return nil, true }
	case term.Type == gojq.TermTypeFunc && len(term.Func.Args) == 0:
		i := slices.Index(variables, term.Func.Name)
		if i < 0 {
			return nil
		}
		return func(_ any, values []any) (any, bool) { return values[i], true }
	case term.Type == gojq.TermTypeString:
		return interpolated(term.Str, variables)
	default:
		return nil
	}
}

// path is a field of the input, and those in it.
func path(term *gojq.Term) direct {
	names := []string{term.Index.Name}
	for _, suffix := range term.SuffixList {
		if suffix.Index == nil || suffix.Index.Name == "" || suffix.Iter || suffix.Optional {
			return nil
		}
		names = append(names, suffix.Index.Name)
	}
	return func(input any, _ []any) (any, bool) {
		for _, name := range names {
			switch object := input.(type) {
			case map[string]any:
				input = object[name]
			case nil:
				return nil, true
			default:
				return nil, false
			}
		}
		return input, true
	}
}

// maxDirectText bounds what goes into a text without being weighed.
const maxDirectText = 64 << 10

func interpolated(s *gojq.String, variables []string) direct {
	if len(s.Queries) == 0 {
		return func(any, []any) (any, bool) { return s.Str, true }
	}
	parts := make([]direct, len(s.Queries))
	for i, query := range s.Queries {
		if parts[i] = directly(query, variables); parts[i] == nil {
			return nil
		}
	}
	return func(input any, values []any) (any, bool) {
		var out strings.Builder
		for _, part := range parts {
			v, ok := part(input, values)
			if !ok {
				return nil, false
			}
			switch v := v.(type) {
			case string:
				out.WriteString(v)
			case json.Number:
				out.WriteString(v.String())
			case nil:
				out.WriteString("null")
			default:
				return nil, false
			}
			if out.Len() > maxDirectText {
				return nil, false
			}
		}
		return out.String(), true
	}
}
