// Clients that misbehave, in a process of their own: node clients.ts <port> <how many> <key>. Only
// one kind of client has a key. They go on until the process is ended.

import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const MIB = 1_048_576;
/** Between two attempts of a client. */
const PAUSE_MS = 100;
/** An answer that a client does not read holds its connection for 30 s or more. */
const HOLD_MS = 45_000;

const [port, count, key] = process.argv.slice(2);

const NOW = Math.floor(Date.now() / 1_000);
const FORGED = `t=${NOW},v1=${'0'.repeat(64)}`;

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`;

function post(path: string, length: number, headers: readonly string[]): string {
  const all = ['host: x', 'content-type: application/json', `content-length: ${length}`];
  return `POST ${path} HTTP/1.1\r\n${[...all, ...headers].join('\r\n')}\r\n\r\n`;
}

type Attack = (socket: Socket) => void | Promise<void>;

/** Asks for one long reply after another, each as one body, and reads none of them. */
const completions: Attack = async (socket) => {
  const body = JSON.stringify({ messages: [{ role: 'user', content: 'Talk' }] });
  const head = post('/api/agent/chat/completions', body.length, [`authorization: Bearer ${key}`]);
  socket.pause();
  while (!socket.destroyed) {
    socket.write(head + body);
    await sleep(10 * PAUSE_MS);
  }
};

/** Sends what it has, and then neither reads nor leaves. */
function unread(text: string): Attack {
  return (socket) => {
    socket.pause();
    socket.write(text);
  };
}

/** Sends a body without its last byte. */
function heldBack(path: string, headers: readonly string[]): Attack {
  return (socket) => {
    socket.write(post(path, MIB, headers));
    socket.write(Buffer.alloc(MIB - 1, 'x'));
  };
}

/** Sends a byte now and then, of the headers or of a body. */
function trickled(text: string): Attack {
  return async (socket) => {
    for (const byte of text) {
      if (socket.destroyed) return;
      socket.write(byte);
      await sleep(PAUSE_MS);
    }
  };
}

const ATTACKS: readonly Attack[] = [
  unread(get('/metrics').repeat(1_700)),
  unread(get('/openapi.json').repeat(1_500)),
  completions,
  unread('GET /health HTTP/1.1\r\n\r\n'.repeat(2_500)),
  heldBack('/api/agent', [`layercode-signature: ${FORGED}`]),
  heldBack('/api/agent/events', [`elevenlabs-signature: t=1,v0=${'0'.repeat(64)}`]),
  heldBack('/api/agent/events', [`elevenlabs-signature: t=${NOW},v0=${'0'.repeat(64)}`]),
  heldBack('/api/agent/chat/completions', ['authorization: Bearer wrong']),
  heldBack('/api/authorize', []),
  trickled(`GET /${'x'.repeat(1_000)} HTTP/1.1\r\n`),
  trickled(post('/api/agent', 1_000, [`layercode-signature: ${FORGED}`]) + 'x'.repeat(999)),
  (socket) => {
    socket.on('data', () => socket.write(get('/metrics')));
    socket.write(get('/metrics'));
  },
];

/** Attacks again and again, for the first time after part of the pause. */
async function misbehave(attack: Attack, index: number): Promise<never> {
  await sleep((index * 7) % PAUSE_MS);
  for (;;) {
    const socket = connect(Number(port), '127.0.0.1');
    socket.on('error', () => undefined);
    socket.on('data', () => undefined);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.once('connect', () => void attack(socket));
    await Promise.race([closed, sleep(HOLD_MS)]);
    socket.destroy();
    await sleep(PAUSE_MS);
  }
}

for (let index = 0; index < Number(count); index++) {
  const attack = ATTACKS[index % ATTACKS.length];
  if (attack !== undefined) void misbehave(attack, index);
}
