// Which way imports point. Reads the sources as text: TypeScript 7 has no JavaScript API.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { describe, it } from 'node:test';

import { filesBelow, ROOT } from './fixtures/source-files.ts';

const SRC = join(ROOT, 'src');

/** The folders of src, from the top down. Nothing imports from a storey above its own. */
const STOREYS = ['kit', 'server', 'core', 'base'] as const;

/**
 * The house, in the order in which CONTRIBUTING.md lists it: each room, and the rooms its files may
 * import besides their own. A room is a folder, or a door at the top of src. Every arrow points
 * down this list.
 */
const HOUSE: readonly (readonly [room: string, mayImport: readonly string[]])[] = [
  ['server.ts', ['kit/platform', 'server/process']],
  ['cli.ts', ['kit/commands', 'kit/terminal', 'server/settings', 'base']],
  [
    'index.ts',
    [
      'server/app', 'server/records', 'server/settings', 'core/wires/chat-completions',
      'core/wires/layercode', 'core/wires', 'core/turns/report', 'core/agents/built-in',
      'core/agents', 'core/tools', 'core/state', 'core/models', 'core/conversations/stores',
      'core/conversations', 'core/redaction', 'core/calls', 'base/http', 'base/sse', 'base/speech',
      'base/schema', 'base',
    ],
  ],
  ['testing.ts', ['kit/eval', 'kit', 'core/wires/chat-completions', 'core/agents']],
  ['platform.ts', ['kit/platform']],
  [
    'kit/commands',
    [
      'kit/tunnel', 'kit/talk', 'kit/eval', 'kit/terminal', 'kit/platform', 'server/process',
      'server/app', 'server/records', 'server/settings', 'core/wires/layercode',
      'core/agents/built-in', 'core/conversations/stores', 'core/conversations', 'base',
    ],
  ],
  ['kit/tunnel', ['kit/terminal', 'server/process', 'core/wires/layercode', 'base']],
  [
    'kit/talk',
    [
      'kit/eval', 'kit/terminal', 'kit/platform', 'server/process', 'server/settings',
      'core/wires/chat-completions', 'base',
    ],
  ],
  [
    'kit/eval',
    [
      'kit', 'kit/terminal', 'kit/platform', 'server/app', 'server/records', 'server/settings',
      'core/agents', 'core/tools', 'core/models', 'core/conversations/stores', 'core/conversations',
      'core/redaction', 'base',
    ],
  ],
  [
    'kit',
    [
      'kit/platform', 'server/app', 'core/wires/chat-completions', 'core/models',
      'core/conversations', 'base',
    ],
  ],
  ['kit/terminal', ['server/settings', 'base']],
  [
    'kit/platform',
    [
      'server/app', 'server/middleware', 'core/wires/chat-completions', 'core/wires/layercode',
      'core/wires', 'core/agents', 'core/conversations', 'base/http', 'base/sse', 'base/websocket',
      'base',
    ],
  ],
  [
    'server/process',
    [
      'server/app', 'server/observers', 'server/records', 'server/settings',
      'core/conversations/stores', 'core/conversations', 'base',
    ],
  ],
  [
    'server/app',
    [
      'server/observers', 'server/routes', 'server/records', 'server/middleware', 'server/settings',
      'core/wires/chat-completions', 'core/wires/layercode', 'core/wires', 'core/turns',
      'core/turns/report', 'core/agents/built-in', 'core/agents', 'core/tools', 'core/state',
      'core/models', 'core/conversations', 'core/redaction', 'core/calls', 'base/http', 'base',
    ],
  ],
  [
    'server/observers',
    [
      'server/records', 'core/wires/chat-completions', 'core/wires/layercode', 'core/wires',
      'core/turns/report', 'core/agents', 'core/conversations', 'core/calls', 'base/http', 'base',
    ],
  ],
  [
    'server/routes',
    [
      'core/wires/chat-completions', 'core/wires/layercode', 'core/agents', 'base/http', 'base',
    ],
  ],
  [
    'server/records',
    [
      'core/wires', 'core/conversations/stores', 'core/conversations', 'core/captures',
      'core/calls', 'base',
    ],
  ],
  ['server/middleware', ['base/http', 'base']],
  ['server/settings', ['core/models', 'base']],
  [
    'core/wires/chat-completions',
    [
      'core/wires', 'core/turns', 'core/agents', 'core/calls', 'base/http', 'base',
    ],
  ],
  [
    'core/wires/layercode',
    [
      'core/wires', 'core/agents', 'core/calls', 'base/http', 'base/sse', 'base',
    ],
  ],
  [
    'core/wires',
    [
      'core/turns', 'core/agents', 'core/conversations', 'core/calls', 'base/http', 'base',
    ],
  ],
  [
    'core/turns',
    [
      'core/turns/report', 'core/agents', 'core/tools', 'core/state', 'core/conversations',
      'core/redaction', 'core/calls', 'base',
    ],
  ],
  [
    'core/turns/report',
    [
      'core/agents', 'core/tools', 'core/conversations', 'core/captures', 'core/calls', 'base',
    ],
  ],
  ['core/agents/built-in', ['core/agents', 'core/tools', 'core/state', 'core/models', 'base']],
  [
    'core/agents',
    [
      'core/tools', 'core/state', 'core/models', 'core/conversations', 'core/redaction',
      'core/calls', 'base/speech', 'base/schema', 'base',
    ],
  ],
  [
    'core/tools',
    [
      'core/state', 'core/models', 'core/conversations', 'core/redaction', 'core/calls',
      'base/speech', 'base/schema', 'base',
    ],
  ],
  ['core/state', ['base']],
  ['core/models', ['core/conversations', 'base/sse', 'base']],
  ['core/conversations/stores', ['core/conversations', 'base']],
  ['core/conversations', ['core/captures', 'core/redaction', 'core/calls', 'base/words', 'base']],
  ['core/captures', ['base']],
  ['core/redaction', ['core/calls', 'base/words', 'base']],
  ['core/calls', ['base']],
  ['base/http', ['base/sse', 'base']],
  ['base/sse', []],
  ['base/websocket', ['base']],
  ['base/speech', []],
  ['base/schema', ['base']],
  ['base/words', ['base']],
  ['base', []],
];

/** Rooms with one door: the only file that other rooms import. */
const DOORS: readonly (readonly [room: string, door: string])[] = [
  ['base/schema', 'base/schema/schema.ts'],
];

/** With more rooms than this, nobody would find anything. Entries do not count as rooms. */
const MAX_ROOMS = 36;

/** What a server must not load before it is needed: imported by `import()`, or as types. */
const LOADED_ON_DEMAND = [
  'server/app/create-app.ts',
  'kit/platform',
  'base/websocket',
  'base/speech',
  'base/http/fetch-exchange.ts',
  'server/routes/openapi.ts',
  'server/settings/help.ts',
  'core/wires/layercode/authorize.ts',
  'core/wires/layercode/rest-client.ts',
  'core/wires/chat-completions/completions.ts',
  'core/wires/chat-completions/reports.ts',
  'server/observers/span-tracer.ts',
  'core/redaction/redaction.ts',
  'core/redaction/named-finders.ts',
  'core/redaction/sealed-texts.ts',
  'core/turns/values.ts',
  'core/turns/agent-work.ts',
  'core/turns/report/turn-work.ts',
  'core/turns/report/figures.ts',
  'core/turns/call-limits.ts',
  'core/turns/other-processes.ts',
  'core/models/open-model.ts',
  'core/state/live-state.ts',
  'core/tools/tool-calls.ts',
  'core/tools/tool-call-writes.ts',
  'core/models/wire.ts',
  'core/models/chat-completions.ts',
  'core/models/retry.ts',
  'core/agents/built-in/registry.ts',
  'core/agents/model-agent.ts',
  'core/tools/tool-hand-over.ts',
  'core/conversations/stores',
  'server/records',
  'server/process/primary.ts',
  'server/process/welcome.ts',
  'server/process/development-secret.ts',
  'server/process/worker.ts',
  'server/process/workers.ts',
  'server/process/worker-messages.ts',
  'server/process/metrics-sum.ts',
  'server/process/whole-lines.ts',
];

/** Files of which another folder may import only types. */
const TYPES_ONLY: readonly (readonly [from: string, file: string])[] = [
  ['core/models', 'core/conversations/message.ts'],
];

/** Where a process or a thread begins, or a package is entered. */
const ENTRIES = [
  'server.ts',
  'cli.ts',
  'index.ts',
  'testing.ts',
  'platform.ts',
  'core/conversations/stores/sqlite-worker.ts',
];

interface Import {
  readonly from: string;
  /** A path below src, or the name of a module. */
  readonly to: string;
  readonly isRelative: boolean;
  readonly isType: boolean;
  readonly isDynamic: boolean;
}

const files = filesBelow('src')
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.slice('src/'.length));

function importsOf(file: string): Import[] {
  const source = readFileSync(join(SRC, file), 'utf8').replace(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, '');
  const found = source.matchAll(
    /^(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?'([^']+)'|\bimport\(\s*'([^']+)'/gm,
  );
  return [...found].map(([, type, specifier, dynamic]) => {
    const target = specifier ?? dynamic ?? '';
    const isRelative = target.startsWith('.');
    return {
      from: file,
      to: isRelative ? join(dirname(file), target).split(sep).join('/') : target,
      isRelative,
      isType: type !== undefined,
      isDynamic: dynamic !== undefined,
    };
  });
}

const imports = files.flatMap(importsOf);
const inner = imports.filter(({ isRelative }) => isRelative);

/** `base/http/router.ts` → `base/http`, `base/log.ts` → `base`, `index.ts` → `index.ts`. */
function roomOf(file: string): string {
  return file.includes('/') ? dirname(file) : file;
}

function arrow({ from, to }: Import): string {
  return `${from} → ${to}`;
}

function cyclesIn(among: readonly string[], arrows: readonly Import[]): string[] {
  const cycles: string[] = [];
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) {
      cycles.push([...path.slice(path.indexOf(file)), file].join(' → '));
      return;
    }
    if (done.has(file)) return;
    for (const { to } of arrows.filter(({ from }) => from === file)) visit(to, [...path, file]);
    done.add(file);
  };
  for (const file of among) visit(file, []);
  return cycles;
}

function reachedFrom(entries: readonly string[], arrows: readonly Import[]): Set<string> {
  const reached = new Set(entries);
  for (const file of reached)
    for (const { to } of arrows.filter(({ from }) => from === file)) reached.add(to);
  return reached;
}

describe('src', () => {
  it('has more than a hundred imports', () => assert.ok(inner.length > 100, String(inner.length)));

  it('imports only files that exist', () => {
    assert.deepEqual(
      inner.filter(({ to }) => !files.includes(to) && !to.endsWith('.json')).map(arrow),
      [],
    );
  });

  it('has exactly the rooms of the house', () => {
    assert.deepEqual(
      [...new Set(files.map(roomOf))].toSorted(),
      HOUSE.map(([room]) => room).toSorted(),
    );
  });

  it(`has at most ${MAX_ROOMS} rooms`, () => {
    const rooms = HOUSE.filter(([room]) => !ENTRIES.includes(room));
    assert.ok(rooms.length <= MAX_ROOMS, String(rooms.length));
  });

  for (const [index, [room, allowed]] of HOUSE.entries()) {
    it(`lets ${room} import nothing but ${allowed.join(', ') || 'its own files'}`, () => {
      const wrong = inner.filter(
        ({ from, to }) =>
          roomOf(from) === room && roomOf(to) !== room && !allowed.includes(roomOf(to)),
      );
      assert.deepEqual(wrong.map(arrow), []);
    });

    it(`lets ${room} import only rooms below it`, () => {
      const below = HOUSE.slice(index + 1).map(([name]) => name);
      assert.deepEqual(
        allowed.filter((name) => !below.includes(name)),
        [],
      );
    });

    it(`allows ${room} no import that it does not need`, () => {
      const used = new Set(
        inner.filter(({ from }) => roomOf(from) === room).map(({ to }) => roomOf(to)),
      );
      assert.deepEqual(
        allowed.filter((name) => !used.has(name)),
        [],
      );
    });
  }

  it('lets nothing below wires/ import a wire, and lets no wire import another', () => {
    const isWire = (room: string): boolean => room.startsWith('core/wires/');
    const firstWire = HOUSE.findIndex(([room]) => isWire(room));
    const below = HOUSE.slice(firstWire).map(([room]) => room);
    const wrong = inner.filter(
      ({ from, to }) =>
        below.includes(roomOf(from)) && isWire(roomOf(to)) && roomOf(to) !== roomOf(from),
    );
    assert.deepEqual(wrong.map(arrow), []);
  });

  it(`is doors above ${STOREYS.length} storeys, from which nothing is imported further up`, () => {
    const storeyOf = (file: string): number =>
      STOREYS.findIndex((storey) => file.startsWith(`${storey}/`));
    assert.deepEqual(
      files.filter((file) => storeyOf(file) === -1 && !ENTRIES.includes(file)),
      [],
    );
    assert.deepEqual(inner.filter(({ from, to }) => storeyOf(to) < storeyOf(from)).map(arrow), []);
  });

  for (const [room, door] of DOORS) {
    it(`imports ${room}/ only through ${door}`, () => {
      const past = inner.filter(
        ({ from, to }) => roomOf(to) === room && roomOf(from) !== room && to !== door,
      );
      assert.deepEqual(past.map(arrow), []);
    });
  }

  for (const [folder, file] of TYPES_ONLY) {
    it(`lets ${folder}/ import only types from ${file}, and nothing else from its folder`, () => {
      const wrong = inner.filter(
        ({ from, to, isType }) =>
          roomOf(from) === folder && roomOf(to) === roomOf(file) && (to !== file || !isType),
      );
      assert.deepEqual(wrong.map(arrow), []);
    });
  }

  it('has a server that loads the local platform, and what models need, only on demand', () => {
    const atOnce = inner.filter(({ isType, isDynamic }) => !isType && !isDynamic);
    const reached = reachedFrom(['server.ts'], atOnce);
    assert.ok(reached.size > 50, String(reached.size));
    assert.deepEqual(
      [...reached].filter(
        (file) => LOADED_ON_DEMAND.includes(roomOf(file)) || LOADED_ON_DEMAND.includes(file),
      ),
      [],
    );
  });

  it('changes no V8 flags, and observes no garbage collection', () => {
    const found = files.filter((file) =>
      /\bsetFlagsFromString\b|\bPerformanceObserver\b/.test(readFileSync(join(SRC, file), 'utf8')));
    assert.deepEqual(found, []);
  });

  it('has no import cycles', () => assert.deepEqual(cyclesIn(files, inner), []));

  it('has no file that cannot be reached from an entry', () => {
    const reached = reachedFrom(ENTRIES, inner);
    assert.deepEqual(
      files.filter((file) => !reached.has(file)),
      [],
    );
  });

  it("imports no packages, only Node's modules, with the prefix node:", () => {
    assert.deepEqual(
      imports.filter(({ isRelative, to }) => !isRelative && !to.startsWith('node:')).map(arrow),
      [],
    );
  });

  it('exports names one by one, never with export *', () => {
    const wholesale = files.filter((file) =>
      /^export \*/m.test(readFileSync(join(SRC, file), 'utf8')),
    );
    assert.deepEqual(wholesale, []);
  });
});

describe('bench', () => {
  it('has no import cycles', () => {
    const bench = filesBelow('bench')
      .filter((file) => file.endsWith('.ts'))
      .map((file) => `../${file}`);
    const imported = bench.flatMap(importsOf);
    assert.ok(imported.some(({ to }) => bench.includes(to)));
    assert.deepEqual(cyclesIn(bench, imported), []);
  });
});
