package kindlyhandler

import (
	"io"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/outbound"
)

// BytesHeld is how much of the budgets for unread bodies and for transcripts
// is taken.
func BytesHeld() int64 { return unreadBodies.Taken() + transcriptsInMemory.Taken() }

// HoldUnread takes all of the budget for unread bodies, HoldTranscripts all of
// that for transcripts.
func HoldUnread() (release func(), err error) { return hold(unreadBodies, maxUnread) }

func HoldTranscripts() (release func(), err error) { return hold(transcriptsInMemory, maxTranscripts) }

func hold(budget *outbound.Budget, n int64) (release func(), err error) {
	lease := budget.Lease()
	_, err = outbound.Read(io.LimitReader(nothing{}, n-1), -1, n-1, lease)
	return lease.Release, err
}

// nothing has an endless number of bytes, and writes none.
type nothing struct{}

func (nothing) Read(p []byte) (int, error) { return len(p), nil }
