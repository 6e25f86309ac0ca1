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

const since = (u) => u.since === null ? '' : [' since ', time(u.since)];

// next tells when an upstream that does not work is asked again.
function next(u) {
	if (future(u.held_until)) {
		return ['It asked to be left alone until ', time(u.held_until), '.'];
	}
	if (u.next_probe_at === null) {
		return '';
	}
	return future(u.next_probe_at) ? ['The next probe is at ', time(u.next_probe_at), '.'] : 'What is due next is the probe.';
}

const causes = {
	open: 'it seems to be down',
	paused: 'it refuses what the configuration makes us send. Look at its URL and credentials',
	paused_by_hand: 'nothing is attempted until it is resumed',
};

// explain tells what the condition of an upstream means, as elements.
function explain(u) {
	if (!u.configured) {
		return 'Its deliveries wait until a configuration names it again.';
	}
	const cause = causes[u.condition];
	return [cause && [since(u), ': ', cause, '. '], next(u)];
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
	const last = d.error === null ? [] : ['Last attempt: ', h('q', {}, d.error), '.'];
	if (d.state === 'dead') {
		return [last, ' Nothing happens to it until it is retried.'];
	}
	if (d.next_attempt_at === null) {
		return ['It is being attempted now.'];
	}
	if (u !== undefined && condition(u)[0] !== 'healthy') {
		return ['Its upstream is ', condition(u)[0], u.configured && u.condition !== 'healthy' && since(u), '. ', u.configured && next(u), ' ', last];
	}
	if (future(d.next_attempt_at)) {
		return ['The next attempt is at ', time(d.next_attempt_at), '. ', last];
	}
	return ['It is due, and waits for an earlier delivery of its chat, or for its turn. ', last];
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
