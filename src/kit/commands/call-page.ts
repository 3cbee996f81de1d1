import { createHash } from 'node:crypto';

import type { CallRecord } from '../../server/records/call-record.ts';
import { storyOf, type StoryLine, type TurnStory } from '../../server/records/call-story.ts';
import { printable } from '../terminal/text.ts';
import { factsOf, labelOf, slowestLines } from './described-call.ts';

const STYLE = `
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 64rem; padding: 0 1rem;
  color: #1b1b1b; background: #fff; }
h1 { font-size: 1.4rem; } h2 { font-size: 1rem; margin: 2rem 0 .5rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; }
dt { color: #5a5a5a; } dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; table-layout: fixed; }
th, td { border-top: 1px solid #ddd; padding: .3rem .5rem; text-align: left;
  vertical-align: top; }
th { color: #5a5a5a; font-weight: normal; width: 6rem; overflow-wrap: anywhere; }
td { overflow-wrap: anywhere; } td.bar { width: 30%; } td.ms { text-align: right; width: 6rem; }
tr.caller td.words, tr.agent td.words { font-weight: 600; } tr.failure td.words { color: #a61b00; }
svg { display: block; height: 1rem; width: 100%; background: #f2f2f0; } rect { fill: #1f5fbf; }
tr.tool rect { fill: #8a5a00; } tr.store rect { fill: #777; } tr.agent rect { fill: #23744a; }
pre { font-size: .8rem; margin: .3rem 0 0; white-space: pre-wrap; }
@media (prefers-color-scheme: dark) {
  body { color: #eee; background: #181818; } th, dt { color: #aaa; }
  th, td { border-color: #444; } svg { background: #2a2a2a; }
  tr.failure td.words { color: #ff9a85; }
}
`;

/** Nothing is loaded and nothing runs, whatever a record holds. */
const POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

/** The width of a timeline, in units of its own. */
const WIDTH = 1_000;
/** The width of something that took no time. */
const MOMENT = 4;

/**
 * The calls with an id as one page without scripts: each turn with its timeline. `hasRequests`:
 * including what models were sent, if that was captured.
 */
export function callPage(records: readonly CallRecord[], hasRequests: boolean): string {
  const title = escaped(`Call ${records[0]?.conversationId ?? ''}`);
  return [
    '<!doctype html>',
    '<html lang="en">',
    '<meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="${POLICY}">`,
    '<meta name="viewport" content="width=device-width">',
    `<title>${title}</title>`,
    `<style>${STYLE}</style>`,
    `<h1>${title}</h1>`,
    ...records.flatMap((record) => article(record, hasRequests)),
    '</html>',
    '',
  ].join('\n');
}

function article(record: CallRecord, hasRequests: boolean): readonly string[] {
  const { state } = record;
  const known = [
    ...factsOf(record),
    ...(state === undefined ? [] : [['state', JSON.stringify(state)] as const]),
  ];
  const facts = known.map(
    ([name, value]) => `<dt>${escaped(name)}</dt><dd>${escaped(value)}</dd>`,
  );
  const slowest = slowestLines(record).map((line) => `<li>${escaped(line)}</li>`);
  return [
    '<article>',
    '<dl>', ...facts, '</dl>',
    ...storyOf(record).flatMap((turn) => section(turn, hasRequests)),
    ...(slowest.length === 0 ? [] : ['<h2>slowest</h2>', '<ol>', ...slowest, '</ol>']),
    '</article>',
  ];
}

function section({ heading, lines }: TurnStory, hasRequests: boolean): readonly string[] {
  const end = ({ atMs, durationMs }: StoryLine): number => msOf(atMs) + msOf(durationMs);
  const lengthMs = Math.max(1, ...lines.map(end));
  return [
    `<h2>${escaped(heading)}</h2>`,
    '<table>',
    ...lines.map((line) => row(line, lengthMs, hasRequests)),
    '</table>',
  ];
}

function row(line: StoryLine, lengthMs: number, hasRequests: boolean): string {
  const { kind, text, durationMs, details = [] } = line;
  const shown = hasRequests && details.length > 0
    ? `<pre>${details.map(escaped).join('\n')}</pre>`
    : '';
  const took = durationMs === undefined ? '' : `${msOf(durationMs)} ms`;
  return [
    `<tr class="${kind}"><th scope="row">${escaped(labelOf(line))}</th>`,
    `<td class="words">${escaped(text)}${shown}</td>`,
    `<td class="bar">${bar(line, lengthMs)}</td><td class="ms">${took}</td></tr>`,
  ].join('');
}

/** The bar of a line in the timeline of its turn. Empty if its time is not known. */
function bar({ atMs, durationMs }: StoryLine, lengthMs: number): string {
  if (atMs === undefined) return '';
  const unit = (ms: number): number => Math.round((msOf(ms) / lengthMs) * WIDTH);
  const width = Math.max(MOMENT, unit(durationMs ?? 0));
  const x = Math.min(unit(atMs), WIDTH - MOMENT);
  const view = `viewBox="0 0 ${WIDTH} 10" preserveAspectRatio="none" aria-hidden="true"`;
  return `<svg ${view}><rect x="${x}" y="0" width="${width}" height="10"/></svg>`;
}

/** Figures come from a file, which may hold anything. */
function msOf(ms: unknown): number {
  return typeof ms === 'number' && Number.isFinite(ms) && ms >= 0 ? Math.round(ms) : 0;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;',
};

/** Any value as text that a page shows literally. */
function escaped(text: unknown): string {
  return printable(String(text), ' ').replace(/[&<>"']/g, (sign) => ENTITIES[sign] ?? '');
}
