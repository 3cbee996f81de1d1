// The package inside other people's bundles: installed from its tarball, bundled, and started in a
// folder that has neither the package nor any part of it. Needs `npm run build`, and `npm ci` in
// this folder.

import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import {
  cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync,
} from 'node:fs';
import { isBuiltin } from 'node:module';
import { basename, join, parse, relative } from 'node:path';
import { before, describe, it, type TestContext } from 'node:test';
import { promisify } from 'node:util';

import { nodeResolve } from '@rollup/plugin-node-resolve';
import * as esbuild from 'esbuild';
import { rollup } from 'rollup';
import webpack from 'webpack';

import { createTestClient } from 'layercode-microserver/testing';

import { within } from '../fixtures/app.ts';
import { newFolder } from '../fixtures/folder.ts';
import { PEERS } from '../fixtures/pages.ts';
import { freePort } from '../fixtures/redis-server.ts';
import { ROOT } from '../fixtures/source-files.ts';
import { SECRET, SpawnedServer } from '../fixtures/spawned-server.ts';

assert.ok(existsSync(join(ROOT, 'dist/index.js')), 'npm run build first');

const SLOW_MS = 20_000;
const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  readonly version: string;
};
/** The package.json of the program that bundles the package. */
const OTHER = JSON.stringify({ name: 'my-app', version: '99.0.0' });
const hasSqlite = isBuiltin('node:sqlite');

/**
 * Makes every agent, each of which reads its prompt and data, and serves one that fails on demand.
 */
const VOICE = `
import {
  createApp, createLogger, defineAgent, listAgents, loadSettings, openStore,
} from 'layercode-microserver';

export async function openVoice() {
  // Where version 1 of OpenTelemetry's API keeps the provider that an SDK has registered.
  if (process.env.SDK) globalThis[Symbol.for('opentelemetry.js.api.1')] = { trace: {} };
  const settings = loadSettings();
  const log = createLogger({ write: (lines) => process.stdout.write(lines) });
  const agent = defineAgent({
    name: 'counts-agents',
    onMessage({ text, history }) {
      if (text === 'Fail.') throw new Error('failed on demand');
      return listAgents().length + ' agents, ' + history.length + ' messages';
    },
  });
  return createApp(settings, agent, { log, store: await openStore(settings, { log }) });
}
`;
const SERVER = `
import { openVoice } from './voice.js';

openVoice().then(async (voice) => {
  console.log('listening on', await voice.listen());
  process.once('SIGTERM', () => void voice.close());
});
`;

const directory = newFolder();
const project = join(directory, 'project');

before(() => {
  const pack = ['pack', ROOT, '--ignore-scripts', '--silent', '--pack-destination', directory];
  const tarball = execFileSync('npm', pack, { cwd: directory, encoding: 'utf8' }).trim();
  const installed = join(project, 'node_modules/layercode-microserver');
  mkdirSync(installed, { recursive: true });
  const archive = join(directory, basename(tarball));
  execFileSync('tar', ['xzf', archive, '-C', installed, '--strip-components=1']);
  writeFileSync(join(project, 'package.json'), OTHER);
  writeFileSync(join(project, 'voice.js'), VOICE);
  writeFileSync(join(project, 'server.js'), SERVER);
});

const entry = join(project, 'server.js');

type Format = 'esm' | 'cjs';
type Bundle = (format: Format, folder: string) => Promise<void>;

/** A folder with nothing but the bundle. */
async function bundled(bundle: Bundle, format: Format): Promise<string> {
  const folder = newFolder();
  await bundle(format, folder);
  const type = format === 'esm' ? 'module' : 'commonjs';
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ ...JSON.parse(OTHER), type }));
  return folder;
}

const BUNDLERS = {
  async esbuild(format, folder) {
    const { warnings } = await esbuild.build({
      entryPoints: [entry],
      bundle: true,
      platform: 'node',
      format,
      outfile: join(folder, 'server.js'),
      logLevel: 'silent',
    });
    assert.deepEqual(warnings, []);
  },

  async rollup(format, folder) {
    const warnings: string[] = [];
    const bundle = await rollup({
      input: entry,
      external: isBuiltin,
      plugins: [nodeResolve({ preferBuiltins: true })],
      onwarn: ({ message }) => warnings.push(message),
    });
    await bundle.write({ dir: folder, format });
    await bundle.close();
    assert.deepEqual(warnings, []);
  },

  async webpack(format, folder) {
    const isModule = format === 'esm';
    const stats = await new Promise<webpack.Stats | undefined>((resolve, reject) => {
      const options: webpack.Configuration = {
        mode: 'production',
        target: 'node20',
        entry,
        context: project,
        experiments: { outputModule: isModule },
        output: { path: folder, filename: 'server.js', module: isModule },
      };
      webpack(options, (error, done) => (error ? reject(error) : resolve(done)));
    });
    const { errors, warnings } = stats?.toJson({ errors: true, warnings: true }) ?? {};
    assert.deepEqual([...(errors ?? []), ...(warnings ?? [])].map(({ message }) => message), []);
  },
} satisfies Readonly<Record<string, Bundle>>;

/**
 * Starts the bundle away from everything that it was made of, and asks it what only the package
 * knows.
 */
async function assertServes(
  t: TestContext,
  folder: string,
  { port = '0' } = {},
): Promise<void> {
  const server = new SpawnedServer({
    server: join(folder, 'server.js'),
    directory: folder,
    env: {
      PATH: process.env['PATH'] ?? '',
      LAYERCODE_WEBHOOK_SECRET: SECRET,
      HOSTNAME: '127.0.0.1', // which is what Next listens on
      PORT: port,
      CONVERSATION_STORE: hasSqlite ? 'sqlite:./calls.sqlite' : 'memory',
    },
  });
  t.after(async () => {
    server.kill('SIGKILL');
    await server.exit;
  });
  const listening = server.says(/(?:port: |Local: +http:\/\/\S+:)(\d+)/);
  const said = await within(listening, 'a port', SLOW_MS);
  const origin = `http://127.0.0.1:${said[1]}`;
  const health = (await (await fetch(`${origin}/health`)).json()) as { readonly version: unknown };
  assert.equal(health.version, version);
  const client = createTestClient(origin, { secret: SECRET });
  const reply = await client.say('How many?');
  assert.equal(await reply.text(), '8 agents, 1 messages', server.stderr);
  assert.equal(await (await client.say('And now?')).text(), '8 agents, 3 messages');
  await (await client.say('Fail.')).text();
  await within(server.says(/failed on demand.*"stack":"at /), 'the stack of an error', SLOW_MS);
}

for (const [name, bundle] of Object.entries(BUNDLERS)) {
  for (const format of ['esm', 'cjs'] as const) {
    describe(`a bundle that ${name} made as ${format}`, () => {
      it('serves turns and built-in agents, and knows its own version', async (t) => {
        await assertServes(t, await bundled(bundle, format));
      });
    });
  }
}

describe('a bundle beside an OpenTelemetry SDK', () => {
  for (const format of ['esm', 'cjs'] as const) {
    it(`loads the API from its folder, as ${format}`, async (t) => {
      const folder = await bundled(BUNDLERS.esbuild, format);
      mkdirSync(join(folder, 'node_modules'));
      const api = 'node_modules/@opentelemetry';
      symlinkSync(join(PEERS, api), join(folder, api));
      const server = new SpawnedServer({
        server: join(folder, 'server.js'),
        directory: folder,
        env: { LAYERCODE_WEBHOOK_SECRET: SECRET, SDK: 'true' },
      });
      t.after(async () => {
        server.kill('SIGKILL');
        await server.exit;
      });
      await within(server.says(/listening on/), 'a port', SLOW_MS);
      assert.doesNotMatch(server.stdout, /no spans/);
    });
  }
});

/** A route handler for all paths. */
const ROUTE = `
import { openVoice } from '../../voice.js';

const opened = (globalThis.voice ??= openVoice());
const answer = async (request) => (await opened).fetch(request);
export { answer as GET, answer as POST };
export const dynamic = 'force-dynamic';
`;
const LAYOUT = `export default ({ children }) => <html><body>{children}</body></html>;\n`;

/** Builds a site and returns the folder of its `server.js`, with all that Next traced. */
async function buildSite(config: object): Promise<string> {
  const site = newFolder();
  cpSync(project, site, { recursive: true });
  for (const name of ['next', 'react', 'react-dom'])
    symlinkSync(join(PEERS, 'node_modules', name), join(site, 'node_modules', name));
  // Next itself is found through a link, so what the build may read begins above both.
  const { root } = parse(site);
  const traced = { outputFileTracingRoot: root, turbopack: { root } };
  const whole = { ...config, ...traced, output: 'standalone' };
  mkdirSync(join(site, 'app/[...path]'), { recursive: true });
  writeFileSync(join(site, 'next.config.mjs'), `export default ${JSON.stringify(whole)};\n`);
  writeFileSync(join(site, 'app/layout.js'), LAYOUT);
  writeFileSync(join(site, 'app/[...path]/route.js'), ROUTE);
  const next = join(PEERS, 'node_modules/next/dist/bin/next');
  await promisify(execFile)(process.execPath, [next, 'build'], {
    cwd: site,
    env: {
      PATH: process.env['PATH'] ?? '',
      LAYERCODE_WEBHOOK_SECRET: SECRET,
      NEXT_TELEMETRY_DISABLED: '1',
    },
  });
  const place = newFolder();
  rmSync(place, { recursive: true });
  renameSync(join(site, '.next/standalone'), place);
  rmSync(site, { recursive: true });
  return join(place, relative(root, site));
}

describe("Next's standalone output", () => {
  for (const [how, config] of [
    ['if it is bundled', {}],
    ['if it is external', { serverExternalPackages: ['layercode-microserver'] }],
  ] as const) {
    it(`serves turns and agents with the package, ${how}`, async (t) => {
      const port = await freePort(); // for Next, port 0 means its default
      await assertServes(t, await buildSite(config), { port: String(port) });
    });
  }
});
