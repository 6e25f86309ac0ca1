package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery/transfer"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/memory"
)

func newStore() *memory.Store {
	return memory.New(memory.Options{Now: func() time.Time { return start }})
}

// in returns a delivery in a state.
func in(state delivery.State, d *delivery.Delivery) *delivery.Delivery {
	d.State = state
	return d
}

func exported(t *testing.T, from transfer.Source) string {
	t.Helper()
	var b bytes.Buffer
	_, err := transfer.Export(t.Context(), from, &b)
	require.NoError(t, err)
	return b.String()
}

func idsIn(t *testing.T, file string) (ids []uuid.UUID) {
	t.Helper()
	all, refused, err := read(strings.NewReader(file))
	require.NoError(t, err)
	require.Empty(t, refused)
	for _, d := range all {
		ids = append(ids, d.ID)
	}
	return ids
}

// unreadable is a source of one delivery that cannot be read.
type unreadable struct{ *memory.Store }

func (unreadable) Get(context.Context, uuid.UUID) (*delivery.Delivery, error) {
	return nil, fmt.Errorf("%w: for a reason", delivery.ErrUnreadable)
}

// An export is not silent about what it cannot have, and names it.
func TestExportOfWhatCannotBeRead(t *testing.T) {
	from := newStore()
	d := small(1)
	_, err := from.Import(t.Context(), []*delivery.Delivery{d})
	require.NoError(t, err)
	_, err = transfer.Export(t.Context(), unreadable{from}, io.Discard)
	require.EqualError(t, err, "delivery "+d.ID.String()+": the delivery cannot be read here: for a reason")
	require.ErrorIs(t, err, delivery.ErrUnreadable)
}

// What is exported and imported is the same, and exported again the same file.
func TestMove(t *testing.T) {
	from, to := newStore(), newStore()
	_, err := from.Import(t.Context(), []*delivery.Delivery{
		in(delivery.Pending, full(3)), in(delivery.Delivered, full(1)), in(delivery.Dead, full(2)), small(4),
	})
	require.NoError(t, err)
	claimed, _, err := from.Claim(t.Context(), zendesk, start.Add(time.Hour), 10)
	require.NoError(t, err)
	require.Len(t, claimed, 1)
	file := exported(t, from)
	require.Equal(t, []uuid.UUID{newID(1), newID(2), newID(3), newID(4)}, idsIn(t, file), "the oldest first")

	for i, want := range []transfer.Report{{Imported: 4}, {ThereAlready: 4}} {
		want.Refused = []*transfer.LineError{}
		report, err := transfer.Import(t.Context(), strings.NewReader(file), to.Import)
		require.NoError(t, err)
		require.Equal(t, want, report, "import %d", i)
		require.Equal(t, file, exported(t, to))
	}
	claimed, _, err = to.Claim(t.Context(), zendesk, start.Add(time.Hour), 10)
	require.NoError(t, err)
	require.Len(t, claimed, 1, "what was being attempted is pending")
}

func TestExportOfNothing(t *testing.T) {
	require.Empty(t, idsIn(t, exported(t, newStore())))
}

// The deliveries of one webhook are together, however many came at the same
// time.
func TestExportKeepsWebhooksTogether(t *testing.T) {
	from := newStore()
	var all, want []*delivery.Delivery
	for i := range 50 {
		for j := range 3 {
			d := small(i + 50*j)
			d.Key, d.KeyExpires = delivery.Key{0: byte(i + 1)}, start.Add(time.Hour)
			d.Lane = delivery.Lane{Webhook: "support", Upstream: fmt.Sprint(j)}
			want = append(want, d)
			all = append(all, d)
		}
	}
	for i := range 20 { // without a key
		d := small(1000 + i)
		all, want = append(all, d), append(want, d)
	}
	_, err := from.Import(t.Context(), all)
	require.NoError(t, err)
	var ids []uuid.UUID
	for _, d := range want {
		ids = append(ids, d.ID)
	}
	require.Equal(t, ids, idsIn(t, exported(t, from)))
}

// source does something else first, as the test says.
type source struct {
	transfer.Source
	get func(id uuid.UUID) error
}

func (s source) Get(ctx context.Context, id uuid.UUID) (*delivery.Delivery, error) {
	if err := s.get(id); err != nil {
		return nil, err
	}
	return s.Source.Get(ctx, id)
}

func TestExportOfWhatGoesMeanwhile(t *testing.T) {
	from := newStore()
	_, err := from.Import(t.Context(), []*delivery.Delivery{small(1), small(2), small(3)})
	require.NoError(t, err)
	file := exported(t, source{from, func(id uuid.UUID) error {
		if id == newID(1) {
			_, err := from.Drop(t.Context(), newID(2))
			return err
		}
		return nil
	}})
	require.Equal(t, []uuid.UUID{newID(1), newID(3)}, idsIn(t, file))
}

func TestExportThatFails(t *testing.T) {
	from := newStore()
	_, err := from.Import(t.Context(), []*delivery.Delivery{small(1), small(2), small(3)})
	require.NoError(t, err)
	broken := errors.New("the store is broken")
	var b bytes.Buffer
	n, err := transfer.Export(t.Context(), source{from, func(id uuid.UUID) error {
		if id == newID(2) {
			return broken
		}
		return nil
	}}, &b)
	require.ErrorIs(t, err, broken)
	require.Equal(t, 1, n)
	_, _, err = read(&b)
	require.Error(t, err, "nobody takes it for whole")

	require.NoError(t, from.Close())
	b.Reset()
	_, err = transfer.Export(t.Context(), from, &b)
	require.ErrorIs(t, err, delivery.ErrClosed)
	require.Zero(t, b.Len())
}

// batches notes what is imported at once.
type batches [][]*delivery.Delivery

func (b *batches) take(_ context.Context, batch []*delivery.Delivery) (int, error) {
	*b = append(*b, batch)
	return len(batch), nil
}

// A million deliveries are imported in parts, none of which divides a webhook.
func TestImportInParts(t *testing.T) {
	var all []*delivery.Delivery
	for i := range 2500 {
		d := small(i)
		if i >= 995 && i < 1010 {
			d.Key = delivery.Key{1}
		}
		all = append(all, d)
	}
	for i := range 3 { // large ones
		d := small(3000 + i)
		d.Body = bytes.Repeat([]byte("x"), 3<<20)
		all = append(all, d)
	}
	var got batches
	report, err := transfer.Import(t.Context(), strings.NewReader(written(t, all...)), got.take)
	require.NoError(t, err)
	require.Equal(t, len(all), report.Imported)
	var lengths []int
	for _, batch := range got {
		lengths = append(lengths, len(batch))
	}
	require.Equal(t, []int{1010, 1000, 492, 1}, lengths)

	// Large in whatever field.
	for i := range all[:3] {
		all[i].Answer = bytes.Repeat([]byte("x"), 5<<20)
	}
	got = nil
	_, err = transfer.Import(t.Context(), strings.NewReader(written(t, all[:4]...)), got.take)
	require.NoError(t, err)
	require.Len(t, got, 4)
}

// Who says that all deliveries are of one webhook gets no more into memory.
func TestImportOfOneWebhook(t *testing.T) {
	var all []*delivery.Delivery
	for i := range 3000 {
		d := small(i)
		d.Key = delivery.Key{1}
		all = append(all, d)
	}
	var got batches
	_, err := transfer.Import(t.Context(), strings.NewReader(written(t, all...)), got.take)
	require.NoError(t, err)
	require.Len(t, got, 3)
	require.Len(t, got[0], 1256)
}

func TestImportOfTwoWithOneID(t *testing.T) {
	to := newStore()
	other := small(1)
	other.Lane = zendesk
	report, err := transfer.Import(t.Context(), strings.NewReader(written(t, small(1), other)), to.Import)
	require.NoError(t, err)
	require.Equal(t, transfer.Report{Imported: 1, ThereAlready: 1, Refused: []*transfer.LineError{}}, report)
	got, err := to.Get(t.Context(), newID(1))
	require.NoError(t, err)
	require.Equal(t, slack, got.Lane)
}

// What can be read is imported, also if the end of the file is missing.
func TestImportOfWhatIsWrong(t *testing.T) {
	lines := strings.SplitAfter(written(t, small(1), small(2), small(3)), "\n")
	for name, test := range map[string]struct {
		file, want        string
		imported, refused int
	}{
		"a line":      {lines[0] + lines[1] + "{}\n" + lines[3] + lines[4], "", 2, 1},
		"cut off":     {lines[0] + lines[1] + lines[2] + lines[3][:20], "line 5: the file is cut off", 2, 1},
		"none":        {"[]\n", "line 1: this is no export of deliveries", 0, 0},
		"other lines": {lines[0] + lines[1] + strings.Repeat("{}\n", 1_000_000) + lines[3], "line 1002: 1000 lines could not be read", 1, 1000},
	} {
		t.Run(name, func(t *testing.T) {
			report, err := transfer.Import(t.Context(), strings.NewReader(test.file), newStore().Import)
			if test.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, test.want)
			}
			require.Equal(t, test.imported, report.Imported)
			require.Len(t, report.Refused, test.refused)
		})
	}
}

func TestImportThatFails(t *testing.T) {
	var all []*delivery.Delivery
	for i := range 2500 {
		all = append(all, small(i))
	}
	file := written(t, all...)
	calls := 0
	report, err := transfer.Import(t.Context(), strings.NewReader(file), func(_ context.Context, batch []*delivery.Delivery) (int, error) {
		if calls++; calls == 2 {
			return 0, io.ErrClosedPipe
		}
		return len(batch), nil
	})
	require.ErrorIs(t, err, io.ErrClosedPipe)
	require.ErrorContains(t, err, "from line 1002 on nothing is imported")
	require.Equal(t, 1000, report.Imported)
	require.Equal(t, 2, calls)
}

// The same webhook again, when it is no duplicate any more, stays behind what
// the chat said in between.
func TestExportKeepsTheOrderOfAChat(t *testing.T) {
	from := newStore()
	var want []uuid.UUID
	for i, key := range []byte{1, 2, 1} {
		d := small(i)
		d.ChatID, d.Key = "chat", delivery.Key{key}
		d.ReceivedAt = start.Add(time.Duration(i-10) * time.Hour)
		d.KeyExpires = d.ReceivedAt.Add(10 * time.Minute)
		_, err := from.Import(t.Context(), []*delivery.Delivery{d})
		require.NoError(t, err)
		want = append(want, d.ID)
	}
	require.Equal(t, want, idsIn(t, exported(t, from)))
}
