// A program in place of cloudflared, which does what a test tells it over a socket. When the socket
// closes, the test knows that the program is gone.

import { writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { Told } from '../../fixtures/app.ts';
import { newFolder } from '../../fixtures/folder.ts';
import { listen, type Listening } from '../../fixtures/listen.ts';

export const URL_OF_TUNNEL = 'https://four-dashed-words-2.trycloudflare.com';

// What cloudflared 2025.4 says, with other URLs around.
export const BOX = `2026-02-03T13:19:49Z INF Thank you for trying Cloudflare Tunnel. [...] Terms of Use (https://www.cloudflare.com/website-terms/), and [...] \
by following: https://developers.cloudflare.com/cloudflare-one/connections/connect-apps
2026-02-03T13:19:49Z INF Requesting new quick Tunnel on trycloudflare.com...
2026-02-03T13:19:51Z INF +--------------------------------------------------------------------------------------------+
2026-02-03T13:19:51Z INF |  Your quick Tunnel has been created! Visit it at (it may take some time to be reachable):  |
2026-02-03T13:19:51Z INF |  ${URL_OF_TUNNEL}                                           |
2026-02-03T13:19:51Z INF +--------------------------------------------------------------------------------------------+
2026-02-03T13:19:51Z INF Version 2025.4.2 (Checksum …)
`;
export const CONNECTED =
  '2026-02-03T13:19:52Z INF Registered tunnel connection connIndex=0 connection=bb527b3a-8a27 event=0 ip=198.51.100.1 location=del04 protocol=quic\n';
export const REFUSED = `2026-02-03T13:19:49Z INF Requesting new quick Tunnel on trycloudflare.com...
failed to request quick Tunnel: Post "https://api.trycloudflare.com/tunnel": dial tcp: lookup api.trycloudflare.com: no such host
`;

/** The port is part of the script, because only listed variables reach cloudflared. */
const script = (port: number): string => `#!${process.execPath}
const socket = require('node:net').connect(${port}, '127.0.0.1', () => {
  const { pid, argv, env } = process;
  socket.write(JSON.stringify({ pid, argv: argv.slice(2), environment: env }) + '\\n');
});
const tell = (text) => socket.write(JSON.stringify(text) + '\\n');
socket.on('error', () => undefined).on('close', () => process.exit(1));
const verbs = {
  say: (text) => process.stderr.write(text, () => tell('said')),
  print: (text) => process.stdout.write(text, () => tell('said')),
  exit: ([text, code]) => process.stderr.write(text, () => process.exit(code)),
  defy: () => (process.on('SIGTERM', () => tell('SIGTERM')), tell('defiant')),
  leaveChild: () => {
    const child = require('node:child_process').spawn(process.execPath, ['-e', 'setTimeout(() => {}, 10_000)'], { stdio: ['ignore', 'inherit', 'inherit'] });
    tell(child.pid);
  },
};
require('node:readline').createInterface(socket).on('line', (line) => {
  const [verb, argument] = JSON.parse(line);
  verbs[verb](argument);
});
`;

interface Greeting {
  readonly pid: number;
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

/** A fake that is running. */
export class RunningFake {
  readonly pid: number;
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Resolves when the process is gone. */
  readonly gone: Promise<unknown>;
  readonly #socket: Socket;
  readonly #answers: AsyncIterator<string>;

  constructor(socket: Socket, answers: AsyncIterator<string>, greeting: Greeting) {
    this.pid = greeting.pid;
    this.argv = greeting.argv;
    this.environment = greeting.environment;
    this.#socket = socket;
    this.#answers = answers;
    this.gone = new Promise((resolve) => socket.once('close', resolve));
  }

  /** Writes to stderr, as cloudflared does. Resolves when the text has been written. */
  async say(text: string): Promise<void> {
    await this.#do('say', text);
  }

  /** Writes to stdout. */
  async print(text: string): Promise<void> {
    await this.#do('print', text);
  }

  /** Ignores SIGTERM from now on, but reports it. */
  async defy(): Promise<void> {
    await this.#do('defy');
  }

  /** Starts a process that keeps the output open. Resolves with its pid. */
  async leaveChild(): Promise<number> {
    return Number(await this.#do('leaveChild'));
  }

  exit(code: number, text = ''): void {
    this.#socket.write(`${JSON.stringify(['exit', [text, code]])}\n`);
  }

  /** The next thing that the program reports. */
  async told(): Promise<unknown> {
    const { value } = await this.#answers.next();
    return value === undefined ? undefined : JSON.parse(String(value));
  }

  #do(verb: string, argument?: string): Promise<unknown> {
    this.#socket.write(`${JSON.stringify([verb, argument])}\n`);
    return this.told();
  }
}

/** Starts fakes: whoever runs the program gets one. */
export class FakeCloudflared {
  /** The path of the program. */
  readonly program: string;
  readonly #close: () => Promise<void>;
  readonly #sockets: Socket[] = [];
  readonly #running = new Told<RunningFake>();

  private constructor({ port, close }: Listening) {
    this.#close = close;
    const directory = newFolder();
    this.program = join(directory, 'cloudflared');
    // Otherwise a package.json further up, such as one left in /tmp, would apply to a file without
    // an ending.
    writeFileSync(join(directory, 'package.json'), '{"type":"commonjs"}');
    writeFileSync(this.program, script(port), { mode: 0o755 });
  }

  static async open(): Promise<FakeCloudflared> {
    const server = createServer();
    const fakes = new FakeCloudflared(await listen(server));
    server.on('connection', (socket) => void fakes.#greet(socket));
    return fakes;
  }

  /** The next fake that is running. */
  running(): Promise<RunningFake> {
    return this.#running.next('a cloudflared runs');
  }

  /** Kills whatever is still running. */
  clear(): void {
    for (const socket of this.#sockets) socket.destroy();
    void this.#close();
  }

  async #greet(socket: Socket): Promise<void> {
    this.#sockets.push(socket);
    socket.on('error', () => undefined); // it was killed
    const lines = createInterface(socket);
    socket.on('close', () => lines.close()); // a reset has no end of its own
    const answers = lines[Symbol.asyncIterator]();
    const { value } = await answers.next();
    if (value === undefined) return;
    this.#running.tell(new RunningFake(socket, answers, JSON.parse(value) as Greeting));
  }
}
