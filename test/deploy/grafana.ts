// The parts of the dashboard in examples/deploy that tests read.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { ROOT } from '../fixtures/source-files.ts';

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: Readonly<Record<'x' | 'y' | 'w' | 'h', number>>;
  readonly datasource?: { readonly uid: string };
  readonly targets?: readonly {
    readonly refId: string;
    readonly expr: string;
    readonly legendFormat: string;
  }[];
}

export interface Dashboard {
  readonly templating: { readonly list: readonly { readonly name: string }[] };
  readonly panels: readonly Panel[];
}

export function readDashboard(): Dashboard {
  const text = readFileSync(join(ROOT, 'examples/deploy/grafana.json'), 'utf8');
  return JSON.parse(text) as Dashboard;
}

/** The queries as Prometheus gets them, with Grafana's own variables filled in. */
export function queriesOf({ panels }: Dashboard): string[] {
  return panels.flatMap(({ targets = [] }) =>
    targets.map(({ expr }) => expr.replaceAll('$__rate_interval', '5m')));
}
