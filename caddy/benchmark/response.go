package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// maxBody is the longest response body that is read. The expected ones have
// some 50 bytes.
const maxBody = 1 << 20

// A response is what is looked at of an HTTP response.
type response struct {
	status int
	body   []byte // valid until the next read
	last   bool   // the server closes the connection
}

// responses reads the HTTP/1.1 responses to POST requests from a connection.
// It knows no more of HTTP than is needed for that, and allocates nothing per
// response.
type responses struct {
	r    *bufio.Reader
	body []byte
}

func newResponses(r io.Reader) *responses {
	return &responses{r: bufio.NewReader(r)}
}

// read reads the next response to its end.
func (rs *responses) read() (response, error) {
	status, err := rs.statusLine()
	if err != nil {
		return response{}, err
	}
	length, chunked, closing, err := rs.header()
	if err != nil {
		return response{}, err
	}
	rs.body = rs.body[:0]
	switch {
	case status < 200 || status == 204 || status == 304: // never have a body
	case chunked:
		err = rs.chunks()
	case length >= 0:
		err = rs.take(length)
	default:
		closing = true
		err = rs.untilClose()
	}
	return response{status: status, body: rs.body, last: closing}, err
}

func (rs *responses) statusLine() (int, error) {
	line, err := rs.line()
	if err != nil {
		return 0, err
	}
	rest, ok := bytes.CutPrefix(line, []byte("HTTP/1.1 "))
	if !ok || len(rest) < 3 || len(rest) > 3 && rest[3] != ' ' {
		return 0, fmt.Errorf("malformed status line %q", line)
	}
	status := 0
	for _, digit := range rest[:3] {
		if digit < '0' || digit > '9' {
			return 0, fmt.Errorf("malformed status line %q", line)
		}
		status = 10*status + int(digit-'0')
	}
	if status < 100 {
		return 0, fmt.Errorf("malformed status line %q", line)
	}
	return status, nil
}

// header reads the header up to the empty line after it. The length is -1 if
// it is not told.
func (rs *responses) header() (length int, chunked, closing bool, err error) {
	length = -1
	for {
		line, err := rs.line()
		if err != nil || len(line) == 0 {
			return length, chunked, closing, err
		}
		field, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || len(field) == 0 || field[0] == ' ' || field[0] == '\t' {
			return 0, false, false, fmt.Errorf("malformed header line %q", line)
		}
		value = bytes.Trim(value, " \t")
		switch {
		case bytes.EqualFold(field, []byte("Content-Length")):
			n, err := number(value, 10)
			if err != nil || length >= 0 && length != n {
				return 0, false, false, fmt.Errorf("malformed header line %q", line)
			}
			length = n
		case bytes.EqualFold(field, []byte("Transfer-Encoding")):
			if chunked || !bytes.EqualFold(value, []byte("chunked")) {
				return 0, false, false, fmt.Errorf("unknown transfer encoding %q", value)
			}
			chunked = true
		case bytes.EqualFold(field, []byte("Connection")):
			closing = closing || bytes.EqualFold(value, []byte("close"))
		}
	}
}

// chunks reads a chunked body and the trailer after it.
func (rs *responses) chunks() error {
	for {
		line, err := rs.line()
		if err != nil {
			return err
		}
		size, _, _ := bytes.Cut(line, []byte(";"))
		n, err := number(bytes.TrimRight(size, " \t"), 16)
		if err != nil {
			return fmt.Errorf("malformed chunk size %q", line)
		}
		if n == 0 {
			break
		}
		if err := rs.take(n); err != nil {
			return err
		}
		if line, err = rs.line(); err != nil {
			return err
		}
		if len(line) > 0 {
			return fmt.Errorf("chunk is longer than its size, by %q", line)
		}
	}
	_, _, _, err := rs.header() //nolint:dogsled // nothing in a trailer is of interest
	return err
}

// take reads the next n bytes of the body.
func (rs *responses) take(n int) error {
	if n > maxBody-len(rs.body) {
		return errors.New("response body is longer than 1 MiB")
	}
	for n > 0 {
		if rs.r.Buffered() == 0 {
			if _, err := rs.r.Peek(1); err != nil {
				return unexpected(err)
			}
		}
		part, _ := rs.r.Peek(min(n, rs.r.Buffered()))
		rs.body = append(rs.body, part...)
		_, _ = rs.r.Discard(len(part))
		n -= len(part)
	}
	return nil
}

// untilClose reads the rest of the connection as the body.
func (rs *responses) untilClose() error {
	for {
		switch _, err := rs.r.Peek(1); err {
		case nil:
		case io.EOF:
			return nil
		default:
			return err
		}
		if err := rs.take(rs.r.Buffered()); err != nil {
			return err
		}
	}
}

// line returns the next line without its end, valid until the next read.
func (rs *responses) line() ([]byte, error) {
	line, err := rs.r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, errors.New("line of the response's header is too long")
	case err != nil:
		return nil, unexpected(err)
	}
	line = line[:len(line)-1]
	return bytes.TrimSuffix(line, []byte{'\r'}), nil
}

// number parses an unsigned number of digits only.
func number(digits []byte, base int) (int, error) {
	n, err := strconv.ParseUint(string(digits), base, 31)
	return int(n), err
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
