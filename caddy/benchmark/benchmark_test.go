package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCheckDelivered(t *testing.T) {
	for _, test := range []struct {
		name                                  string
		s                                     scenario
		answered, tickets, transcripts, twice int
		want                                  string
	}{
		{name: "all of them", s: scenario{tickets: true, transcripts: true}, answered: 3, tickets: 3, transcripts: 3},
		{name: "no tickets expected", answered: 3},
		{name: "one too many", s: scenario{tickets: true}, answered: 3, tickets: 4, want: "there must be 3 tickets at the help desk, but there are 4"},
		{name: "tickets of rejected ones", answered: 3, tickets: 1, want: "there must be 0 tickets at the help desk, but there are 1"},
		{name: "without transcript", s: scenario{transcripts: true}, answered: 3, transcripts: 2, want: "3 tickets need a transcript, but only 2 were fetched"},
		{name: "same key", s: scenario{tickets: true}, answered: 3, tickets: 3, twice: 1, want: "0 have no Idempotency-Key and 1 repeat one"},
	} {
		t.Run(test.name, func(t *testing.T) {
			desk := &helpDesk{keys: &keys{repeated: test.twice}}
			desk.tickets.Store(int64(test.tickets))
			b := &benchmark{kindly: new(kindly), targets: []*target{{scenario: test.s, desk: desk, answered: test.answered}}}
			b.kindly.served.Store(int64(test.transcripts))
			err := b.checkDelivered(t.Context())
			if test.want == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, test.want)
			}
		})
	}
}
