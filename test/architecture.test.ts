// Which way imports point, and what is handed out. Reads the sources as text: TypeScript 7 has no JavaScript API.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import * as main from '../src/index.ts';
import * as platform from '../src/platform.ts';
import * as testing from '../src/testing.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const SRC = join(ROOT, 'src');

/** Folder → what its files may import besides their own: folders, and files of src itself. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  sse: ['awaitable.ts'],
  speech: [],
  settings: [],
  conversations: ['awaitable.ts'],
  layercode: ['sse', 'conversations', 'abortable-body.ts', 'awaitable.ts', 'json-text.ts'],
  models: ['sse', 'conversations', 'abortable-body.ts', 'awaitable.ts'],
  http: ['sse', 'log.ts', 'awaitable.ts'],
  agents: ['layercode', 'conversations', 'models', 'speech', 'log.ts', 'awaitable.ts', 'package-files.ts'],
  middleware: ['http', 'layercode', 'log.ts', 'metrics.ts', 'awaitable.ts'],
  routes: ['http', 'layercode', 'conversations', 'agents', 'middleware', 'log.ts', 'metrics.ts', 'version.ts', 'awaitable.ts'],
  websocket: ['awaitable.ts'],
  platform: [
    'agents', 'conversations', 'http', 'layercode', 'middleware', 'routes', 'sse', 'websocket', 'abortable-body.ts', 'awaitable.ts',
    'package-files.ts',
  ],
  testing: ['app.ts', 'layercode', 'sse', 'agents', 'models', 'abortable-body.ts'],
  cli: [
    'agents', 'layercode', 'platform', 'settings', 'sse', 'awaitable.ts', 'development-secret.ts', 'load-settings.ts', 'open-server.ts', 'package-files.ts', 'private-files.ts', 'run-server.ts', 'settings.ts',
    'version.ts',
  ],
};

/** The files of src itself, from the leaves up: each may import those before it, and the folders named. */
const TOP: readonly (readonly [file: string, folders: readonly string[]])[] = [
  ['abortable-body.ts', []],
  ['awaitable.ts', []],
  ['json-text.ts', []],
  ['package-files.ts', []],
  ['version.ts', []],
  ['log.ts', []],
  ['metrics.ts', []],
  ['process-metrics.ts', []],
  ['settings.ts', ['settings']],
  ['load-settings.ts', ['settings']],
  ['private-files.ts', []],
  ['development-secret.ts', []],
  ['routes.ts', ['agents', 'conversations', 'http', 'layercode', 'middleware', 'models', 'platform', 'routes']],
  ['bind-agent.ts', ['agents', 'models']],
  ['app.ts', ['agents', 'conversations', 'http', 'layercode', 'middleware', 'models', 'platform', 'routes']],
  ['create-app.ts', ['agents']],
  ['testing.ts', ['testing']],
  ['platform.ts', ['platform']],
  ['index.ts', ['agents', 'conversations', 'http', 'layercode', 'models', 'speech', 'sse']],
  ['open-server.ts', ['agents', 'models', 'platform']],
  ['run-server.ts', []],
  ['server.ts', []],
  ['cli.ts', ['cli']],
];

/** What a server must not load before it is asked for: taken by `import()`, or as types. */
const LOADED_ON_DEMAND = ['platform', 'websocket', 'speech', 'models/open-model.ts', 'models/chat-completions.ts', 'agents/registry.ts', 'agents/model-agent.ts'];

/** What a folder may take of another only as a type. */
const TYPES_ONLY: readonly (readonly [from: string, file: string])[] = [
  ['layercode', 'conversations/message.ts'],
  ['models', 'conversations/message.ts'],
];

/** Where a process begins or a package is entered. */
const ENTRIES = ['server.ts', 'cli.ts', 'index.ts', 'testing.ts', 'platform.ts'];

interface Import {
  readonly from: string;
  /** A path below src, or the name of a module. */
  readonly to: string;
  readonly isRelative: boolean;
  readonly isType: boolean;
  readonly isDynamic: boolean;
}

function filesBelow(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    return entry.isDirectory() ? filesBelow(path) : [relative(SRC, path).split(sep).join('/')];
  });
}

const files = filesBelow(SRC).filter((file) => file.endsWith('.ts'));

function importsOf(file: string): Import[] {
  const source = readFileSync(join(SRC, file), 'utf8').replace(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, '');
  const found = source.matchAll(/^(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?'([^']+)'|\bimport\(\s*'([^']+)'/gm);
  return [...found].map(([, type, specifier, dynamic]) => {
    const target = specifier ?? dynamic ?? '';
    const isRelative = target.startsWith('.');
    return { from: file, to: isRelative ? join(dirname(file), target).split(sep).join('/') : target, isRelative, isType: type !== undefined, isDynamic: dynamic !== undefined };
  });
}

const imports = files.flatMap(importsOf);
const inner = imports.filter(({ isRelative }) => isRelative);

/** `http/router.ts` → `http`, `app.ts` → `app.ts`. */
function unitOf(file: string): string {
  return file.split('/')[0] ?? '';
}

function arrow({ from, to }: Import): string {
  return `${from} → ${to}`;
}

describe('src', () => {
  it('has imports to speak of', () => assert.ok(inner.length > 100, String(inner.length)));

  it('imports only files that are there', () => {
    assert.deepEqual(inner.filter(({ to }) => !files.includes(to) && !to.endsWith('.json')).map(arrow), []);
  });

  it('has no folder that the table does not know', () => {
    assert.deepEqual([...new Set(files.filter((file) => file.includes('/')).map(unitOf))].filter((folder) => !Object.hasOwn(MAY_IMPORT, folder)), []);
  });

  it('has no file at its top that the table does not know', () => {
    assert.deepEqual(files.filter((file) => !file.includes('/') && !TOP.some(([name]) => name === file)), []);
  });

  for (const [folder, allowed] of Object.entries(MAY_IMPORT)) {
    it(`has ${folder}/ import nothing but ${allowed.join(', ') || 'its own files'}`, () => {
      const wrong = inner.filter(({ from, to }) => unitOf(from) === folder && unitOf(to) !== folder && !allowed.includes(unitOf(to)));
      assert.deepEqual(wrong.map(arrow), []);
    });
  }

  for (const [index, [file, folders]] of TOP.entries()) {
    const allowed = [...TOP.slice(0, index).map(([name]) => name), ...folders];
    it(`has ${file} import nothing that stands above it`, () => {
      const wrong = inner.filter(({ from, to }) => from === file && !allowed.includes(unitOf(to)) && !to.startsWith('../'));
      assert.deepEqual(wrong.map(arrow), []);
    });
  }

  for (const [folder, file] of TYPES_ONLY) {
    it(`has ${folder}/ take of another folder's ${file} its types alone`, () => {
      const wrong = inner.filter(({ from, to, isType }) => unitOf(from) === folder && unitOf(to) === unitOf(file) && (to !== file || !isType));
      assert.deepEqual(wrong.map(arrow), []);
    });
  }

  it('has a server that loads nothing of the local platform, and what only models need with an agent that has one', () => {
    const reached = new Set<string>();
    const visit = (file: string): void => {
      if (reached.has(file)) return;
      reached.add(file);
      for (const { to } of inner.filter(({ from, isType, isDynamic }) => from === file && !isType && !isDynamic)) visit(to);
    };
    visit('server.ts');
    assert.ok(reached.size > 50, String(reached.size));
    assert.deepEqual([...reached].filter((file) => LOADED_ON_DEMAND.includes(unitOf(file)) || LOADED_ON_DEMAND.includes(file)), []);
  });

  it('has no cycle between files', () => {
    const cycles: string[] = [];
    const done = new Set<string>();
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file)) {
        cycles.push([...path.slice(path.indexOf(file)), file].join(' → '));
        return;
      }
      if (done.has(file)) return;
      for (const { to } of inner.filter(({ from }) => from === file)) visit(to, [...path, file]);
      done.add(file);
    };
    for (const file of files) visit(file, []);
    assert.deepEqual(cycles, []);
  });

  it('has every file reached from an entry', () => {
    const reached = new Set<string>();
    const visit = (file: string): void => {
      if (reached.has(file)) return;
      reached.add(file);
      for (const { to } of inner.filter(({ from }) => from === file)) visit(to);
    };
    for (const entry of ENTRIES) visit(entry);
    assert.deepEqual(files.filter((file) => !reached.has(file)), []);
  });

  it('imports no package but node\'s own, of which it says so', () => {
    assert.deepEqual(imports.filter(({ isRelative, to }) => !isRelative && !to.startsWith('node:')).map(arrow), []);
  });

  it('exports name by name', () => {
    const wholesale = files.filter((file) => /^export \*/m.test(readFileSync(join(SRC, file), 'utf8')));
    assert.deepEqual(wholesale, []);
  });
});

interface Package {
  readonly type: string;
  readonly dependencies?: object;
  readonly optionalDependencies?: object;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly bin: Readonly<Record<string, string>>;
  readonly engines: { readonly node: string };
}

describe('package.json', () => {
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Package;

  it('has no dependencies', () => {
    assert.deepEqual([Object.keys(manifest.dependencies ?? {}), Object.keys(manifest.optionalDependencies ?? {})], [[], []]);
  });

  it('is developed with what design.md allows', () => {
    const allowed = ['@types/node', 'redis', 'tsx', 'typescript'];
    assert.deepEqual(Object.keys(manifest.devDependencies).filter((name) => !allowed.includes(name)), []);
  });

  it('asks for the Node version of design.md', () => assert.equal(manifest.engines.node, '>=20.12'));

  it('points to files that the build makes', () => {
    const targets = [...Object.values(manifest.bin), ...Object.values(manifest.exports).flatMap((target) => (typeof target === 'string' ? target : Object.values(target)))];
    const sources = targets.filter((target) => target.includes('dist/')).map((target) => target.replace(/^(\.\/)?dist\//, '').replace(/(\.d\.ts|\.js)$/, '.ts'));
    assert.deepEqual(sources.filter((source) => !files.includes(source)), []);
  });
});

/** What a package exports, types included, in the order of the alphabet. */
function exportedBy(file: string): string[] {
  const source = readFileSync(join(SRC, file), 'utf8');
  return [...source.matchAll(/^export (?:type )?\{([^}]+)\}/gm)].flatMap(([, names = '']) => names.split(',').map((name) => name.trim()).filter(Boolean)).sort();
}

describe('layercode-microserver', () => {
  it('exports these values', () => {
    assert.deepEqual(Object.keys(main).sort(), [
      'AgentError', 'BadRequest', 'ConversationManager', 'Counter', 'EventError', 'Gauge', 'Histogram', 'HttpError', 'InvalidSignature',
      'MemoryStore', 'ModelError', 'ServiceUnavailable', 'SettingsError', 'SpeakableText', 'SseEncoder', 'createApp', 'createLogger', 'defineAgent',
      'emptyConversation', 'encodeEvent', 'getAgent', 'hangUp', 'listAgents', 'loadAgent', 'loadSettings', 'openModel', 'parseEvent', 'parseSettings', 'signPayload',
      'tool', 'verifySignature',
    ]);
  });

  it('exports these types', () => {
    assert.deepEqual(exportedBy('index.ts').filter((name) => !Object.hasOwn(main, name)), [
      'Agent', 'AgentDefinition', 'AgentResources', 'App', 'AppOptions', 'BoundAgent', 'CallEndedEvent', 'CallEvent', 'CallStartedEvent',
      'ChatMessage', 'ChatModel', 'Context', 'Conversation', 'ConversationStore', 'DataEvent', 'DataOccasion', 'Handler', 'InterruptedTurn',
      'InterruptionContext', 'Json', 'JsonObject', 'LayercodeEvent', 'LoadSettingsOptions', 'Logger', 'LoggerOptions', 'MemoryStoreOptions', 'Message',
      'MessageEvent', 'MessageTurn', 'Metrics',
      'Middleware', 'ModelAgentDefinition', 'ModelDelta', 'ModelUsage', 'NewMessage', 'Next', 'Occasion', 'Reply', 'Schema', 'SessionEndEvent', 'SessionEvent',
      'SessionStartEvent', 'SessionUpdateEvent', 'Settings', 'Spoken', 'SseEncoderOptions', 'SseEvent', 'StartTurn', 'Tool', 'ToolCall', 'ToolOccasion', 'TranscriptEvent', 'Turn',
      'TurnJournal', 'TurnState', 'UnknownEvent', 'UserInterruptedEvent',
    ]);
  });
});

describe('layercode-microserver/platform', () => {
  it('exports these values', () => assert.deepEqual(Object.keys(platform), ['LocalPlatform']));

  it('exports these types', () => {
    assert.deepEqual(exportedBy('platform.ts').filter((name) => !Object.hasOwn(platform, name)), ['LocalPlatformOptions']);
  });
});

describe('layercode-microserver/testing', () => {
  it('exports these values', () => assert.deepEqual(Object.keys(testing).sort(), ['TestClient', 'TestReply', 'createTestClient']));

  it('exports these types', () => {
    assert.deepEqual(exportedBy('testing.ts').filter((name) => !Object.hasOwn(testing, name)), ['PostOptions', 'TestClientOptions', 'TestEvent']);
  });
});
