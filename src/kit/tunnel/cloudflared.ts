// Cloudflare's program for quick tunnels, as a child process. It reports what it does in log lines
// on stderr: https://github.com/cloudflare/cloudflared, cmd/cloudflared/tunnel/quick_tunnel.go

import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

import { aborted } from '../../base/abort.ts';
import { codeOf } from '../../base/thrown-values.ts';
import { atMost } from '../../base/time-limit.ts';
import { CommandError, type Terminal } from '../terminal/command.ts';
import { oneLine } from '../terminal/text.ts';

interface CloudflaredOptions {
  readonly program: string;
  readonly origin: string;
  /** The only paths that can be reached. */
  readonly paths: readonly string[];
  /** For getting the URL and connecting, together. */
  readonly timeoutMs: number;
  /** The environment of this process. Only what cloudflared needs is passed on. */
  readonly environment: Terminal['environment'];
  /** Ends the wait, and the program. */
  readonly interrupted: AbortSignal;
}

interface Cloudflared {
  /** `https://<words>.trycloudflare.com`, without a slash at the end. */
  readonly url: string;
  /** False if cloudflared had not reported a connection when the time was up. */
  readonly isConnected: boolean;
  /**
   * Resolves with one line that says how the program ended, with its last output. Never rejects.
   */
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
const CONNECTED = /\bRegistered tunnel connection\b/;

/** After SIGTERM cloudflared lets open requests finish for 30 s, which is too long to wait. */
const KILL_AFTER_MS = 3_000;

/**
 * How long to read the program's output after it has ended. Bounded, because a child of its own may
 * keep the pipes open.
 */
const LAST_OUTPUT_MS = 250;

/**
 * The variables that cloudflared, a Go program, needs: where to find files, how to reach the
 * network, and which certificates to trust. An allow-list, because keys and secrets can have any
 * name.
 */
const NEEDED_VARIABLES: readonly string[] = [
  'PATH', 'HOME', 'TMPDIR', 'LANG', 'LC_ALL', 'TZ',
  'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY', 'SSL_CERT_FILE', 'SSL_CERT_DIR',
  'TUNNEL_TRANSPORT_PROTOCOL', 'TUNNEL_EDGE_IP_VERSION',
  // Without these Windows opens no socket and finds no folder.
  'SYSTEMROOT', 'WINDIR', 'SYSTEMDRIVE', 'PATHEXT', 'TEMP', 'TMP', 'USERPROFILE', 'APPDATA',
  'LOCALAPPDATA',
];

type Child = ChildProcessByStdio<null, Readable, Readable>;

/**
 * Starts the program and waits until it has a URL and a connection. Rejects with a `CommandError`
 * if it is not installed, ends, or has no URL in time; it is not left running in that case. It ends
 * with this process, unless that is killed with SIGKILL.
 */
export async function startCloudflared(options: CloudflaredOptions): Promise<Cloudflared> {
  const folder = mkdtempSync(join(tmpdir(), 'layercode-tunnel-'));
  try {
    const config = join(folder, 'config.yml');
    writeFileSync(config, rulesFor(options));
    return await start(options, config);
  } finally {
    rmSync(folder, { recursive: true, force: true }); // it has been read
  }
}

/**
 * YAML, as all JSON is. Strangers must reach neither the authorize route, which spends the
 * developer's balance, nor the metrics. Rules take precedence over `--url` since 2023.3.1. Older
 * versions refuse the combination.
 */
function rulesFor({ origin, paths }: CloudflaredOptions): string {
  const path = `^(${paths.map((one) => one.replace(/[.$+()]/g, '\\$&')).join('|')})$`;
  return JSON.stringify({ ingress: [{ path, service: origin }, { service: 'http_status:404' }] });
}

async function start(options: CloudflaredOptions, config: string): Promise<Cloudflared> {
  const { program, timeoutMs, interrupted } = options;
  const child = await spawnCloudflared(options, config);
  const output = new CloudflaredOutput();
  for (const input of [child.stdout, child.stderr])
    createInterface({ input }).on('line', output.take).on('error', () => undefined);
  const exited = exitOf(child, program, output);
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => (closing ??= endChild(child, exited));

  const ended = await atMost(
    timeoutMs, Promise.race([exited, output.connected, aborted(interrupted)]),
  );
  const { url, isConnected, lastLines } = output;
  if (typeof ended !== 'string' && !interrupted.aborted && url !== undefined)
    return { url, isConnected, exited, close };
  await close();
  if (interrupted.aborted) throw new CommandError('interrupted before the tunnel was open');
  if (typeof ended === 'string') throw new CommandError(`no tunnel: ${ended}`);
  const remedy = 'check that this machine reaches api.trycloudflare.com';
  throw new CommandError(
    `no tunnel: ${program} showed no public URL within ${timeoutMs} ms${lastLines}; ${remedy}`,
  );
}

async function spawnCloudflared(options: CloudflaredOptions, config: string): Promise<Child> {
  const { program, origin, environment } = options;
  const argv = ['tunnel', '--config', config, '--no-autoupdate', '--url', origin];
  // In upper case: Windows ignores case, and proxies are also set as `https_proxy`.
  const needed = Object.entries(environment).filter(([name]) =>
    NEEDED_VARIABLES.includes(name.toUpperCase()));
  try {
    const child = spawn(program, argv, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: Object.fromEntries(needed),
    });
    await once(child, 'spawn');
    // The program has started, so this can only be a signal that could not be sent.
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

async function endChild(child: Child, exited: Promise<string>): Promise<void> {
  child.kill('SIGTERM');
  const ended = await atMost(KILL_AFTER_MS, exited);
  if (ended === undefined) child.kill('SIGKILL');
  await exited;
}

async function exitOf(child: Child, program: string, output: CloudflaredOutput): Promise<string> {
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  const closed = new Promise((resolve) => child.once('close', resolve));
  const [code, signal] = await once(child, 'exit') as [number | null, string | null];
  process.off('exit', kill);
  await atMost(LAST_OUTPUT_MS, closed);
  child.stdout.destroy();
  child.stderr.destroy();
  return `${program} ended with ${signal ?? `code ${code}`}${output.lastLines}`;
}

const MAX_LAST_LINES = 4;

/** What the program's output says. Keeps its last lines. */
export class CloudflaredOutput {
  /** The first URL in the output. */
  url: string | undefined;
  isConnected = false;
  #connect = (): void => undefined;
  /** Resolves once the program is connected and has a URL. */
  readonly connected = new Promise<void>((resolve) => {
    this.#connect = resolve;
  });
  #lastLines: readonly string[] = [];

  /** The last lines joined by ` | `, preceded by `: `; empty if there was no output. */
  get lastLines(): string {
    return this.#lastLines.length === 0 ? '' : `: ${this.#lastLines.join(' | ')}`;
  }

  /** Bound to this object. */
  readonly take = (line: string): void => {
    this.url ??= PUBLIC_URL.exec(line)?.[0].toLowerCase();
    if (this.url !== undefined && CONNECTED.test(line)) {
      this.isConnected = true;
      this.#connect();
    }
    const shown = oneLine(line, 300);
    if (shown !== '') this.#lastLines = [...this.#lastLines, shown].slice(-MAX_LAST_LINES);
  };
}
