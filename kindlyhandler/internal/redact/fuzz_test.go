package redact

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/loose"
)

// FuzzJSON has a redacted document be one, with the same keys, structure and
// exempt fields, and texts that are those of the original one, each redacted
// by itself; and be redacted.
func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"chat_id":"4111111111111111","message":"kort 4111 1111 1111 1111, me@example.com","context":{"phone":4111111111111111}}`))
	f.Add([]byte(`{"a":["\u0032\u0033114048690","me\u0040b.no \ud83d\ude00 \/ \\",-1.5e3,null,{"id":"NO93 8601 1117 947"}]}`))
	f.Add([]byte("{\"a\":\"\\ud800 070750-1200 131052-308T 811218+9876\x7f\u2028\"}"))
	f.Add([]byte(`[[[["x"]]],"GB29&nbsp;NWBK 6016 1331 9268 19",4222222222222]`))
	f.Add([]byte(`{"a":"\qme@b.no","b":04111111111111111}`))
	r := newRedactor(f, everything...)
	f.Fuzz(func(t *testing.T, document []byte) {
		shape := NewShape(Fields{"chat_id": nil, "a": {"id": nil}})
		if bytes.ContainsRune(document, '\\') {
			shape = anything // keys with escapes are not known
		}
		if bytes.Count(document, []byte("{"))+bytes.Count(document, []byte("[")) > loose.MaxNesting {
			t.Skip("deeper than anybody reads, perhaps")
		}
		redacted := r.JSON(bytes.Clone(document), shape)
		if !json.Valid(document) || !utf8.Valid(document) {
			require.False(t, json.Valid(redacted) && utf8.Valid(redacted), "%q became a document", redacted)
			return
		}
		require.True(t, json.Valid(redacted), "%q", redacted)
		require.True(t, utf8.Valid(redacted), "%q", redacted)
		require.Equal(t, redacted, r.JSON(bytes.Clone(redacted), shape), "again")
		if before, after := decode(t, document), decode(t, redacted); !reflect.DeepEqual(expected(r, before, shape, root), after) {
			t.Errorf("%q became %q", document, redacted)
		}
	})
}

func decode(t *testing.T, document []byte) (v any) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&v))
	return v
}

// expected redacts what was decoded.
func expected(r *Redactor, v any, shape *Shape, at place) any {
	if at == kept {
		return v
	}
	switch v := v.(type) {
	case string:
		return r.apply(v)
	case json.Number:
		if _, fraction := endOfNumber([]byte(v), 0); !fraction {
			if redacted := r.apply(string(v)); redacted != string(v) {
				return redacted
			}
		}
	case []any:
		for i := range v {
			v[i] = expected(r, v[i], shape, at)
		}
	case map[string]any:
		for key := range v {
			v[key] = expected(r, v[key], shape, shape.field(at, []byte(key)))
		}
	}
	return v
}
