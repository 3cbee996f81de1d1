// A scenario made from the record of a call.

import { isObject } from '../../base/fields.ts';
import { parseJson } from '../../base/json.ts';
import { DEFAULT_APOLOGY } from '../../core/agents/phrases.ts';
import type { RequestFigures } from '../../core/conversations/turn-figures.ts';
import { NOT_STARTED } from '../../core/conversations/unfinished-tool-results.ts';
import { isToolName, parseArguments } from '../../core/models/well-formed-call.ts';
import { cardNumbers } from '../../core/redaction/card-numbers.ts';
import { resultText } from '../../core/tools/tool-result.ts';
import type {
  CallRecord, RecordedMessage, RecordedTurn,
} from '../../server/records/call-record.ts';
import { oneLine } from '../terminal/text.ts';
import { valueInventor } from './invented-values.ts';

const MAX_COMMENT_LENGTH = 200;
/** Marks that change the writing direction: they could hide from a reader what a line does. */
const DIRECTIONS = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
/** Tools that act on the call itself. In a scenario they do so too. */
const CALL_TOOLS: readonly string[] = ['hang_up', 'transfer_call'];
const STATE_NOTE =
  '# A mock changes no state. Where another tool needs it, write "real NAME" instead of it.';
/** What such a tool returns if it has ended the turn. */
const ENDED = resultText(undefined);
/** How the result of a call begins if its tool had acted earlier in the conversation. */
const DONE_BEFORE = '{"status":"done before","result":';
/** The result of a call that handed over, as it stands in history. */
const HANDED_OVER = /^\{"status":"handed over","agent":"([a-z][a-z0-9-]{0,63})"\}$/;

/**
 * The text of a scenario in which the caller says what they said in the call, the model answers as
 * it did, and tools return what they returned. It expects that no turn fails, that nothing is said
 * twice, and that no tool acts twice unless it did in the call. Ids, numbers and e-mail addresses
 * are invented, and so are cards in place of redacted ones. `agents`: the names in `AGENTS`,
 * because a scenario cannot name the agent of a server that has only one.
 */
export function callScenario(
  { agent, wire, from, to, turns }: CallRecord,
  agents: readonly string[] = [],
): string {
  const invented = valueInventor();
  const spoken = turns.filter(({ isDiscarded, messages }) =>
    isDiscarded !== true && messages.length > 0,
  );
  const called = new Set(spoken.flatMap(({ messages }) =>
    messages.flatMap(({ toolCalls = [] }) => toolCalls.map(({ name }) => name)),
  ));
  const body = spoken.flatMap((turn) => ['', ...linesOf(turn, invented)]);
  const requests = spoken.flatMap((turn) => turn.requests ?? []);
  const fallbacks = new Set(requests.flatMap(({ fellBackTo }) => fellBackTo ?? []));
  const lines = [
    `# A recorded call of the agent "${oneLine(agent, 80)}". Ids and numbers are invented.`,
    '# Add what it should have said and done: docs/evals.md lists the words.',
    ...(agents.includes(agent) ? [`agent ${agent}`] : []),
    ...(wire === 'chat-completions' ? [`wire ${wire}`] : []),
    ...(from === undefined ? [] : [`from ${oneLine(invented(from), 100)}`]),
    ...(to === undefined ? [] : [`to ${oneLine(invented(to), 100)}`]),
    ...real(called),
    ...(requests.some(isRepaired) ? [`models ${1 + fallbacks.size}`] : []),
    ...(body.some((line) => line.startsWith('mock ')) ? [STATE_NOTE] : []),
    'never-fails',
    ...actsOnce(spoken),
    'never-repeats',
    ...body,
  ];
  return `${lines.join('\n').replace(DIRECTIONS, '')}\n`;
}

/**
 * No record says which tools have `once`: any that was never called twice with the same arguments
 * may.
 */
function actsOnce(turns: readonly RecordedTurn[]): readonly string[] {
  const messages = turns.flatMap((turn) => turn.messages);
  const calls = messages.flatMap(({ toolCalls = [] }) => toolCalls);
  const texts = calls.map(({ name, args }) => `${name} ${args}`);
  const twice = calls.filter((_call, index) => texts.indexOf(texts[index] ?? '') !== index);
  const again = new Set([...CALL_TOOLS, ...twice.map(({ name }) => name)]);
  const names = new Set(calls.map(({ name }) => name).filter((name) =>
    isToolName(name) && !again.has(name),
  ));
  return names.size === 0 ? [] : [`never-acts-twice ${[...names].join(' ')}`];
}

function real(called: ReadonlySet<string>): readonly string[] {
  const names = CALL_TOOLS.filter((name) => called.has(name));
  return names.length === 0 ? [] : [`real ${names.join(' ')}`];
}

type Change = (text: string) => string;

function linesOf(turn: RecordedTurn, invented: Change): readonly string[] {
  const { messages, outcome } = turn;
  const said = messages
    .filter(({ role }) => role === 'user')
    .map(({ content }) => oneSpaced(content))
    .filter((content) => content !== '')
    .join(' ');
  const heard = messages
    .filter(({ role, content }) => role === 'assistant' && content.trim() !== '')
    .map(({ content }) => oneSpaced(content))
    .join(' ');
  return [
    ...mocksOf(messages, invented),
    ...(said === '' ? [] : [`say ${withCards(invented(said))}`, ...modelLines(turn, invented)]),
    ...refused(messages),
    ...(heard === '' ? [] : [`# heard: ${oneLine(invented(heard), MAX_COMMENT_LENGTH)}`]),
    ...(outcome === 'failed' ? ['# this turn failed'] : []),
    ...(outcome === 'interrupted' && said !== '' ? interruption(turn, heard) : []),
  ];
}

/** A request that failed, after which another one was made. */
function isRepaired({ retriedAfterMs, fellBackTo }: RequestFigures): boolean {
  return retriedAfterMs !== undefined || fellBackTo !== undefined;
}

/** What the model answered, a line for each text and call. No lines if no model was asked. */
function modelLines(
  { messages, outcome, models = [], requests = [] }: RecordedTurn,
  invented: Change,
): readonly string[] {
  if (requests.length + models.length === 0) return [];
  const said = (content: string): string => oneSpaced(content.replace(DEFAULT_APOLOGY, ''));
  const answers = untilEnded(messages).filter(({ role }) => role === 'assistant').map((message) => [
    ...(said(message.content) === '' ? [] : [`says ${said(message.content)}`]),
    ...(message.toolCalls ?? []).filter(({ name }) => isToolName(name)).map(({ name, args }) =>
      `calls ${name} ${JSON.stringify(parseArguments(args) ?? {})}`),
  ]);
  const lines = requests.flatMap((request) => {
    const failure = failureLine(request);
    const isCut = failure === 'breaks off' && !isRepaired(request); // it had begun to speak
    const answer = failure === undefined || isCut ? answers.shift() ?? [] : [];
    return [...answer, ...(failure === undefined ? [] : [failure])];
  });
  const left = outcome === 'failed' ? [] : answers.flat(); // an apology is not the model's
  return [...lines, ...left].map((line) => `  model ${invented(withoutComment(line))}`);
}

/** Leaves out what `hang_up` or `transfer_call` said: they say it again in the scenario. */
function untilEnded(messages: readonly RecordedMessage[]): readonly RecordedMessage[] {
  const calls = messages.flatMap(({ toolCalls = [] }) => toolCalls);
  const ids = calls.filter(({ name }) => CALL_TOOLS.includes(name)).map(({ id }) => id);
  const end = messages.findIndex(({ toolCallId = '', content }) =>
    content === ENDED && ids.includes(toolCallId));
  return end === -1 ? messages : messages.slice(0, end);
}

/** The status of a failure that has one, unless its reason names another. */
const STATUSES: ReadonlyMap<string, number> = new Map([
  ['rate_limited', 429], ['http_error', 500], ['no_credit', 402], ['key_refused', 401],
  ['key_missing', 401],
]);

/**
 * How a failure is written, so that the model is asked again only if it was asked again in the
 * call. Undefined for an answer, and for a request that was only cut short.
 */
function failureLine({ failure, reason = '' }: RequestFigures): string | undefined {
  if (failure === undefined || failure === 'interrupted') return undefined;
  if (failure === 'content_filter') return 'refuses';
  const [, given] = failure === 'http_error' ? /\bHTTP ([45]\d\d)\b/.exec(reason) ?? [] : [];
  const status = given ?? STATUSES.get(failure);
  return status === undefined ? 'breaks off' : `fails ${status}`;
}

/** A scripted call that its tool refuses is a mistake unless the refusal is expected. */
function refused(messages: readonly RecordedMessage[]): readonly string[] {
  const names = messages.flatMap(({ toolCalls = [] }) => toolCalls.flatMap(({ id, name }) => {
    const result = messages.find(({ toolCallId }) => toolCallId === id);
    return isToolName(name) && isRefusal(result?.content) ? [name] : [];
  }));
  return [...new Set(names)].map((name) => `expect-tool ${name} refused`);
}

/** Whether the arguments were not an object or did not fit, in the words of a schema check. */
function isRefusal(result = ''): boolean {
  return /^\{"error":"(?:the )?arguments/.test(result);
}

/** Replaces redacted card numbers with numbers that the card finder recognises as cards. */
function withCards(text: string): string {
  return text.replace(/\[card (\d{1,3})\]/g, (placeholder, count: string) => {
    const numbers = [...'0123456789'].map((last) =>
      `4000 0000 0000 ${count.padStart(3, '0')}${last}`);
    return numbers.find((number) => [...cardNumbers.find(number)].length > 0) ?? placeholder;
  });
}

/** No line if the caller interrupted a silence: a scenario interrupts only what has begun. */
function interruption({ firstSpeechMs }: RecordedTurn, heard: string): readonly string[] {
  if (heard === '') return firstSpeechMs === undefined ? [] : ['interrupt']; // it was a filler
  const words = heard.split(' ').length;
  return [`interrupt after ${words} ${words === 1 ? 'word' : 'words'}`];
}

/**
 * A mock for each tool that returned something; the last result, if it was called several times.
 */
function mocksOf(messages: readonly RecordedMessage[], invented: Change): readonly string[] {
  const names = new Map(messages.flatMap(({ toolCalls = [] }) =>
    toolCalls.map(({ id, name }) => [id, name] as const),
  ));
  const results = new Map<string, string>();
  for (const { role, content, toolCallId = '', state } of messages) {
    const name = names.get(toolCallId);
    // A call of unknown outcome threw, or its process ended. An earlier result would let it
    // succeed.
    const hasEnded = state === 'completed' || state === 'unknown';
    if (role !== 'tool' || !hasEnded || !isToolName(name) || isRefusal(content)) continue;
    if (content !== NOT_STARTED && !CALL_TOOLS.includes(name)) results.set(name, mocked(content));
  }
  return [...results].map(([name, result]) => `mock ${name} ${invented(result)}`);
}

/** A tool that threw leaves an object with nothing but `error`. */
function mocked(result: string): string {
  const hadActed = result.startsWith(DONE_BEFORE) && result.endsWith('}');
  const content = hadActed ? result.slice(DONE_BEFORE.length, -1) : result;
  const value: unknown = parseJson(content);
  if (isObject(value) && Object.keys(value).length === 1) {
    const { error } = value;
    if (typeof error === 'string' && error.trim() !== '') return `fails ${oneSpaced(error)}`;
  }
  const [, agent] = HANDED_OVER.exec(content) ?? [];
  if (agent !== undefined) return `hands-over ${agent}`;
  const json = JSON.stringify(value === undefined ? content : value);
  return `returns ${withoutComment(json)}`;
}

/** A # after two spaces would begin a comment. */
function withoutComment(text: string): string {
  return text.replaceAll('  #', '  \\u0023');
}

function oneSpaced(text: string): string {
  return text.replace(/[\s\p{Cc}]+/gu, ' ').trim();
}
