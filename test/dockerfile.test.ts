// The images without an engine to build them: what each Dockerfile says, its build stage played in
// an empty folder, and its run-time stage laid out in another one and started.

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
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { createTestClient } from '../src/test-client.ts';
import { SECRET, SpawnedServer } from './fixtures/spawned-server.ts';

const root = resolve(import.meta.dirname, '..');
const WORKING_DIRECTORY = '/app';

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

/** What .dockerignore lets into a build: it leaves out everything else. */
function letIn(): readonly string[] {
  const lines = readFileSync(join(root, '.dockerignore'), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  assert.equal(lines[0], '*');
  return lines.slice(1).map((line) => line.replace(/^!/, ''));
}

function textsOf(stage: Stage, name: string): string[] {
  return stage.instructions
    .filter((instruction) => instruction.name === name)
    .map((instruction) => instruction.text);
}

/** Whether a command installs packages, for which there may be no network here. */
function isInstall(command: string): boolean {
  return /^npm (ci|install)\b/.test(command);
}

/**
 * Plays stages in folders: a stage's root is a folder of its own. Copies what COPY copies and
 * .dockerignore lets in, and runs the RUN lines. Only packages are not installed: a stage gets
 * those of this checkout.
 */
class PlayedStages {
  readonly folder = mkdtempSync(join(tmpdir(), 'image-'));

  /** The path of a file of that stage, given as in the Dockerfile. */
  pathOf(stage: string, path: string): string {
    return join(this.folder, stage, resolve(WORKING_DIRECTORY, path));
  }

  play(stage: Stage, name: string): void {
    assert.equal(textsOf(stage, 'WORKDIR').join(), WORKING_DIRECTORY);
    mkdirSync(this.pathOf(name, '.'), { recursive: true });
    for (const { name: instruction, text } of stage.instructions) {
      if (instruction === 'COPY') this.#copy(name, text);
      else if (instruction === 'RUN' && isInstall(text)) this.#install(name, text);
      else if (instruction === 'RUN')
        execFileSync('/bin/sh', ['-c', text], { cwd: this.pathOf(name, '.'), stdio: 'pipe' });
    }
  }

  remove(): void {
    for (const path of ['.', ...readdirSync(this.folder, { recursive: true, encoding: 'utf8' })]) {
      const file = join(this.folder, path);
      if (existsSync(file) && statSync(file).isDirectory()) chmodSync(file, 0o755);
    }
    rmSync(this.folder, { recursive: true });
  }

  #copy(name: string, text: string): void {
    const { from, sources, to } = copyOf(text);
    for (const source of sources) {
      if (from === undefined) {
        const isIn = letIn().some((path) => source === path || source.startsWith(`${path}/`));
        assert.ok(isIn, `${source} is left out by .dockerignore`);
      }
      const path = from === undefined ? join(root, source) : this.pathOf(from, source);
      assert.ok(existsSync(path), `${source} does not exist`);
      // A folder's content goes to the destination; a file goes there, or into it where it ends
      // with a slash.
      const target = to.endsWith('/') ? join(to, basename(source)) : to;
      cpSync(path, this.pathOf(name, target), { recursive: true, dereference: true });
    }
  }

  /** `--prefix` names another folder, of whose packages this checkout may have none. */
  #install(name: string, command: string): void {
    const prefix = /--prefix (\S+)/.exec(command)?.[1];
    const target = this.pathOf(name, join(prefix ?? '.', 'node_modules'));
    mkdirSync(dirname(target), { recursive: true });
    if (prefix === undefined) symlinkSync(join(root, 'node_modules'), target);
    else mkdirSync(target);
  }
}

for (const file of ['Dockerfile', 'examples/deploy/Dockerfile']) {
  const stages = parseDockerfile(readFileSync(join(root, file), 'utf8'));
  const [build, runtime] = stages;
  assert.ok(build !== undefined && runtime !== undefined, `${file} has two stages`);

  describe(file, () => {
    it('builds in one stage and runs in another, both on node:26-slim', () => {
      assert.deepEqual(
        stages.map(({ base }) => base),
        ['node:26-slim', 'node:26-slim'],
      );
      assert.equal(build.name, 'build');
    });

    it('installs by the lock file, in the build stage alone', () => {
      assert.ok(textsOf(build, 'RUN').some((command) => command.startsWith('npm ci')));
      assert.deepEqual(textsOf(runtime, 'RUN'), []);
    });

    it('copies all that .dockerignore lets in', () => {
      const copied = stages
        .flatMap((stage) => textsOf(stage, 'COPY'))
        .map(copyOf)
        .filter(({ from }) => from === undefined)
        .flatMap(({ sources }) => sources);
      const whole = copied.filter((path) => !copied.some((other) => path.startsWith(`${other}/`)));
      assert.deepEqual([...letIn()].toSorted(), [...new Set(whole)].toSorted());
    });

    it('leaves all that the server reads in the image', () => {
      const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter(
        (path) => path.endsWith('.ts') && !path.startsWith('cli'),
      ); // commands are for the machine one works on
      const folders = new Set<string>();
      for (const path of sources) {
        const source = readFileSync(join(root, 'src', path), 'utf8');
        for (const [, folder = ''] of source.matchAll(/packageFile\([`']([\w.-]+)/g))
          folders.add(folder);
      }
      assert.ok(folders.size > 0);
      for (const folder of folders)
        assert.ok(
          textsOf(runtime, 'COPY').some((copy) => copy.includes(folder)),
          `${folder} is not copied`,
        );
    });

    it('runs as an ordinary user, in production', () => {
      const names = runtime.instructions.map(({ name }) => name);
      assert.deepEqual(textsOf(runtime, 'USER'), ['node']);
      assert.ok(
        names.lastIndexOf('COPY') < names.indexOf('USER'),
        'the files belong to root, not to the user who runs',
      );
      assert.deepEqual(textsOf(runtime, 'ENV'), ['NODE_ENV=production']);
      assert.deepEqual(textsOf(runtime, 'EXPOSE'), ['8000']);
    });

    it('has node for process 1, without a shell or npm between it and a signal', () => {
      const [node, ...flagsAndFile] = execForm(textsOf(runtime, 'ENTRYPOINT')[0] ?? '');
      assert.equal(node, 'node');
      assert.equal(flagsAndFile.at(-1), 'dist/server.js');
      assert.deepEqual(textsOf(runtime, 'CMD'), []);
    });

    it('needs no tool that the base image lacks', () => {
      const words = stages
        .flatMap(({ instructions }) => instructions)
        .map((instruction) => instruction.text)
        .join('\n');
      assert.doesNotMatch(words, /\b(curl|wget|apk|python)\b/);
    });
  });

  describe(`the image of ${file}, built and laid out in folders`, () => {
    const played = new PlayedStages();
    const app = played.pathOf('runtime', '.');
    const isRoot = process.geteuid?.() === 0;
    /** Stands for `node` of the image. Only root can become another user. */
    const uid = isRoot ? 1_000 : undefined;
    let server: SpawnedServer | undefined;
    let url: string;

    before(async () => {
      played.play(build, 'build');
      played.play(runtime, 'runtime');
      for (const path of ['.', ...readdirSync(app, { recursive: true, encoding: 'utf8' })]) {
        const item = join(app, path);
        chmodSync(item, statSync(item).isDirectory() ? 0o555 : 0o444);
      }
      for (const folder of [played.folder, dirname(app)]) chmodSync(folder, 0o755);
      const env = {
        NODE_ENV: 'production',
        LAYERCODE_WEBHOOK_SECRET: SECRET,
        DRAIN_DELAY_SECONDS: '0',
        AGENT: 'echo',
      };
      const [, ...command] = execForm(textsOf(runtime, 'ENTRYPOINT')[0] ?? '');
      server = new SpawnedServer({
        directory: app,
        execArgv: command.slice(0, -1),
        server: join(app, command.at(-1) ?? ''),
        env,
        ...(uid === undefined ? {} : { uid }),
      });
      url = await server.url();
    });

    after(async () => {
      server?.kill('SIGKILL');
      await server?.exit;
      played.remove();
    });

    it('has dist/, what it reads, its packages and package.json, and no tools', () => {
      const packages = file === 'Dockerfile' ? [] : ['node_modules'];
      const expected = ['assets', 'dist', 'package.json', ...packages];
      assert.deepEqual(readdirSync(app).toSorted(), expected.toSorted());
    });

    it('answers as another user, who can write no file in it', async () => {
      const before = readdirSync(app);
      assert.equal((await fetch(`${url}/health`)).status, 200);
      const reply = await createTestClient(url, { secret: SECRET }).say('Hello');
      assert.equal(await reply.text(), 'You said: Hello');
      assert.deepEqual(readdirSync(app), before);
    });

    it('has a health check of the server on PORT, which fails where there is none', () => {
      const [check = ''] = textsOf(runtime, 'HEALTHCHECK');
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
      server?.kill('SIGTERM');
      assert.deepEqual(await server?.exit, { code: 0, signal: null });
    });

    it('is small: less than 3 MB are added to the base image', () => {
      const bytes = readdirSync(app, { recursive: true, encoding: 'utf8' }).reduce(
        (sum, path) => sum + statSync(join(app, path)).size,
        0,
      );
      assert.ok(bytes < 3_000_000, `${bytes} bytes`);
    });
  });
}
