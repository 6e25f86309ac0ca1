package kindlyhandler

import (
	"io"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/outbound"
)

// BytesHeld is how much of the budgets for unread bodies and for transcripts
// is taken.
func BytesHeld() int64 { return unreadBodies.Taken() + transcriptsInMemory.Taken() }

// Budget is one of the budgets of the process.
type Budget struct {
	budget *outbound.Budget
	bytes  int64
}

// The budgets.
var (
	UnreadBodies = Budget{unreadBodies, maxUnread}
	Transcripts  = Budget{transcriptsInMemory, maxTranscripts}
)

// HoldAll takes all of the budget, by leases of ordinary size.
func (b Budget) HoldAll() (release func(), err error) { return b.hold(256, b.bytes/256) }

// HoldLarge takes all that large leases can have, by two of the largest.
func (b Budget) HoldLarge() (release func(), err error) { return b.hold(2, b.bytes/8*3) }

func (b Budget) hold(leases int, bytes int64) (release func(), err error) {
	held := make([]*outbound.Lease, leases)
	for i := range held {
		held[i] = b.budget.Lease()
		if _, err := outbound.Read(io.LimitReader(nothing{}, bytes-1), -1, bytes-1, held[i]); err != nil {
			return nil, err
		}
	}
	return func() {
		for _, lease := range held {
			lease.Release()
		}
	}, nil
}

// nothing has an endless number of bytes, and writes none.
type nothing struct{}

func (nothing) Read(p []byte) (int, error) { return len(p), nil }
