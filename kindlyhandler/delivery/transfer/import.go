package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

// Report says what became of a file's deliveries.
type Report struct {
	Imported int `json:"imported"`
	// ThereAlready counts those whose id was there, also by an earlier line.
	ThereAlready int          `json:"there_already"`
	Refused      []*LineError `json:"refused"`
}

const (
	// batchLen and batchBytes are about how much is imported at once.
	batchLen   = 1000
	batchBytes = 4 << 20
	// maxWebhook and maxWebhookBytes are about how much of one webhook is kept
	// together beyond that.
	maxWebhook      = 256
	maxWebhookBytes = 64 << 20
	// maxRefused is how many lines may be refused before the rest is not worth
	// reading.
	maxRefused = 1000
)

// Import reads a file and passes its deliveries on, in parts, to a function
// such as [delivery.Store.Import]. The report holds also if it fails: what was
// imported stays, and can be imported again without harm.
//
// A line that cannot be read is refused, and the others are imported. It fails
// with a [*FormatError] if the file is none of ours, or cut off, and as the
// function or the reader does.
func Import(ctx context.Context, r io.Reader, to func(context.Context, []*delivery.Delivery) (int, error)) (Report, error) {
	report := Report{Refused: []*LineError{}}
	in := NewReader(r)
	var batch []*delivery.Delivery
	first, size := 0, 0 // line and bytes of the batch, as they are in the file
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		n, err := to(ctx, batch)
		if err != nil {
			return fmt.Errorf("from line %d on nothing is imported: %w", first, err)
		}
		report.Imported += n
		report.ThereAlready += len(batch) - n
		batch, size = nil, 0
		return nil
	}
	for {
		d, err := in.Next()
		var refused *LineError
		switch {
		case errors.As(err, &refused):
			if report.Refused = append(report.Refused, refused); len(report.Refused) >= maxRefused {
				return report, errors.Join(flush(), in.wrong("%d lines could not be read: this is not as an export wrote it", maxRefused))
			}
			continue
		case err != nil:
			if failed := flush(); failed != nil || errors.Is(err, io.EOF) {
				return report, failed
			}
			return report, err
		}
		if full(batch, size, d) {
			if err := flush(); err != nil {
				return report, err
			}
		}
		if len(batch) == 0 {
			first = in.Line()
		}
		batch = append(batch, d)
		size += in.size
	}
}

// full tells whether a delivery is for the next batch.
func full(batch []*delivery.Delivery, size int, next *delivery.Delivery) bool {
	if len(batch) < batchLen && size < batchBytes {
		return false
	}
	last := batch[len(batch)-1]
	return next.Key != last.Key || next.Key == (delivery.Key{}) || len(batch) >= batchLen+maxWebhook || size >= maxWebhookBytes
}
