'use strict';

// What the admin API's words are for people.

// condition names the state of an upstream, and how bad that is.
function condition(u) {
	if (!u.configured) {
		return ['not configured', 'bad'];
	}
	switch (u.condition) {
	case 'open':
		return ['down', 'bad'];
	case 'paused':
		return ['paused', 'bad'];
	case 'paused_by_hand':
		return ['paused by hand', 'warn'];
	default:
		return u.held_until === null ? ['healthy', 'good'] : ['held', 'warn'];
	}
}

// explain tells what the condition means, as elements.
function explain(u) {
	const since = u.since === null ? [] : [' since ', time(u.since)];
	const probe = u.next_probe_at === null ? [] : future(u.next_probe_at) ?
		[' The next probe is at ', time(u.next_probe_at), '.'] : [' The next probe is made with what is due next.'];
	const until = u.held_until === null ? [] : [' It asked to be left alone until ', time(u.held_until), '.'];
	if (!u.configured) {
		return ['No configuration names it: its deliveries wait until one does.'];
	}
	switch (u.condition) {
	case 'open':
		return ['It seems to be down', since, '.', probe, until];
	case 'paused':
		return ['It refuses what the configuration makes us send', since, ': look at the credentials and the URL.', probe, until];
	case 'paused_by_hand':
		return ['Somebody has paused it', since, ': nothing is attempted until it is resumed.'];
	default:
		return until;
	}
}

const states = {pending: ['waiting', 'warn'], dead: ['dead', 'bad'], delivered: ['delivered', 'good']};

// badge is a word with a colour, which says nothing that the word does not.
function badge([word, tone]) {
	return h('strong', {class: `badge ${tone}`}, word);
}

// why tells why a delivery is in its state. u is its upstream's status, if
// that is known.
function why(d, u) {
	if (d.state === 'delivered') {
		return ['As ticket ', ticketLink(d.ticket), '.'];
	}
	const last = d.error === null ? [] : ['The last attempt: ', h('q', {}, d.error), '.'];
	if (d.state === 'dead') {
		return [last.length > 0 ? last : 'It was given up.', ' Nothing happens to it until it is retried.'];
	}
	if (d.next_attempt_at === null) {
		return ['It is being attempted now.'];
	}
	if (u !== undefined && condition(u)[0] !== 'healthy') {
		return [explain(u), last.length > 0 ? [' ', last] : []];
	}
	if (future(d.next_attempt_at)) {
		return [last, ' The next attempt is at ', time(d.next_attempt_at), '.'];
	}
	return ['It is due, and waits for an earlier delivery of its chat, or for its turn.', last.length > 0 ? [' ', last] : []];
}

function ticketLink(ticket) {
	if (ticket === null || ticket.id === null && ticket.url === null) {
		return 'without a number';
	}
	return ticket.url === null ? ticket.id : link(ticket.url, ticket.id ?? ticket.url);
}

const losses = {
	damaged: 'lost with a damaged file',
	dead: 'dead letters',
	dropped: 'dropped by hand',
	duplicate: 'duplicates of an earlier webhook',
	erased: 'erased by hand',
	expired: 'dead letters removed at the end of their retention',
	left_behind: 'left behind in another store',
};

const stages = {transcript: 'fetching the transcript', ticket: 'making the ticket', upstream: 'sending the ticket'};
