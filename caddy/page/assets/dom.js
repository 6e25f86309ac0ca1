'use strict';

// h makes an element. Children are elements or strings, and strings become
// text nodes: nothing that somebody wrote is ever parsed as HTML. Attributes
// that are null or false are left out, and so are such children.
function h(name, attributes, ...children) {
	const element = document.createElement(name);
	for (const [key, value] of Object.entries(attributes ?? {})) {
		if (value !== null && value !== undefined && value !== false) {
			element.setAttribute(key, value === true ? '' : String(value));
		}
	}
	for (const child of children.flat(Infinity)) {
		if (child !== null && child !== undefined && child !== false && child !== '') {
			element.append(child);
		}
	}
	return element;
}

// link makes a link to another site out of an address that others gave us,
// and plain text if that is not one of the web.
function link(address, text) {
	let url = null;
	try {
		url = new URL(address);
	} catch {
		// It stays text.
	}
	if (url === null || !['http:', 'https:'].includes(url.protocol)) {
		return h('span', {}, text);
	}
	return h('a', {href: url.href, target: '_blank', rel: 'noopener noreferrer', title: url.href}, text);
}

// fill makes an element's content that of the elements given, by changing no
// more than what differs: focus, selection, scroll position and what is folded
// open stay. If what has the focus goes away, the nearest heading gets it.
function fill(element, ...made) {
	const focused = element.contains(document.activeElement);
	morphChildren(element, h('div', {}, ...made));
	if (focused && !element.contains(document.activeElement)) {
		element.closest('section, article')?.querySelector('h2')?.focus();
	}
}

function morph(old, made) {
	if (old.nodeType === Node.TEXT_NODE) {
		if (old.data !== made.data) {
			old.data = made.data;
		}
		return;
	}
	for (const {name} of [...old.attributes]) {
		if (!made.hasAttribute(name) && name !== 'open') { // which is the reader's
			old.removeAttribute(name);
		}
	}
	for (const {name, value} of made.attributes) {
		if (old.getAttribute(name) !== value) {
			old.setAttribute(name, value);
		}
	}
	morphChildren(old, made);
}

// keyOf tells nodes apart that only look alike, such as the rows of a table.
function keyOf(node) {
	return node.nodeName + ' ' + (node.dataset?.key ?? '');
}

function morphChildren(old, made) {
	const wanted = new Set([...made.childNodes].map(keyOf));
	for (const child of [...old.childNodes]) {
		if (!wanted.has(keyOf(child))) {
			child.remove();
		}
	}
	let at = old.firstChild;
	for (const next of [...made.childNodes]) {
		let match = at;
		while (match !== null && keyOf(match) !== keyOf(next)) {
			match = match.nextSibling;
		}
		if (match === null) {
			old.insertBefore(next, at);
			continue;
		}
		if (match === at) {
			at = at.nextSibling;
		} else {
			old.insertBefore(match, at);
		}
		morph(match, next);
	}
	while (at !== null) {
		const next = at.nextSibling;
		at.remove();
		at = next;
	}
}
