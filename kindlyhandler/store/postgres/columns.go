package postgres

import "github.com/jackc/pgx/v5/pgtype"

// columns are deliveries as arrays, one for each column: a statement takes any
// number of them.
type columns struct {
	entries []*entry

	numbers                        []int32 // of the operation
	ids, chats                     []pgtype.UUID
	webhooks, upstreams            []string
	states                         []int16
	wanted, keep                   []bool // the claim; the body that is there
	due, received, expires         []pgtype.Timestamptz
	elapsed                        []int64
	tries                          []int32
	keys, details, answers         [][]byte
	sealers                        [][]byte
	bodies, customers, transcripts [][]byte
}

func (c *columns) add(number int, e *entry) {
	d := e.delivery
	c.entries = append(c.entries, e)
	c.numbers = append(c.numbers, int32(number))
	c.ids, c.chats = append(c.ids, idOf(d.ID)), append(c.chats, idOf(e.chat))
	c.webhooks, c.upstreams = append(c.webhooks, d.Lane.Webhook), append(c.upstreams, d.Lane.Upstream)
	c.states = append(c.states, int16(d.State))
	c.wanted, c.keep = append(c.wanted, e.wanted), append(c.keep, len(d.Body) > 0)
	c.due, c.received, c.expires = append(c.due, stamp(d.DueAt)), append(c.received, stamp(d.ReceivedAt)), append(c.expires, stamp(d.KeyExpires))
	c.elapsed, c.tries = append(c.elapsed, int64(d.Elapsed)), append(c.tries, int32(d.Tries))
	c.keys, c.details, c.answers = append(c.keys, keyOf(d.Key)), append(c.details, e.details), append(c.answers, e.content.answer)
	c.sealers = append(c.sealers, sealerArgument(e.sealer))
	c.bodies, c.customers, c.transcripts = append(c.bodies, e.content.body), append(c.customers, e.content.customer), append(c.transcripts, e.content.transcript)
}
