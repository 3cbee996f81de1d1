// The processes of a deploy test: two servers behind nginx, on a store. All listen on 127.0.0.1,
// and end with the test.

import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';

import { freePort } from '../fixtures/redis-server.ts';
import { ROOT } from '../fixtures/source-files.ts';
import { SpawnedServer, Workplace } from '../fixtures/spawned-server.ts';
import { agentModule } from './agent-words.ts';

export const SECRET = 'whsec_deploy_test';

export const NGINX_EXAMPLE = join(ROOT, 'examples/deploy/nginx.conf');
/** Debian keeps nginx where only root looks. */
const NGINX = ['/usr/sbin/nginx', '/usr/bin/nginx', '/usr/local/sbin/nginx'].find(existsSync)
  ?? 'nginx';

/** Why nginx cannot be run; undefined if it can. */
export function nginxIsMissing(): string | undefined {
  const { error } = spawnSync(NGINX, ['-v'], { stdio: 'ignore' });
  return error === undefined ? undefined : 'no nginx here: apt-get install nginx-light';
}

/** nginx with the example's configuration, on ports of this machine. */
export class Nginx {
  readonly port: number;
  readonly #folder = mkdtempSync(join(tmpdir(), 'deploy-nginx-'));
  readonly #config = join(this.#folder, 'nginx.conf');
  #process: ChildProcess | undefined;

  private constructor(port: number, backends: readonly number[]) {
    this.port = port;
    chmodSync(this.#folder, 0o755); // as root, its workers are another user
    mkdirSync(join(this.#folder, 'temp'));
    const site = readFileSync(NGINX_EXAMPLE, 'utf8')
      .replace(/agent-(\d):8000/g, (_, number) => `127.0.0.1:${backends[Number(number) - 1]}`)
      .replace('listen 8080;', `listen 127.0.0.1:${port};`);
    writeFileSync(join(this.#folder, 'site.conf'), site);
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
      .map((name) => `  ${name}_temp_path ${join(this.#folder, 'temp', name)};`);
    writeFileSync(this.#config, [
      'daemon off;',
      'worker_processes 1;',
      `pid ${join(this.#folder, 'pid')};`,
      'error_log stderr crit;',
      'events { worker_connections 4096; }',
      'http {',
      '  access_log off;',
      ...temporary,
      `  include ${join(this.#folder, 'site.conf')};`,
      '}',
    ].join('\n'));
  }

  static async start(backends: readonly number[]): Promise<Nginx> {
    const nginx = new Nginx(await freePort(), backends);
    nginx.#process = spawn(NGINX, nginx.#args(), { stdio: ['ignore', 'ignore', 'inherit'] });
    while (!(await accepts(nginx.port))) {
      if (nginx.#process.exitCode !== null) throw new Error('nginx ended at once');
      await sleep(20); // it does not say when it is ready
    }
    return nginx;
  }

  /** What `nginx -t` says about the example; empty if nothing is wrong with it. */
  static async check(): Promise<string> {
    const nginx = new Nginx(await freePort(), [1, 2]);
    const { status, stderr } = spawnSync(NGINX, ['-t', ...nginx.#args()], { encoding: 'utf8' });
    rmSync(nginx.#folder, { recursive: true, force: true });
    return status === 0 && !/\[(warn|error|emerg)\]/.test(stderr) ? '' : stderr;
  }

  #args(): string[] {
    return ['-e', 'stderr', '-p', this.#folder, '-c', this.#config];
  }

  async stop(): Promise<void> {
    const process = this.#process;
    if (process !== undefined && process.exitCode === null) {
      const ended = once(process, 'exit');
      process.kill('SIGTERM');
      await ended;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

const HANGS_MS = 100;

export interface ServersOptions {
  /** The timeout of the store. Default: the servers' own. */
  readonly timeoutMs?: number | undefined;
  /** Processes of each server. Default: one. */
  readonly workers?: number | undefined;
  /** More variables. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** Two servers with one store. Each keeps its port when it is started again. */
export class Servers {
  readonly #workplace = new Workplace();
  readonly #storeUrl: string;
  readonly #options: ServersOptions;
  readonly #effects: string;
  readonly ports: readonly [number, number];
  readonly #running: SpawnedServer[] = [];

  private constructor(
    storeUrl: string,
    options: ServersOptions,
    ports: readonly [number, number],
  ) {
    this.#storeUrl = storeUrl;
    this.#options = options;
    this.ports = ports;
    this.#effects = this.#workplace.write('effects', '');
    const library = pathToFileURL(join(ROOT, 'dist/index.js')).href;
    this.#workplace.write('agent.mjs', agentModule(library, this.#effects));
    this.#workplace.usePeers();
  }

  static async start(storeUrl: string, options: ServersOptions = {}): Promise<Servers> {
    const servers = new Servers(storeUrl, options, [await freePort(), await freePort()]);
    for (const index of [0, 1] as const) await servers.start(index);
    return servers;
  }

  /** Resolves when the server is listening. */
  async start(index: 0 | 1): Promise<void> {
    const { timeoutMs, workers = 1 } = this.#options;
    const server = this.#workplace.spawn({
      env: {
        NODE_ENV: 'production',
        AGENT: './agent.mjs',
        PORT: String(this.ports[index]),
        LAYERCODE_WEBHOOK_SECRET: SECRET,
        CONVERSATION_STORE: this.#storeUrl,
        ACCESS_LOG: 'false',
        DRAIN_DELAY_SECONDS: '1',
        SHUTDOWN_TIMEOUT_SECONDS: '5',
        WORKERS: String(workers),
        ...(timeoutMs === undefined ? {} : { STORE_TIMEOUT_MS: String(timeoutMs) }),
        ...this.#options.environment,
      },
    });
    await server.lines('listening', workers);
    this.#running[index] = server;
  }

  /**
   * Kills the worker of a server that has been listening for the shortest time. It hangs for a
   * moment before, so that some turns reach it in vain. Resolves when another worker is listening.
   */
  async killWorker(index: 0 | 1): Promise<void> {
    const server = this.#running[index];
    const listening = server?.log.filter(({ msg }) => msg === 'listening') ?? [];
    const pid = Number(listening.at(-1)?.['worker']);
    process.kill(pid, 'SIGSTOP');
    await sleep(HANGS_MS);
    process.kill(pid, 'SIGKILL');
    await server?.lines('listening', listening.length + 1);
  }

  /** Ends a server as a deploy does. Resolves when it has closed by itself. */
  async stop(index: 0 | 1): Promise<void> {
    const server = this.#running[index];
    server?.kill('SIGTERM');
    const exit = await server?.exit;
    if (exit?.code !== 0) throw new Error(`server ${index} ended with ${JSON.stringify(exit)}`);
  }

  async kill(index: 0 | 1): Promise<void> {
    this.#running[index]?.kill('SIGKILL');
    await this.#running[index]?.exit;
  }

  /** How many times the tool acted, by its idempotency key. */
  effects(): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const line of readFileSync(this.#effects, 'utf8').split('\n').filter(Boolean))
      counts.set(line, (counts.get(line) ?? 0) + 1);
    return counts;
  }

  async clear(): Promise<void> {
    await this.#workplace.clear();
  }
}
