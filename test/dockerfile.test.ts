// What each Dockerfile says. dockerfile.process-test.ts builds and starts what they describe.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import {
  copyOf, execForm, letIn, parseDockerfile, ROOT, textsOf, withItsImports,
} from './fixtures/dockerfile.ts';

const manifest = readFileSync(join(ROOT, 'package.json'), 'utf8');
const { scripts } = JSON.parse(manifest) as { readonly scripts: { start: string } };
const FLAGS = scripts.start.split(' ').slice(1, -1);

for (const file of ['Dockerfile', 'examples/deploy/Dockerfile']) {
  const stages = parseDockerfile(readFileSync(join(ROOT, file), 'utf8'));
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

    it('installs from the lock file, in the build stage only', () => {
      assert.ok(textsOf(build, 'RUN').some((command) => command.startsWith('npm ci')));
      assert.deepEqual(textsOf(runtime, 'RUN'), []);
    });

    it('copies everything that .dockerignore lets in', () => {
      const copied = stages
        .flatMap((stage) => textsOf(stage, 'COPY'))
        .map(copyOf)
        .filter(({ from }) => from === undefined)
        .flatMap(({ sources }) => sources);
      const whole = copied.filter((path) => !copied.some((other) => path.startsWith(`${other}/`)));
      assert.deepEqual([...letIn()].toSorted(), [...new Set(whole)].toSorted());
    });

    it('copies all modules of the build script into the build stage', () => {
      const copied = textsOf(build, 'COPY').flatMap((text) => copyOf(text).sources);
      const isIn = (paths: readonly string[], module: string): boolean =>
        paths.some((path) => module === path || module.startsWith(`${path}/`));
      const modules = withItsImports('scripts/build.mjs');
      assert.ok(modules.length > 1);
      assert.deepEqual(modules.filter((module) => !isIn(copied, module)), []);
      assert.deepEqual(modules.filter((module) => !isIn(letIn(), module)), []);
    });

    it('puts everything that the server reads into the image', () => {
      const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter(
        (path) => path.endsWith('.ts') && !path.startsWith('cli'),
      ); // commands are for the machine one works on
      const folders = new Set<string>();
      for (const path of sources) {
        const source = readFileSync(join(ROOT, 'src', path), 'utf8');
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

    it('runs as an ordinary user, in production mode', () => {
      const names = runtime.instructions.map(({ name }) => name);
      assert.deepEqual(textsOf(runtime, 'USER'), ['node']);
      assert.ok(
        names.lastIndexOf('COPY') < names.indexOf('USER'),
        'the files belong to root, not to the user who runs',
      );
      assert.deepEqual(textsOf(runtime, 'ENV'), ['NODE_ENV=production']);
      assert.deepEqual(textsOf(runtime, 'EXPOSE'), ['8000']);
    });

    it("runs node with npm start's flags as process 1, without a shell or npm around it", () => {
      const command = execForm(textsOf(runtime, 'ENTRYPOINT')[0] ?? '');
      assert.deepEqual(command, ['node', ...FLAGS, 'dist/server.js']);
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
}

describe('the flags of npm start', () => {
  it('are those of the systemd unit', () => {
    const unit = readFileSync(join(ROOT, 'examples/deploy/voice-agent.service'), 'utf8');
    const [, start = ''] = /^ExecStart=\S+ (.*)$/m.exec(unit) ?? [];
    assert.deepEqual(start.split(' ').slice(0, FLAGS.length), FLAGS);
  });

  it('are all explained in docs/deploy.md', () => {
    const page = readFileSync(join(ROOT, 'docs/deploy.md'), 'utf8');
    for (const flag of FLAGS) assert.ok(page.includes(`| \`${flag}\` |`), flag);
  });
});
