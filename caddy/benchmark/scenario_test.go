package main

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIsReply(t *testing.T) {
	for body, want := range map[string]bool{
		`{"reply":"Ticket 4711 created."}`:               true,
		`{"new_context":{},"reply":"Ticket 1 created."}`: true,
		`{"reply":"Ticket  created."}`:                   false,
		`{"reply":"Ticket {kindly.ticket.id} created."}`: false,
		`{"reply":"Ticket 1 created. And more."}`:        false,
		`{"reply":"Ticket 4711`:                          false,
		`{"reply":"We have it. The ticket follows."}`:    false,
		`{"reply_pending":"Ticket 1 created."}`:          false,
		`{}`:                                             false,
		``:                                               false,
	} {
		require.Equal(t, want, isReply([]byte(body)), body)
	}
}

func TestTicketIn(t *testing.T) {
	require.Equal(t, "4711", ticketIn([]byte(`{"new_context":{},"reply":"Ticket 4711 created."}`)))
	require.Empty(t, ticketIn([]byte(`{"reply":"A ticket follows."}`)))
}

func TestIsPending(t *testing.T) {
	require.True(t, isPending([]byte(`{"reply":"A ticket follows."}`)))
	require.False(t, isPending([]byte(`{"reply":"Ticket 1 created."}`)))
	require.False(t, isPending([]byte(`{}`)))
}

func TestScenarios(t *testing.T) {
	all := slices.Clone(scenarios)
	for _, p := range paces {
		all = append(all, p.scenario)
	}
	names := make(map[string]bool)
	for _, s := range all {
		require.False(t, names[s.name], "%s: webhooks of one name are one", s.name)
		names[s.name] = true
		require.Contains(t, stores, s.caddy, s.name)
		if s.deliveries {
			require.Contains(t, s.site("http://kindly", "http://desk"), "kindly_webhook "+path+" "+s.name+" {", "what the admin API calls it")
		}
	}
}

func TestChooseScenarios(t *testing.T) {
	chosen, err := chooseScenarios("rejected, respond")
	require.NoError(t, err)
	require.Len(t, chosen, 2)
	require.Equal(t, "respond", chosen[0].name, "in the order of the table")
	require.Equal(t, "rejected", chosen[1].name)
	require.Len(t, scenarios, len(scenarioNames()), "the list itself is as before")

	for _, list := range []string{"", "respond,", "respond,other", "Respond"} {
		_, err := chooseScenarios(list)
		require.ErrorContains(t, err, "choose from respond, reverse_proxy", list)
	}
}

func TestComparisonsAreOfScenarios(t *testing.T) {
	for _, c := range comparisons {
		require.Contains(t, scenarioNames(), c.of)
		require.Contains(t, scenarioNames(), c.to)
	}
}
