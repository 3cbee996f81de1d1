// What examples/deploy says must fit the server. test/peers/deploy-examples.peer-test.ts asks the
// programs that read these files.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { readPage } from '../fixtures/pages.ts';
import { ROOT } from '../fixtures/source-files.ts';
import { queriesOf, readDashboard } from './grafana.ts';

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

interface Metric {
  readonly type: string;
  readonly labels: readonly string[];
}

/** All metrics of the server, read from the page: test/pages.test.ts holds that to the server. */
const METRICS = new Map<string, Metric>(
  [...readPage('docs/observability.md').matchAll(/^\| `(\w+)` \| (\w+) \| (.*?) \|/gm)].map(
    ([, name = '', type = '', labels = '']): [string, Metric] =>
      [name, { type, labels: [...labels.matchAll(/\w+/g)].map(([label]) => label) }],
  ),
);
/** The endings of the series that Prometheus makes from a histogram. */
const HISTOGRAM = /_(?:bucket|sum|count)$/;

/** A metric with its selector, and the function that it is passed to. */
interface Use {
  readonly name: string;
  readonly selector: string;
  readonly before: string;
}

function usesOf(text: string): Use[] {
  const uses = text.matchAll(/(\w+\()?\b((?:layercode|process|nodejs|http)_\w+)(\{[^}]*\})?/g);
  return [...uses].map(([, before = '', name = '', selector = '']) => ({ name, selector, before }));
}

function faultOf({ name, selector, before }: Use): string | undefined {
  const metric = METRICS.get(name) ?? METRICS.get(name.replace(HISTOGRAM, ''));
  if (metric === undefined) return `${name} is no metric`;
  const isSeries = metric.type === 'histogram' && HISTOGRAM.test(name);
  if (metric.type === 'histogram' && !isSeries) return `${name} is a histogram`;
  const isRate = /^(?:rate|increase|max_over_time)\($/.test(before);
  if ((metric.type === 'counter' || isSeries) && !isRate)
    return `${name} only ever grows: it needs rate() or increase()`;
  if (metric.type === 'gauge' && /^(?:rate|increase)\($/.test(before)) return `${name} is a gauge`;
  const labels = [...selector.matchAll(/(\w+)(?:=~|!~|!=|=)"/g)].map(([, label = '']) => label);
  const unknown = labels.filter((label) => !['instance', 'le', ...metric.labels].includes(label));
  return unknown.length === 0 ? undefined : `${name} has no label ${unknown.join()}`;
}

describe('the metrics that examples/deploy uses', () => {
  it('can be looked up on the page', () => assert.ok(METRICS.size > 20, String(METRICS.size)));

  const dashboard = queriesOf(readDashboard());
  for (const [file, text, least] of [
    ['alerts.yaml', read('examples/deploy/alerts.yaml'), 6],
    ['grafana.json', dashboard.join('\n'), 30],
  ] as const) {
    it(`in ${file} exist, and have the labels that it names`, () => {
      const uses = usesOf(text);
      assert.ok(uses.length >= least, String(uses.length));
      assert.deepEqual(uses.map(faultOf).filter(Boolean), []);
    });
  }

  it('in kubernetes.yaml exist', () => {
    const names = usesOf(read('examples/deploy/kubernetes.yaml')).map(({ name }) => name);
    assert.deepEqual(names, ['layercode_running_turns']);
    assert.ok(METRICS.has('layercode_running_turns'));
  });

  it('include, on the dashboard, every metric of the server', () => {
    const uses = usesOf(dashboard.join('\n'));
    const shown = new Set(uses.map(({ name }) => name.replace(HISTOGRAM, '')));
    assert.deepEqual([...METRICS.keys()].filter((name) => !shown.has(name)), []);
  });
});

describe('examples/deploy/grafana.json', () => {
  const dashboard = readDashboard();
  const panels = dashboard.panels.filter(({ type }) => type !== 'row');

  it('has panels with unique titles and ids, and with queries', () => {
    const { length } = panels;
    assert.equal(new Set(panels.map(({ title }) => title)).size, length);
    const ids = dashboard.panels.map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length);
    assert.deepEqual(panels.filter(({ targets = [] }) => targets.length === 0), []);
    for (const { targets = [], title } of panels) {
      const letters = targets.map(({ refId }) => refId);
      assert.equal(new Set(letters).size, letters.length, title);
      assert.deepEqual(targets.filter(({ legendFormat }) => legendFormat === ''), [], title);
    }
  });

  it('has panels that fit into 24 columns without overlapping', () => {
    const taken = new Map<string, string>();
    for (const { title, gridPos: { x, y, w, h } } of dashboard.panels) {
      assert.ok(x >= 0 && w > 0 && x + w <= 24, title);
      for (let column = x; column < x + w; column++)
        for (let line = y; line < y + h; line++) {
          const cell = `${column},${line}`;
          assert.equal(taken.get(cell), undefined, `${title} lies on ${taken.get(cell)}`);
          taken.set(cell, title);
        }
    }
  });

  it('queries the data source and the servers that are chosen at its top', () => {
    const names = dashboard.templating.list.map(({ name }) => name);
    assert.deepEqual(names, ['datasource', 'instance']);
    assert.deepEqual(panels.filter(({ datasource }) => datasource?.uid !== '${datasource}'), []);
    for (const { name, selector } of usesOf(queriesOf(dashboard).join('\n')))
      assert.ok(selector.includes('instance=~"$instance"'), name);
  });
});

describe('examples/deploy/voice-agent.service', () => {
  // systemd used to read the settings, once, and a reload kept them.
  it('has the server read its settings, and so again with each reload', () => {
    const unit = read('examples/deploy/voice-agent.service');
    assert.match(unit, /^ExecStart=.*\/server\.js --settings-file \/etc\/voice-agent\.env$/m);
    assert.doesNotMatch(unit, /^EnvironmentFile=/m);
  });
});

describe('examples/deploy/Dockerfile', () => {
  const steps = (path: string): string[] =>
    read(path).split('\n').filter((line) => /^(FROM|RUN|COPY|ENV|USER|ENTRYPOINT)/.test(line));
  const example = steps('examples/deploy/Dockerfile');

  it('has every step of the root Dockerfile', () => {
    for (const step of steps('Dockerfile')) assert.ok(example.includes(step), step);
  });

  it('adds the version of redis that the server needs, and nothing else', () => {
    const { peerDependencies } = JSON.parse(read('package.json')) as {
      readonly peerDependencies: Readonly<Record<string, string>>;
    };
    const [, major = ''] = /^\^(\d+)\./.exec(peerDependencies['redis'] ?? '') ?? [];
    const added = example.filter((step) => !steps('Dockerfile').includes(step));
    assert.deepEqual(added, [
      `RUN npm install --no-audit --no-fund --prefix /packages redis@${major}`,
      'COPY --from=build /packages/node_modules node_modules',
    ]);
  });
});
