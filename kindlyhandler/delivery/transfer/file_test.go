package transfer_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery/transfer"
)

var (
	zendesk = delivery.Lane{Webhook: "support", Upstream: "zendesk"}
	slack   = delivery.Lane{Webhook: "support", Upstream: "slack"}
	start   = time.Date(2026, 11, 22, 14, 28, 0, 123456789, time.UTC)
)

// newID returns the n-th id.
func newID(n int) uuid.UUID {
	return uuid.UUID{0x01, 0x98, 0xf3, 0xc2, byte(n >> 16), 0, 0x7c, 0x3e, 0x9d, 0x54, 0, 0, 0, 0, byte(n >> 8), byte(n)}
}

// full returns a delivery with every field set that a store keeps.
func full(n int) *delivery.Delivery {
	return &delivery.Delivery{
		ID: newID(n), Lane: zendesk, Key: delivery.Key{31: byte(n), 0: 1}, KeyExpires: start.Add(time.Minute),
		Event: "dialogue", ChatID: "chat\x00 ☎ '<&>\u2028", ReceivedAt: start,
		Body: []byte("{\"message\":\"create <b>ticket</b>\\n\"}\ufffd"), Customer: []byte("{\"name\":\"Kari\x00\xff\"}"),
		Transcript: []byte("a transcript\x00\xff"), TranscriptError: "why not", Trace: "00-4bf92f-01 vendor=1",
		State: delivery.Dead, DueAt: start.Add(time.Second), Elapsed: 3 * time.Minute, Tries: 7,
		Attempts: []delivery.Attempt{
			{At: start, Duration: 250 * time.Millisecond, Stage: delivery.StageTranscript, Status: 503, Error: "unavailable \xff"},
			{At: start.Add(1), Duration: 15 * time.Second, Stage: delivery.StageUpstream, Error: "timeout", Unknown: true},
		},
		Ticket: delivery.Ticket{ID: "4711\x00", URL: "https://help.example.com/4711"}, Answer: []byte(`{"reply":"Ticket 4711"}`),
	}
}

// small returns a delivery with no more than it must have.
func small(n int) *delivery.Delivery {
	return &delivery.Delivery{ID: newID(n), Lane: slack, ReceivedAt: start}
}

func written(t testing.TB, deliveries ...*delivery.Delivery) string {
	t.Helper()
	var b bytes.Buffer
	w := transfer.NewWriter(&b)
	for _, d := range deliveries {
		require.NoError(t, w.Write(d))
	}
	require.Equal(t, len(deliveries), w.Len())
	require.NoError(t, w.Close())
	return b.String()
}

// read reads all of a file: its deliveries, what was refused, and how it ended.
func read(r io.Reader) ([]*delivery.Delivery, []*transfer.LineError, error) {
	return readAll(transfer.NewReader(r))
}

func readAll(in *transfer.Reader) (deliveries []*delivery.Delivery, refused []*transfer.LineError, err error) {
	for {
		d, err := in.Next()
		var refusal *transfer.LineError
		switch {
		case errors.As(err, &refusal):
			refused = append(refused, refusal)
		case errors.Is(err, io.EOF):
			return deliveries, refused, nil
		case err != nil:
			return deliveries, refused, err
		default:
			deliveries = append(deliveries, d)
		}
	}
}

func TestFile(t *testing.T) {
	for name, want := range map[string][]*delivery.Delivery{
		"empty": nil,
		"one":   {full(1)},
		"some":  {full(1), small(2), full(3)},
	} {
		t.Run(name, func(t *testing.T) {
			file := written(t, want...)
			require.Equal(t, len(want)+2, strings.Count(file, "\n"))
			for line := range strings.Lines(file) {
				require.True(t, json.Valid([]byte(line)), line)
			}
			for _, variant := range []string{file, strings.TrimSuffix(file, "\n"), strings.ReplaceAll(file, "\n", "\r\n"), file + "\n \n"} {
				got, refused, err := read(iotest.OneByteReader(strings.NewReader(variant)))
				require.NoError(t, err)
				require.Empty(t, refused)
				require.Equal(t, want, got)
			}
		})
	}
}

// The format is what others have in their files: it does not change by chance.
func TestFormat(t *testing.T) {
	d := full(1)
	d.Body, d.Customer, d.Transcript, d.Attempts = []byte(`{"a":"<b>"}`), []byte("\xff"), nil, d.Attempts[1:]
	d.ChatID = "chat"
	require.Equal(t, `{"format":"kindly-deliveries","version":1}
{"id":"0198f3c2-0000-7c3e-9d54-000000000001","name":"support","upstream":"zendesk","state":"dead","event":"dialogue","chat_id":"chat","received_at":"2026-11-22T14:28:00.123456789Z","key":"0100000000000000000000000000000000000000000000000000000000000001","key_expires":"2026-11-22T14:29:00.123456789Z","due_at":"2026-11-22T14:28:01.123456789Z","elapsed_ns":180000000000,"tries":7,"attempts":[{"at":"2026-11-22T14:28:00.12345679Z","duration_ns":15000000000,"stage":"upstream","error":"timeout","unknown":true}],"ticket_id":"4711\u0000","ticket_url":"https://help.example.com/4711","answer":"{\"reply\":\"Ticket 4711\"}","trace":"00-4bf92f-01 vendor=1","transcript_error":"why not","body":"{\"a\":\"<b>\"}","customer":{"base64":"/w=="}}
{"id":"0198f3c2-0000-7c3e-9d54-000000000002","name":"support","upstream":"slack","state":"pending","received_at":"2026-11-22T14:28:00.123456789Z"}
{"deliveries":2}
`, written(t, d, small(2)))
}

func TestFileThatIsNone(t *testing.T) {
	file := written(t, small(1), small(2))
	lines := strings.SplitAfter(file, "\n")
	for name, test := range map[string]struct{ file, want string }{
		"nothing":            {"", "line 1: this is no export of deliveries"},
		"blank":              {"\n\n", "line 1: this is no export of deliveries"},
		"a Caddyfile":        {"example.com {\n}\n", "line 1: this is no export of deliveries"},
		"binary":             {"\x00\xff\xfe", "line 1: this is no export of deliveries"},
		"another format":     {`{"format":"other","version":1}` + "\n", "line 1: this is no export of deliveries"},
		"no version":         {`{"format":"kindly-deliveries"}` + "\n", "line 1: this is no export of deliveries"},
		"text for a version": {`{"format":"kindly-deliveries","version":"1"}` + "\n", "line 1: this is no export of deliveries"},
		"another version":    {strings.Replace(file, `"version":1`, `"version":2`, 1), "line 1: the file has version 2 of the format, this module reads version 1 only"},
		"no first line":      {lines[1] + lines[2] + lines[3], "line 1: this is no export of deliveries"},
		"only a first line":  {lines[0], "line 2: the file is cut off"},
		"no end":             {lines[0] + lines[1] + lines[2], "line 4: the file is cut off"},
		"a line is missing":  {lines[0] + lines[1] + lines[3], "line 3: the file counts 2 deliveries, but has 1"},
		"a line too many":    {lines[0] + lines[1] + lines[1] + lines[2] + lines[3], "line 5: the file counts 2 deliveries, but has 3"},
		"negative":           {lines[0] + `{"deliveries":-1}`, "line 2: the file counts -1 deliveries, but has 0"},
		"two files":          {file + file, "line 5: something comes after the end of the file"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := read(strings.NewReader(test.file))
			var wrong *transfer.FormatError
			require.ErrorAs(t, err, &wrong)
			require.ErrorContains(t, err, test.want)
		})
	}
}

// Wherever a file is cut off, that is noticed.
func TestFileCutOff(t *testing.T) {
	file := written(t, full(1), small(2))
	for n := range len(file) - 1 { // without the line's end it is as good
		_, _, err := read(strings.NewReader(file[:n]))
		var wrong *transfer.FormatError
		require.ErrorAs(t, err, &wrong, "%d bytes", n)
	}
}

func TestLineThatIsRefused(t *testing.T) {
	const secret = "s3cr3t words of somebody"
	with := func(old, other string) string {
		line := strings.SplitAfter(written(t, full(2)), "\n")[1]
		require.Contains(t, line, old)
		return strings.Replace(line, old, other, 1)
	}
	for name, test := range map[string]struct{ line, want string }{
		"no JSON":                     {secret + "\n", "it is not a JSON object in one line"},
		"half a line":                 {with(`"attempts"`, "\n"), "it is not a JSON object in one line"},
		"a list":                      {"[1]\n", "it is a JSON array, which it cannot be"},
		"no UTF-8":                    {with("dialogue", "dialogue\xff"), "it is not UTF-8"},
		"two objects":                 {with("}\n", "}{}\n"), "something comes after the JSON object"},
		"an unknown field":            {with(`"tries":7`, `"`+secret+`":7`), "it has a field that this version of the module does not know"},
		"no id":                       {with(`"id":"0198f3c2-0000-7c3e-9d54-000000000002",`, ""), "its id is no UUID of version 7"},
		"an id of another form":       {with("0198f3c2-0000-7c3e-9d54-000000000002", "0198F3C2-0000-7c3e-9d54-000000000002"), "its id is no UUID of version 7"},
		"an id in a URN":              {with("0198f3c2", "urn:uuid:0198f3c2"), "its id is no UUID of version 7"},
		"version 4":                   {with("-7c3e-", "-4c3e-"), "its id is no UUID of version 7"},
		"a nonsense version":          {with("-7c3e-", "-fc3e-"), "its id is no UUID of version 7"},
		"a nonsense variant":          {with("-9d54-", "-0d54-"), "its id is no UUID of version 7"},
		"no state":                    {with(`"state":"dead",`, ""), "its state is not pending, delivered or dead"},
		"a wrong state":               {with(`"dead"`, `"`+secret+`"`), "its state is not pending, delivered or dead"},
		"no name":                     {with(`"name":"support",`, ""), "it has no name and upstream of 1 to 255 bytes"},
		"a long upstream":             {with("zendesk", strings.Repeat("z", 256)), "it has no name and upstream of 1 to 255 bytes"},
		"no time":                     {with(`"received_at":"2026-11-22T14:28:00.123456789Z",`, ""), "it has no received_at"},
		"a wrong time":                {with("2026-11-22T14:29:00.123456789Z", secret), "a time is not as in 2026-11-22T14:28:00.123Z"},
		"a time long ago":             {with("2026-11-22T14:29:00.123456789Z", "0001-01-01T00:00:00Z"), "a time is not as in 2026-11-22T14:28:00.123Z"},
		"a time far ahead":            {with("2026-11-22T14:29:00.123456789Z", "9999-01-01T00:00:00Z"), "a time is not as in 2026-11-22T14:28:00.123Z"},
		"no hexadecimal key":          {with(`"key":"01`, `"key":"0x`), "its key does not have 64 hexadecimal digits"},
		"a short key":                 {with(`"key":"0100`, `"key":"`), "its key does not have 64 hexadecimal digits"},
		"bad base64":                  {with(`{"base64":"`, `{"base64":"=`), "the base64 of a text is malformed"},
		"base64 with a rest":          {with(`/w==`, `/x==`), "the base64 of a text is malformed"},
		"base64 of a number":          {with(`"customer":{"base64":`, `"customer":{"base64":1,"other":`), `a text is neither a string nor an object`},
		"a number for a text":         {with(`"event":"dialogue"`, `"event":47114711`), `a text is neither a string nor an object`},
		"null for a text":             {with(`"event":"dialogue"`, `"event":null`), `a text is neither a string nor an object`},
		"negative":                    {with(`"tries":7`, `"tries":-7`), "its elapsed_ns or tries is negative"},
		"a text for a number":         {with(`"tries":7`, `"tries":"`+secret+`"`), "tries is a JSON string, which it cannot be"},
		"a huge number":               {with(`"tries":7`, `"tries":99999999999999999999`), "tries is a JSON number, which it cannot be"},
		"a text in an attempt":        {with(`"status":503`, `"status":"`+secret+`"`), "attempts.status is a JSON string, which it cannot be"},
		"an unknown field in it":      {with(`"status":503`, `"`+secret+`":503`), "it has a field that this version of the module does not know"},
		"attempts that are none":      {with(`"attempts":[`, `"attempts":{},"other":[`), "its attempts are not an array of 1000 at the most"},
		"attempts without an end":     {with(`"attempts":[`, `"attempts":[`+strings.Repeat("{},", 1000)), "its attempts are not an array of 1000 at the most"},
		"attempts that run backwards": {with(`"duration_ns":2`, `"duration_ns":-2`), "the duration_ns of an attempt is negative"},
	} {
		t.Run(name, func(t *testing.T) {
			file := written(t, full(1), full(3), full(4))
			lines := strings.SplitAfter(file, "\n")
			lines[2] = test.line
			got, refused, err := read(strings.NewReader(strings.Join(lines, "")))
			if strings.Count(test.line, "\n") > 1 { // it is two lines then
				require.ErrorContains(t, err, "the file counts 3 deliveries, but has 4")
			} else {
				require.NoError(t, err)
				require.Len(t, refused, 1)
			}
			require.Equal(t, []*delivery.Delivery{full(1), full(4)}, got)
			require.Equal(t, 3, refused[0].Line)
			require.ErrorContains(t, refused[0], "line 3: "+test.want)
			for _, words := range []string{secret, "47114711", "Kari", "4711"} {
				require.NotContains(t, refused[0].Error(), words)
			}
		})
	}
}

func TestLineThatIsTooLong(t *testing.T) {
	const most = 100_000 // more than is buffered
	lines := strings.SplitAfter(written(t, small(1), small(2), small(3)), "\n")
	for length, want := range map[int]string{most: "line 3: it is not a JSON object in one line", most + 1: "line 3: it is longer than"} {
		lines[2] = strings.Repeat("a", length) + "\n"
		in := transfer.NewReader(strings.NewReader(strings.Join(lines, "")))
		in.SetMaxLine(most)
		got, refused, err := readAll(in)
		require.NoError(t, err)
		require.Equal(t, []*delivery.Delivery{small(1), small(3)}, got)
		require.Len(t, refused, 1)
		require.ErrorContains(t, refused[0], want)
	}

	in := transfer.NewReader(strings.NewReader(lines[2]))
	in.SetMaxLine(most)
	_, _, err := readAll(in)
	require.ErrorContains(t, err, "line 1: this is no export of deliveries")
}

func TestFileThatCannotBeRead(t *testing.T) {
	file := written(t, small(1))
	broken := errors.New("the disk is broken")
	for _, n := range []int{0, 10, 60, len(file)} {
		_, _, err := read(io.MultiReader(strings.NewReader(file[:n]), iotest.ErrReader(broken)))
		require.ErrorIs(t, err, broken, fmt.Sprint(n))
	}
}

// FuzzReader: whatever is in a file, it is read to the end or refused; what is
// read can be written and read again.
func FuzzReader(f *testing.F) {
	f.Add([]byte(written(f, full(1), small(2))))
	f.Add([]byte(written(f)))
	f.Add([]byte(`{"format":"kindly-deliveries","version":1}` + "\n[]\n{\"id\":null}\n{\"deliveries\":2}"))
	f.Fuzz(func(t *testing.T, file []byte) {
		got, refused, err := read(bytes.NewReader(file))
		require.LessOrEqual(t, len(got)+len(refused), bytes.Count(file, []byte("\n"))+1)
		again, refused, failed := read(strings.NewReader(written(t, got...)))
		require.NoError(t, failed)
		require.Empty(t, refused)
		require.Equal(t, got, again)
		if err == nil {
			require.NotEmpty(t, file)
		}
	})
}
