// A subscriber with zeromq.js that loses nothing: it notices a gap by the
// counters and fetches what is missing from the recovery endpoint. It prints
// each change once, in the order of its key, as JSON.
//
// usage: node recover.mjs ENDPOINT PREFIX [COUNT]
//
// It follows one publisher at a time: the one at ENDPOINT, and its successors.
// docs/subscriber.md tells what there is to mind with several, docs/protocol.md
// has the messages.
import {Dealer, Subscriber} from 'zeromq';

const [endpoint, prefix, count = '0'] = process.argv.slice(2);
const level = prefix.split('/').length - 1; // our place in the counters

const sub = new Subscriber({receiveHighWaterMark: 0}); // messages wait here while a replay runs
sub.connect(endpoint);
sub.subscribe(prefix, '$hello/');

let recovery; // endpoint, from the hello
let dealer;
let requests = 0;
const last = new Map(); // epoch: counter of our level that came last
let complete = ''; // every change that was committed before it was handed on
let seen = new Set(); // versions that were handed on, and committed later

const committed = version => version.slice(0, 30); // sorts as text
const isControl = topic => topic.split('/').at(-2).startsWith('$');

function split(header) { // at the first three spaces
  const [version, epoch, counters] = header.split(' ', 3);
  return {version, epoch, counters: counters.split('/'), attributes: header.slice(version.length + epoch.length + counters.length + 3)};
}

function advance(time) {
  if (!time || time <= complete) return;
  complete = time;
  seen = new Set([...seen].filter(v => committed(v) >= complete));
}

let printed = 0;
function handle(topic, version, attributes, body) {
  if (committed(version) < complete || seen.has(version)) return; // it came before
  seen.add(version);
  console.log(JSON.stringify({topic, version, op: JSON.parse(attributes).op, body: JSON.parse(body)}));
  if (++printed === Number(count)) process.exit(0);
}

const send = (command, request) => dealer.send([command, JSON.stringify(request)]);

// Asks for everything from a commit timestamp up to now.
async function replay(from) {
  if (!dealer || dealer.lastEndpoint !== recovery) {
    dealer?.close();
    dealer = new Dealer({receiveTimeout: 10_000, linger: 0});
    dealer.connect(recovery);
  }
  const id = String(++requests);
  await send('REPLAY', {id, topics: [prefix], from, to: 'now', credit: {messages: 1000, bytes: 1 << 20}});
  let came = 0, used = 0;
  for (;;) {
    const frames = await dealer.receive();
    const [answer, topic, header, body] = frames.map(String);
    if (answer !== id) continue;
    if (!isControl(topic)) {
      came++;
      used += frames.reduce((n, f) => n + f.length, 0);
      if (came % 500 === 0 || used > 1 << 19) { // grant what was used up
        await send('CREDIT', {id, messages: 500, bytes: used});
        used = 0;
      }
      const {version, attributes} = split(header);
      handle(topic, version, attributes, body);
    } else if (topic === '$end/') {
      advance(JSON.parse(body).resolved);
      console.error(`replayed ${came} changes from ${from}`);
      return;
    } else if (topic === '$gone/' || topic === '$error/') {
      throw new Error(`cannot recover: ${topic} ${body}`);
    }
  }
}

for await (const frames of sub) {
  const [topic, header, body] = frames.map(String);
  const {version, epoch, counters, attributes} = split(header);
  if (topic === '$hello/') {
    const first = !recovery;
    recovery = JSON.parse(body).endpoints.find(e => e.epoch === epoch)?.recover?.[0] ?? recovery;
    if (first && recovery) await replay('now'); // from now on
    continue;
  }
  if (isControl(topic) && topic !== `${prefix}$resolved/`) continue;
  const n = Number(counters[level]);
  const expected = (last.get(epoch) ?? 0) + (isControl(topic) ? 0 : 1);
  last.set(epoch, n);
  if (!complete) continue; // not begun yet
  if (n !== expected) await replay(complete); // a gap, or another publisher
  else if (isControl(topic)) advance(JSON.parse(body).fleet);
  if (!isControl(topic)) handle(topic, version, attributes, body);
}
