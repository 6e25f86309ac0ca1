package transfer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// Writer writes a file of deliveries. The caller ends it with Close.
type Writer struct {
	out  *bufio.Writer
	line bytes.Buffer
	n    int
}

// NewWriter returns a writer to w, which gets nothing before 64 KiB are there
// or Close is called.
func NewWriter(w io.Writer) *Writer {
	x := &Writer{out: bufio.NewWriterSize(w, 64<<10)}
	x.writeLine(header{Format, Version}) //nolint:errcheck // it fits the buffer
	return x
}

// Write writes a delivery. Those of one webhook are to follow each other.
func (w *Writer) Write(d *delivery.Delivery) error {
	w.n++
	if err := w.writeLine(lineOf(d)); err != nil {
		return fmt.Errorf("delivery %s: %w", d.ID, err)
	}
	return nil
}

// Len returns how many deliveries were written.
func (w *Writer) Len() int { return w.n }

// Close writes the end, without which the file counts as cut off. It does not
// close what is written to.
func (w *Writer) Close() error {
	if err := w.writeLine(trailer{w.n}); err != nil {
		return err
	}
	return w.out.Flush()
}

func (w *Writer) writeLine(v any) error {
	w.line.Reset()
	encoder := json.NewEncoder(&w.line)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return err
	}
	if w.line.Len() > MaxLine {
		return fmt.Errorf("it takes more than %d MiB", MaxLine>>20)
	}
	_, err := w.out.Write(w.line.Bytes())
	if w.line.Cap() > 1<<20 { // one large delivery is not to cost memory for all others
		w.line = bytes.Buffer{}
	}
	return err
}
