// `layercode-microserver calls`: reads and erases the records of calls that CALL_RECORDS keeps.

import { noLog } from '../../base/log.ts';
import { StoreError } from '../../core/conversations/stores/store-error.ts';
import { isOf, type CallArchive } from '../../server/records/call-archive.ts';
import { isMeant, TOOL_OUTCOMES, type CallFilter } from '../../server/records/call-filter.ts';
import { CALL_OUTCOMES, saysMore, type CallRecord } from '../../server/records/call-record.ts';
import type { Settings } from '../../server/settings/settings.ts';
import { commandSettings } from '../terminal/command-settings.ts';
import { CommandError, EXIT, UsageError, type Command } from '../terminal/command.ts';
import { parseFlags, type Flags } from '../terminal/flags.ts';
import { interruptedError, withBrokenPipes, write } from '../terminal/output.ts';
import { columns, printable } from '../terminal/text.ts';
import { callPage } from './call-page.ts';
import { describedCall } from './described-call.ts';
import { eraseCaller, eraseId, noRecordOf, whenRecorded, type CallAccess } from './erase-calls.ts';

const SETTINGS_FLAGS = [
  '--agents', '--call-records', '--conversation-store', '--settings-file',
] as const;
const FILTER_FLAGS = [
  '--number', '--from', '--day', '--outcome', '--agent', '--tool', '--tool-outcome',
  '--slower-than',
] as const;
const SWITCHES = ['--failed', '--unrecorded', '--requests', '--html'] as const;
type ActionName = 'list' | 'show' | 'export' | 'scenario' | 'erase';

interface Action {
  /** Flags besides the settings. */
  readonly takes: readonly string[];
  perform(id: string | undefined, query: CallQuery): Promise<void>;
}

const ACTIONS: Readonly<Record<ActionName, Action>> = {
  list: {
    takes: [...FILTER_FLAGS, '--failed', '--unrecorded'],
    perform: (_id, query) => (query.isUnrecorded ? listUnrecorded(query) : list(query)),
  },
  show: { takes: ['--requests', '--html'], perform: show },
  export: { takes: [], perform: exportAll },
  scenario: { takes: [], perform: printScenario },
  erase: {
    takes: ['--from'],
    perform: (id, query) =>
      id === undefined ? eraseCaller(query.filter.from ?? '', query) : eraseId(id, query),
  },
};

export const calls: Command = {
  name: 'calls',
  summary: 'List, show, export or erase call records, or make a scenario of one.',
  help: `Usage: layercode-microserver calls list
       layercode-microserver calls show <id> [--requests] [--html]
       layercode-microserver calls export [<id>]
       layercode-microserver calls scenario <id>
       layercode-microserver calls erase <id>
       layercode-microserver calls erase --from <number>

Reads the records kept by a server with CALL_RECORDS. It needs the same settings as that server,
which need not be running. An id names a conversation or a session. Put an id that begins with a
dash after --.

list prints one line per call, the earliest first; the flags below narrow it down. show prints the
calls of an id in order: what was said, which models and tools were asked, what failed, and the
three things that took longest; with --html as a page without scripts, to keep as a file. export
prints the stored records as lines of JSON. scenario prints a call as a scenario for eval, with
invented ids and numbers. erase removes the records of an id, or of all calls from a number, and the
conversations in the store that CONVERSATION_STORE names, and lists what it cannot reach.

  --from NUMBER              list, erase: calls from this number.
  --number NUMBER            list: calls from or to this number.
  --day 2026-11-25           list: calls that began on this day (UTC).
  --outcome OUTCOME          list: "hung up", "ended" or "not reported".
  --agent NAME               list: calls in which this agent spoke.
  --tool NAME                list: calls in which this tool was called.
  --tool-outcome OUTCOME     list: calls in which a tool (with --tool, that one) had this outcome:
                             "unknown" or "failed".
  --slower-than MS           list: calls with a turn that had no first word in that time, fillers
                             excluded.
  --failed                   list: calls in which a turn failed.
  --unrecorded               list: instead of calls, conversations in the store that have no record:
                             calls under way, and those whose record alone was erased.
  --requests                 show: what models were sent, with CAPTURE_MODEL_REQUESTS.
  --html                     show: a page with a timeline of each turn.
  --agents LIST              AGENTS.
  --call-records WHERE       CALL_RECORDS.
  --conversation-store URL   CONVERSATION_STORE; other users of this machine can see flags.
  --settings-file PATH       Read variables from this file instead of .env.

Examples:
  layercode-microserver calls list --day 2026-11-25 --failed
  layercode-microserver calls list --tool pay --tool-outcome unknown
  layercode-microserver calls export > calls.jsonl
  layercode-microserver calls show sess-1 --html > call.html
  layercode-microserver calls scenario sess-1 > evals/lost-order.txt
  layercode-microserver calls erase conv-123
  layercode-microserver calls erase --from +15550100

Exit codes: 0 success; 1 no such id, records cannot be read, or not everything was erased; 2 wrong
arguments.
`,
  async run(argv, plainTerminal) {
    const terminal = withBrokenPipes(plainTerminal);
    const { action, id, flags, ...options } = parseArguments(argv);
    const settings = commandSettings(SETTINGS_FLAGS, flags, terminal);
    try {
      const { openCallArchive } = await import('../../server/records/open-call-records.ts');
      const { directory } = terminal;
      const archive = (await openCallArchive(settings, { log: noLog(), directory }))
        ?? withoutRecords(action, settings);
      try {
        await ACTIONS[action].perform(id, { archive, settings, terminal, ...options });
      } finally {
        await archive.close();
      }
    } catch (error) {
      const { interrupted } = terminal;
      throw interrupted.aborted ? interruptedError(interrupted) : error;
    }
    return EXIT.OK;
  },
};

type CallSource = CallAccess['archive'] & Pick<CallArchive, 'close'>;

interface CallQuery extends CallAccess {
  /** Empty unless calls are listed or erased. */
  readonly filter: CallFilter;
  /** Whether to show what models were sent. */
  readonly hasRequests: boolean;
  readonly isPage: boolean;
  /** Whether to list conversations that have no record. */
  readonly isUnrecorded: boolean;
}

function parseArguments(argv: readonly string[]) {
  const known = [...SETTINGS_FLAGS, ...FILTER_FLAGS] as const;
  const { flags, switches, words } = parseFlags('calls', argv, known, SWITCHES);
  const [name = '', id, ...others] = words;
  if (!isAction(name)) {
    const got = name === '' ? '' : `, got ${JSON.stringify(name.slice(0, 40))}`;
    throw new UsageError(`calls takes list, show, export, scenario or erase${got}`);
  }
  if (name === 'list' && id !== undefined) throw new UsageError('calls list takes only flags');
  if (others.length > 0) throw new UsageError(`calls ${name} takes one id and flags`);
  const erasesCaller = name === 'erase' && flags['--from'] !== undefined;
  if (id === undefined && name !== 'list' && name !== 'export' && !erasesCaller)
    throw new UsageError(`calls ${name} takes the id of a conversation or a session`);
  if (id !== undefined && erasesCaller)
    throw new UsageError('calls erase takes one id or --from with a number, not both');
  const takes: readonly string[] = [...SETTINGS_FLAGS, ...ACTIONS[name].takes];
  const stray = [...Object.keys(flags), ...switches].find((flag) => !takes.includes(flag));
  if (stray !== undefined) {
    const place = ACTIONS.show.takes.includes(stray) ? 'show' : 'list';
    throw new UsageError(`${stray} is for calls ${place}`);
  }
  const narrowing = FILTER_FLAGS.find((flag) => flags[flag] !== undefined)
    ?? (switches.has('--failed') ? '--failed' : undefined);
  if (switches.has('--unrecorded') && narrowing !== undefined)
    throw new UsageError(`${narrowing} is about recorded calls, and --unrecorded lists others`);
  const filter = { ...filterOf(flags), hasFailed: switches.has('--failed') };
  return {
    action: name, id, flags, filter,
    hasRequests: switches.has('--requests'), isPage: switches.has('--html'),
    isUnrecorded: switches.has('--unrecorded'),
  };
}

function isAction(name: string): name is ActionName {
  return Object.hasOwn(ACTIONS, name);
}

function filterOf(flags: Flags<(typeof FILTER_FLAGS)[number]>): CallFilter {
  const { '--day': day, '--slower-than': slowerThan } = flags;
  if (day !== undefined && !isDay(day))
    throw new UsageError('--day takes a day such as 2026-11-25');
  if (slowerThan !== undefined && !/^\d{1,9}$/.test(slowerThan))
    throw new UsageError('--slower-than takes milliseconds, such as 3000');
  return {
    number: flags['--number'],
    from: flags['--from'],
    day,
    outcome: oneOf(CALL_OUTCOMES, '--outcome', flags['--outcome']),
    agent: flags['--agent'],
    tool: flags['--tool'],
    toolOutcome: oneOf(TOOL_OUTCOMES, '--tool-outcome', flags['--tool-outcome']),
    slowerThanMs: slowerThan === undefined ? undefined : Number(slowerThan),
  };
}

function oneOf<T extends string>(
  known: readonly T[],
  flag: string,
  value: string | undefined,
): T | undefined {
  const found = known.find((one) => one === value);
  if (value !== undefined && found === undefined)
    throw new UsageError(`${flag} takes ${known.map((one) => `"${one}"`).join(', ')}`);
  return found;
}

function isDay(text: string): boolean {
  const time = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(text) : NaN;
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(text);
}

const NO_RECORDS: CallSource = {
  async *all() {},
  async *erase() {},
  async close() {},
};

/** Conversations can be erased even if no records are kept. */
function withoutRecords(action: ActionName, { conversationStore }: Settings): CallSource {
  if (action === 'erase' && conversationStore !== 'memory') return NO_RECORDS;
  throw new CommandError('CALL_RECORDS is not set; use the same settings as the server');
}

/**
 * The records with the id, or all records. Throws if the command is interrupted, and if no record
 * has the id.
 */
async function* recordsOf(
  id: string | undefined,
  { archive, settings, terminal: { interrupted } }: CallQuery,
): AsyncGenerator<CallRecord, void, undefined> {
  let isFound = id === undefined;
  for await (const record of archive.all()) {
    if (interrupted.aborted) throw interruptedError(interrupted);
    if (id !== undefined && !isOf(record, id)) continue;
    isFound = true;
    yield record;
  }
  if (!isFound) throw new CommandError(noRecordOf(id ?? '', settings));
}

async function listOf(id: string | undefined, query: CallQuery): Promise<readonly CallRecord[]> {
  const records: CallRecord[] = [];
  for await (const record of recordsOf(id, query)) records.push(record);
  return records;
}

const HEADINGS = [
  'started', 'seconds', 'turns', 'outcome', 'cost', 'conversation', 'session', 'from',
];

/** Lists what can be read, even if that is not everything. */
async function list(query: CallQuery): Promise<void> {
  const rows: string[][] = [];
  let hasRecords = false;
  let failure: StoreError | undefined;
  try {
    for await (const record of recordsOf(undefined, query)) {
      hasRecords = true;
      if (isMeant(record, query.filter)) rows.push(rowOf(record));
    }
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    failure = error;
  }
  if (rows.length === 0 && failure === undefined) {
    const none = `No calls found; ${whenRecorded(query.settings)}`;
    query.terminal.stderr.write(`${hasRecords ? 'No recorded call matches the flags' : none}.\n`);
  }
  rows.sort(([a = ''], [b = '']) => (a < b ? -1 : Number(a > b)));
  if (rows.length > 0) rows.unshift(HEADINGS);
  for (const line of columns(rows)) await write(query.terminal.stdout, `${line}\n`);
  if (failure !== undefined) throw failure;
}

/** Conversations that `calls erase` can find only by their id or the caller's number. */
async function listUnrecorded(query: CallQuery): Promise<void> {
  const { archive, settings, terminal: { directory, interrupted, stdout, stderr } } = query;
  if (settings.conversationStore === 'memory')
    throw new CommandError('CONVERSATION_STORE is not set; use the same settings as the server');
  const recorded = new Set<string>();
  for await (const { agent, conversationId } of archive.all())
    recorded.add(conversationId).add(`${agent}/${conversationId}`);
  const { storedConversations } = await import('../../core/conversations/stores/erase-stored.ts');
  const { openParts } = await import('../../core/conversations/stores/open-store.ts');
  const parts = await openParts(settings, { log: noLog(), directory }, true);
  const rows: string[][] = [];
  try {
    for await (const conversation of storedConversations(parts, (key) => !recorded.has(key))) {
      if (interrupted.aborted) throw interruptedError(interrupted);
      const { id, caller, updatedAt } = conversation;
      const cells = [new Date(updatedAt).toISOString(), id, caller?.from ?? ''];
      rows.push(cells.map((cell) => printable(cell, ' ')));
    }
  } finally {
    await parts.close();
  }
  if (rows.length === 0) stderr.write('Every conversation in the store has a record.\n');
  rows.sort(([a = ''], [b = '']) => (a < b ? -1 : Number(a > b)));
  if (rows.length > 0) rows.unshift(['last change', 'conversation', 'from']);
  for (const line of columns(rows)) await write(stdout, `${line}\n`);
}

function rowOf(record: CallRecord): string[] {
  const { startedAt, durationMs, turns, outcome, cost, conversationId, sessionId, from } = record;
  const cells = [
    startedAt, String(Math.round(durationMs / 1_000)), String(turns.length), outcome,
    cost === undefined ? '–' : String(cost), conversationId, sessionId, from ?? '',
  ];
  return cells.map((cell) => printable(cell, ' '));
}

async function show(id: string | undefined, query: CallQuery): Promise<void> {
  const { terminal: { stdout }, hasRequests, isPage } = query;
  if (isPage) return write(stdout, callPage(await listOf(id, query), hasRequests));
  let separator = '';
  for await (const record of recordsOf(id, query)) {
    await write(stdout, separator + describedCall(record, hasRequests));
    separator = '\n';
  }
}

async function exportAll(id: string | undefined, query: CallQuery): Promise<void> {
  for await (const record of recordsOf(id, query))
    await write(query.terminal.stdout, `${JSON.stringify(record)}\n`);
}

/** One record of each call: files have another one if its process shut down before its end. */
function bestOfEach(records: readonly CallRecord[]): readonly CallRecord[] {
  const best = new Map<string, CallRecord>();
  for (const record of records) {
    const call = JSON.stringify([record.agent, record.sessionId]);
    const other = best.get(call);
    if (other === undefined || !saysMore(other, record)) best.set(call, record);
  }
  return [...best.values()];
}

/** A scenario is made from one call. */
async function printScenario(id: string | undefined, query: CallQuery): Promise<void> {
  const { callScenario } = await import('../eval/call-scenario.ts');
  const calls = bestOfEach(await listOf(id, query));
  const [record] = calls;
  if (record === undefined || calls.length > 1) {
    const sessions = calls.map(({ sessionId }) => printable(sessionId, ' ')).join(', ');
    throw new CommandError(`this conversation has ${calls.length} calls; name one: ${sessions}`);
  }
  const { agents } = query.settings;
  await write(query.terminal.stdout, callScenario(record, agents.map(({ name }) => name)));
}
