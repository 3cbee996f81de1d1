// npm run prove:init: a newcomer's first minutes with the packed package: install, init, test,
// start, talk, and what the image would run. Needs npm's registry for typescript and @types/node.
// Exits with 1 and the reason if a step fails. Leaves nothing behind.

import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { codeOf, messageOf } from '../src/base/thrown-values.ts';
import { settingRows } from '../src/server/settings/table.ts';
import { createTestClient, type TestClient } from '../src/testing.ts';
import { NPM } from '../test/fixtures/npm.ts';

const PACKAGE = 'layercode-microserver';
const CLI = `node_modules/${PACKAGE}/dist/cli.js`;
/** For one command; npm's registry may be slow. */
const COMMAND_TIMEOUT_MS = 120_000;
/** For a server to listen, and to end. */
const SERVER_TIMEOUT_MS = 15_000;

const FREE_PORT = ['--host', '127.0.0.1', '--port', '0'];

const root = fileURLToPath(new URL('..', import.meta.url));
const place = realpathSync(mkdtempSync(join(tmpdir(), 'prove-init-')));
const project = join(place, 'my-agent');

/**
 * The environment without this machine's keys and the variables of the npm run that started this
 * script: a newcomer has neither.
 */
const OUTER_NPM = /^(npm_(package|lifecycle|command|config_local_prefix)|NODE_OPTIONS$|INIT_CWD$)/i;
const newcomer = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) => !OUTER_NPM.test(name) && settingRows.every(({ variable }) => variable !== name),
  ),
);

interface StartOptions {
  readonly directory: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly uid?: number | undefined;
}

/** A command and everything it starts: one process group, which is ended as one. */
class Running {
  static readonly all = new Set<Running>();
  readonly #command: string;
  readonly #process: ChildProcess;
  readonly #output = new EventEmitter();
  output = '';
  /** The exit code, once all output has arrived. */
  #end: number | NodeJS.Signals | undefined;

  constructor(
    [file = '', ...argv]: readonly string[],
    { directory, environment = {}, uid }: StartOptions,
  ) {
    this.#command = [basename(file), ...argv].join(' ');
    this.#process = spawn(file, argv, {
      cwd: directory,
      env: { ...newcomer, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      ...(uid === undefined ? {} : { uid, gid: uid }),
    });
    Running.all.add(this);
    const write = (text: string): void => {
      this.output += text;
      this.#output.emit('change');
    };
    for (const stream of [this.#process.stdout, this.#process.stderr])
      stream?.setEncoding('utf8').on('data', write);
    this.#process.on('error', (error) => write(error.message));
    this.#process.once('close', (code, signal) => {
      this.#end = code ?? signal ?? 'SIGKILL';
      Running.all.delete(this);
      this.#output.emit('change');
    });
  }

  /**
   * Signals the command alone, as a supervisor does, or its whole group. Does nothing if that is
   * gone.
   */
  signal(name: NodeJS.Signals, whom: 'command' | 'group' = 'command'): void {
    const { pid } = this.#process;
    if (pid === undefined || this.#end !== undefined) return;
    try {
      process.kill(whom === 'group' ? -pid : pid, name);
    } catch (error) {
      if (codeOf(error) !== 'ESRCH') throw error;
    }
  }

  ended(timeoutMs: number): Promise<number | NodeJS.Signals> {
    return this.#until(() => this.#end, 'end', timeoutMs);
  }

  /**
   * The origin in the server's log. If the server restarts, the origin that it logs when it listens
   * for the nth time.
   */
  async origin(nth = 1): Promise<string> {
    const line = await this.#until(() => this.#lines('"listening"')[nth - 1], 'listen');
    return (JSON.parse(line) as { url: string }).url;
  }

  /** Resolves with the first line that contains this text. */
  wrote(text: string): Promise<string> {
    return this.#until(() => this.#lines(text)[0], `write "${text}"`);
  }

  failure(what: string): Error {
    return new Error(
      `${this.#command} ${what}; the end of what it wrote:\n${this.output.trimEnd().slice(-2_000)}`,
    );
  }

  /** Only whole lines, because the last one may be incomplete. */
  #lines(text: string): string[] {
    return this.output.split('\n').slice(0, -1).filter((line) => line.includes(text));
  }

  /** Resolves with what `find` returns. Rejects if that takes too long, or can no longer happen. */
  async #until<T>(
    find: () => T | undefined, what: string, timeoutMs = SERVER_TIMEOUT_MS,
  ): Promise<T> {
    const signal = AbortSignal.timeout(timeoutMs);
    for (;;) {
      const found = find();
      if (found !== undefined) return found;
      if (this.#end !== undefined) throw this.failure(`ended and did not ${what}`);
      await once(this.#output, 'change', { signal }).catch(() => {
        throw this.failure(`did not ${what} within ${timeoutMs / 1_000} s`);
      });
    }
  }
}

/** Runs a command to its end and returns what it wrote. */
async function run(
  command: readonly string[],
  options: StartOptions,
  expected = 0,
): Promise<string> {
  const running = new Running(command, options);
  const code = await running.ended(COMMAND_TIMEOUT_MS);
  if (code !== expected) throw running.failure(`ended with ${code}, not ${expected}`);
  return running.output;
}

/**
 * Starts a server, uses it, and ends it with SIGTERM. Checks that the server logs its end and
 * closes its port.
 */
async function serve(
  command: readonly string[],
  options: StartOptions,
  use: (origin: string) => Promise<void>,
): Promise<number | NodeJS.Signals> {
  const server = new Running(command, options);
  const origin = await server.origin();
  await use(origin);
  server.signal('SIGTERM');
  const code = await server.ended(SERVER_TIMEOUT_MS);
  if (!server.output.includes('"msg":"closed"')) throw server.failure('did not say that it closed');
  await assert.rejects(fetch(`${origin}/health`), 'the port is still open');
  return code;
}

/** Signs with the secret that the server created. */
function callerOf(origin: string): TestClient {
  const secret = readFileSync(join(project, '.layercode/webhook-secret'), 'utf8').trim();
  return createTestClient(origin, { secret });
}

async function welcome(origin: string): Promise<string> {
  return (await callerOf(origin).start()).text();
}

async function talk(origin: string): Promise<void> {
  const caller = callerOf(origin);
  assert.match(await welcome(origin), /^Hello, this is the corner shop/);
  assert.equal(
    await (await caller.say('Are you open on Sunday?')).text(),
    'On Sunday we are closed.',
  );
  assert.equal((await caller.post({ type: 'message' }, { signature: null })).status, 401);
}

let packed = '';

async function pack(): Promise<void> {
  await run([...NPM, 'pack', '--silent', '--ignore-scripts', '--pack-destination', place], {
    directory: root,
  });
  const [file, ...others] = readdirSync(place).filter((name) => name.endsWith('.tgz'));
  assert.ok(file !== undefined && others.length === 0, 'npm pack made one file');
  packed = file;
}

async function install(): Promise<void> {
  mkdirSync(join(place, 'tools'));
  await run(
    [...NPM, 'install', '--offline', '--no-audit', '--no-fund', '--prefix', 'tools', `./${packed}`],
    { directory: place },
  );
}

async function initialise(): Promise<void> {
  const cli = [process.execPath, join(place, 'tools', CLI), 'init'];
  assert.match(
    await run([...cli, 'my-agent'], { directory: place }),
    /cd my-agent\n {2}npm install\n {2}npm run dev/,
  );
  assert.match(
    await run([...cli, 'my-agent'], { directory: place }, 1),
    /already has package\.json, .*; nothing was written/,
  );
}

async function testProject(): Promise<void> {
  const output = await run([...NPM, 'test'], { directory: project });
  assert.ok(
    Number(/^\S+ pass (\d+)$/m.exec(output)?.[1]) >= 6,
    `npm test ran fewer than six tests:\n${output}`,
  );
  const evals = await run([...NPM, 'run', 'eval'], { directory: project });
  assert.match(evals, /^3 of 3 scenarios passed\.$/m);
}

/** Checks that the server restarts after a change and, once a broken file is fixed, after that. */
async function serveForDevelopment(): Promise<void> {
  const file = join(project, 'agent.ts');
  const source = readFileSync(file, 'utf8');
  const command = [...NPM, 'run', 'dev', '--', ...FREE_PORT];
  const server = new Running(command, { directory: project });
  await talk(await server.origin());
  writeFileSync(file, `${source}\nexport const broken = ;\n`);
  await server.wrote('failed to load');
  writeFileSync(file, source.replace('Hello, this is', 'Good day, this is'));
  const origin = await server.origin(2);
  assert.match(await welcome(origin), /^Good day, this is the corner shop/);
  writeFileSync(file, source);
  const last = await server.origin(3);
  await talk(last);
  server.signal('SIGTERM');
  await server.ended(SERVER_TIMEOUT_MS);
  await assert.rejects(fetch(`${last}/health`), 'npm run dev left its server behind');
}

/** npm's exit code is not checked: some versions die of the signal. */
async function serveByNpm(): Promise<void> {
  await serve([...NPM, 'start', '--', ...FREE_PORT], { directory: project }, talk);
}

async function serveByNode(): Promise<void> {
  const code = await serve(
    [process.execPath, CLI, 'run', '--agent', './dist/agent.js', ...FREE_PORT],
    { directory: project },
    talk,
  );
  assert.equal(code, 0, 'the exit code at SIGTERM');
}

/**
 * Lays out the run-time stage of the project's Dockerfile in a folder and runs it as another user.
 */
async function runImage(): Promise<void> {
  const dockerfile = readFileSync(join(project, 'Dockerfile'), 'utf8').replaceAll('\\\n', '');
  const stage = dockerfile.slice(dockerfile.lastIndexOf('\nFROM '));
  const command = (keyword: string): string[] => {
    const [, json = '[]'] = new RegExp(`^${keyword} .*?(\\[.*\\])$`, 'm').exec(stage) ?? [];
    const [program, ...argv] = JSON.parse(json) as string[];
    assert.equal(program, 'node', keyword);
    return [process.execPath, ...argv];
  };
  await run([...NPM, 'ci', '--prefer-offline', '--no-audit', '--no-fund'], { directory: project });
  await run([...NPM, 'run', 'build'], { directory: project });
  await run([...NPM, 'prune', '--omit=dev', '--no-audit', '--no-fund'], { directory: project });
  const image = join(place, 'image');
  mkdirSync(image);
  for (const [, path = ''] of stage.matchAll(/^COPY (?:--from=build \/app\/)?(\S+) /gm)) {
    cpSync(join(project, path), join(image, path), { recursive: true });
  }
  const modules = join(image, 'node_modules');
  const installed = readdirSync(modules).filter(
    (name) => !name.startsWith('.') && readdirSync(join(modules, name)).length > 0,
  );
  assert.deepEqual(installed, [PACKAGE]); // npm prune leaves the folders of scopes behind, empty
  chmodSync(place, 0o755); // mkdtemp makes it private
  const uid = process.geteuid?.() === 0 ? 1_000 : undefined;
  const production = {
    NODE_ENV: 'production',
    HOST: '127.0.0.1',
    DRAIN_DELAY_SECONDS: '0',
    LAYERCODE_WEBHOOK_SECRET: 'whsec_of_the_proof',
  };

  assert.match(
    await run(command('ENTRYPOINT'), { directory: image, environment: production, uid }, 1),
    /OPENAI_API_KEY is not set/,
  );
  const environment = { ...production, PORT: '0', OPENAI_API_KEY: 'any-key' };
  const code = await serve(
    command('ENTRYPOINT'),
    { directory: image, environment, uid },
    async (origin) => {
      assert.match(
        await (await createTestClient(origin, { secret: 'whsec_of_the_proof' }).start()).text(),
        /^Hello, this is the corner shop/,
      );
      const check = (port: string, expected: number): Promise<string> =>
        run(
          command('HEALTHCHECK'),
          { directory: image, environment: { PORT: port }, uid },
          expected,
        );
      await check(new URL(origin).port, 0);
      await check('1', 1);
    },
  );
  assert.equal(code, 0, 'the exit code at SIGTERM');
  // nothing was written
  assert.deepEqual(readdirSync(image).sort(), ['dist', 'node_modules', 'package.json']);
}

const steps: readonly (readonly [what: string, prove: () => Promise<unknown>])[] = [
  ['the package is built and packed', pack],
  ['it is installed into an empty folder, without the network', install],
  ['its init makes a project, and no second one over it', initialise],
  [
    'npm install',
    () =>
      run([...NPM, 'install', '--prefer-offline', '--no-audit', '--no-fund'], {
        directory: project,
      }),
  ],
  ['npm test passes', testProject],
  ['npm run dev serves a call, and restarts at a change', serveForDevelopment],
  ['npm start serves a call, and ends at SIGTERM', serveByNpm],
  ['so does node, with exit code 0', serveByNode],
  [
    'what the image runs answers in production, is healthy, wants a key and writes nothing',
    runImage,
  ],
];

function clear(): void {
  for (const running of Running.all) running.signal('SIGKILL', 'group');
  rmSync(place, { recursive: true, force: true, maxRetries: 3 });
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    clear();
    process.exit(1);
  });
}

const seconds = (since: number): string =>
  `${((performance.now() - since) / 1_000).toFixed(1).padStart(5)} s`;
const startedAt = performance.now();
let current = '';
try {
  process.stdout.write(`prove:init on node ${process.versions.node}\n`);
  for (const [what, prove] of steps) {
    current = what;
    const stepAt = performance.now();
    await prove();
    process.stdout.write(`${seconds(stepAt)}  ${what}\n`);
  }
  process.stdout.write(`${seconds(startedAt)}  in all\n`);
} catch (error) {
  process.stderr.write(`prove:init: not so: ${current}\n${messageOf(error)}\n`);
  process.exitCode = 1;
} finally {
  clear();
}
