// The program of Cloudflare's quick tunnels, as a child process. It tells what it does in log lines, on stderr:
// https://github.com/cloudflare/cloudflared, cmd/cloudflared/tunnel/quick_tunnel.go

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { devNull } from 'node:os';
import type { Readable } from 'node:stream';

import { CommandError, type Terminal } from '../terminal/command.ts';
import { oneLine } from '../terminal/one-line.ts';

export interface CloudflaredOptions {
  readonly program: string;
  readonly origin: string;
  /** For the URL and the connection together. */
  readonly timeoutMs: number;
  /** This process's. Only what cloudflared needs of it is passed on. */
  readonly environment: Terminal['environment'];
  /** Ends the wait, and the program. */
  readonly interrupted: AbortSignal;
}

export interface Cloudflared {
  /** `https://<words>.trycloudflare.com`, without a slash at the end. */
  readonly url: string;
  /** False when the time was over before it said so. */
  readonly isConnected: boolean;
  /** Resolves, never rejects, with how it ended and its last lines, as one line. */
  readonly exited: Promise<string>;
  /** SIGTERM, and SIGKILL 3 s later. Resolves when it is gone; may be called more than once. */
  close(): Promise<void>;
}

const INSTALL =
  'https://developers.cloudflare.com/cloudflare-one/connections/connect-networks/downloads/';

/** Several words with dashes between: `https://api.trycloudflare.com` is where tunnels are asked for, and is in its errors. */
const PUBLIC_URL = /https:\/\/(?:[a-z0-9]+-)+[a-z0-9]+\.trycloudflare\.com(?![\w-]|\.\w)/i;
/** Before 2022.9 it said `Connection <id> registered`. */
const CONNECTED = /\bRegistered tunnel connection\b|\bConnection [\w-]+ registered\b/;

/**
 * Starts it and waits until it has a URL and a connection. Rejects with a `CommandError` when it is not there, ends, or has
 * no URL in time; nothing of it runs on then. It does not outlive this process, however that ends, SIGKILL excepted.
 */
export async function startCloudflared(options: CloudflaredOptions): Promise<Cloudflared> {
  const { program, timeoutMs, interrupted } = options;
  const child = await spawnCloudflared(options);
  const output = new CloudflaredOutput(
    [child.stdout, child.stderr].filter((stream) => stream !== null),
  );
  const exited = exitOf(child, program, output);
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => (closing ??= endChild(child, exited));

  const ended = await waitFor(output.connected, exited, timeoutMs, interrupted);
  const { url } = output;
  if (ended === undefined && !interrupted.aborted && url !== undefined) {
    return { url, isConnected: output.isConnected, exited, close };
  }
  await close();
  if (interrupted.aborted) throw new CommandError('interrupted before the tunnel was open');
  if (ended !== undefined) throw new CommandError(`no tunnel: ${ended}`);
  const remedy = 'check that this machine reaches api.trycloudflare.com';
  throw new CommandError(
    `no tunnel: ${program} had no public URL in ${timeoutMs} ms${output.lastLines}; ${remedy}`,
  );
}

async function spawnCloudflared({
  program,
  origin,
  environment,
}: CloudflaredOptions): Promise<ChildProcess> {
  // Without a config of its own it would read the user's ~/.cloudflared/config.yml, and answer by its rules: 404, mostly.
  const argv = ['tunnel', '--config', devNull, '--no-autoupdate', '--url', origin];
  try {
    const child = spawn(program, argv, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: neededOf(environment),
    });
    await once(child, 'spawn');
    child.on('error', () => undefined); // a signal that cannot be sent; it has started, so this is no other error
    return child;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    const fault =
      code === 'ENOENT'
        ? 'is not installed, or not in PATH'
        : `cannot be started (${oneLine(code, 80)})`;
    throw new CommandError(`${program} ${fault}; get it from ${INSTALL}`, { cause: error });
  }
}

/**
 * What cloudflared, a Go program, reads: where things are, how it reaches the network, and whom it
 * trusts there. An allow-list, because this process's environment holds keys and secrets under any name.
 */
const NEEDED_VARIABLES: ReadonlySet<string> = new Set([
  'PATH', 'HOME', 'TMPDIR', 'LANG', 'LC_ALL', 'TZ',
  'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY', 'SSL_CERT_FILE', 'SSL_CERT_DIR',
  'TUNNEL_TRANSPORT_PROTOCOL', 'TUNNEL_EDGE_IP_VERSION',
  // Without these Windows opens no socket and finds no folder.
  'SYSTEMROOT',
  'WINDIR',
  'SYSTEMDRIVE',
  'PATHEXT',
  'TEMP',
  'TMP',
  'USERPROFILE',
  'APPDATA',
  'LOCALAPPDATA',
]);

/** Names are compared in upper case: Windows ignores case, and proxies are set as `https_proxy` too. */
function neededOf(environment: Terminal['environment']): Terminal['environment'] {
  return Object.fromEntries(
    Object.entries(environment).filter(([name]) => NEEDED_VARIABLES.has(name.toUpperCase())),
  );
}

/** Resolves with how it ended; with undefined when it is connected, the time is over, or an interrupt came. */
async function waitFor(
  connected: Promise<void>,
  exited: Promise<string>,
  timeoutMs: number,
  interrupted: AbortSignal,
): Promise<string | undefined> {
  const controller = new AbortController();
  const { promise: over, resolve } = deferred();
  const timer = setTimeout(resolve, timeoutMs);
  interrupted.addEventListener('abort', () => resolve(), { signal: controller.signal });
  if (interrupted.aborted) resolve();
  try {
    return await Promise.race([
      exited,
      connected.then(() => undefined),
      over.then(() => undefined),
    ]);
  } finally {
    clearTimeout(timer);
    controller.abort();
  }
}

/** It lets open requests finish for 30 s after SIGTERM, which nobody would wait for. */
const KILL_AFTER_MS = 3_000;

async function endChild(child: ChildProcess, exited: Promise<string>): Promise<void> {
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS);
  await exited;
  clearTimeout(timer);
}

/** How long the last of its output may come after its end. Not for ever: a child of its own may hold the pipes open. */
const LAST_OUTPUT_MS = 250;

async function exitOf(
  child: ChildProcess,
  program: string,
  output: CloudflaredOutput,
): Promise<string> {
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) =>
    child.once('exit', (...end) => resolve(end)),
  );
  process.off('exit', kill);
  await output.end(LAST_OUTPUT_MS);
  return `${program} ended with ${signal ?? `code ${code}`}${output.lastLines}`;
}

const MAX_LINE_LENGTH = 4_096;
const MAX_LAST_LINES = 4;

/** What it says, of which only the last lines are kept. Read to the end: a full pipe would stop it. */
export class CloudflaredOutput {
  /** The first one it named. */
  url: string | undefined;
  isConnected = false;
  /** Resolves once it is, never without a URL. */
  readonly connected: Promise<void>;
  readonly #resolveConnected: () => void;
  readonly #streams: readonly Readable[];
  readonly #ended: Promise<unknown>;
  #lastLines: string[] = [];

  constructor(streams: readonly Readable[]) {
    ({ promise: this.connected, resolve: this.#resolveConnected } = deferred());
    this.#streams = streams;
    this.#ended = Promise.all(streams.map((stream) => this.#read(stream)));
  }

  /** ` | `-separated, with `: ` in front; empty when it said nothing. */
  get lastLines(): string {
    return this.#lastLines.length === 0 ? '' : `: ${this.#lastLines.join(' | ')}`;
  }

  /** Resolves at the end of the output, or after so long; nothing is read from then on. */
  async end(maxMs: number): Promise<void> {
    const { promise: late, resolve } = deferred();
    const timer = setTimeout(resolve, maxMs);
    await Promise.race([this.#ended, late]);
    clearTimeout(timer);
    for (const stream of this.#streams) stream.destroy();
  }

  #read(stream: Readable): Promise<unknown> {
    let rest = '';
    stream.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      // With a mark at the cut: what follows must not be read as the URL's other half.
      if (rest.length > MAX_LINE_LENGTH) rest = `${rest.slice(0, MAX_LINE_LENGTH)}…`;
      for (const line of lines) this.#take(line);
    });
    return new Promise<void>((resolve) => {
      stream.once('error', () => resolve()); // its end is told by the process
      stream.once('end', () => {
        if (rest !== '') this.#take(rest);
        resolve();
      });
    });
  }

  #take(line: string): void {
    this.url ??= PUBLIC_URL.exec(line)?.[0].toLowerCase();
    if (this.url !== undefined && CONNECTED.test(line)) {
      this.isConnected = true;
      this.#resolveConnected();
    }
    const shown = oneLine(line, 300);
    if (shown !== '') this.#lastLines = [...this.#lastLines, shown].slice(-MAX_LAST_LINES);
  }
}

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
