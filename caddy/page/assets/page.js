'use strict';

const $ = (id) => document.getElementById(id);

const pageLength = 50;
const often = 1000; // milliseconds between refreshes while the result of a retry is awaited
const seldom = 10000;
const patience = 60000; // with a retry

// The token has done its work; the address without it can be kept.
history.replaceState(null, '', location.pathname + location.hash);

// ask makes a request of what the page is in front of.
async function ask(method, path) {
	let response;
	try {
		response = await fetch('api/' + path, {method, cache: 'no-store', signal: AbortSignal.timeout(20000)});
	} catch {
		throw new Error('"caddy kindly page" does not answer: does it still run?');
	}
	if (response.status === 403) {
		throw new Error('The page is not valid any more: start "caddy kindly page" again, and open the address that it prints.');
	}
	const answer = await response.json().catch(() => null);
	if (!response.ok || answer === null) {
		throw new Error(answer?.error ?? `The answer was HTTP ${response.status}.`);
	}
	return answer;
}

// tell shows the result of what was done, and has it read out.
let forget = 0;
function tell(...what) {
	$('told').replaceChildren(...what);
	clearTimeout(forget);
	forget = setTimeout(() => $('told').replaceChildren(), 15000);
}

// where reads the address: a delivery's id, or how the list is filtered.
function where() {
	const [path, query] = location.hash.slice(1).split('?');
	const id = path.match(/^\/deliveries\/([0-9a-f-]{36})$/)?.[1] ?? null;
	const given = new URLSearchParams(query ?? '');
	const filter = {};
	for (const name of ['state', 'name', 'upstream', 'chat_id', 'after']) {
		if (given.get(name)) {
			filter[name] = given.get(name);
		}
	}
	return {id, filter};
}

let list = '#/'; // where "All deliveries" leads to

function showFilter(filter) {
	$('filter-state').value = filter.state ?? '';
	$('filter-upstream').value = filter.upstream ? `${filter.name}/${filter.upstream}` : filter.name ?? '';
	$('filter-chat').value = filter.chat_id ?? '';
	$('filter-clear').hidden = Object.keys(filter).length === 0;
}

function filterBy() {
	const [name, upstream] = $('filter-upstream').value.split('/');
	location.hash = address({state: $('filter-state').value, name, upstream, chat_id: $('filter-chat').value.trim()});
}

// refresh shows what is true now. The newest one wins.
let newest = 0;
let timer = 0;
async function refresh() {
	clearTimeout(timer);
	const mine = ++newest;
	const {id, filter} = where();
	try {
		const wanted = id === null ?
			'deliveries?' + new URLSearchParams({limit: pageLength, ...filter}) : 'deliveries/' + id;
		const [status, found] = await Promise.all([ask('GET', 'status'), ask('GET', wanted)]);
		if (mine !== newest) {
			return;
		}
		showAll(status, found, id, filter);
		await results();
		$('fresh').replaceChildren('As of ', time(new Date().toISOString()), '.');
		$('trouble').hidden = true;
	} catch (error) {
		if (mine === newest) {
			trouble(error, id);
		}
	}
	if (mine === newest && $('refresh').checked && !document.hidden) {
		timer = setTimeout(refresh, awaited.size > 0 ? often : seldom);
	}
}

function trouble(error, id) {
	if ($('trouble').textContent !== error.message || $('trouble').hidden) { // else it is read out each time
		$('trouble').textContent = error.message;
		$('trouble').hidden = false;
	}
	if (id !== null && shown !== id) {
		fill($('delivery'), h('p', {}, h('a', {href: list}, '← All deliveries')), h('h2', {id: 'delivery-title', tabindex: '-1'}, 'Delivery ', h('code', {class: 'id'}, id)));
		swap(id);
	}
}

let shown = null; // the delivery's id; null: the list

function showAll(status, found, id, filter) {
	const upstreamOf = (d) => status.upstreams.find((u) => u.name === d.name && u.upstream === d.upstream);
	if (id !== null) {
		fill($('delivery'), details(found, upstreamOf(found), list));
	} else {
		list = address(filter);
		fill($('numbers'), numbers(status));
		fill($('upstreams'), upstreams(status.upstreams));
		fill($('filter-upstream'), choices(status.upstreams));
		fill($('deliveries'), deliveries(found, filter, upstreamOf));
		if (!$('filter').contains(document.activeElement)) { // else it is being changed
			showFilter(filter);
		}
	}
	swap(id);
}

let navigated = false; // since something was shown last

// swap changes between the list and a delivery. Who navigates lands on the
// heading of what is new, unless by the filter.
function swap(id) {
	$('overview').hidden = id !== null;
	$('delivery').hidden = id === null;
	document.title = id === null ? 'Kindly deliveries' : `Delivery ${id}`;
	shown = id;
	if (navigated && !$('filter').contains(document.activeElement)) {
		const heading = $(id === null ? 'deliveries-title' : 'delivery-title');
		heading.focus({preventScroll: true});
		heading.closest('section, article').scrollIntoView();
	}
	navigated = false;
}

// awaited has the deliveries that were retried, with how many attempts they had
// had, and until when they are.
const awaited = new Map();

// results tells what became of them.
async function results() {
	for (const [id, {attempts, until}] of awaited) {
		let d;
		try {
			d = await ask('GET', 'deliveries/' + id);
		} catch {
			awaited.delete(id);
			continue;
		}
		const ended = d.state === 'delivered' || d.attempts_total > attempts && (d.state === 'dead' || d.next_attempt_at !== null);
		if (!ended && Date.now() < until) {
			continue;
		}
		awaited.delete(id);
		if (d.state === 'delivered') {
			tell('Delivered, as ticket ', ticketLink(d.ticket), ': delivery ', id, '.');
		} else if (!ended) {
			tell('It has not been attempted yet: delivery ', id, '.');
		} else {
			tell('It failed again: ', d.error ?? d.state, ' (delivery ', id, ').');
		}
		refresh();
	}
}

const does = {
	async retry({id, attempts}) {
		await ask('POST', `deliveries/${id}/retry`);
		awaited.set(id, {attempts: Number(attempts), until: Date.now() + patience});
		tell('It is being retried: delivery ', id, '.');
	},
	async drop({id, chat}) {
		if (!await confirmed(id, chat)) {
			return;
		}
		await ask('DELETE', `deliveries/${id}`);
		tell('It was dropped: delivery ', id, '.');
		if (where().id === id) {
			location.hash = list;
		}
	},
	async pause({name, label}) {
		await ask('POST', `upstreams/${name}/${label}/pause`);
		tell('Nothing is sent to ', name, ', ', label, ' until it is resumed, or Caddy is restarted.');
	},
	async resume({name, label}) {
		await ask('POST', `upstreams/${name}/${label}/resume`);
		tell(name, ', ', label, ' goes on.');
	},
};

function confirmed(id, chat) {
	const dialog = $('confirm');
	$('confirm-text').textContent = `No ticket will be made of delivery ${id}${chat === '' ? '' : ` (chat ${chat})`}, and what is kept of it is deleted. This cannot be taken back.`;
	dialog.returnValue = '';
	dialog.showModal();
	return new Promise((resolve) => {
		dialog.addEventListener('close', () => resolve(dialog.returnValue === 'drop'), {once: true});
	});
}

document.addEventListener('click', async (event) => {
	const pressed = event.target.closest('button[data-action]');
	if (pressed === null || pressed.ariaDisabled === 'true') {
		return;
	}
	pressed.ariaDisabled = 'true'; // not disabled, which would lose the focus
	try {
		await does[pressed.dataset.action](pressed.dataset);
	} catch (error) {
		tell('That failed: ', error.message);
	}
	pressed.ariaDisabled = null;
	refresh();
});

$('filter').addEventListener('submit', (event) => {
	event.preventDefault();
	filterBy();
});
$('filter').addEventListener('change', filterBy);
$('refresh').addEventListener('change', refresh);
document.addEventListener('visibilitychange', refresh);
addEventListener('hashchange', () => {
	navigated = true;
	showFilter(where().filter);
	refresh();
});
document.querySelector('.skip').addEventListener('click', (event) => {
	event.preventDefault(); // the address says what is shown
	$('main').focus();
});

showFilter(where().filter);
refresh();
