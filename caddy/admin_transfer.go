package kindly

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery/transfer"
)

// onConnection is the result of an operation that goes on with the connection:
// it returns what is encoded as JSON, or errWritten.
type onConnection func(w http.ResponseWriter) (any, error)

// errWritten means that the answer is written already.
var errWritten = errors.New("the answer is written")

// transferType is the media type of exports.
const transferType = "application/x-ndjson"

// patience is how long an upload may stand still.
const patience = 30 * time.Second

// exportDeliveries writes all deliveries. They may take longer than Caddy's
// admin endpoint allows for a request to be read, which would end it.
func exportDeliveries(q *delivery.Dispatcher, r *http.Request) (any, error) {
	if err := noParameters(r); err != nil {
		return nil, err
	}
	return onConnection(func(w http.ResponseWriter) (any, error) {
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // if there is one
		w.Header().Set("Content-Type", transferType)
		w.Header().Set("Cache-Control", "no-store")
		out := &touched{Writer: w}
		switch _, err := transfer.Export(r.Context(), q, out); {
		case err == nil:
			return nil, errWritten
		case out.is:
			panic(http.ErrAbortHandler) // nobody is to take it for whole
		default:
			return nil, err
		}
	}), nil
}

// touched knows whether anything was written.
type touched struct {
	io.Writer
	is bool
}

func (t *touched) Write(p []byte) (int, error) {
	t.is = true
	return t.Writer.Write(p)
}

// importDeliveries reads an export, however long it is.
func importDeliveries(q *delivery.Dispatcher, r *http.Request) (any, error) {
	if err := noParameters(r); err != nil {
		return nil, err
	}
	return onConnection(func(w http.ResponseWriter) (any, error) {
		body := &upload{ReadCloser: r.Body, connection: http.NewResponseController(w)}
		report, err := transfer.Import(r.Context(), body, q.Import)
		var wrong *transfer.FormatError
		switch {
		case err == nil:
			return report, nil
		case errors.As(err, &wrong):
			return nil, problem(http.StatusBadRequest, "%w (%d imported, %d there already)", err, report.Imported, report.ThereAlready)
		case body.failed != nil:
			return nil, problem(http.StatusBadRequest, "reading the body: %w (%d imported, %d there already)", body.failed, report.Imported, report.ThereAlready)
		case errors.Is(err, delivery.ErrClosed):
			return nil, err
		default:
			return nil, problem(http.StatusInternalServerError, "the store failed: %w (%d imported, %d there already)", err, report.Imported, report.ThereAlready)
		}
	}), nil
}

// upload is a body that may take as long as it takes, unless it stands still.
type upload struct {
	io.ReadCloser
	connection *http.ResponseController
	failed     error
}

func (u *upload) Read(p []byte) (int, error) {
	_ = u.connection.SetReadDeadline(time.Now().Add(patience))
	n, err := u.ReadCloser.Read(p)
	// What is done with what was read takes time of its own.
	_ = u.connection.SetReadDeadline(time.Time{})
	if err != nil && !errors.Is(err, io.EOF) {
		u.failed = err
	}
	return n, err
}
