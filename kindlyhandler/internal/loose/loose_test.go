package loose

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

func nested(levels int) string {
	return `{"x":` + strings.Repeat("[", levels-1) + strings.Repeat("]", levels-1) + `}`
}

func TestObject(t *testing.T) {
	for _, body := range []string{
		`{}`,
		" \n{\"a\":1}\t",
		`{"a":1,"a":2}`,
		`{"a":"\ud800"}`,
		`{"a":"[[[[","b":"\"[","c":"\\"}`,
		nested(MaxNesting),
		`{"x":[` + strings.TrimSuffix(strings.Repeat("[],", 1000), ",") + `]}`,
	} {
		object, err := Object([]byte(body))
		require.NoError(t, err, body)
		assert.Equal(t, strings.TrimSpace(body), strings.TrimSpace(object.Raw))
	}
}

func TestObject_refuses(t *testing.T) {
	for body, want := range map[string]error{
		"":                                errNotObject,
		"{":                               errNotObject,
		"{}{}":                            errNotObject,
		"{} x":                            errNotObject,
		"[]":                              errNotObject,
		"null":                            errNotObject,
		"{'a':1}":                         errNotObject,
		`{"a":1,}`:                        errNotObject,
		`{"a":01}`:                        errNotObject,
		`{"a":NaN}`:                       errNotObject,
		"{\"a\":\"\t\"}":                  errNotObject,
		`{"a":"\x"}`:                      errNotObject,
		"{\"a\":\"\xc3\x28\"}":            errNotUTF8,
		"{\"a\":\"\xf4\x90\x80\x80\"}":    errNotUTF8,
		"{\"a\":\"\xc0\x80\"}":            errNotUTF8,
		nested(MaxNesting + 1):            errNesting,
		strings.Repeat(`{"a":`, 1<<16):    errNesting,
		`{"a":"\"` + nested(65) + `"}`:    errNotObject,
		`{"a":"","b":` + nested(64) + "}": errNesting,
	} {
		_, err := Object([]byte(body))
		assert.Equal(t, want, err, "%.50q", body)
	}
}

func TestField(t *testing.T) {
	object := gjson.Parse(`{"a":1,"b":{"a":2},"a.b":3,"a":4,"\u0063":5,"":6,"n":null}`)
	for name, want := range map[string]string{
		"a": "4", "b": `{"a":2}`, "a.b": "3", "c": "5", "": "6", "n": "null", "d": "", "b.a": "", "@this": "", "#": "",
	} {
		assert.Equal(t, want, Field(object, name).Raw, name)
	}
	for _, other := range []string{`[1]`, `"{\"a\":1}"`, `null`, `1`, ``} {
		assert.False(t, Field(gjson.Parse(other), "a").Exists(), other)
		assert.False(t, Field(gjson.Parse(other), "").Exists(), other)
	}
}

func TestText(t *testing.T) {
	for json, want := range map[string]string{
		`"a\u0062\n"`: "ab\n",
		`1`:           "1",
		`-1.50e3`:     "-1.50e3",
		`true`:        "true",
		`false`:       "false",
		`null`:        "",
		`{"a":1}`:     "",
		`["a"]`:       "",
		``:            "",
	} {
		assert.Equal(t, want, Text(gjson.Parse(json)), json)
	}
}

func TestInteger(t *testing.T) {
	for json, want := range map[string]int64{
		`0`: 0, `121`: 121, `"121"`: 121, `"007"`: 7, `999999999999999999`: 999999999999999999,
	} {
		n := Integer(gjson.Parse(json))
		require.NotNil(t, n, json)
		assert.Equal(t, want, *n)
	}
	for _, json := range []string{
		`-1`, `1.0`, `1e3`, `"1 "`, `""`, `"x"`, `true`, `null`, `{}`, `[1]`, `1000000000000000000`, `"99999999999999999999"`, ``,
	} {
		assert.Nil(t, Integer(gjson.Parse(json)), json)
	}
}

func TestListAndMap(t *testing.T) {
	for json, want := range map[string][2]string{
		`[1, 2]`:   {`[1, 2]`, `{}`},
		`{"a": 1}`: {`[]`, `{"a": 1}`},
		`"[1]"`:    {`[]`, `{}`},
		`null`:     {`[]`, `{}`},
		``:         {`[]`, `{}`},
	} {
		assert.Equal(t, want, [2]string{List(gjson.Parse(json)), Map(gjson.Parse(json))}, json)
	}
}
