package redact

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestJSON(t *testing.T) {
	r := newRedactor(t, "card", "email", `(?:hemmelig)`)
	shape := NewShape(Fields{"id": nil, "kept": nil, "list": {"id": nil}, "object": {"inner": {"id": nil}}})
	for document, want := range map[string]string{
		`{"a":"4111111111111111"}`:                                                     `{"a":"[card]"}`,
		` { "a" : "x 4111 1111 1111 1111" , "b":1 } `:                                  ` { "a" : "x [card]" , "b":1 } `,
		`{"a":4111111111111111,"b":[4111111111111111]}`:                                `{"a":"[card]","b":["[card]"]}`,
		`{"a":-4111111111111111}`:                                                      `{"a":"-[card]"}`,
		`{"a":1.4111111111111111,"b":4111111111111111e1}`:                              `{"a":1.4111111111111111,"b":4111111111111111e1}`,
		`{"a":"\u0034111\u0020\u0031111 1111 1111"}`:                                   `{"a":"[card]"}`,
		`{"a":"me\u0040example.com\n\"\\\/\t\u0001å\ud83d\ude00\u00e5"}`:               `{"a":"[email]\n\"\\/\t\u0001å😀å"}`,
		`{"a":"\u0034 \/ \u00e5"}`:                                                     `{"a":"\u0034 \/ \u00e5"}`, // as it came
		`{"a":"helt HEMMELIG, hemmelig"}`:                                              `{"a":"helt HEMMELIG, [redacted]"}`,
		`{"4111111111111111":"me@example.com"}`:                                        `{"4111111111111111":"[email]"}`,
		`{"id":"4111111111111111","ID":"4111111111111111"}`:                            `{"id":"4111111111111111","ID":"[card]"}`,
		`{"id":4111111111111111}`:                                                      `{"id":4111111111111111}`,
		`{"i\u0064":"4111111111111111"}`:                                               `{"i\u0064":"[card]"}`,
		`{"kept":{"a":["4111111111111111",{"b":"me@b.no"}]},"a":"me@b.no"}`:            `{"kept":{"a":["4111111111111111",{"b":"me@b.no"}]},"a":"[email]"}`,
		`{"list":[{"id":"me@b.no","a":"me@b.no"},{"a":"me@b.no","id":"me@b.no"}]}`:     `{"list":[{"id":"me@b.no","a":"[email]"},{"a":"[email]","id":"me@b.no"}]}`,
		`{"list":[["me@b.no"],"me@b.no",{"x":{"id":"me@b.no"}}],"z":{"id":"me@b.no"}}`: `{"list":[["[email]"],"[email]",{"x":{"id":"[email]"}}],"z":{"id":"[email]"}}`,
		`{"object":{"inner":{"id":"me@b.no","a":{}},"id":"me@b.no"},"id":"me@b.no"}`:   `{"object":{"inner":{"id":"me@b.no","a":{}},"id":"[email]"},"id":"me@b.no"}`,
		`["me@b.no",null,true,"x"]`:                                                    `["[email]",null,true,"x"]`,
		`"me@b.no"`:                                                                    `"[email]"`,
		`{}`:                                                                           `{}`,
	} {
		require.True(t, json.Valid([]byte(document)), document)
		require.Equal(t, want, string(r.JSON([]byte(document), shape)))
		require.True(t, json.Valid([]byte(want)), want)
	}
}

// What nobody may read as JSON does not become JSON by being redacted.
func TestJSON_invalid(t *testing.T) {
	r := newRedactor(t, "card", "email", `[^a-z"]{3}`)
	deep := strings.Repeat("[", 65) + `"me@b.no"` + strings.Repeat("]", 65)
	for _, document := range []string{
		``, `{`, `"`, `{"a":"me@b.no`, `{"a":"me@b.no\`, `{"a":"\qme@b.no"}`, `{"a":"\u00zzme@b.no"}`, "{\"a\":\"\nme@b.no\"}",
		`{"a":04111111111111111}`, `{"a":4111111111111111-}`, `{4111111111111111:1}`, `{"a":4111111111111111x}`, `}`, `{"a":"\`,
	} {
		require.False(t, json.Valid([]byte(document)), document)
		require.False(t, json.Valid(r.JSON([]byte(document), anything)), document)
	}
	require.Equal(t, deep, string(r.JSON([]byte(deep), anything)), "deeper than anybody reads")
	notUTF8 := "{\"a\":\"\xff\xff\xff\"}"
	require.Equal(t, notUTF8, string(r.JSON([]byte(notUTF8), anything)))
}

// TestJSON_untouched has documents in which nothing is found come back
// themselves.
func TestJSON_untouched(t *testing.T) {
	var none *Redactor
	document := []byte(`{"a":"me@example.com"}`)
	require.Same(t, &document[0], &none.JSON(document, nil)[0])

	document, shape := untouched()
	require.Same(t, &document[0], &newRedactor(t, everything...).JSON(document, shape)[0])
}

// untouched returns a document in which nothing is to be found.
func untouched() ([]byte, *Shape) {
	return []byte(`{"id":"4111111111111111","a":"nothing to \"see\" 12345678901","b":[1,2.5,12345678901]}`), NewShape(Fields{"id": nil})
}
