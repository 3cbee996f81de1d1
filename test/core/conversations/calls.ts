// Calls, written as what was said in them. Some platforms send all of it with each request.

import assert from 'node:assert/strict';
import { it } from 'node:test';

import type { Transcript } from '../../../src/core/calls/call-event.ts';
import { historyOf } from '../../../src/core/conversations/conversation.ts';
import type { Message, ToolCallState } from '../../../src/core/conversations/message.ts';
import type { TurnOpening } from '../../../src/core/conversations/turn-opening.ts';
import { transcriptOf } from '../../fixtures/transcript.ts';
import { reply, round, Talk, yes } from './talk.ts';

/**
 * A request: the newest words, and the exchanges before them as the platform has them. Each is
 * `words > reply | reply`, `> reply` where the agent spoke first, or only `words`.
 */
export function call(
  text: string, told: readonly string[] = [], fields?: Partial<Transcript>,
): Required<Pick<TurnOpening, 'text' | 'transcript'>> {
  const lines = told.flatMap((exchange) => {
    const [words = '', said] = ` ${exchange}`.split(' > ');
    const replies = said === undefined ? [] : said.split(' | ').map((line) => `agent: ${line}`);
    return words === '' ? replies : [`user: ${words.trimStart()}`, ...replies];
  });
  return { text, transcript: transcriptOf(lines, fields) };
}

/** Turns t1, t2 … from texts such as `words > reply`. */
export function callOf(...texts: readonly string[]): Talk {
  const talk = new Talk();
  for (const [index, text] of texts.entries()) {
    const [words = '', said = ''] = text.split(' > ');
    talk.exchange(`t${index + 1}`, said, call(words, texts.slice(0, index)));
  }
  return talk;
}

/**
 * A name, requests with `; ` between them, and the history that results. A request is the caller's
 * words, and our reply: `Hi > Hello.` A reply that is broken off ends in `*`, an apology in `!`;
 * without a reply, the turn goes on. Between them may be what the platform sends along: the call so
 * far as it has it, in round brackets, `C (A > a / B > b) > c`, or in square ones if it knows what
 * was heard; or what was heard of a turn, `C after "Hel" of t1 > c`. Turns are counted, `t2: C` is
 * the turn t2 again, and a turn without other words has its id for words. `t1 in b` runs in the
 * second of several processes, all of which are alive. `end t1 > c` is the end of a run that was
 * not over, and `heard "Hel" of t1` a report that begins no turn; with `…` the platform does not
 * know what was heard.
 */
type CallTold = readonly [name: string, requests: string, finds: string];

/** One test for each. */
export function tellCalls(calls: readonly CallTold[]): void {
  for (const [name, requests, finds] of calls)
    it(name, () => assert.equal(shown(afterRequests(requests)), finds));
}

/** What came of these requests: see `CallTold`. */
export function afterRequests(requests: string): Talk {
  const talk = new Talk();
  for (const [index, request] of requests.split('; ').entries()) {
    const [, heard, of] = /^heard "(.*)" of (\S+)$/.exec(request) ?? [];
    if (heard !== undefined) talk.hear(heard, of);
    else take(talk, request, `t${index + 1}`);
  }
  return talk;
}

const REPORT = / after "(?<heard>.*)" of (?<of>\S+)/;
const REQUEST = new RegExp([
  /^(?<end>end )?(?:(?<id>\w+): )?(?<words>.*?)/, /(?: in (?<process>[a-c]))?/,
  /(?: ?(?<bracket>[[(])(?<told>.*?)[\])]|REPORT)?/,
  /(?: > (?<said>.*?)(?<mark>[*!]?))?$/,
].map(({ source }) => source.replace('REPORT', REPORT.source)).join(''));
const STATES = { '*': 'interrupted', '!': 'failed', '': 'completed' } as const;

function take(talk: Talk, request: string, nth: string): void {
  const { groups } = REQUEST.exec(request) ?? assert.fail(request);
  const { end, words = '', process, bracket, told = '', heard, of, said, mark = '' } = groups ?? {};
  const isOwnName = /^t\d[\w~]*$/.test(words);
  const id = groups?.['id'] ?? (isOwnName ? words : nth);
  const before = told === '' ? [] : told.split(' / ');
  const known = bracket === undefined ? { text: words } : call(words, before, {
    isHeard: bracket === '[',
  });
  const textHeard = heard === '…' ? undefined : heard;
  const report = heard === undefined ? {} : { interruption: { textHeard, turnId: of } };
  const run = process === undefined ? {} : { process, runId: process.charCodeAt(0) };
  const opening = { ...known, ...report, ...run, isAlive: yes, isCallRunning: yes };
  const turnId = end === undefined ? talk.open(id, opening).turnId : id;
  if (said !== undefined) talk.settle(turnId, STATES[mark as keyof typeof STATES], said, run);
}

/**
 * The history as exchanges: a reply that was broken off ends in `*`, and one that goes on is `…`.
 * The turns that were discarded come after a semicolon.
 */
export function shown(talk: Talk): string {
  const exchanges: string[] = [];
  for (const message of historyOf(talk.conversation)) {
    const isOpen = message.role === 'assistant' && message.state === 'open';
    const mark = message.role === 'assistant' && message.state === 'interrupted' ? '*' : '';
    const text = isOpen ? '…' : `${message.content}${mark}`;
    const last = message.role === 'user' ? undefined : exchanges.pop();
    if (message.role === 'user') exchanges.push(text);
    else if (last === undefined) exchanges.push(`> ${text}`);
    else exchanges.push(`${last} ${/(^| )> /.test(last) ? '|' : '>'} ${text}`);
  }
  const gone = discarded(talk);
  return exchanges.join(' / ') + (gone.length === 0 ? '' : `; not ${gone.join(', ')}`);
}

export function numbers({ turns }: Talk): (number | undefined)[] {
  return turns.map(({ number }) => number);
}

export function discarded({ turns }: Talk): string[] {
  return turns.filter(({ isDiscarded }) => isDiscarded).map(({ id }) => id);
}

/** A reply with one call of a tool. */
export function booking(turnId: string, state: ToolCallState = 'completed'): Message[] {
  const result = { content: '"booked"', key: `key of ${turnId}`, state };
  const asked = round(turnId, 'book', { said: 'Let me see.', saidState: 'completed', ...result });
  return [...asked, reply(turnId, 'Booked.')];
}
