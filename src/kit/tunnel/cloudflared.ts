// Cloudflare's program for quick tunnels, as a child process. It reports what it does in log lines
// on stderr: https://github.com/cloudflare/cloudflared, cmd/cloudflared/tunnel/quick_tunnel.go

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { devNull } from 'node:os';
import type { Readable } from 'node:stream';

import { codeOf } from '../../base/thrown-values.ts';
import { CommandError, type Terminal } from '../terminal/command.ts';
import { oneLine } from '../terminal/one-line.ts';

export interface CloudflaredOptions {
  readonly program: string;
  readonly origin: string;
  /** For getting the URL and connecting together. */
  readonly timeoutMs: number;
  /** The environment of this process. Only what cloudflared needs is passed on. */
  readonly environment: Terminal['environment'];
  /** Ends the wait, and the program. */
  readonly interrupted: AbortSignal;
}

export interface Cloudflared {
  /** `https://<words>.trycloudflare.com`, without a slash at the end. */
  readonly url: string;
  /** False if it had not said so when the time was up. */
  readonly isConnected: boolean;
  /** Resolves with one line that says how it ended, with its last output. Never rejects. */
  readonly exited: Promise<string>;
  /**
   * Sends SIGTERM, and SIGKILL 3 s later. Resolves when the program is gone. May be called again.
   */
  close(): Promise<void>;
}

const INSTALL =
  'https://developers.cloudflare.com/cloudflare-one/connections/connect-networks/downloads/';

/**
 * Several words joined by dashes. `https://api.trycloudflare.com` creates tunnels, and appears in
 * error messages.
 */
const PUBLIC_URL = /https:\/\/(?:[a-z0-9]+-)+[a-z0-9]+\.trycloudflare\.com(?![\w-]|\.\w)/i;
/** Versions before 2022.9 said `Connection <id> registered`. */
const CONNECTED = /\bRegistered tunnel connection\b|\bConnection [\w-]+ registered\b/;

/**
 * Starts the program and waits until it has a URL and a connection. Rejects with a `CommandError`
 * if it is not installed, ends, or has no URL in time; it is not left running then. It ends with
 * this process, unless that is killed with SIGKILL.
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
  // Without a config it would read the user's ~/.cloudflared/config.yml and answer by its rules,
  // usually with 404.
  const argv = ['tunnel', '--config', devNull, '--no-autoupdate', '--url', origin];
  try {
    const child = spawn(program, argv, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: neededOf(environment),
    });
    await once(child, 'spawn');
    // It has started, so this can only be a signal that could not be sent.
    child.on('error', () => undefined);
    return child;
  } catch (error) {
    const code = String(codeOf(error) ?? error);
    const fault =
      code === 'ENOENT'
        ? 'is not installed, or not in PATH'
        : `cannot be started (${oneLine(code, 80)})`;
    throw new CommandError(`${program} ${fault}; get it from ${INSTALL}`, { cause: error });
  }
}

/**
 * The variables that cloudflared, a Go program, needs: where to find files, how to reach the
 * network, and which certificates to trust. An allow-list, because keys and secrets can have any
 * name.
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

/**
 * Compares names in upper case: Windows ignores case, and proxies are also set as `https_proxy`.
 */
function neededOf(environment: Terminal['environment']): Terminal['environment'] {
  return Object.fromEntries(
    Object.entries(environment).filter(([name]) => NEEDED_VARIABLES.has(name.toUpperCase())),
  );
}

/**
 * Resolves with how the program ended; with undefined if it is connected, the time is up, or an
 * interrupt came.
 */
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

/** After SIGTERM it lets open requests finish for 30 s, which is too long to wait. */
const KILL_AFTER_MS = 3_000;

async function endChild(child: ChildProcess, exited: Promise<string>): Promise<void> {
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS);
  await exited;
  clearTimeout(timer);
}

/**
 * How long to read its output after it has ended. Bounded, because a child of its own may keep the
 * pipes open.
 */
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

/**
 * Reads the output to its end, because a full pipe would stop the program. Keeps only the last
 * lines.
 */
export class CloudflaredOutput {
  /** The first URL in the output. */
  url: string | undefined;
  isConnected = false;
  /** Resolves once it is connected and has a URL. */
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

  /** The last lines joined by ` | `, with `: ` in front; empty if it said nothing. */
  get lastLines(): string {
    return this.#lastLines.length === 0 ? '' : `: ${this.#lastLines.join(' | ')}`;
  }

  /** Resolves at the end of the output, or after this time. Reads nothing after that. */
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
      // The mark at the cut keeps the next chunk from being read as the rest of a URL.
      if (rest.length > MAX_LINE_LENGTH) rest = `${rest.slice(0, MAX_LINE_LENGTH)}…`;
      for (const line of lines) this.#take(line);
    });
    return new Promise<void>((resolve) => {
      stream.once('error', () => resolve()); // the process reports its end
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
