// The files of examples/deploy, checked by the programs that read them. Those are Debian's
// packages, which `.ci/run` installs; if one is missing, its test is skipped.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { createTestClient } from '../../src/kit/test-client.ts';
import { parseSettings } from '../../src/server/settings/parse-settings.ts';
import { settingRows } from '../../src/server/settings/table.ts';
import { queriesOf, readDashboard } from '../deploy/grafana.ts';
import { newFolder } from '../fixtures/folder.ts';
import { PEERS, readPage } from '../fixtures/pages.ts';
import { RedisServer } from '../fixtures/redis-server.ts';
import { ROOT } from '../fixtures/source-files.ts';
import { SECRET, SpawnedServer } from '../fixtures/spawned-server.ts';

/** The parts of these packages that are used: what they return has the shape of the file. */
interface Yaml {
  parse(text: string, options?: { readonly merge: boolean }): unknown;
  stringify(value: unknown): string;
}
interface Toml {
  parse(text: string): unknown;
}

const FOLDER = join(ROOT, 'examples/deploy');
const require = createRequire(join(PEERS, 'package.json'));
const yaml = require('yaml') as Yaml;
const toml = require('smol-toml') as Toml;

/** Why a test with this program is skipped; false if it is not. */
function isMissing(program: string): string | false {
  const { error } = spawnSync(program, ['--version'], { stdio: 'ignore' });
  return error === undefined ? false : `no ${program} here`;
}

/** Runs the program to its end. Returns what it wrote if its exit code is not 0. */
function complaint(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): string {
  const { status, stdout, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    env: { ...process.env, ...env },
    timeout: 30_000,
  });
  return status === 0 ? '' : `exit code ${status}\n${stdout}${stderr}`;
}

describe('examples/deploy', () => {
  it('has a compose file that docker-compose accepts', {
    skip: isMissing('docker-compose'),
  }, () => {
    const args = ['-f', join(FOLDER, 'compose.yaml'), 'config', '--quiet'];
    assert.equal(complaint('docker-compose', args, { LAYERCODE_WEBHOOK_SECRET: 'x' }), '');
    const unset = complaint('docker-compose', args, { LAYERCODE_WEBHOOK_SECRET: '' });
    assert.match(unset, /set it to the secret of your agent/);
  });

  it('has a Caddyfile that caddy accepts', { skip: isMissing('caddy') }, () => {
    const home = newFolder();
    const args = ['validate', '--adapter', 'caddyfile', '--config', join(FOLDER, 'Caddyfile')];
    assert.equal(complaint('caddy', args, { HOME: home, XDG_DATA_HOME: home }), '');
  });

  it('has a unit that systemd accepts', { skip: isMissing('systemd-analyze') }, () => {
    // systemd checks whether the program is there.
    const unit = readFileSync(join(FOLDER, 'voice-agent.service'), 'utf8')
      .replace('/usr/bin/node ', `${process.execPath} `);
    const path = join(newFolder(), 'voice-agent.service');
    writeFileSync(path, unit);
    assert.equal(complaint('systemd-analyze', ['verify', '--man=no', path]), '');
  });

  it('has alert rules that Prometheus accepts', { skip: isMissing('promtool') }, () => {
    assert.equal(complaint('promtool', ['check', 'rules', join(FOLDER, 'alerts.yaml')]), '');
  });

  /** Answers per minute by the time of their first word, as Prometheus would have scraped them. */
  function answers(within3s: number, later: number): readonly object[] {
    const name = 'layercode_first_word_seconds';
    const grows = (perMinute: number): string => `0+${perMinute}x30`;
    return [
      { series: `${name}_bucket{event="message",le="3"}`, values: grows(within3s) },
      { series: `${name}_count{event="message"}`, values: grows(within3s + later) },
    ];
  }

  const LATE = { summary: 'More than one answer in twenty comes later than 3 s.' };
  const LIMIT = {
    summary: 'A call was ended by MAX_COST_PER_CALL or MAX_TOKENS_PER_CALL. See docs/costs.md.',
  };
  const UNKNOWN = {
    summary: 'A tool began, and nobody knows whether it acted. See docs/payments.md.',
  };
  const limitsReached = (times: number): readonly object[] =>
    ['cost', 'tokens'].map((limit) => ({
      series: `layercode_call_limits_reached_total{limit="${limit}"}`,
      values: limit === 'cost' ? `0x10 ${times}x20` : '0x31',
    }));
  /** POST requests in each minute, by status. */
  const requests = (byStatus: Readonly<Record<string, string>>): readonly object[] =>
    Object.entries(byStatus).map(([status, values]) =>
      ({ series: `http_requests_total{method="POST",status="${status}"}`, values }));
  const turns = (outcome: string, values: string): object =>
    ({ series: `layercode_turns_total{event="message",outcome="${outcome}"}`, values });
  const one = (series: string, values: string): readonly object[] => [{ series, values }];
  const alert = (summary: string): readonly object[] => [{ exp_annotations: { summary } }];
  const IS_DOWN = 'A server does not answer, or Prometheus knows of none.';
  const IS_REFUSED = 'More than a fifth of the requests is refused. See docs/errors.md.';
  for (const [what, alertname, input_series, exp_alerts] of [
    [
      'a server does not answer', 'ServerIsDown',
      [...one('up', '1x15 0x15'), ...one('layercode_build_info', '1x31')], alert(IS_DOWN),
    ],
    ['no server is known', 'ServerIsDown', [], alert(IS_DOWN)],
    [
      'the servers answer', 'ServerIsDown',
      [...one('up', '1x31'), ...one('layercode_build_info', '1x31')], [],
    ],
    [
      'every request gets 401, one in three minutes', 'RequestsAreRefused',
      requests({ 200: '0+3x4 15x26', 401: '_x5 1x2 2x2 3x2 4x2 5x2 6x2 7x2' }), alert(IS_REFUSED),
    ],
    [
      'a third of the requests fails', 'RequestsAreRefused',
      requests({ 200: '0+2x30', 500: '0+1x30' }), alert(IS_REFUSED),
    ],
    [
      'a stranger tries three paths while nobody calls', 'RequestsAreRefused',
      requests({ 200: '5x30', 404: '0x10 3x20' }), [],
    ],
    [
      'one request in twenty is refused', 'RequestsAreRefused',
      requests({ 200: '0+19x30', 503: '0+1x30' }), [],
    ],
    [
      'every second turn fails', 'TurnsFail',
      [turns('failed', '0+1x30'), turns('completed', '0+1x30')],
      alert('More than 2 % of the turns fail.'),
    ],
    [
      'one turn waits to be written', 'TurnsWaitForTheStore',
      one('layercode_store_turns_waiting', '0x10 1x20'),
      alert('Turns wait to be written. They are lost if their process ends first.'),
    ],
    [
      'a worker died', 'WorkersDie', one('layercode_workers_died_total', '0x14 1x16'),
      alert('A worker died, and its calls with it. See docs/a-call-went-wrong.md.'),
    ],
    [
      '101 records wait', 'CallRecordsWait', one('layercode_call_records_waiting', '101x31'),
      alert('Records of calls cannot be written. They are lost if their process ends first.'),
    ],
    [
      'one caller in twelve waits 8 s', 'FirstWordsAreLate', answers(11, 1),
      [{ exp_annotations: LATE }],
    ],
    ['everybody waits 1.2 s', 'FirstWordsAreLate', answers(12, 0), []],
    [
      'one call reaches its limit', 'CallsReachTheirLimit', limitsReached(1),
      [{ exp_labels: { limit: 'cost' }, exp_annotations: LIMIT }],
    ],
    [
      'the first sample for a tool is an unknown outcome', 'ToolOutcomesAreUnknown',
      [{ series: 'layercode_tool_outcomes_unknown_total{tool="pay"}', values: '_x18 1x12' }],
      [{ exp_labels: { tool: 'pay' }, exp_annotations: UNKNOWN }],
    ],
    [
      'no tool has an unknown outcome', 'ToolOutcomesAreUnknown',
      [{ series: 'layercode_tool_outcomes_unknown_total{tool="pay"}', values: '0x31' }], [],
    ],
    ['no call reaches its limit', 'CallsReachTheirLimit', limitsReached(0), []],
  ] as const) {
    const verb = exp_alerts.length > 0 ? 'alerts' : 'does not alert';
    it(`${verb} if ${what}`, { skip: isMissing('promtool') }, () => {
      const alert_rule_test = [{ eval_time: '20m', alertname, exp_alerts }];
      const test = { interval: '1m', input_series, alert_rule_test };
      const path = join(newFolder(), 'alerts-test.yaml');
      const rules = { rule_files: [join(FOLDER, 'alerts.yaml')], tests: [test] };
      writeFileSync(path, yaml.stringify(rules));
      assert.equal(complaint('promtool', ['test', 'rules', path]), '');
    });
  }

  it('has a dashboard whose queries Prometheus accepts', { skip: isMissing('promtool') }, () => {
    const queries = queriesOf(readDashboard());
    assert.ok(queries.length > 20, String(queries.length));
    const rules = queries.map((expr, index) => ({ record: `query_${index}`, expr }));
    const path = join(newFolder(), 'queries.yaml');
    writeFileSync(path, yaml.stringify({ groups: [{ name: 'dashboard', rules }] }));
    assert.equal(complaint('promtool', ['check', 'rules', path]), '');
  });
});

/** What is required of an example that runs the server, whatever its format. */
interface Deployment {
  /** The server's variables. Secrets have some value. */
  readonly environment: Readonly<Record<string, string>>;
  /** The time until a server that was told to end is killed. */
  readonly graceSeconds: number;
  readonly ports: readonly number[];
  readonly paths: readonly string[];
}

interface NameAndValue {
  readonly name: string;
  readonly value: string;
}

interface Compose {
  readonly services: Readonly<Record<string, {
    readonly environment: Readonly<Record<string, string>>;
    readonly stop_grace_period: string;
  }>>;
}

interface Manifest {
  readonly kind: string;
  readonly spec: {
    readonly template: {
      readonly metadata: { readonly annotations: Readonly<Record<string, string>> };
      readonly spec: {
        readonly terminationGracePeriodSeconds: number;
        readonly containers: readonly {
          readonly ports: readonly { readonly containerPort: number }[];
          readonly env: readonly NameAndValue[];
          readonly readinessProbe: { readonly httpGet: { readonly path: string } };
          readonly livenessProbe: { readonly httpGet: { readonly path: string } };
        }[];
      };
    };
  };
}

interface FlyApp {
  readonly kill_timeout: string;
  readonly env: Readonly<Record<string, string>>;
  readonly http_service: {
    readonly internal_port: number;
    readonly concurrency: { readonly soft_limit: number; readonly hard_limit: number };
    readonly http_options: { readonly compress: boolean; readonly idle_timeout: number };
    readonly checks: readonly { readonly path: string }[];
  };
  readonly metrics: { readonly port: number; readonly path: string };
}

interface Blueprint {
  readonly services: readonly {
    readonly type: string;
    readonly name: string;
    readonly maxShutdownDelaySeconds: number;
    readonly healthCheckPath: string;
    readonly dockerfilePath: string;
    readonly envVars: readonly {
      readonly key: string;
      readonly value?: string;
      readonly fromService?: { readonly type: string; readonly name: string };
    }[];
  }[];
}

/** Values of secrets, and of what the platform fills in. */
const FILLED_IN: Readonly<Record<string, string>> = {
  LAYERCODE_WEBHOOK_SECRET: 'whsec_of_nobody_',
  OPENAI_API_KEY: 'sk-of-nobody',
  CONVERSATION_STORE: 'redis://nobody:6379',
};

function read(name: string): string {
  return readFileSync(join(FOLDER, name), 'utf8');
}

/** The variables that comments say to set: `NAME=value`. */
function variablesOfComments(text: string): Record<string, string> {
  const comments = text.split('\n').filter((line) => line.startsWith('#')).join('\n');
  const names = [...comments.matchAll(/\b([A-Z][A-Z_]{3,})=/g)].map(([, name = '']) => name);
  return Object.fromEntries(names.map((name) => [name, FILLED_IN[name] ?? '']));
}

const fly = toml.parse(read('fly.toml')) as FlyApp;
const render = yaml.parse(read('render.yaml')) as Blueprint;

const DEPLOYMENTS: Readonly<Record<string, () => Deployment>> = {
  'compose.yaml': () => {
    const { services } = yaml.parse(read('compose.yaml'), { merge: true }) as Compose;
    const agent = services['agent-1'];
    assert.ok(agent !== undefined);
    const { environment, stop_grace_period: grace } = agent;
    const filled = Object.entries(environment).map(([name, value]): [string, string] =>
      [name, value.replace(/\$\{\w+(?::-(\w*))?.*\}/, '$1') || FILLED_IN[name] || '']);
    return {
      environment: Object.fromEntries(filled),
      graceSeconds: secondsOf(grace),
      ports: [...read('nginx.conf').matchAll(/agent-\d:(\d+)/g)].map(([, port]) => Number(port)),
      paths: [],
    };
  },
  'kubernetes.yaml': () => {
    const documents = read('kubernetes.yaml').split('\n---\n');
    const manifests = documents.map((text) => yaml.parse(text) as Manifest);
    const { template } = manifests.find(({ kind }) => kind === 'Deployment')?.spec ?? {};
    assert.ok(template !== undefined);
    const { containers: [server], terminationGracePeriodSeconds } = template.spec;
    assert.ok(server !== undefined);
    return {
      environment: {
        ...variablesOfComments(read('kubernetes.yaml')),
        ...Object.fromEntries(server.env.map(({ name, value }) => [name, value])),
      },
      graceSeconds: terminationGracePeriodSeconds,
      ports: [
        ...server.ports.map(({ containerPort }) => containerPort),
        Number(template.metadata.annotations['prometheus.io/port']),
      ],
      paths: [server.readinessProbe.httpGet.path, server.livenessProbe.httpGet.path],
    };
  },
  'voice-agent.service': () => {
    const unit = read('voice-agent.service');
    const lines = [...unit.matchAll(/^Environment=(.*)$/gm)].map(([, line = '']) => line);
    const pairs = lines.flatMap((line) => [...line.matchAll(/(\w+)=(\S+)/g)]);
    return {
      environment: {
        LAYERCODE_WEBHOOK_SECRET: 'whsec_of_nobody_',
        ...Object.fromEntries(pairs.map(([, name = '', value = '']) => [name, value])),
      },
      graceSeconds: Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1]),
      ports: [],
      paths: [],
    };
  },
  'fly.toml': () => ({
    environment: { ...variablesOfComments(read('fly.toml')), ...fly.env },
    graceSeconds: secondsOf(fly.kill_timeout),
    ports: [fly.http_service.internal_port, fly.metrics.port],
    paths: [...fly.http_service.checks.map(({ path }) => path), fly.metrics.path],
  }),
  'render.yaml': () => {
    const [server] = render.services;
    assert.ok(server !== undefined);
    const variables = server.envVars.map(({ key, value }): [string, string] =>
      [key, value ?? FILLED_IN[key] ?? '']);
    return {
      environment: Object.fromEntries(variables),
      graceSeconds: server.maxShutdownDelaySeconds,
      ports: [],
      paths: [server.healthCheckPath],
    };
  },
};

function secondsOf(text: string): number {
  return Number(/^(\d+)s$/.exec(text)?.[1]);
}

const ROUTES = [...readPage('docs/wire.md').matchAll(/^\| `GET (\/\S*)`/gm)].map(
  ([, path]) => path,
);

for (const [name, deploymentOf] of Object.entries(DEPLOYMENTS)) {
  describe(`examples/deploy/${name}`, () => {
    const { environment, graceSeconds, ports, paths } = deploymentOf();
    const production = { NODE_ENV: 'production', ...environment };

    it('uses existing settings, with values that they accept', () => {
      const known = new Set(settingRows.map(({ variable }) => variable));
      assert.ok(Object.keys(environment).length > 2);
      assert.deepEqual(Object.keys(environment).filter((variable) => !known.has(variable)), []);
      parseSettings(production, []); // or throws
    });

    it('gives the server enough time to shut down', () => {
      const { drainDelaySeconds, shutdownTimeoutSeconds } = parseSettings(production, []);
      const neededSeconds = drainDelaySeconds + shutdownTimeoutSeconds + 15;
      assert.ok(neededSeconds < graceSeconds, `${graceSeconds} s`);
    });

    it('refers only to the port and the routes that the server has', () => {
      const { port } = parseSettings(production, []);
      assert.deepEqual(ports.filter((one) => one !== port), []);
      assert.deepEqual(paths.filter((path) => !ROUTES.includes(path)), []);
    });
  });
}

describe('examples/deploy/fly.toml', () => {
  it('sends a machine no more turns than it accepts, and does not hold back words', () => {
    const { maxStreams, turnTimeoutSeconds } = parseSettings({ ...FILLED_IN, ...fly.env }, []);
    const { concurrency, http_options: options } = fly.http_service;
    assert.ok(concurrency.soft_limit < concurrency.hard_limit);
    assert.equal(concurrency.hard_limit, maxStreams);
    assert.equal(options.compress, false);
    assert.ok(options.idle_timeout > turnTimeoutSeconds);
  });
});

describe('examples/deploy/render.yaml', () => {
  it('names an existing Dockerfile, and a store that it defines', () => {
    const [server, store] = render.services;
    assert.ok(existsSync(join(ROOT, server?.dockerfilePath ?? 'none')));
    const variable = server?.envVars.find(({ key }) => key === 'CONVERSATION_STORE');
    assert.deepEqual(
      [variable?.fromService?.type, variable?.fromService?.name],
      [store?.type, store?.name],
    );
  });
});

describe("the run-time stage of examples/deploy/Dockerfile, laid out in a folder,", () => {
  it('serves a turn with Redis, and writes no file into the folder', {
    skip: isMissing('redis-server'),
  }, async (t) => {
    const app = join(newFolder(), 'app');
    for (const name of ['package.json', 'assets', 'dist'])
      cpSync(join(ROOT, name), join(app, name), { recursive: true });
    // What `npm install redis` installs: redis itself, and packages in its own scope.
    for (const name of ['redis', '@redis', 'cluster-key-slot'])
      if (existsSync(join(PEERS, 'node_modules', name)))
        cpSync(join(PEERS, 'node_modules', name), join(app, 'node_modules', name), {
          recursive: true,
        });
    const redis = await RedisServer.startFor(t, 'redis-server');
    const server = new SpawnedServer({
      directory: app,
      server: join(app, 'dist/server.js'),
      env: {
        NODE_ENV: 'production',
        LAYERCODE_WEBHOOK_SECRET: SECRET,
        AGENT: 'echo',
        CONVERSATION_STORE: redis.url,
        DRAIN_DELAY_SECONDS: '0',
      },
    });
    t.after(() => server.kill('SIGKILL'));
    const client = createTestClient(await server.url(), { secret: SECRET });
    assert.equal(await (await client.say('Hello')).text(), 'You said: Hello');
    const key = `layercode:${client.conversationId}`;
    assert.equal(await redis.command('EXISTS', key), '1');
    const left = readdirSync(app).toSorted();
    assert.deepEqual(left, ['assets', 'dist', 'node_modules', 'package.json']);
    server.kill('SIGTERM');
    assert.deepEqual(await server.exit, { code: 0, signal: null });
  });
});
