// The server as a process, for tests of what only a process can show: signals, exit codes, output.

import { spawn, type ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const SERVER = join(import.meta.dirname, '../dist/server.js');
export const SECRET = 'whsec_spawned_server';

export interface SpawnOptions {
  readonly argv?: readonly string[];
  /** All there is, beside HOST and PORT (a free one of 127.0.0.1). */
  readonly env?: Readonly<Record<string, string>>;
  readonly directory: string;
  readonly server?: string;
  readonly uid?: number;
}

export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** What could not be waited for any more: the process ended, and this is what it wrote. */
class EndedError extends Error {
  override readonly name = 'EndedError';
}

export class SpawnedServer {
  readonly process: ChildProcess;
  stdout = '';
  stderr = '';
  readonly exit: Promise<Exit>;
  readonly #output = new EventEmitter();
  #hasEnded = false;

  constructor({ argv = [], env = {}, directory, server = SERVER, uid }: SpawnOptions) {
    this.process = spawn(process.execPath, [server, ...argv], {
      cwd: directory,
      env: { HOST: '127.0.0.1', PORT: '0', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(uid === undefined ? {} : { uid, gid: uid }),
    });
    this.process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
      this.#output.emit('change');
    });
    this.process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
      this.#output.emit('change');
    });
    this.exit = once(this.process, 'close').then(([code, signal]: unknown[]) => {
      this.#hasEnded = true;
      this.#output.emit('change');
      return { code: code as number | null, signal: signal as NodeJS.Signals | null };
    });
  }

  /** The lines of the log so far. */
  get log(): LogLine[] {
    const lines = this.stdout.split('\n');
    return lines.slice(0, -1).map((line) => JSON.parse(line) as LogLine);
  }

  /** Resolves with the first line of the log that says so; rejects when the process ends without. */
  async line(msg: string): Promise<LogLine> {
    for (;;) {
      const found = this.log.find((line) => line.msg === msg);
      if (found !== undefined) return found;
      if (this.#hasEnded) throw new EndedError(`ended without the line "${msg}"\n${this.stdout}\n${this.stderr}`);
      await once(this.#output, 'change');
    }
  }

  /** Resolves when stderr holds that; rejects when the process ends without. */
  async complains(pattern: RegExp): Promise<void> {
    while (!pattern.test(this.stderr)) {
      if (this.#hasEnded) throw new EndedError(`ended without ${pattern}\n${this.stdout}\n${this.stderr}`);
      await once(this.#output, 'change');
    }
  }

  /** Where it listens, once it does. */
  async url(): Promise<string> {
    return String((await this.line('listening'))['url']);
  }

  kill(signal: NodeJS.Signals): void {
    this.process.kill(signal);
  }
}

/** A working directory with its servers, all gone after `clear`. */
export class Workplace {
  readonly directory = mkdtempSync(join(tmpdir(), 'spawned-server-'));
  readonly #servers: SpawnedServer[] = [];

  write(name: string, content: string): string {
    const file = join(this.directory, name);
    writeFileSync(file, content);
    return file;
  }

  spawn(options: Omit<SpawnOptions, 'directory'> = {}): SpawnedServer {
    const server = new SpawnedServer({ directory: this.directory, ...options });
    this.#servers.push(server);
    return server;
  }

  async clear(): Promise<void> {
    for (const server of this.#servers.splice(0)) {
      server.kill('SIGKILL');
      await server.exit;
    }
    rmSync(this.directory, { recursive: true, force: true });
  }
}
