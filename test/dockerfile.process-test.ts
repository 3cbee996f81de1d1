// The images without an engine to build them: the build stage of each Dockerfile played in an empty
// folder, and its run-time stage laid out in another one and started.

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

import { createTestClient } from '../src/kit/test-client.ts';
import {
  copyOf, execForm, letIn, parseDockerfile, ROOT, textsOf, type Stage,
} from './fixtures/dockerfile.ts';
import { SECRET, SpawnedServer } from './fixtures/spawned-server.ts';

const WORKING_DIRECTORY = '/app';

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
      const path = from === undefined ? join(ROOT, source) : this.pathOf(from, source);
      assert.ok(existsSync(path), `${source} does not exist`);
      // A folder's content goes to the destination; a file goes there, or into it if it ends with a
      // slash.
      const target = to.endsWith('/') ? join(to, basename(source)) : to;
      cpSync(path, this.pathOf(name, target), { recursive: true, dereference: true });
    }
  }

  /** `--prefix` names another folder, whose packages this checkout may lack. */
  #install(name: string, command: string): void {
    const prefix = /--prefix (\S+)/.exec(command)?.[1];
    const target = this.pathOf(name, join(prefix ?? '.', 'node_modules'));
    mkdirSync(dirname(target), { recursive: true });
    if (prefix === undefined) symlinkSync(join(ROOT, 'node_modules'), target);
    else mkdirSync(target);
  }
}

for (const file of ['Dockerfile', 'examples/deploy/Dockerfile']) {
  const stages = parseDockerfile(readFileSync(join(ROOT, file), 'utf8'));
  const [build, runtime] = stages;
  assert.ok(build !== undefined && runtime !== undefined, `${file} has two stages`);

  describe(`the image of ${file}, built and laid out in folders,`, () => {
    const played = new PlayedStages();
    const app = played.pathOf('runtime', '.');
    const isRoot = process.geteuid?.() === 0;
    /** Stands for the image's user `node`. Only root can become another user. */
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

    it('holds only dist/, the files that it reads, its packages and package.json', () => {
      const packages = file === 'Dockerfile' ? [] : ['node_modules'];
      const expected = ['assets', 'dist', 'package.json', ...packages];
      assert.deepEqual(readdirSync(app).toSorted(), expected.toSorted());
    });

    it('runs as another user, for whom all its files are read-only', async () => {
      const before = readdirSync(app);
      assert.equal((await fetch(`${url}/health`)).status, 200);
      const reply = await createTestClient(url, { secret: SECRET }).say('Hello');
      assert.equal(await reply.text(), 'You said: Hello');
      assert.deepEqual(readdirSync(app), before);
    });

    it('has a health check for PORT, which fails if nothing is listening there', () => {
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

    it('has a server that ends with code 0 on SIGTERM', async () => {
      server?.kill('SIGTERM');
      assert.deepEqual(await server?.exit, { code: 0, signal: null });
    });

    it('is small: it adds less than 3 MB to the base image', () => {
      const bytes = readdirSync(app, { recursive: true, encoding: 'utf8' }).reduce(
        (sum, path) => sum + statSync(join(app, path)).size,
        0,
      );
      assert.ok(bytes < 3_000_000, `${bytes} bytes`);
    });
  });
}
