'use strict';

const two = (n) => String(n).padStart(2, '0');
const day = (t) => `${t.getFullYear()}-${two(t.getMonth() + 1)}-${two(t.getDate())}`;
const clock = (t) => `${two(t.getHours())}:${two(t.getMinutes())}:${two(t.getSeconds())}`;

// zone is the reader's, such as Europe/Oslo.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

// time shows a moment in the reader's time zone: today's without the date, all
// of it in the title. It shows "-" for none.
function time(iso) {
	const t = new Date(iso ?? NaN);
	if (Number.isNaN(t.getTime())) {
		return h('span', {}, '-');
	}
	const offset = -t.getTimezoneOffset();
	const sign = offset < 0 ? '-' : '+';
	const from = `UTC${sign}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
	const title = `${day(t)} ${clock(t)}.${String(t.getMilliseconds()).padStart(3, '0')} (${zone}, ${from})`;
	const today = day(t) === day(new Date());
	return h('time', {datetime: t.toISOString(), title}, today ? clock(t) : `${day(t)} ${clock(t).slice(0, 5)}`);
}

const future = (iso) => iso !== null && new Date(iso) > new Date();

// distance tells how far a moment is from now, roughly.
function distance(iso) {
	const seconds = Math.abs(Date.now() - new Date(iso)) / 1000;
	if (seconds < 60) {
		return `${Math.round(seconds)} s`;
	}
	if (seconds < 3600) {
		return `${Math.floor(seconds / 60)} min`;
	}
	if (seconds < 2 * 86400) {
		return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds % 3600 / 60)} min`;
	}
	return `${Math.floor(seconds / 86400)} days`;
}

// duration is that of an attempt, given in seconds.
function duration(seconds) {
	return seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`;
}
