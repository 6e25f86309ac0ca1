package main

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

var readableResponses = []struct {
	name   string
	input  string
	status int
	body   string
	last   bool
}{
	{"length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", false},
	{"length in another case", "HTTP/1.1 201 Created\r\ncontent-LENGTH:5  \r\nX: y\r\n\r\nhello", 201, "hello", false},
	{"same length twice", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", 200, "x", false},
	{"no body", "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", 401, "", false},
	{"no reason", "HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx", 200, "x", false},
	{"closing", "HTTP/1.1 400 Bad Request\r\nConnection: Close\r\nContent-Length: 1\r\n\r\nx", 400, "x", true},
	{"until the end", "HTTP/1.1 200 OK\r\n\r\nall of it", 200, "all of it", true},
	{"status without body", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", false},
	{"length without body", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, "", false},
	{"interim", "HTTP/1.1 100 Continue\r\n\r\n", 100, "", false},
	{"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", 200, "hello world", false},
	{"chunk extension and trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\nA;x=y\r\n0123456789\r\n0\r\nX: y\r\n\r\n", 200, "0123456789", false},
	{"chunked beats length", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 200, "x", false},
	{"bare line feeds", "HTTP/1.1 200 OK\nContent-Length: 1\n\nx", 200, "x", false},
	{"longer than the buffer", "HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n" + strings.Repeat("x", 10000), 200, strings.Repeat("x", 10000), false},
}

func TestReadResponse(t *testing.T) {
	for _, test := range readableResponses {
		t.Run(test.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{
				"at once":      strings.NewReader(test.input),
				"byte by byte": iotest.OneByteReader(strings.NewReader(test.input)),
			} {
				got, err := newResponses(r).read()
				require.NoError(t, err, name)
				require.Equal(t, test.status, got.status, name)
				require.Equal(t, test.body, string(got.body), name)
				require.Equal(t, test.last, got.last, name)
			}
		})
	}
}

func TestReadResponsesOfOneConnection(t *testing.T) {
	var connection strings.Builder
	for _, test := range readableResponses {
		if !test.last {
			connection.WriteString(test.input)
		}
	}
	responses := newResponses(strings.NewReader(connection.String()))
	for _, test := range readableResponses {
		if test.last {
			continue
		}
		got, err := responses.read()
		require.NoError(t, err, test.name)
		require.Equal(t, test.body, string(got.body), test.name)
	}
	_, err := responses.read()
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestReadUnreadableResponse(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\n"
	for _, test := range []struct{ name, input, want string }{
		{"nothing", "", "unexpected EOF"},
		{"other protocol", "HTTP/1.0 200 OK\r\n\r\n", "malformed status line"},
		{"short status", "HTTP/1.1 20\r\n\r\n", "malformed status line"},
		{"long status", "HTTP/1.1 2000\r\n\r\n", "malformed status line"},
		{"status of letters", "HTTP/1.1 abc\r\n\r\n", "malformed status line"},
		{"status too small", "HTTP/1.1 099 OK\r\n\r\n", "malformed status line"},
		{"header without colon", head + "Content-Length 5\r\n\r\n", "malformed header line"},
		{"folded header", head + "X: y\r\n z: a\r\n\r\n", "malformed header line"},
		{"endless header line", head + "X: " + strings.Repeat("y", 10000), "too long"},
		{"header cut off", head + "Content-Length: 5\r\n", "unexpected EOF"},
		{"negative length", head + "Content-Length: -1\r\n\r\n", "malformed header line"},
		{"length with sign", head + "Content-Length: +1\r\n\r\nx", "malformed header line"},
		{"two lengths", head + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy", "malformed header line"},
		{"body cut off", head + "Content-Length: 5\r\n\r\nhell", "unexpected EOF"},
		{"body too long", head + "Content-Length: 1048577\r\n\r\n", "longer than 1 MiB"},
		{"endless body", head + "\r\n" + strings.Repeat("x", 1<<20+1), "longer than 1 MiB"},
		{"other encoding", head + "Transfer-Encoding: gzip\r\n\r\n", "unknown transfer encoding"},
		{"chunk size", head + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", "malformed chunk size"},
		{"no chunk size", head + "Transfer-Encoding: chunked\r\n\r\n\r\n", "malformed chunk size"},
		{"huge chunk", head + "Transfer-Encoding: chunked\r\n\r\nfffffffff\r\n", "malformed chunk size"},
		{"chunk too long", head + "Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n", "longer than its size"},
		{"chunk cut off", head + "Transfer-Encoding: chunked\r\n\r\n5\r\nhel", "unexpected EOF"},
		{"no last chunk", head + "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", "unexpected EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := newResponses(strings.NewReader(test.input)).read()
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestReadResponseAllocatesNothing(t *testing.T) {
	input := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" +
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
	connection := bytes.NewReader(input)
	responses := newResponses(connection)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		connection.Reset(input)
		for range 2 {
			if _, err := responses.read(); err != nil {
				t.Error(err)
			}
		}
	}))
}

// FuzzReadResponse checks that nothing makes the reader panic, and that it
// never sees another response than net/http does.
func FuzzReadResponse(f *testing.F) {
	for _, test := range readableResponses {
		f.Add([]byte(test.input))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		got, err := newResponses(bytes.NewReader(input)).read()
		if err != nil {
			return
		}
		want, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(input)), &http.Request{Method: http.MethodPost})
		if err != nil {
			return // net/http is stricter about what is in a header
		}
		body, err := io.ReadAll(want.Body)
		if err != nil {
			return
		}
		require.Equal(t, want.StatusCode, got.status)
		require.Equal(t, string(body), string(got.body))
		require.True(t, got.last || !want.Close, "the connection is closed")
	})
}
