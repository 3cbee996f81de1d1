// The image without an engine to build it: what the Dockerfile says, and its run-time stage laid
// out in a folder and started.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { createTestClient } from '../src/test-client.ts';
import { SECRET, SpawnedServer } from './fixtures/spawned-server.ts';

const root = resolve(import.meta.dirname, '..');

interface Instruction {
  readonly name: string;
  readonly text: string;
}

interface Stage {
  readonly base: string;
  readonly name: string | undefined;
  readonly instructions: readonly Instruction[];
}

function parseDockerfile(text: string): Stage[] {
  const stages: { base: string; name: string | undefined; instructions: Instruction[] }[] = [];
  const joined = text.replace(/^\s*#.*\n/gm, '').replace(/\\\n\s*/g, '');
  for (const line of joined.split('\n')) {
    const [, name = '', rest = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    if (name === 'FROM') {
      const [base = '', , stage] = rest.split(/\s+/);
      stages.push({ base, name: stage, instructions: [] });
    } else if (name !== '') stages.at(-1)?.instructions.push({ name, text: rest });
    else assert.equal(line.trim(), '', `no instruction: ${line}`);
  }
  return stages;
}

/** The array of an exec form; fails for a shell form. */
function execForm(text: string): string[] {
  const value: unknown = JSON.parse(text);
  assert.ok(Array.isArray(value) && value.every((part) => typeof part === 'string'), text);
  return value;
}

/** Sources and destination of a COPY, and the stage it copies from. */
function copyOf(text: string): { from: string | undefined; sources: string[]; to: string } {
  const words = text.split(/\s+/);
  const from = words.find((word) => word.startsWith('--from='))?.slice('--from='.length);
  const paths = words.filter((word) => !word.startsWith('--'));
  return { from, sources: paths.slice(0, -1), to: paths.at(-1) ?? '' };
}

const text = readFileSync(join(root, 'Dockerfile'), 'utf8');
const stages = parseDockerfile(text);
const [build, runtime] = stages;

function of(stage: Stage | undefined, name: string): string[] {
  return (stage?.instructions ?? [])
    .filter((instruction) => instruction.name === name)
    .map((instruction) => instruction.text);
}

describe('the Dockerfile', () => {
  it('builds in one stage and runs in another, both on node:26-slim', () => {
    assert.deepEqual(
      stages.map(({ base }) => base),
      ['node:26-slim', 'node:26-slim'],
    );
    assert.equal(build?.name, 'build');
  });

  it('installs by the lock file, in the build stage alone', () => {
    assert.ok(of(build, 'RUN').some((command) => command.startsWith('npm ci')));
    assert.deepEqual(of(runtime, 'RUN'), []);
  });

  it('copies what exists, and what .dockerignore lets in', () => {
    const ignore = readFileSync(join(root, '.dockerignore'), 'utf8')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    assert.equal(ignore[0], '*');
    const allowed = ignore.slice(1).map((line) => line.replace(/^!/, ''));
    const copied = stages
      .flatMap((stage) => of(stage, 'COPY'))
      .map(copyOf)
      .filter(({ from }) => from === undefined)
      .flatMap(({ sources }) => sources);
    for (const source of copied) {
      assert.ok(existsSync(join(root, source)), `${source} does not exist`);
      assert.ok(allowed.includes(source), `${source} is left out by .dockerignore`);
    }
    assert.deepEqual(allowed.toSorted(), [...new Set(copied)].toSorted(), 'nothing else is let in');
  });

  it('copies all that the build reads', () => {
    const copied = new Set(
      of(build, 'COPY')
        .map(copyOf)
        .flatMap(({ sources }) => sources),
    );
    for (const needed of [
      'package.json',
      'package-lock.json',
      'tsconfig.json',
      'tsconfig.build.json',
      'src',
    ])
      assert.ok(copied.has(needed), needed);
    const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      scripts: { build: string };
    };
    for (const [script] of manifest.scripts.build.matchAll(/scripts\/\S+/g))
      assert.ok(copied.has(script), script);
  });

  it('leaves only dist/, what it reads, and package.json in the image', () => {
    const copies = of(runtime, 'COPY').map(copyOf);
    const left = copies.flatMap(({ sources }) =>
      sources.map((source) => source.replace('/app/', '')),
    );
    assert.deepEqual(left.toSorted(), ['assets', 'dist', 'package.json']);
    assert.deepEqual(
      copies
        .filter(({ from }) => from !== undefined)
        .map(({ from, sources }) => [from, ...sources]),
      [['build', '/app/dist']],
    );
  });

  it('leaves all that the server reads in the image', () => {
    const dist = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter(
      (file) => file.endsWith('.ts') && !file.startsWith('cli'),
    ); // commands are for the machine one works on
    const folders = new Set<string>();
    for (const file of dist) {
      const source = readFileSync(join(root, 'src', file), 'utf8');
      for (const [, folder = ''] of source.matchAll(/packageFile\([`']([\w.-]+)/g))
        folders.add(folder);
    }
    for (const folder of folders)
      assert.ok(
        of(runtime, 'COPY').some((copy) => copy.includes(folder)),
        `${folder} is not copied`,
      );
  });

  it('runs as an ordinary user, in production', () => {
    const names = (runtime?.instructions ?? []).map(({ name }) => name);
    assert.deepEqual(of(runtime, 'USER'), ['node']);
    assert.ok(
      names.lastIndexOf('COPY') < names.indexOf('USER'),
      'files belong to root, whom nobody is',
    );
    assert.deepEqual(of(runtime, 'ENV'), ['NODE_ENV=production']);
    assert.deepEqual(of(runtime, 'EXPOSE'), ['8000']);
  });

  it('has node for process 1, without a shell or npm between it and a signal', () => {
    assert.deepEqual(execForm(of(runtime, 'ENTRYPOINT')[0] ?? ''), ['node', 'dist/server.js']);
    assert.deepEqual(of(runtime, 'CMD'), []);
  });

  it('needs no tool that the base image lacks', () => {
    const words = stages
      .flatMap(({ instructions }) => instructions)
      .map((instruction) => instruction.text)
      .join('\n');
    assert.doesNotMatch(words, /\b(curl|wget|apk|python)\b/);
  });
});

describe("the image's run-time stage, laid out in a folder", () => {
  const folder = mkdtempSync(join(tmpdir(), 'image-'));
  const app = join(folder, 'app');
  const isRoot = process.geteuid?.() === 0;
  /** `node` in the image; whoever is nobody here. Only root can become somebody else. */
  const uid = isRoot ? 1_000 : undefined;
  let server: SpawnedServer;
  let url: string;

  before(async () => {
    mkdirSync(app);
    for (const { sources, to } of of(runtime, 'COPY').map(copyOf)) {
      // A folder's content goes to the destination; a file goes there, or into it where it ends
      // with a slash.
      for (const source of sources)
        cpSync(
          join(root, source.replace('/app/', '')),
          join(app, to.endsWith('/') ? join(to, basename(source)) : to),
          { recursive: true },
        );
    }
    for (const path of ['.', ...readdirSync(app, { recursive: true, encoding: 'utf8' })]) {
      const file = join(app, path);
      chmodSync(file, statSync(file).isDirectory() ? 0o555 : 0o444);
    }
    chmodSync(folder, 0o755);
    const env = {
      NODE_ENV: 'production',
      LAYERCODE_WEBHOOK_SECRET: SECRET,
      DRAIN_DELAY_SECONDS: '0',
      AGENT: 'echo',
    };
    server = new SpawnedServer({
      directory: app,
      server: join(app, 'dist/server.js'),
      env,
      ...(uid === undefined ? {} : { uid }),
    });
    url = await server.url();
  });

  after(async () => {
    server.kill('SIGKILL');
    await server.exit;
    for (const path of ['.', ...readdirSync(app, { recursive: true, encoding: 'utf8' })]) {
      const file = join(app, path);
      if (statSync(file).isDirectory()) chmodSync(file, 0o755);
    }
    rmSync(folder, { recursive: true });
  });

  it('answers /health and a turn, as another user and without a file that it could write', async () => {
    assert.equal((await fetch(`${url}/health`)).status, 200);
    const reply = await createTestClient(url, { secret: SECRET }).say('Hello');
    assert.equal(await reply.text(), 'You said: Hello');
    assert.deepEqual(readdirSync(app).toSorted(), ['assets', 'dist', 'package.json']);
  });

  it('has a health check that passes while it serves, asks the port of PORT, and fails for a server that is not there', () => {
    const [check = ''] = of(runtime, 'HEALTHCHECK');
    const [, ...command] = execForm(check.slice(check.indexOf('CMD ') + 4));
    const run = (port: string): number => {
      try {
        execFileSync(process.execPath, command, { env: { PORT: port }, stdio: 'pipe' });
        return 0;
      } catch (error) {
        return (error as { status: number }).status;
      }
    };
    assert.equal(run(new URL(url).port), 0);
    assert.equal(run('1'), 1);
  });

  it('ends with code 0 at SIGTERM', async () => {
    server.kill('SIGTERM');
    assert.deepEqual(await server.exit, { code: 0, signal: null });
  });

  it('is small: less than 2 MB are added to the base image', () => {
    const bytes = readdirSync(app, { recursive: true, encoding: 'utf8' }).reduce(
      (sum, path) => sum + statSync(join(app, path)).size,
      0,
    );
    assert.ok(bytes < 2_000_000, `${bytes} bytes`);
  });
});
