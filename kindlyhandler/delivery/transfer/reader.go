package transfer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// Reader reads a file of deliveries. It has one line of it in memory.
type Reader struct {
	in     *bufio.Reader
	line   int // the one read last
	begun  bool
	n      int // deliveries so far
	buffer []byte
	most   int // bytes of a line
	size   int // bytes of the one read last
}

// NewReader returns a reader of r.
func NewReader(r io.Reader) *Reader {
	return &Reader{in: bufio.NewReaderSize(r, 64<<10), most: MaxLine}
}

// Next returns the next delivery, or [io.EOF] if all were read and counted. It
// fails with a [*LineError] if one cannot be read, and can go on then; with a
// [*FormatError] if the file is none of ours, or is cut off; or as the reader
// below it does.
func (r *Reader) Next() (*delivery.Delivery, error) {
	if !r.begun {
		if err := r.begin(); err != nil {
			return nil, err
		}
		r.begun = true
	}
	b, err := r.read()
	switch {
	case errors.Is(err, io.EOF):
		return nil, r.wrong("the file is cut off: the line is missing that ends it and counts the deliveries; export them again")
	case errors.Is(err, errLong):
		r.n++
		return nil, &LineError{r.line, err.Error()}
	case err != nil:
		return nil, err
	}
	r.size = len(b)
	var l line
	if err := decode(b, &l); err != nil {
		r.n++
		return nil, &LineError{r.line, err.Error()}
	}
	if l.Deliveries != nil {
		return nil, r.end(*l.Deliveries)
	}
	r.n++
	d, err := l.delivery()
	if err != nil {
		return nil, &LineError{r.line, err.Error()}
	}
	return d, nil
}

// Line returns the number of the line read last, from 1.
func (r *Reader) Line() int { return r.line }

func (r *Reader) wrong(format string, args ...any) error {
	return &FormatError{r.line, fmt.Sprintf(format, args...)}
}

// begin reads the first line.
func (r *Reader) begin() error {
	const expected = "this is no export of deliveries: the first line is not as `caddy kindly deliveries export` writes it"
	b, err := r.read()
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, errLong) {
		return err
	}
	var h struct {
		Format  string `json:"format"`
		Version *int   `json:"version"`
	}
	if err != nil || decode(b, &h) != nil || h.Format != Format || h.Version == nil {
		r.line = 1
		return r.wrong("%s", expected)
	}
	if *h.Version != Version {
		return r.wrong("the file has version %d of the format, this module reads version %d only: use the version of the module that wrote it, or a newer one", *h.Version, Version)
	}
	return nil
}

// end compares the count of the last line.
func (r *Reader) end(counted int) error {
	if counted != r.n {
		return r.wrong("the file counts %d deliveries, but has %d: it is not as it was written; export them again", counted, r.n)
	}
	switch _, err := r.read(); {
	case errors.Is(err, io.EOF):
		return io.EOF
	case err != nil && !errors.Is(err, errLong):
		return err
	default:
		return r.wrong("something comes after the end of the file: import one file at a time")
	}
}

var errLong = fmt.Errorf("it is longer than %d MiB", MaxLine>>20)

// read returns the next line that is not blank, without its end, or fails with
// errLong, past that line. What it returns holds until the next call.
func (r *Reader) read() ([]byte, error) {
	if cap(r.buffer) > 1<<20 {
		r.buffer = nil
	}
	for {
		r.line++
		b, err := r.readLine()
		if len(b) == 0 && err == nil {
			continue
		}
		return b, err
	}
}

func (r *Reader) readLine() ([]byte, error) {
	r.buffer = r.buffer[:0]
	long := false
	for {
		part, err := r.in.ReadSlice('\n')
		if long = long || len(r.buffer)+len(part) > r.most+len("\n"); !long {
			r.buffer = append(r.buffer, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && !errors.Is(err, io.EOF):
			return nil, err
		case long:
			return nil, errLong
		}
		b := bytes.TrimSpace(r.buffer)
		if len(b) > 0 {
			err = nil // the end comes after this line
		}
		return b, err
	}
}
