package kindlyhandler

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

func mustParseEvent(tb testing.TB, body string) *event {
	tb.Helper()
	e, err := parseEvent([]byte(body))
	require.NoError(tb, err)
	return e
}

func TestParseEvent_dialogue(t *testing.T) {
	e := mustParseEvent(t, string(readTestdata(t, "dialogue-webhook.json")))
	assert.Equal(t, "dialogue", e.name)
	assert.True(t, e.dialogue)
	assert.Equal(t, "5a3a38dfd923ba4238c70ca0", e.chatID)
	assert.Equal(t, "b0f7c2de-6d6b-4d0a-9f43-1c6a4a1f2b3c", e.userID)
	assert.Equal(t, int64(121), *e.organizationID)
	assert.Equal(t, "4", e.botID)
	assert.Equal(t, int64(4), *e.botNumber)
	assert.Empty(t, e.botName)
	assert.Equal(t, "en", e.language)
	assert.Equal(t, "create ticket", e.message)
	assert.Equal(t, "web", e.source)
	assert.Equal(t, "https://shop.example.com/product/12345/green-sweater", e.page.address())
	assert.Equal(t, []string{"label1", "label2"}, e.labels)
	assert.JSONEq(t, `{"email":"me@example.com","order_number":"10045"}`, e.context.Raw)
	assert.Equal(t, "[]", e.attachments)
	assert.Equal(t, "https://app.kindly.ai/workspace/4/inbox/chat/5a3a38dfd923ba4238c70ca0", e.inboxURL())
	assert.False(t, e.carriesMessages())
}

func TestParseEvent_ticket(t *testing.T) {
	e := mustParseEvent(t, string(readTestdata(t, "ticket-webhook.json")))
	assert.Equal(t, "ticket.updated", e.name)
	assert.False(t, e.dialogue)
	assert.Equal(t, "637c8362ed96928c0ad3dcee", e.chatID)
	assert.Equal(t, "1", e.botID)
	assert.Equal(t, "BOT NAME", e.botName)
	assert.Equal(t, "nb", e.language)
	assert.Equal(t, "Hi, can I talk with a human?", e.message)
	assert.Equal(t, "https://example.com/product/12345/green-sweater", e.page.address())
	assert.Empty(t, e.labels, "the only label has no name")
	assert.Equal(t, "2019-12-13T15:04:29.134000Z", e.created)
	assert.Equal(t, "2019-12-13T15:04:33.978000Z", e.updated)
	assert.Len(t, e.messages, 4)
	assert.True(t, e.carriesMessages())
}

func TestParseEvent_refuses(t *testing.T) {
	tests := map[string]struct {
		body string
		want string
	}{
		"nothing":                    {"", "not a JSON object"},
		"no JSON":                    {"chat_id=1", "not a JSON object"},
		"an array":                   {`[{"chat_id":"1"}]`, "not a JSON object"},
		"a string":                   {`"chat_id"`, "not a JSON object"},
		"null":                       {"null", "not a JSON object"},
		"cut off":                    {`{"chat_id":"1"`, "not a JSON object"},
		"two objects":                {`{"chat_id":"1"}{"chat_id":"2"}`, "not a JSON object"},
		"a byte order mark":          {"\ufeff" + `{"chat_id":"1"}`, "not a JSON object"},
		"a control character":        {"{\"chat_id\":\"1\n\"}", "not a JSON object"},
		"invalid UTF-8":              {"{\"chat_id\":\"\xff\"}", "not valid UTF-8"},
		"UTF-8 of a surrogate":       {"{\"chat_id\":\"\xed\xa0\x80\"}", "not valid UTF-8"},
		"nested too deep":            {`{"chat_id":"1","context":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`, "nested deeper than 64 levels"},
		"only brackets":              {strings.Repeat("[", 1<<20), "nested deeper than 64 levels"},
		"an empty object":            {`{}`, errUnknownEvent.Error()},
		"an empty chat_id":           {`{"chat_id":""}`, errUnknownEvent.Error()},
		"chat_id is null":            {`{"chat_id":null}`, errUnknownEvent.Error()},
		"chat_id is an object":       {`{"chat_id":{"id":"1"}}`, errUnknownEvent.Error()},
		"an event without a ticket":  {`{"_meta":{"event":"ticket.created"}}`, errUnknownEvent.Error()},
		"an event whose ticket is 0": {`{"_meta":{"event":"ticket.created"},"ticket":0}`, errUnknownEvent.Error()},
		"a ticket without an event":  {`{"_meta":{},"ticket":{}}`, errUnknownEvent.Error()},
		"a ticket without _meta":     {`{"ticket":{"id":"1"}}`, errUnknownEvent.Error()},
		"_meta is a string":          {`{"_meta":"{\"event\":\"x\"}","ticket":{}}`, errUnknownEvent.Error()},
		"an event that is a number":  {`{"_meta":{"event":1},"ticket":{}}`, errUnknownEvent.Error()},
		"an event that is no name":   {`{"_meta":{"event":"a b"},"ticket":{}}`, errUnknownEvent.Error()},
		"an event with a line break": {`{"_meta":{"event":"a\n"},"ticket":{}}`, errUnknownEvent.Error()},
		"an event that is too long":  {`{"_meta":{"event":"` + strings.Repeat("a", 65) + `"},"ticket":{}}`, errUnknownEvent.Error()},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := parseEvent([]byte(test.body))
			require.EqualError(t, err, test.want)
		})
	}
}

func TestParseEvent_odd(t *testing.T) {
	tests := map[string]struct {
		body  string
		check func(t *testing.T, e *event)
	}{
		"nested as deep as may be": {
			`{"chat_id":"1","x":` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `}`,
			func(t *testing.T, e *event) { assert.Equal(t, "1", e.chatID) },
		},
		"brackets in strings do not nest": {
			`{"chat_id":"1","x":"` + strings.Repeat(`\"[{`, 100) + `"}`,
			func(t *testing.T, e *event) { assert.Equal(t, "1", e.chatID) },
		},
		"the last of duplicate keys counts, also within": {
			`{"chat_id":"1","chat_id":"2","exchange":{"language_code":"en","language_code":"nb"},"message":"a","message":null}`,
			func(t *testing.T, e *event) {
				assert.Equal(t, "2", e.chatID)
				assert.Equal(t, "nb", e.language)
				assert.Empty(t, e.message)
			},
		},
		"escaped keys": {
			`{"chat\u005fid":"1"}`,
			func(t *testing.T, e *event) { assert.Equal(t, "1", e.chatID) },
		},
		"numbers for strings and strings for numbers": {
			`{"chat_id":123456789012345678901234567890,"bot_id":"4","organization_id":"121","user_id":7,"message":1e3,"source":true,"chat_labels":[1,"b",null,{"name":2},[]]}`,
			func(t *testing.T, e *event) {
				assert.Equal(t, "123456789012345678901234567890", e.chatID)
				assert.Equal(t, int64(4), *e.botNumber)
				assert.Equal(t, int64(121), *e.organizationID)
				assert.Equal(t, "7", e.userID)
				assert.Equal(t, "1e3", e.message)
				assert.Equal(t, "true", e.source)
				assert.Equal(t, []string{"1", "b", "2"}, e.labels)
			},
		},
		"null everywhere": {
			`{"chat_id":"1","bot_id":null,"organization_id":null,"user_id":null,"chat_labels":null,"exchange":null,"message":null,"attachments":null,"context":null,"_links":null,"source":null,"web_url":null,"web_host":null,"_meta":null,"ticket":null,"bot":null,"chat":null}`,
			func(t *testing.T, e *event) {
				assert.True(t, e.dialogue)
				assert.Nil(t, e.botNumber)
				assert.Nil(t, e.organizationID)
				assert.Empty(t, e.inboxURL())
				assert.Equal(t, "[]", e.attachments)
				assert.Empty(t, e.page.address())
			},
		},
		"objects and lists for text": {
			`{"chat_id":"1","bot_id":{},"organization_id":[1],"user_id":[],"chat_labels":"a","exchange":"{\"language_code\":\"en\"}","message":{"text":"x"},"attachments":{},"context":["email"],"bot":[{"id":1}],"chat":"x"}`,
			func(t *testing.T, e *event) {
				assert.Empty(t, e.botID)
				assert.Nil(t, e.organizationID)
				assert.Empty(t, e.labels)
				assert.Empty(t, e.language)
				assert.Empty(t, e.message)
				assert.Equal(t, "[]", e.attachments)
				assert.Nil(t, identify(e, nil).Email)
			},
		},
		"half a surrogate pair": {
			`{"chat_id":"\ud83d","message":"\ud83d\ude00 \ude00"}`,
			func(t *testing.T, e *event) {
				assert.Equal(t, "\ufffd", e.chatID)
				assert.Equal(t, "😀 \ufffd", e.message)
			},
		},
		"a ticket webhook with nothing in it": {
			`{"_meta":{"event":"ticket.created"},"ticket":{},"chat":null}`,
			func(t *testing.T, e *event) {
				assert.Equal(t, "ticket.created", e.name)
				assert.Empty(t, e.chatID)
				assert.Empty(t, e.messages)
			},
		},
		"a ticket webhook beats a dialogue webhook": {
			`{"chat_id":"1","_meta":{"event":"ticket.created"},"ticket":{},"chat":{"id":"2"}}`,
			func(t *testing.T, e *event) {
				assert.False(t, e.dialogue)
				assert.Equal(t, "2", e.chatID)
			},
		},
		"a dialogue webhook that mentions tickets": {
			`{"chat_id":"1","_meta":{"event":"not a name"},"ticket":{}}`,
			func(t *testing.T, e *event) { assert.True(t, e.dialogue) },
		},
		"messages that are none": {
			`{"_meta":{"event":"ticket.created"},"ticket":{},"chat":{"messages":[1,null,"x",[],{"message":"a"}]}}`,
			func(t *testing.T, e *event) { assert.Len(t, e.messages, 1) },
		},
		"the first message that the user wrote": {
			`{"_meta":{"event":"x"},"ticket":{},"chat":{"messages":[{"sender":"BOT","message":"a"},{"sender":"user","message":"<p>b</p>"},{"sender":"USER","message":"c"}]}}`,
			func(t *testing.T, e *event) { assert.Equal(t, "b", e.message) },
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test.check(t, mustParseEvent(t, test.body)) })
	}
}

func TestPage_address(t *testing.T) {
	tests := map[string]struct {
		page page
		want string
	}{
		"url":                        {page{"https://a.example/b?c#d", "x.example", "/y"}, "https://a.example/b?c#d"},
		"host and path":              {page{"", "a.example", "/b"}, "https://a.example/b"},
		"host":                       {page{"", "a.example", ""}, "https://a.example"},
		"no sensible url":            {page{"javascript:alert(1)", "a.example", "/b"}, "https://a.example/b"},
		"path that would end a host": {page{"", "a.example", "@evil.example/"}, "https://a.example"},
		"nothing":                    {page{}, ""},
		"no host":                    {page{"https:///x", "", ""}, ""},
		"other scheme":               {page{"file:///etc/passwd", "", ""}, ""},
		"no URL":                     {page{"https://a b", "", ""}, ""},
		"control character":          {page{"https://a.example/\x7f", "", ""}, ""},
		"other direction":            {page{"https://a.example/\u202egpj.exe", "", ""}, ""},
		"line separator":             {page{"https://a.example/\u2028", "", ""}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { assert.Equal(t, test.want, test.page.address()) })
	}
}

func TestInboxURL_hostileIDs(t *testing.T) {
	const chats = "https://app.kindly.ai/workspace/4/inbox/chat/"
	for id, want := range map[string]string{
		"a/../b":                   chats + "a%2F..%2Fb",
		"?x#y":                     chats + "%3Fx%23y",
		"%2f":                      chats + "%252f",
		"\n\x00":                   chats + "%0A%00",
		"..":                       "",
		".":                        "",
		"":                         "",
		strings.Repeat("a", 2048):  chats + strings.Repeat("a", 2048),
		strings.Repeat("a", 2049):  "",
		strings.Repeat("/", 1_000): "",
	} {
		assert.Equal(t, want, (&event{botID: "4", chatID: id}).inboxURL())
	}
	assert.Empty(t, (&event{botID: "..", chatID: "1"}).inboxURL())
}

func TestEventPatterns(t *testing.T) {
	tests := []struct {
		patterns eventPatterns
		event    string
		want     bool
	}{
		{nil, "anything", true},
		{eventPatterns{"dialogue"}, "dialogue", true},
		{eventPatterns{"dialogue"}, "ticket.created", false},
		{eventPatterns{"ticket.*"}, "ticket.created", true},
		{eventPatterns{"ticket.*"}, "ticket", false},
		{eventPatterns{"ticket.*"}, "ticket.created.again", true},
		{eventPatterns{"dialogue", "ticket.created"}, "ticket.created", true},
		{eventPatterns{"ticket.{a,b}"}, "ticket.a", false},
		{eventPatterns{"*"}, "dialogue", true},
	}
	for _, test := range tests {
		assert.Equal(t, test.want, test.patterns.match(test.event), "%v %s", test.patterns, test.event)
	}
	require.Error(t, checkPattern("ticket.["))
	require.NoError(t, checkPattern("ticket.*"))
}

// FuzzEvent checks that whatever is accepted becomes a ticket that every
// reader of JSON takes, with the webhook in it as it came.
func FuzzEvent(f *testing.F) {
	for _, name := range []string{"dialogue-webhook.json", "ticket-webhook.json"} {
		f.Add(readTestdata(f, name))
	}
	f.Add([]byte(`{"chat_id":"\ud83d<&>\u2028","context":{"email":"a@b","":[1e9999]},"attachments":[{"name":"\u202e"}],"chat_labels":["",{"name":1}]}`))
	f.Add([]byte(` {"_meta":{"event":"x"},"ticket":{"id":1,"assigned_agent":[{}]},"chat":{"id":".","messages":[{"message":"<b>&lt;","sender":"USER","buttons":[{"label":"x","value":"http://y"}]}]}} `))
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := parseEvent(body)
		if err != nil {
			return
		}
		require.NotEmpty(t, e.name)
		ticket := checkTicket(t, e, nil)
		require.Equal(t, string(trimmed(body)), ticket.Get("source.webhook").Raw)
		require.Equal(t, gjson.Null, ticket.Get("source.chat").Type)
	})
}
