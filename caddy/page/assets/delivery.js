'use strict';

// facts makes a list of what is known. Nothing stands for what is not.
function facts(...pairs) {
	return h('dl', {}, pairs.filter(([, value]) => value !== null && value !== undefined && value !== false && value !== '').map(([name, value]) =>
		h('div', {'data-key': name}, h('dt', {}, name), h('dd', {}, value))));
}

function section(id, title, ...content) {
	return h('section', {'aria-labelledby': `${id}-title`, 'data-key': id, class: id}, h('h3', {id: `${id}-title`}, title), ...content);
}

// details shows one delivery.
function details(d, u, list) {
	return [
		h('p', {}, h('a', {href: list}, '← All deliveries')),
		h('h2', {id: 'delivery-title', tabindex: '-1'}, 'Delivery ', h('code', {class: 'id'}, d.id)),
		h('p', {class: 'state'}, badge(states[d.state]), ' ', why(d, u)),
		h('div', {class: 'buttons'}, actions(d)),
		h('div', {class: 'columns'},
			h('div', {'data-key': 'about'},
				section('about', 'About it', facts(
					['Webhook', d.name], ['Upstream', [d.upstream, u && [' ', badge(condition(u))]]], ['Event', d.event],
					['Received', [time(d.received_at), `, ${distance(d.received_at)} ago`]],
					['Chat id', d.chat_id && [h('span', {class: 'id'}, d.chat_id), ' (', h('a', {href: address({chat_id: d.chat_id})}, 'all of this chat'), ')']],
					['Ticket', d.ticket && ticketLink(d.ticket)],
				)),
				section('timeline', 'What happened', timeline(d))),
			h('div', {'data-key': 'chat'}, section('chat', 'The chat', chat(d))),
			h('div', {'data-key': 'ticket'},
				section('ticket', d.state === 'delivered' ? 'The ticket that was sent' : 'The ticket that will be sent', ticket(d)))),
	];
}

function timeline(d) {
	const left = d.attempts_total - d.attempts.length;
	return h('ol', {},
		h('li', {'data-key': 'received'}, time(d.received_at), ' The webhook was accepted and stored.'),
		left > 0 && h('li', {'data-key': 'left'}, `${left} earlier attempts, no longer kept one by one.`),
		d.attempts.map((a, i) => h('li', {'data-key': `attempt ${left + i}`, class: a.error === null ? 'good' : 'bad'}, attempt(a, left + i + 1))),
		d.state === 'pending' && h('li', {'data-key': 'next', class: 'warn'}, d.next_attempt_at === null ? 'It is being attempted.' :
			future(d.next_attempt_at) ? [time(d.next_attempt_at), ` The next attempt is due in ${distance(d.next_attempt_at)}.`] : 'The next attempt is due.'));
}

function attempt(a, n) {
	return [
		time(a.time), ` Attempt ${n}: `,
		a.error === null ? h('strong', {}, 'delivered') : [h('strong', {}, 'failed'), ` while ${stages[a.stage] ?? a.stage}`],
		` after ${duration(a.duration)}`, a.status !== null && `, HTTP ${a.status}`, '.',
		a.error !== null && h('div', {}, h('q', {}, a.error)),
		a.unknown && h('div', {class: 'note'}, 'The ticket may have arrived all the same. A retry has the same Idempotency-Key.'),
	];
}

const senders = {user: 'Visitor', bot: 'Bot', agent: 'Agent', system: 'System'};

function chat(d) {
	const messages = d.document?.messages ?? [];
	if (messages.length > 0) {
		return h('ol', {class: 'messages'}, messages.map((m, i) => h('li', {'data-key': String(i), class: m.sender},
			h('p', {class: 'who'}, senders[m.sender] ?? m.sender, m.name && m.name !== 'You' && ` (${m.name})`, m.time && [', ', time(m.time)]),
			h('p', {class: 'text'}, m.text),
			count(m.buttons, 'button'), count(m.attachments, 'attachment'))));
	}
	if (d.state === 'delivered') {
		return h('p', {class: 'note'}, 'Once a ticket is delivered, nothing of the chat is kept here.');
	}
	if (d.document === null) {
		return h('p', {class: 'note'}, 'It has not been fetched yet, or no configuration names the upstream.');
	}
	const missing = d.document.transcript_error;
	return h('p', {class: 'note'}, missing ? ['The ticket goes without it: ', h('q', {}, missing), '.'] : 'The ticket goes without it: transcripts are turned off, or it has no messages.');
}

function count(list, what) {
	const n = list?.length ?? 0;
	return n > 0 && h('p', {class: 'note'}, `with ${n} ${what}${n > 1 ? 's' : ''}`);
}

// maxJSON is how much a browser shows without effort, in characters.
const maxJSON = 200_000;

function ticket(d) {
	if (d.state === 'delivered') {
		return h('p', {}, 'The upstream has it', d.ticket && d.ticket.id !== null ? [' as ', ticketLink(d.ticket)] : '', '. Its content is no longer kept here.');
	}
	const t = d.document;
	if (t === null) {
		return h('p', {class: 'note'}, 'It is made when the transcript is there and the upstream is configured.');
	}
	const c = t.customer;
	const json = JSON.stringify(t, null, 2);
	return [
		facts(
			['Subject', t.subject], ['Message', t.message !== t.subject && h('span', {class: 'text'}, t.message)],
			['Customer', [c.name, c.email, c.phone, c.id].filter(Boolean).join(', ')],
			['Verified', c.verified ? 'yes, by a signed token' : 'no: it is what the chat says'],
			['Language', t.language], ['Bot', t.bot.name], ['Labels', t.chat.labels.join(', ')],
			['In Kindly', t.chat.url && link(t.chat.url, 'the chat in the inbox')],
			['Page', t.chat.page && link(t.chat.page, t.chat.page)],
		),
		h('details', {}, h('summary', {}, 'The whole document, as JSON'),
			h('pre', {tabindex: '0', role: 'region', 'aria-label': 'The ticket document'}, json.slice(0, maxJSON)),
			json.length > maxJSON && h('p', {class: 'note'}, `There is more: caddy kindly deliveries show ${d.id} --json`)),
	];
}
