import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import '../../../assets/templates/agent.test.ts'; // a project's tests are tests of this file

import { createApp, parseSettings, type App } from 'layercode-microserver';
import { scriptedModel, withModel, type ScriptedAnswer } from 'layercode-microserver/testing';
import { evalCommand } from '../../../src/kit/commands/eval.ts';
import { loadSettings } from '../../../src/server/settings/load-settings.ts';
import { settingRows } from '../../../src/server/settings/table.ts';
import template from '../../../assets/templates/agent.ts';
import { KEY, requestLines, serveWith } from '../../fixtures/completions.ts';
import { parseDockerfile, ROOT, textsOf } from '../../fixtures/dockerfile.ts';
import { newFolder } from '../../fixtures/folder.ts';
import { RecordedTerminal } from '../terminal/recorded-terminal.ts';
import { FILES, manifestIn, read, run, type Manifest } from './init-project.ts';

const ours = JSON.parse(
  readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'),
) as Manifest;

describe('a project', () => {
  async function made(...argv: string[]): Promise<string> {
    const directory = join(newFolder(), 'my-agent');
    await run(join(directory, '..'), 'my-agent', ...argv);
    return directory;
  }

  it('depends on this package, and is built and run with its tools', async () => {
    const manifest = manifestIn(await made('--package', '^1.2.3'));
    const { tsx, typescript, '@types/node': types } = ours.devDependencies;
    const { dependencies, devDependencies, engines, private: isPrivate } = manifest;
    assert.deepEqual([isPrivate, dependencies, devDependencies, engines], [
      true,
      { 'layercode-microserver': '^1.2.3' },
      { '@types/node': `^${types}`, tsx: `^${tsx}`, typescript: `^${typescript}` },
      ours.engines,
    ]);
  });

  it('builds before it starts, and tests its sources, not a stale build', async () => {
    const { scripts } = manifestIn(await made());
    assert.deepEqual(
      [scripts['prestart'], scripts['pretest'], scripts['build']],
      ['npm run --silent build', 'tsc --noEmit', 'tsc'],
    );
    assert.match(scripts['test'] ?? '', / \*\.test\.ts$/);
  });

  it('has scenarios that pass without a key, and tests with a time limit', async () => {
    const directory = await made();
    const { scripts } = manifestIn(directory);
    assert.match(scripts['test'] ?? '', /--test-timeout=\d+/);
    assert.match(scripts['eval'] ?? '', / eval --agent \.\/dist\/agent\.js$/);
    const terminal = new RecordedTerminal({}, directory);
    const agent = join(ROOT, 'assets/templates/agent.ts');
    assert.equal(await evalCommand.run(['--agent', agent], terminal), 0, terminal.out);
  });

  it('keeps secrets and call records out of git, and unlisted files out of images', async () => {
    const directory = await made();
    const ignored = read(directory, '.gitignore').split('\n');
    for (const name of ['.env', '.layercode/', '*.db', 'calls-*.jsonl', 'node_modules/'])
      assert.ok(ignored.includes(name), name);
    assert.match(read(directory, '.dockerignore'), /^#.*\n\*\n(!.*\n)+$/);
    assert.doesNotMatch(read(directory, '.dockerignore'), /env|layercode/);
  });

  it('points users of both wires to their settings and pages', async () => {
    const directory = await made();
    const readme = read(directory, 'README.md');
    const names = ['CHAT_COMPLETIONS_KEYS', 'CHAT_COMPLETIONS_PROFILE', 'LAYERCODE_WEBHOOK_SECRET'];
    for (const text of [readme, read(directory, '.env.example')])
      for (const name of names) assert.match(text, new RegExp(`\\b${name}\\b`));
    const linked = /node_modules\/layercode-microserver\/(docs\/platforms\/)/;
    const [, pages = ''] = linked.exec(readme) ?? [];
    assert.ok(existsSync(join(ROOT, pages, 'vapi.md')), pages);
    assert.doesNotMatch(read(directory, 'Dockerfile'), /LAYERCODE/);
  });

  it('has its name at the top of its README, and no placeholders left', async () => {
    const directory = await made();
    assert.match(read(directory, 'README.md'), /^# my-agent\n/);
    for (const name of FILES) {
      assert.doesNotMatch(read(directory, name), /\{\{/, name);
    }
  });
});

describe("a project's .env.example", () => {
  const text = readFileSync(
    new URL('../../../assets/templates/env.example', import.meta.url),
    'utf8',
  );
  const assignments = [...text.matchAll(/^# ([A-Z][A-Z0-9_]*)=(.*)$/gm)].map(
    ([, variable = '', value = '']): [string, string] => [variable, value],
  );

  it('names only variables that are settings, and none of them twice', () => {
    const known = settingRows.map(({ variable }) => variable);
    const names = assignments.map(([variable]) => variable);
    assert.deepEqual(
      names.filter((name) => !known.includes(name)),
      [],
    );
    assert.deepEqual([names.length > 5, new Set(names).size], [true, names.length]);
  });

  it('changes nothing if left as it is', () => {
    const directory = newFolder();
    writeFileSync(join(directory, '.env'), text);
    assert.deepEqual(loadSettings({ directory, environment: {}, argv: [] }), parseSettings({}, []));
  });
});

describe("a project's Dockerfile", () => {
  const text = readFileSync(
    new URL('../../../assets/templates/Dockerfile', import.meta.url),
    'utf8',
  );
  const runtime = parseDockerfile(text).at(-1) ?? assert.fail('it has no stage');
  const of = (keyword: string): string[] => textsOf(runtime, keyword);

  it('runs as the user node, in production, without build dependencies', () => {
    assert.deepEqual([of('USER'), of('ENV')], [['node'], ['NODE_ENV=production']]);
    assert.match(text, /npm prune --omit=dev/);
  });

  it('has node as process 1, and runs the agent that the build makes', () => {
    assert.deepEqual(JSON.parse(of('ENTRYPOINT')[0] ?? ''), [
      'node',
      '--no-allocation-site-pretenuring',
      '--max-semi-space-size=4',
      'node_modules/layercode-microserver/dist/cli.js',
      'run',
      '--agent',
      './dist/agent.js',
    ]);
  });

  it('has a health check that needs only node', () => {
    const [check = ''] = of('HEALTHCHECK');
    const [command] = JSON.parse(check.slice(check.indexOf('['))) as string[];
    assert.equal(command, 'node');
  });
});

describe("a project's agent", () => {
  function served(environment: Readonly<Record<string, string>> = {}): App {
    return createApp(
      parseSettings({ LAYERCODE_WEBHOOK_SECRET: 'any-secret', ...environment }, []),
      template,
    );
  }

  // It put aside 2 + 3 loaves, and waited for SETTLE_MS each time.
  it('puts aside only what the last version of an order says, without waiting', async (t) => {
    const put = (count: number): ScriptedAnswer =>
      ({ call: 'put_aside', args: { goods: 'loaf', count } });
    const looks: ScriptedAnswer = { call: 'opening_hours', args: { day: 'Sunday' } };
    const model = scriptedModel([put(2), 'Two.', looks, put(3), 'Three, but not on Sunday.']);
    const { platform, logLines } =
      serveWith(t, withModel(template, model), { CHAT_COMPLETIONS_KEYS: KEY });
    for (const words of ['Two loaves', 'Two loaves no three on Sunday'])
      await platform.hear([`user: ${words}`]);
    const result = model.requests.at(-1)?.messages.findLast(({ role }) => role === 'tool');
    assert.equal(result?.content, '{"allPutAside":[{"goods":"loaf","count":3}]}');
    const lines = await requestLines(logLines, 2);
    assert.deepEqual(lines.map(({ settleMs }) => settleMs), [undefined, undefined]);
  });

  it('does without a model if there is no key', () => assert.equal(served().model, undefined));

  it('speaks through a model as soon as it has a key', () => {
    assert.deepEqual(
      [
        served({ OPENAI_API_KEY: 'any-key' }).model?.name,
        served({ ANTHROPIC_API_KEY: 'any-key' }).model?.isUsable(),
      ],
      ['openai:gpt-6-luna', true],
    );
  });

  it('insists on its model in production', (t) => {
    const before = process.env['NODE_ENV'];
    process.env['NODE_ENV'] = 'production';
    t.after(() => {
      if (before === undefined) delete process.env['NODE_ENV'];
      else process.env['NODE_ENV'] = before;
    });
    assert.equal(served().model?.isUsable(), false);
  });
});
