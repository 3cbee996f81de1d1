// What a start must not pay for. The bench measures times; this tests what they depend on.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { afterEach, describe, it } from 'node:test';

import { createTestClient } from '../../../src/kit/test-client.ts';
import { SECRET, Workplace } from '../../fixtures/spawned-server.ts';

const workplace = new Workplace();
afterEach(() => workplace.clear());

/** Prints what Node has loaded when the process ends. For `--require`, which needs no loader. */
const LOADED = `process.on('exit', () => console.error(process.moduleLoadList.join('\\n')));`;

describe('the server in production', { timeout: 20_000 }, () => {
  it('answers turns without loading Node modules that they do not need', async () => {
    const server = workplace.spawn({
      execArgv: ['--require', workplace.write('loaded.cjs', LOADED)],
      env: { NODE_ENV: 'production', LAYERCODE_WEBHOOK_SECRET: SECRET, AGENT: 'echo' },
    });
    const caller = createTestClient(await server.url(), { secret: SECRET });
    await (await caller.say('hello')).text();
    server.kill('SIGTERM');
    await server.exit;
    const loaded = (name: string): boolean =>
      server.stderr.split('\n').includes(`NativeModule internal/${name}`);
    assert.equal(loaded('timers'), true, server.stderr);
    // `import` loads the first with node:http, the next two with node:fs, the last with node:util.
    const needless = ['deps/undici/undici', 'fs/promises', 'fs/watchers', 'util/diff'];
    // Node 20 itself loads modules through fs/promises.
    const isNode20 = process.versions.node.startsWith('20.');
    assert.deepEqual(needless.filter(loaded), isNode20 ? ['fs/promises', 'fs/watchers'] : []);
  });
});

describe('the code that every start loads', () => {
  const dist = new URL('../../../dist/', import.meta.url);
  const [, chunk = ''] = /from "(.+)"/.exec(readFileSync(new URL('server.js', dist), 'utf8')) ?? [];
  const lines = readFileSync(new URL(chunk, dist), 'utf8').split('\n');

  it('is all ASCII, because V8 would keep any other text with two bytes per character', () => {
    assert.deepEqual(lines.filter((line) => /[^\0-\x7f]/.test(line)), []);
  });

  it('has no pattern for which V8 would ask ICU, even in a function that never runs', () => {
    const code = lines.filter((line) => !/^ *(\/\/|\/?\*)/.test(line));
    const literals = code.map((line) => line.replace(/String\.raw`.*?`/g, ''));
    assert.deepEqual(literals.filter((line) => /\\p\{/i.test(line)), []);
  });
});
