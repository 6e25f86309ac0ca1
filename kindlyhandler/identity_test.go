package kindlyhandler

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

func TestIdentify(t *testing.T) {
	const nobody = `{"id":null,"name":null,"email":null,"phone":null,"verified":false}`
	tests := map[string]struct {
		context, chatContext string // "" means that there is no transcript
		want                 string
	}{
		"nothing":                     {`{}`, ``, nobody},
		"everything":                  {`{"name":"Kari","email":"kari@example.no","phone":"+47 22 22 55 55"}`, ``, `{"id":null,"name":"Kari","email":"kari@example.no","phone":"+47 22 22 55 55","verified":false}`},
		"takeover_email":              {`{"takeover_email":"kari@example.no"}`, ``, `{"id":null,"name":null,"email":"kari@example.no","phone":null,"verified":false}`},
		"email beats takeover_email":  {`{"takeover_email":"b@example.no","email":"a@example.no"}`, ``, `{"id":null,"name":null,"email":"a@example.no","phone":null,"verified":false}`},
		"email is none":               {`{"takeover_email":"b@example.no","email":"later"}`, ``, `{"id":null,"name":null,"email":"b@example.no","phone":null,"verified":false}`},
		"from the transcript":         {`{}`, `{"name":"Kari","email":"kari@example.no"}`, `{"id":null,"name":"Kari","email":"kari@example.no","phone":null,"verified":false}`},
		"the webhook beats it":        {`{"name":"A","takeover_email":"a@example.no"}`, `{"name":"B","email":"b@example.no","phone":"1"}`, `{"id":null,"name":"A","email":"a@example.no","phone":"1","verified":false}`},
		"a number for a phone":        {`{"phone":4722225555}`, ``, `{"id":null,"name":null,"email":null,"phone":"4722225555","verified":false}`},
		"null, lists and objects":     {`{"name":null,"email":["a@example.no"],"phone":{"n":1}}`, `[]`, nobody},
		"spaces around":               {`{"name":"  Kari\n","email":" kari@example.no "}`, ``, `{"id":null,"name":"Kari","email":"kari@example.no","phone":null,"verified":false}`},
		"the last of duplicate keys":  {`{"email":"a@example.no","email":"b@example.no"}`, ``, `{"id":null,"name":null,"email":"b@example.no","phone":null,"verified":false}`},
		"names are one line":          {`{"name":"Kari\nBcc: x\u202e"}`, ``, `{"id":null,"name":"Kari Bcc: x","email":null,"phone":null,"verified":false}`},
		"verified is nobody's to say": {`{"verified":true,"id":"1"}`, ``, nobody},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			e := mustParseEvent(t, `{"chat_id":"1","context":`+test.context+`}`)
			var chat *transcript
			if test.chatContext != "" {
				var err error
				chat, err = parseTranscript([]byte(`{"chat":{"context":` + test.chatContext + `},"messages":[]}`))
				require.NoError(t, err)
			}
			got, err := json.Marshal(identify(e, chat))
			require.NoError(t, err)
			assert.Equal(t, test.want, string(got))
		})
	}
}

func TestIsAddress(t *testing.T) {
	for _, valid := range []string{
		"me@example.com", "first.last+tag@sub.example.co.uk", "æøå@example.no", "a@b", "o'brien@example.ie",
	} {
		assert.True(t, isAddress(valid), valid)
	}
	for _, invalid := range []string{
		"", "me", "me@", "@example.com", "me@example.com, you@example.com", "Me <me@example.com>", "<me@example.com>",
		"me@example.com\nBcc: you@example.com", "me @example.com", "mailto:me@example.com", `"a b"@example.com`, "me@example.com (me)",
		"me\u202e@example.com", "me\u0085@example.com", "me@exam\u2028ple.com", strings.Repeat("a", 251) + "@b.c",
	} {
		assert.False(t, isAddress(invalid), "%q", invalid)
	}
}

// Another process may have been first with the same webhook, with another user
// token: the chat is told of that one's customer, while an attempt that is about
// to give up reads the event.
func TestTold_leaves_the_event_alone(t *testing.T) {
	email, other := "first@example.no", "second@example.no"
	first, err := encodeCustomer(&Customer{Email: &email, Verified: true})
	require.NoError(t, err)
	h, err := New(Options{
		Secrets:      []string{"a"},
		Upstreams:    []UpstreamOptions{{URL: "https://desk.example.com"}},
		ReplyPending: Texts{"": "{kindly.customer.email}"},
	})
	require.NoError(t, err)
	defer h.Close()
	e := mustParseEvent(t, `{"chat_id":"1"}`)
	e.verified = &Customer{Email: &other, Verified: true}
	told := h.told(delivery.Receipt{Duplicate: true, Delivery: delivery.Delivery{Customer: first}}, e)
	require.JSONEq(t, `{"reply":"first@example.no"}`, string(told))
	require.Equal(t, other, *e.verified.Email)
}
