// Starts and ends the measured processes, and leaves none behind.
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs';
import { get } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { newFolder } from '../test/fixtures/folder.ts';
import { OWN_NODE, type NodeBinary } from './node-binaries.ts';
import { BENCH_SECRET } from './turn-request.ts';

export const BARE = fileURLToPath(new URL('bare.mjs', import.meta.url));
export const SERVER = fileURLToPath(new URL('../dist/server.js', import.meta.url));
export const HELD_AGENT = fileURLToPath(new URL('held-agent.mjs', import.meta.url));
export const LATER_AGENT = fileURLToPath(new URL('later-agent.mjs', import.meta.url));

/**
 * With all of OpenTelemetry's instrumentations the server starts slowly, most of all on a busy
 * machine.
 */
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 5_000;

const children = new Set<ChildProcess>();
/** The servers' working directory, which has no `.env` and holds their logs. */
const ownDirectory = newFolder();

// This listener runs first, before the folders that the processes work in are removed.
process.prependListener('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));

export interface RunningServer {
  port: number;
  pid: number;
  /** From the spawn to the first 200 from `GET /health`. */
  startMs: number;
  signal(name: NodeJS.Signals): void;
  /** Sends SIGTERM, and SIGKILL after 5 s. */
  close(): Promise<void>;
}

export interface ServerOptions {
  readonly script: string;
  readonly settings?: Readonly<Record<string, string>>;
  /** Default: the Node that runs this process. */
  readonly node?: NodeBinary;
  /** The working directory. Default: an empty one. */
  readonly directory?: string;
  /** Default: no flags. */
  readonly nodeFlags?: readonly string[];
}

/**
 * Runs a script with plain Node, in production mode, with only the given settings in its
 * environment, until `/health` answers and all its workers are serving.
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { script, settings = {}, node = OWN_NODE, nodeFlags = [] } = options;
  const { directory = ownDirectory } = options;
  const port = await pickFreePort();
  const logFile = join(ownDirectory, `${port}.log`);
  const log = openSync(logFile, 'a');
  const startedAt = performance.now();
  const child = adopt(
    spawn(node.path, [...nodeFlags, script], {
      cwd: directory,
      env: {
        PATH: process.env['PATH'],
        HOST: '127.0.0.1',
        PORT: String(port),
        AGENT: 'echo',
        NODE_ENV: 'production', // as deployed; otherwise it also loads the local platform
        DRAIN_DELAY_SECONDS: '0',
        LAYERCODE_WEBHOOK_SECRET: BENCH_SECRET,
        ...settings,
      },
      stdio: ['ignore', log, log],
    }),
  );
  closeSync(log);
  const waitFor = async (isUp: () => Promise<boolean>): Promise<void> => {
    while (!(await isUp())) {
      if (child.exitCode !== null || performance.now() - startedAt > START_TIMEOUT_MS) {
        child.kill('SIGKILL');
        const output = readFileSync(logFile, 'utf8').slice(-2_000);
        throw new Error(`${script} does not serve; its output:\n${output}`);
      }
      await sleep(1);
    }
  };
  await waitFor(() => isHealthy(port));
  const startMs = performance.now() - startedAt;
  await waitFor(() => hasAllWorkers(port, settings['WORKERS']));

  return {
    port,
    pid: child.pid ?? 0,
    startMs,
    signal: (name) => void child.kill(name),
    async close() {
      if (child.exitCode === null && child.signalCode === null) {
        const exited = new Promise((resolve) => child.once('exit', resolve));
        child.kill('SIGTERM');
        const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
        await exited;
        clearTimeout(timer);
      }
      rmSync(logFile, { force: true });
    },
  };
}

/** Registers a child process, so that it ends when this process does, if not earlier. */
export function adopt<Child extends ChildProcess>(child: Child): Child {
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}

function isHealthy(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    get({ port, host: '127.0.0.1', path: '/health', agent: false }, (res) => {
      res.resume();
      resolve(res.statusCode === 200);
    }).on('error', () => resolve(false));
  });
}

/** Otherwise the load would begin with connections to the first worker only. */
async function hasAllWorkers(port: number, count = '1'): Promise<boolean> {
  if (count === '1') return true;
  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  return new RegExp(`^layercode_workers ${count}$`, 'm').test(metrics);
}

export function pickFreePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as AddressInfo;
      probe.close(() => resolve(port));
    });
  });
}
