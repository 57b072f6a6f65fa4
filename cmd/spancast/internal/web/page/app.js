// The page: listens to /v1/events and shows what comes. Text goes in as text, never
// as markup.
'use strict';

const $ = id => document.getElementById(id);
const el = (tag, attributes, ...children) => {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes || {})) if (k === 'class') e.className = v; else e.setAttribute(k, v);
  e.append(...children);
  return e;
};
const put = (id, text) => { const e = $(id); if (e.textContent !== text) e.textContent = text; };
const mark = (id, kind) => { $(id).className = 'value ' + kind; };

let status = null, samples = [], partitions = [], skew = 0, heard = 0, chosen = null, hits = [], span = 60, pointer = {};
const owners = new Map(), colours = new Map(), drawn = {}, topicsBefore = new Map();
let topicsAt = 0, topicRates = new Map();
const now = () => Date.now() + skew;

// How things are written.
const seconds = s => s === null || s === undefined ? '–' : s < 9.95 ? s.toFixed(s < .995 ? 2 : 1) + ' s' : s < 120 ? Math.round(s) + ' s' : s < 7200 ? Math.round(s / 60) + ' min' : s < 172800 ? Math.round(s / 3600) + ' h' : Math.round(s / 86400) + ' d';
const count = n => n.toLocaleString('en').replaceAll(',', '\u202f');
const bytes = n => n < 1024 ? n + ' B' : n < 1048576 ? (n / 1024).toFixed(0) + ' KiB' : n < 1073741824 ? (n / 1048576).toFixed(n < 10485760 ? 1 : 0) + ' MiB' : (n / 1073741824).toFixed(1) + ' GiB';
const clock = t => new Date(t).toISOString().slice(11, 19);
const plural = (n, one, many) => n === 1 ? one : many || one + 's';

// rows fills a table, only when something changed.
function rows(id, list, empty, make) {
  const key = JSON.stringify(list);
  if (drawn[id] === key) return;
  drawn[id] = key;
  const body = $(id);
  if (list.length === 0) {
    const columns = body.parentElement.querySelectorAll('th').length || 2;
    body.replaceChildren(el('tr', {}, el('td', { colspan: columns, class: 'empty' }, empty)));
  } else body.replaceChildren(...list.map(make));
}

function colourOf(p) {
  const owner = p.owner || p.last_owner || owners.get(p.id);
  return owner === undefined ? draw.css('--soft') : draw.hues()[colours.get(owner) % 8];
}

// take makes what the page draws of a status.
function take(s) {
  status = s;
  skew = Date.parse(s.now) - Date.now();
  heard = Date.now();
  const names = new Set(s.replicas.map(r => r.id));
  for (const p of s.partitions) for (const o of [p.owner, p.last_owner]) if (o) names.add(o);
  for (const name of [...names].sort()) if (!colours.has(name)) colours.set(name, colours.size);
  partitions = s.partitions.map(p => ({ ...p, start: Date.parse(p.start), end: p.end && Date.parse(p.end), position: Date.parse(p.position) }));
  for (const p of partitions) if (p.owner) owners.set(p.id, p.owner);
  if (owners.size > 20000) owners.clear();
  show();
}

function show() {
  const s = status, lag = s.resolved.fleet === null ? null : Math.max(0, (now() - Date.parse(s.resolved.fleet)) / 1000);
  put('stream', s.change_stream || s.command);
  put('database', s.database || '');
  document.title = (s.replica.ready ? '' : '⚠ ') + 'Spancast ' + (s.change_stream || s.command);
  put('self', `${s.replica.id} · up ${seconds((now() - Date.parse(s.replica.since)) / 1000)} · Spancast ${s.version}`);
  alerts();
  put('t-lag', seconds(lag));
  mark('t-lag', lag > 60 ? 'bad' : lag > 15 ? 'warn' : '');
  put('t-lag-note', s.resolved.fleet ? 'fleet; here ' + seconds(s.resolved.own === null ? null : Math.max(0, (now() - Date.parse(s.resolved.own)) / 1000)) : 'not known yet');
  const live = s.partitions.filter(p => p.state === 'RUNNING'), waiting = s.partitions.filter(p => p.state === 'CREATED').length;
  put('t-partitions', count(live.length));
  put('t-partitions-note', `${count(s.replica.partitions)} here, ${count(waiting)} waiting`);
  const alive = s.replicas.filter(r => r.alive).length;
  put('t-replicas', alive + (alive === s.replicas.length ? '' : ' of ' + s.replicas.length));
  mark('t-replicas', alive < s.replicas.length ? 'warn' : '');
  put('t-replicas-note', alive < s.replicas.length ? 'some have fallen silent' : 'alive');
  put('t-subs', count(s.totals.subscriptions));
  put('t-drops', count(s.totals.dropped));
  mark('t-drops', s.totals.dropped > 0 ? 'warn' : '');
  put('t-buffer', bytes(s.buffer.bytes));
  put('t-buffer-note', 'of ' + bytes(s.buffer.limit));
  mark('t-buffer', s.buffer.bytes > .8 * s.buffer.limit ? 'warn' : '');
  tables();
  rates();
}

function alerts() {
  const s = status, pill = $('ready'), box = $('alert'), lost = Date.now() - heard > 5000, why = [];
  document.body.classList.toggle('stale', lost);
  if (lost) why.push(`The last answer came ${seconds((Date.now() - heard) / 1000)} ago; the page goes on when the replica answers again.`);
  else { why.push(...s.replica.reasons); if (s.tables.error) why.push('The metadata tables cannot be read: ' + s.tables.error); }
  pill.className = 'pill ' + (lost ? 'wait' : s.replica.ready ? 'good' : 'bad');
  put('ready', lost ? 'no connection' : s.replica.ready ? 'ready' : 'not ready');
  const key = why.join('\n').replace(/\d+(\.\d+)? (s|min) ago/, '');
  if (drawn.alert === key && why.length === 0) return;
  drawn.alert = key;
  box.hidden = why.length === 0;
  box.className = lost ? 'wait' : '';
  box.replaceChildren(el('strong', {}, lost ? 'No connection to this replica' : 'This replica is not ready'), el('ul', {}, ...why.map(w => el('li', {}, w))));
  if (!lost && s.replica.ready) box.firstChild.textContent = 'The replica works, but something is wrong';
}

function rates() {
  const n = samples.length;
  if (n < 2) return;
  const back = samples[Math.max(0, n - 6)], last = samples[n - 1], per = 1000 / (last.t - back.t);
  put('t-rate', draw.short((last.messages - back.messages) * per));
  put('t-rate-note', `per second, ${bytes(Math.round((last.bytes - back.bytes) * per))}/s`);
}

function tables() {
  const s = status, at = Date.parse(s.now);
  if (at - topicsAt > (topicRates.size ? 2500 : 900)) {
    for (const t of s.topics) topicRates.set(t.topic, topicsBefore.has(t.topic) ? (t.count - topicsBefore.get(t.topic)) / (at - topicsAt) * 1000 : null);
    topicsBefore.clear();
    for (const t of s.topics) topicsBefore.set(t.topic, t.count);
    topicsAt = at;
  }
  const most = Math.max(1, ...s.topics.filter(t => t.topic !== '').map(t => t.count));
  rows('topics', s.topics.filter(t => t.topic !== '').slice(0, 14).map(t => [t.topic, t.count, topicRates.get(t.topic) ?? null]), 'Nothing was published yet.', ([topic, n, rate]) => {
    const fill = el('i');
    fill.style.width = 100 * n / most + '%';
    return el('tr', {}, el('td', {}, el('code', {}, topic), el('span', { class: 'meter', 'aria-hidden': 'true' }, fill)), el('td', { class: 'num' }, rate === null ? '–' : draw.short(rate)), el('td', { class: 'num' }, count(n)));
  });
  rows('replicas', s.replicas.map(r => [r.id, r.partitions, r.capacity, r.alive, r.self, r.endpoints, r.alive ? 'now' : seconds((at - Date.parse(r.last_seen)) / 1000) + ' ago']), 'No replica is in the table yet.', ([id, n, capacity, alive, self, endpoints, seen]) => {
    const name = el('td', {}, swatch(id), el('code', {}, id));
    if (self) name.append(el('span', { class: 'tag' }, 'this one'));
    if (!alive) name.append(el('span', { class: 'tag bad' }, 'silent'));
    name.append(el('div', { class: 'note' }, endpoints.join(', ')));
    return el('tr', {}, name, el('td', { class: 'num' }, count(n) + (capacity ? ' of ' + capacity : '')), el('td', { class: 'num' }, seen));
  });
  rows('subscriptions', s.subscriptions.slice(0, 25), 'Nobody is subscribed here.', x => el('tr', {},
    el('td', {}, topic(x.prefix)), el('td', { class: 'num' }, count(x.count))));
  clients(s, at);
  problems(s.problems);
  rows('config', s.config, 'Nothing.', c => el('tr', {}, el('td', {}, el('code', {}, c.name)), el('td', {}, c.value === '' ? el('span', { class: 'dim' }, 'empty') : c.value), el('td', { class: 'dim' }, c.source)));
  if ($('d-counters').open) rows('counters', Object.entries(s.totals), 'Nothing.', ([k, v]) => el('tr', {}, el('th', { scope: 'row' }, k.replaceAll('_', ' ')), el('td', { class: 'num' }, count(v))));
  partitionTable();
}

const topic = prefix => el('code', {}, prefix === '' ? '(everything)' : prefix);
const list = (prefixes, more) => prefixes.flatMap((p, i) => i ? [', ', topic(p)] : [topic(p)]).concat(more ? [` and ${count(more)} more`] : []);

// clients shows who is connected, and what is replayed to whom.
const shownClients = 25;
function clients(s, at) {
  const since = t => seconds((at - Date.parse(t)) / 1000);
  const who = (x, note) => el('td', {}, x.identity ? el('b', {}, x.identity) : el('code', {}, x.address || x.id), el('div', { class: 'note' }, note));
  rows('subscribers', s.subscribers.slice(0, shownClients).map(x => [x, x.unsent_bytes > 65536 ? bytes(x.unsent_bytes) : '–']), 'Nobody has subscribed here.', ([x, unread]) => el('tr', {},
    who(x, [x.identity && x.address, x.audience && x.audience !== 'everyone' && 'audience ' + x.audience, 'since ' + clock(x.since)].filter(Boolean).join(', ')),
    el('td', {}, ...list(x.prefixes, x.more_prefixes)), el('td', { class: 'num' }, unread)));
  const all = s.audiences.reduce((n, a) => n + a.subscribers, 0), hidden = all - Math.min(s.subscribers.length, shownClients);
  put('n-subscribers', hidden > 0 ? `${count(hidden)} more; those with most unread are shown.` : '');
  $('audiences-box').hidden = s.audiences.length < 2;
  rows('audiences', s.audiences, 'None.', a => el('tr', {}, el('td', {}, a.name), el('td', { class: 'num' }, count(a.subscribers)), el('td', { class: 'num' }, count(a.dropped))));
  const state = { waiting: r => r.before === undefined ? 'next in line' : `in line, ${count(r.before)} before it`, stalled: () => 'waits for its client', live: () => 'live' };
  rows('recoveries', s.recoveries.slice(0, shownClients).map(r => [r, since(r.since)]), 'No replay or snapshot is in progress here.', ([r, lasts]) => el('tr', {},
    who(r, (r.identity ? r.id + ', ' : '') + 'for ' + lasts), el('td', {}, r.kind + ' of ', ...(r.what.length ? list(r.what) : ['all tables'])),
    el('td', {}, (state[r.state] || (() => r.state))(r)), el('td', {}, instant(r.from)), el('td', {}, r.reached ? instant(r.reached) : '–'),
    el('td', { class: 'num' }, count(r.sent)), el('td', { class: 'num' }, r.credit.messages > 1e12 ? 'plenty' : count(r.credit.messages))));
  put('n-recoveries', `${count(s.totals.recoveries)} accepted and ${count(s.totals.recoveries_refused)} refused since the start, ${count(s.totals.recovered)} ${plural(s.totals.recovered, 'message')} sent for them.`);
}

// instant shortens a commit timestamp or version for people.
const instant = t => !t ? 'now' : /^\d{4}-\d\d-\d\dT/.test(t) ? t.slice(0, 10) === new Date(now()).toISOString().slice(0, 10) ? t.slice(11, 23) : t.slice(0, 19).replace('T', ' ') : t;

function swatch(owner) {
  const i = el('i', { 'aria-hidden': 'true' });
  i.style.cssText = `display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:7px;background:${draw.hues()[(colours.get(owner) || 0) % 8]}`;
  return i;
}

function problems(list) {
  const key = JSON.stringify(list);
  if (drawn.problems === key) return;
  drawn.problems = key;
  $('problems').replaceChildren(...(list.length ? list.map(p => {
    const li = el('li', { class: p.level }, el('b', {}, p.message), el('span', { class: 'note' }, ` ${p.level}, ${clock(p.at)} UTC${p.count > 1 ? `, ${p.count} times` : ''}`));
    if (p.advice) li.append(el('p', { class: 'advice' }, p.advice));
    if (p.detail) li.append(el('p', { class: 'mono' }, p.detail));
    return li;
  }) : [el('li', { class: 'empty' }, 'Nothing went wrong lately.')]));
}

const shownRows = 200;
function partitionTable() {
  const s = status, text = $('find').value.trim().toLowerCase();
  put('n-partitions', `${count(s.partitions.length)} rows`);
  if (!$('d-partitions').open) return;
  const order = { RUNNING: 0, ENDED: 1, CREATED: 2, FINISHED: 3 };
  const match = partitions.filter(p => text === '' || `${p.id} ${p.state} ${p.owner}`.toLowerCase().includes(text))
    .sort((a, b) => order[a.state] - order[b.state] || a.position - b.position);
  put('more', match.length > shownRows ? `${count(match.length - shownRows)} more; find narrows them down.` : '');
  rows('partitions', match.slice(0, shownRows).map(p => [p.id, p.state.toLowerCase(), p.owner, p.state === 'RUNNING' ? seconds(Math.max(0, (now() - p.position) / 1000)) : '', seconds(((p.end ?? now()) - p.start) / 1000), p.parents]),
    'None.', ([id, state, owner, behind, age, parents]) => el('tr', {}, el('td', {}, el('code', {}, id)), el('td', {}, state), el('td', {}, ...(owner ? [swatch(owner), owner] : ['–'])),
      el('td', { class: 'num' }, behind), el('td', { class: 'num' }, age), el('td', {}, el('code', {}, parents.join(' ') || '–'))));
}

function legend(id, items) {
  const key = JSON.stringify(items);
  if (drawn[id] === key) return;
  drawn[id] = key;
  $(id).replaceChildren(...items.map(([colour, text]) => {
    const i = el('i', { 'aria-hidden': 'true' });
    i.style.background = colour;
    return el('span', {}, ...(colour ? [i] : []), text);
  }));
}

// paint draws the canvases.
function paint() {
  if (!status) return;
  const blue = draw.hues()[0], green = draw.hues()[1], t = samples.length ? samples[samples.length - 1].t : Date.now();
  const shown = [60, 120, 300, 600].find(s => samples.length <= s) || 600;
  const at = (list, when) => when === null ? null : list.reduce((best, p) => Math.abs(p.t - when) < Math.abs(best.t - when) ? p : best, list[0]);
  const own = samples.map(p => ({ t: p.t, v: p.own })), fleet = samples.map(p => ({ t: p.t, v: p.fleet })), rate = [];
  for (let i = 1; i < samples.length; i++) rate.push({ t: samples[i].t, v: Math.max(0, (samples[i].messages - samples[i - 1].messages) / (samples[i].t - samples[i - 1].t) * 1000) });
  let when = draw.chart($('c-lag'), [{ points: fleet, colour: blue, fill: true }, { points: own, colour: green, dash: [5, 4] }], shown, t, 1, pointer['c-lag'] ?? null);
  const f = at(fleet, when ?? t), o = at(own, when ?? t);
  legend('l-lag', [[blue, 'fleet ' + seconds(f && f.v)], [green, 'this replica ' + seconds(o && o.v)], ...(when ? [['', clock(when) + ' UTC']] : [])]);
  $('c-lag').setAttribute('aria-label', `Lag lately; now ${seconds(f && f.v)}`);
  when = draw.chart($('c-rate'), [{ points: rate, colour: blue, fill: true }], shown, t, 5, pointer['c-rate'] ?? null);
  const r = at(rate, when ?? t);
  legend('l-rate', [[blue, (r ? draw.short(r.v) : '–') + ' a second'], ['', count(status.totals.messages) + ' since the start'], ...(when ? [['', clock(when) + ' UTC']] : [])]);
  $('c-rate').setAttribute('aria-label', `Changes a second lately; now ${r ? draw.short(r.v) : 'none'}`);
  tree();
}

function tree() {
  const none = partitions.length === 0;
  $('tree-empty').hidden = !none;
  $('tree').hidden = none;
  if (none) {
    put('tree-empty', status.database ? 'No partitions are known yet. They appear when the first replica has asked Spanner for them.' : 'A forwarder reads no partitions.');
    return;
  }
  hits = draw.tree($('tree'), partitions, span, now(), colourOf, chosen);
  const seen = [...new Set(partitions.filter(p => p.owner).map(p => p.owner))].sort();
  const items = seen.slice(0, 8).map(o => [draw.hues()[colours.get(o) % 8], o]);
  items.push(['', 'solid: published and saved; pale: still to come; dashed: waiting for its parents']);
  legend('l-tree', items);
}

function tell(p) {
  chosen = p ? p.id : null;
  const box = $('tree-detail');
  if (!p) { box.textContent = ''; return; }
  const children = partitions.filter(c => c.parents.includes(p.id)).map(c => c.id), end = p.end ?? now();
  const words = [p.state.toLowerCase(), p.owner ? 'owner ' + p.owner : 'no owner', `lived ${seconds((end - p.start) / 1000)}`];
  if (p.state === 'RUNNING') words.push(`position ${clock(p.position)} UTC, ${seconds(Math.max(0, (now() - p.position) / 1000))} behind`);
  if (p.parents.length) words.push((p.parents.length > 1 ? 'merged from ' : 'from ') + p.parents.join(', '));
  if (children.length) words.push((children.length > 1 ? 'split into ' : 'moved to ') + children.join(', '));
  const text = words.join(' · ');
  if (drawn.detail === p.id + text) return;
  drawn.detail = p.id + text;
  box.replaceChildren(el('code', {}, p.id), ' ' + text);
}

function listen() {
  const source = new EventSource('/v1/events');
  source.addEventListener('history', e => { samples = JSON.parse(e.data); });
  source.addEventListener('sample', e => { samples.push(JSON.parse(e.data)); if (samples.length > 600) samples.shift(); });
  source.addEventListener('status', e => { take(JSON.parse(e.data)); paint(); });
  source.onerror = () => { if (source.readyState === EventSource.CLOSED) { source.close(); setTimeout(listen, 2000); } };
}

// What people do.
for (const id of ['c-lag', 'c-rate']) {
  $(id).addEventListener('pointermove', e => { pointer[id] = e.offsetX; paint(); });
  $(id).addEventListener('pointerleave', () => { pointer[id] = null; paint(); });
}
$('tree').addEventListener('pointermove', e => {
  const h = hits.find(h => e.offsetY >= h.y && e.offsetY < h.y + h.h && e.offsetX >= h.x0 - 3 && e.offsetX <= h.x1 + 3);
  tell(h && h.p);
  tree();
});
$('tree').addEventListener('keydown', e => {
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[e.key];
  if (e.key === 'Escape') tell(null);
  else if (step && hits.length) {
    const i = hits.findIndex(h => h.p.id === chosen);
    tell(hits[i < 0 ? hits.length - 1 : (i + step + hits.length) % hits.length].p);
    e.preventDefault();
  } else return;
  tree();
});
for (const input of document.querySelectorAll('input[name=span]')) input.addEventListener('change', () => { span = +input.value; paint(); });
$('find').addEventListener('input', () => status && partitionTable());
for (const id of ['d-partitions', 'd-counters']) $(id).addEventListener('toggle', () => status && tables());
$('theme').addEventListener('click', () => {
  const root = document.documentElement, system = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
  const next = (root.dataset.theme || system) === 'dark' ? 'light' : 'dark';
  if (next === system) delete root.dataset.theme; else root.dataset.theme = next;
  $('theme').setAttribute('aria-label', 'Colours: ' + (root.dataset.theme || 'as the system has them'));
  for (const id of Object.keys(drawn)) delete drawn[id];
  if (status) { show(); paint(); }
});
window.addEventListener('resize', paint);
setInterval(() => { if (status && !document.hidden) { alerts(); if (Date.now() - heard > 5000) show(); } }, 1000);
// The tree moves with time, between the events too, where that is cheap.
const still = matchMedia('(prefers-reduced-motion: reduce)');
setInterval(() => { if (status && !document.hidden && !still.matches && partitions.length && partitions.length < 150 && span <= 300 && Date.now() - heard < 5000) tree(); }, 100);
// First something is to be seen, then it is filled.
if (document.hidden) listen(); else requestAnimationFrame(() => setTimeout(listen));
