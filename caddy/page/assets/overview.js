'use strict';

// table makes one that is a list of cards where there is little room; columns
// then have the widths that they say, of six, and a label unless they take all.
// Cards take the meaning of table elements from screen readers, so roles say it.
function table(label, columns, rows) {
	const cell = (content, i) => h(i === 0 ? 'th' : 'td', {
		role: i === 0 ? 'rowheader' : 'cell', scope: i === 0 ? 'row' : null, class: `of-${columns[i][1]}`, 'data-label': columns[i][0],
	}, content);
	return h('table', {role: 'table', 'aria-label': label},
		h('thead', {role: 'rowgroup'}, h('tr', {role: 'row'}, columns.map(([title]) => h('th', {role: 'columnheader', scope: 'col'}, title)))),
		h('tbody', {role: 'rowgroup'}, rows.map(({key, cells}) => h('tr', {role: 'row', 'data-key': key}, cells.map(cell)))));
}

// button makes one that the page acts on. Its label, for those who do not see
// what it stands beside, has the thing that it is about.
function button(text, action, about, data) {
	const attributes = {type: 'button', 'data-action': action, 'aria-label': `${text} ${about}`};
	for (const [key, value] of Object.entries(data)) {
		attributes['data-' + key] = value;
	}
	return h('button', attributes, text);
}

// address makes that of a list within the page.
function address(filter) {
	const query = new URLSearchParams(Object.entries(filter).filter(([, value]) => value)).toString();
	return '#/' + (query === '' ? '' : '?' + query);
}

function numbers(status) {
	const counts = status.deliveries;
	const number = (state, text, note) => h('li', {class: counts?.[state] > 0 ? states[state][1] : null},
		h('a', {href: address({state})}, h('b', {}, String(counts?.[state] ?? '?')), ' ', text), note && h('small', {}, note));
	const lost = Object.entries(status.losses).filter(([reason, n]) => n > 0 && reason !== 'dead');
	return [
		h('ul', {class: 'numbers', 'aria-label': 'How many deliveries there are'},
			number('pending', 'waiting', status.oldest_pending_at && ['the oldest for ', distance(status.oldest_pending_at)]),
			number('dead', 'dead', 'until retried or dropped'),
			number('delivered', 'delivered', 'still listed')),
		counts === null && h('p', {class: 'note'}, 'The store is not ready: deliveries are not counted, and webhooks wait for it.'),
		lost.length > 0 && h('p', {class: 'note'}, 'Also without a ticket of its own, since Caddy started: ',
			lost.map(([reason, n]) => `${n} ${losses[reason] ?? reason}`).join(', '), '.'),
	];
}

function upstreams(list) {
	if (list.length === 0) {
		return h('p', {}, 'None is configured.');
	}
	const count = (u, state) => u.deliveries === null ? '?' :
		h('a', {href: address({state, name: u.name, upstream: u.upstream}), 'aria-label': `${u.deliveries[state]} ${states[state][0]}`}, String(u.deliveries[state]));
	return table('Upstreams', [['Webhook, upstream', 6], ['Condition', 6], ['Waiting', 2], ['Dead', 2], ['Delivered', 2], ['Action', 6]], list.map((u) => {
		const about = `${u.name}, ${u.upstream}`;
		const works = u.configured && u.condition === 'healthy' && u.held_until === null;
		return {key: `${u.name}/${u.upstream}`, cells: [
			about,
			[badge(condition(u)), ' ', explain(u),
				u.last_error && h('div', {class: 'note'}, 'Last error, ', time(u.last_error.time), ': ', h('q', {}, u.last_error.error))],
			[count(u, 'pending'), u.oldest_pending_at && h('small', {}, 'for ', distance(u.oldest_pending_at))],
			count(u, 'dead'),
			count(u, 'delivered'),
			h('div', {class: 'buttons'},
				u.configured && u.condition !== 'paused_by_hand' && button('Pause', 'pause', about, {name: u.name, label: u.upstream}),
				u.configured && !works && button('Resume', 'resume', about, {name: u.name, label: u.upstream})),
		]};
	}));
}

function actions(d) {
	return d.state === 'delivered' ? [] : [
		button('Retry', 'retry', `delivery ${d.id}`, {id: d.id, attempts: d.attempts_total ?? d.attempts}),
		button('Drop…', 'drop', `delivery ${d.id}`, {id: d.id, chat: d.chat_id ?? ''}),
	];
}

function deliveries(page, filter, upstreamOf) {
	if (page.deliveries.length === 0) {
		return h('p', {}, page.after === null ? 'There are none.' : 'There are none among the newest.', ' ', paging(page, filter));
	}
	return [
		table('Deliveries', [['Received', 2], ['Webhook, upstream', 4], ['State', 6], ['Attempts', 2], ['Chat', 4], ['Action', 6]], page.deliveries.map((d) => ({
			key: d.id,
			cells: [
				[h('a', {href: '#/deliveries/' + d.id}, time(d.received_at)), h('small', {}, distance(d.received_at), ' ago')],
				[`${d.name}, ${d.upstream}`, h('small', {}, d.event)],
				[badge(states[d.state]), ' ', why(d, upstreamOf(d))],
				String(d.attempts),
				d.chat_id === null ? '-' : h('a', {class: 'id', href: address({chat_id: d.chat_id}), title: 'All deliveries of this chat'}, d.chat_id),
				d.state !== 'delivered' && h('div', {class: 'buttons'}, actions(d)),
			],
		}))),
		paging(page, filter),
		filter.state === 'dead' && page.deliveries.length > 1 && h('p', {class: 'note'}, 'All at once: ',
			h('code', {}, 'caddy kindly deliveries retry --state dead', filter.name && ` --name ${filter.name}`)),
	];
}

function paging(page, filter) {
	const newest = filter.after && h('a', {href: address({...filter, after: null})}, '← The newest');
	const older = page.after !== null && h('a', {href: address({...filter, after: page.after})}, 'Older ones →');
	return (newest || older) && h('nav', {'aria-label': 'Pages of deliveries', class: 'pages'}, newest, older);
}

// choices are the options of the filter by webhook and upstream.
function choices(list) {
	const options = [h('option', {value: '', 'data-key': ''}, 'all')];
	for (const name of new Set(list.map((u) => u.name))) {
		const of = list.filter((u) => u.name === name);
		if (of.length > 1) {
			options.push(h('option', {value: name, 'data-key': name}, `${name}, all`));
		}
		options.push(of.map((u) => h('option', {value: `${u.name}/${u.upstream}`, 'data-key': `${u.name}/${u.upstream}`}, `${u.name}, ${u.upstream}`)));
	}
	return options.flat();
}
