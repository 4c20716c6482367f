// A small version of the seed profile for k6: people in rooms of ten, messages at a rate that rises in steps and then holds.
// Options are environment variables: KNATTER_URL, USERS, RATE (messages a second of all together), DURATION (at the full rate).
import http from 'k6/http';
import { sleep } from 'k6';
import { Counter, Trend } from 'k6/metrics';
import { WebSocket } from 'k6/websockets';

const URL = (__ENV.KNATTER_URL || 'http://127.0.0.1:8080').replace(/\/+$/, '');
const USERS = Number(__ENV.USERS || 100);
const RATE = Number(__ENV.RATE || 100);
const DURATION = seconds(__ENV.DURATION || '30s');
if (!(USERS >= 1 && RATE > 0 && DURATION > 0)) throw new Error('USERS, RATE and DURATION must be above zero');

const ROOM_SIZE = 10;
const STEPS = [0.02, 0.1, 0.2, 0.4]; // of RATE, before all of it
const STEP = 5; // seconds each
const RAMP = STEP * STEPS.length;
const CONNECT = 2 + USERS / 50; // seconds until everybody must have subscribed
const PATIENCE = 10; // seconds after the last message for the answers to come
const TYPE = 'dev.knatter.';
const TEXT = '오늘 점심에 회의 자료를 보내 주세요, see you at 3 :)';

const ack = new Trend('knatter_ack', true); // from when a message was due to its ack
const receipt = new Trend('knatter_receipt', true); // and to each receiver
const sent = new Counter('knatter_sent');
const acked = new Counter('knatter_acked');
const received = new Counter('knatter_received');
const refused = new Counter('knatter_refused'); // answered by an error
const unacked = new Counter('knatter_unacked'); // never answered
const lost = new Counter('knatter_lost'); // due, but a receiver never got it
const doubled = new Counter('knatter_doubled'); // a receiver got it twice
const disordered = new Counter('knatter_disordered'); // a receiver got it after a later one of the room
const unexpected = new Counter('knatter_unexpected'); // of somebody who is not in the room
const disconnects = new Counter('knatter_disconnects'); // also who was not there in time

// The schedule is known to all: message n of a user is due at a time that depends on n only, so that a receiver knows how many
// must come, and a stall of the server delays no message's due time.

/** The parts of the schedule: when each begins and ends, and how long a user waits from message to message, all in seconds. */
const parts = [...STEPS, 1].map((share, i) => ({
  phase: i < STEPS.length ? 'ramp' : 'steady',
  from: i * STEP,
  length: i < STEPS.length ? STEP : DURATION,
  gap: USERS / (RATE * share),
}));

/** How many messages user i sends in a part. Users take turns, so that the whole is even. */
function count(part, i) {
  return Math.max(Math.ceil(part.length / part.gap - i / USERS - 1e-9), 0);
}

/** How many messages user i sends. */
function messages(i) {
  return parts.reduce((sum, part) => sum + count(part, i), 0);
}

/** The messages of user i: when each is due, and in which phase. */
function schedule(i) {
  return parts.flatMap((part) => Array.from({ length: count(part, i) },
    (_, k) => [part.from + part.gap * (k + i / USERS), part.phase]));
}

function total() {
  let n = 0;
  for (let i = 0; i < USERS; i++) n += messages(i);
  return n;
}

const never = ['count==0'];

export const options = {
  scenarios: {
    seed: {
      executor: 'per-vu-iterations', vus: USERS, iterations: 1,
      maxDuration: `${Math.ceil(CONNECT + RAMP + DURATION + PATIENCE + 30)}s`,
    },
  },
  setupTimeout: '30m', // the limits on logins may have it wait
  summaryTrendStats: ['min', 'med', 'p(90)', 'p(99)', 'p(99.9)', 'max'],
  thresholds: {
    'knatter_receipt{phase:steady}': ['p(99)<=250', 'max<=1000'],
    'knatter_ack{phase:steady}': ['p(99)<=250'],
    knatter_refused: never, knatter_unacked: never, knatter_lost: never, knatter_doubled: never,
    knatter_disordered: never, knatter_unexpected: never, knatter_disconnects: never,
    knatter_sent: [`count==${total()}`],
  },
};

/** Signs everybody up and in, and makes the rooms. */
export function setup() {
  const run = `${Date.now().toString(36)}${Math.floor(Math.random() * 1e9).toString(36)}`;
  const people = Array.from({ length: USERS }, (_, i) => ({ email: `k6.${run}.${i}@load.test`, password: `correct horse ${run}` }));
  all(people.map((p, i) => ['POST', '/v1/accounts', { ...p, nickname: `user ${i}` }]));
  const tokens = all(people.map((p) => ['POST', '/v1/sessions', p])).map((answer) => answer.accessToken);
  const hosts = tokens.filter((_, i) => i % ROOM_SIZE === 0);
  const rooms = all(hosts.map((token, i) => ['POST', '/v1/rooms', { name: `k6 ${run} ${i}` }, token])).map((room) => room.id);
  all(tokens.map((token, i) => ['POST', `/v1/rooms/${rooms[Math.floor(i / ROOM_SIZE)]}/members`, {}, token])
    .filter((_, i) => i % ROOM_SIZE !== 0));
  return { tokens, rooms, begin: Date.now() + CONNECT * 1000 };
}

/** Makes requests side by side; those over a limit again when the server says. Returns the answers. */
function all(requests) {
  const answers = new Array(requests.length);
  for (let waiting = requests.map((_, i) => i); waiting.length > 0;) {
    const responses = http.batch(waiting.map((i) => {
      const [method, path, body, token] = requests[i];
      const headers = { 'Content-Type': 'application/json' };
      if (token) headers.Authorization = `Bearer ${token}`;
      // The path is not part of the tags: every room would have metrics of its own.
      return [method, URL + path, JSON.stringify(body), { headers, tags: { name: path.replace(/\/rooms\/[^/]+/, '/rooms/{room}') } }];
    }));
    let pause = 0;
    const again = [];
    for (const [k, response] of responses.entries()) {
      const i = waiting[k];
      if (response.status === 429) {
        pause = Math.max(pause, Number(response.headers['Retry-After'] || 1));
        again.push(i);
      } else if (response.status >= 200 && response.status < 300) {
        answers[i] = response.json();
      } else {
        throw new Error(`${requests[i][0]} ${requests[i][1]}: ${response.status} ${response.error || response.body}`);
      }
    }
    if (again.length > 0) {
      if (pause > 120) throw new Error(`over the limit of an hour; again in ${pause} s`);
      console.log(`${again.length} requests are over the server's limits: waiting ${pause} s`);
      sleep(pause);
    }
    waiting = again;
  }
  return answers;
}

/** One user with a socket. */
export default function ({ tokens, rooms, begin }) {
  const me = __VU - 1;
  const room = rooms[Math.floor(me / ROOM_SIZE)];
  const first = me - (me % ROOM_SIZE);
  const expected = new Map(); // messages of each member that have to come
  for (let i = first; i < Math.min(first + ROOM_SIZE, USERS); i++) expected.set(i, messages(i));

  const socket = new WebSocket(`${URL.replace(/^http/, 'ws')}/v1/socket`, ['cloudevents.json']);
  const mine = schedule(me);
  const open = new Map(); // sent and not yet answered: the due time and phase by id
  const last = new Map(); // the last message of each member
  let place = ''; // sequence of the last event
  let outstanding = [...expected.values()].reduce((a, b) => a + b, 0);
  let next = 0;
  let subscribed = false;
  let ending = false;

  const end = begin + (RAMP + DURATION) * 1000;
  const deadline = setTimeout(finish, end + PATIENCE * 1000 - Date.now());

  const send = (type, id, subject, data) => socket.send(JSON.stringify({
    specversion: '1.0', id, source: 'k6', type: TYPE + type, subject, datacontenttype: 'application/json', data,
  }));

  function post() {
    if (ending) return;
    // All that are due: a timer that comes late sends several.
    for (; next < mine.length && due(next) <= Date.now(); next++) {
      const phase = mine[next][1];
      const id = `${me}-${next}-${due(next)}-${phase}`;
      open.set(id, [due(next), phase]);
      send('message.posted', id, room, { text: TEXT });
      sent.add(1);
    }
    if (next < mine.length) setTimeout(post, Math.max(due(next) - Date.now(), 1));
  }

  function due(n) { return Math.round(begin + mine[n][0] * 1000); }

  function take(event, now) {
    if (event.subject !== room) return;
    if (event.sequence < place) disordered.add(1); // the same again is counted below
    else place = event.sequence;
    if (event.type !== `${TYPE}message.posted`) return;
    const [from, n, dueAt, phase] = event.id.split('-');
    const sender = Number(from);
    if (!expected.has(sender)) {
      unexpected.add(1);
      return;
    }
    const before = last.has(sender) ? last.get(sender) : -1;
    if (Number(n) <= before) {
      doubled.add(1);
      return;
    }
    if (Number(n) > before + 1) lost.add(Number(n) - before - 1);
    last.set(sender, Number(n));
    outstanding -= Number(n) - before;
    received.add(1);
    receipt.add(now - Number(dueAt), { phase });
  }

  function answered(id, now) {
    if (!open.has(id)) return;
    const [dueAt, phase] = open.get(id);
    open.delete(id);
    if (now === null) {
      refused.add(1);
      return;
    }
    acked.add(1);
    ack.add(now - dueAt, { phase });
  }

  function finish() {
    if (ending) return;
    ending = true;
    clearTimeout(deadline);
    if (!subscribed) disconnects.add(1);
    if (open.size > 0) unacked.add(open.size);
    if (outstanding > 0) lost.add(outstanding);
    socket.close();
  }

  socket.onopen = () => send('session.open', `open-${me}`, undefined, { token: tokens[me] });
  socket.onerror = (e) => console.error(`user ${me}: ${e.error}`);
  socket.onclose = (e) => {
    if (ending) return;
    console.error(`user ${me}: closed with ${e.code} ${e.reason}`);
    if (subscribed) disconnects.add(1);
    finish();
  };
  socket.onmessage = (message) => {
    const now = Date.now();
    const event = JSON.parse(message.data);
    switch (event.type) {
      case `${TYPE}session.opened`:
        send('room.subscribe', `subscribe-${me}`, undefined, { rooms: [{ room }] });
        break;
      case `${TYPE}room.subscribed`:
        if (now > begin) {
          console.error(`user ${me}: subscribed ${now - begin} ms too late`);
          finish();
          break;
        }
        subscribed = true;
        place = event.data.sequence;
        setTimeout(post, Math.max(begin - now, 1));
        break;
      case `${TYPE}ack`:
        answered(event.data.event, now);
        break;
      case `${TYPE}error`:
        console.error(`user ${me}: ${event.data.status} ${event.data.title}: ${event.data.detail}`);
        answered(event.data.event, null);
        break;
      default:
        take(event, now);
    }
    if (subscribed && next === mine.length && open.size === 0 && outstanding === 0) finish();
  };
}

/** "90s", "5m" or "1m30s" in seconds. */
function seconds(text) {
  const units = { h: 3600, m: 60, s: 1 };
  const found = text.match(/^(\d+h)?(\d+m)?(\d+s)?$/);
  if (!found || text === '') throw new Error(`DURATION ${text}: must be like 90s, 5m or 1m30s`);
  return found.slice(1).filter(Boolean).reduce((sum, part) => sum + parseInt(part, 10) * units[part.slice(-1)], 0);
}
