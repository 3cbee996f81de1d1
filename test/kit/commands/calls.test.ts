// `layercode-microserver calls` on files, and on a store where Node has SQLite.

import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, it } from 'node:test';

import { noLog } from '../../../src/base/log.ts';
import { openParts, openStore } from '../../../src/core/conversations/stores/open-store.ts';
import { loadSqlite } from '../../../src/core/conversations/stores/sqlite-library.ts';
import { calls } from '../../../src/kit/commands/calls.ts';
import type { CallRecord } from '../../../src/server/records/call-record.ts';
import { openCallArchive, openCallRecords } from '../../../src/server/records/open-call-records.ts';
import { parseSettings } from '../../../src/server/settings/parse-settings.ts';
import { WITHOUT_SQLITE } from '../../fixtures/sqlite.ts';
import { RecordedTerminal } from '../terminal/recorded-terminal.ts';

const log = noLog();

let terminal: RecordedTerminal;

function use(environment: Readonly<Record<string, string>>): void {
  terminal = new RecordedTerminal(environment);
}

function recordOf(
  sessionId: string, conversationId: string, hour = 12, from = '+15550100',
): CallRecord {
  const startedAt = `2026-11-25T${hour}:00:00.000Z`;
  return {
    format: 1, conversationId, sessionId, agent: 'bakery', from, startedAt,
    endedAt: startedAt, durationMs: 65_400, outcome: 'ended',
    tokens: { input: 12, output: 3, isEstimated: true }, cost: 0.25,
    turns: [{
      turnId: 't-1', outcome: 'interrupted', startedAt: '2026-11-25T12:00:07.120Z',
      firstSpeechMs: 612,
      isDiscarded: true,
      messages: [
        { role: 'user', content: 'Rye?\u001b[2J' },
        {
          role: 'assistant', content: 'One moment.',
          toolCalls: [{ id: 'x', name: 'stock', args: '{"bread":"rye"}' }],
        },
        { role: 'tool', content: '{"loaves":3}', toolCallId: 'x', state: 'completed' },
        { role: 'assistant', content: 'Three loaves.', agent: 'stockist' },
      ],
    }],
  };
}

/** Of these calls the earliest comes last. */
const CALLS = [recordOf('s-2', 'c-1', 13), recordOf('s-3', 'c-2', 14), recordOf('s-1', 'c-1')];

async function keepCalls(
  records: readonly CallRecord[] = CALLS, keyPrefix = '',
): Promise<void> {
  const { environment, directory } = terminal;
  const settings = parseSettings(environment, []);
  await (await openCallRecords(settings, { log, directory }))?.close(); // makes the file
  const archive = await openCallArchive(settings, { log, directory });
  assert.ok(archive !== undefined);
  for (const record of records) {
    const { conversationId, sessionId } = record;
    await archive.keep({ conversationKey: keyPrefix + conversationId, sessionId }, record);
  }
  await archive.close();
}

/** Stores a conversation for each of these ids, with a last call from its number. */
async function storeConversations(
  calls: readonly (readonly [id: string, from?: string])[],
): Promise<void> {
  const { environment, directory } = terminal;
  const store = await openStore(parseSettings(environment, []), { log, directory });
  for (const [id, from] of calls)
    await store.update(id, (conversation) => {
      conversation.turns.push(
        { id: 't', state: 'completed', runId: 1, words: 'Hello', reply: 'Hi' },
      );
      if (from !== undefined) conversation.caller = { sessionId: 's', from, to: '+2' };
    });
  await store.close();
}

async function run(...argv: string[]): Promise<number> {
  return calls.run(argv, terminal);
}

/** What a successful run prints. */
async function printed(...argv: string[]): Promise<string> {
  const before = terminal.out.length;
  assert.equal(await run(...argv), 0);
  return terminal.out.slice(before);
}

async function exported(...ids: string[]): Promise<CallRecord[]> {
  const lines = (await printed('export', ...ids)).split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as CallRecord);
}

/** The sessions whose records are left. */
async function left(): Promise<string[]> {
  return (await exported()).map(({ sessionId }) => sessionId).sort();
}

const WHEN_RECORDED = 'a record is made when the end of a call is reported; otherwise after the '
  + "server's CALL_RECORDS_IDLE_SECONDS without a turn, or when its process ends";
const NOTHING = /nothing is known here about/;

const FILE = { CALL_RECORDS: 'file:calls.jsonl' };
const STORE = { CALL_RECORDS: 'store', CONVERSATION_STORE: 'sqlite:calls.db' };

for (const [where, environment, skip] of [
  ['file:calls.jsonl', FILE, false], ['store', STORE, WITHOUT_SQLITE],
] as const) {
  describe(`the calls command with CALL_RECORDS=${where}`, { skip }, () => {
    beforeEach(async () => {
      use(environment);
      await keepCalls();
    });

    it('prints one line per call, the earliest first', async () => {
      assert.deepEqual((await printed('list')).split('\n'), [
        'started                   seconds  turns  outcome  cost  conversation  session  from',
        '2026-11-25T12:00:00.000Z  65       1      ended    0.25  c-1           s-1      +15550100',
        '2026-11-25T13:00:00.000Z  65       1      ended    0.25  c-1           s-2      +15550100',
        '2026-11-25T14:00:00.000Z  65       1      ended    0.25  c-2           s-3      +15550100',
        '',
      ]);
    });

    it('exports records as they are kept: all of them, or those with a given id', async () => {
      assert.deepEqual(await exported('s-3'), [recordOf('s-3', 'c-2', 14)]);
      assert.equal((await exported()).length, 3);
      await assert.rejects(run('export', 'c-9'), {
        message: `nothing is known here about "c-9"; ${WHEN_RECORDED}`,
      });
    });

    it('erases one call, or a whole conversation, and says what it cannot reach', async () => {
      await run('erase', 's-1');
      assert.deepEqual(await left(), ['s-2', 's-3']);
      const said = await printed('erase', 'c-1');
      assert.match(said, /^erased the record of session s-2$/m);
      const [, rest = ''] = said.split('not reached:');
      for (const kind of ['log', 'backups', "the platform's own records", 'models, tools'])
        assert.ok(rest.includes(kind), kind);
      assert.deepEqual(await left(), ['s-3']);
      await assert.rejects(run('erase', 'c-9'), {
        message: 'nothing is known here about "c-9"',
      });
    });

    it('erases all calls from a number, and no others', async () => {
      await keepCalls([recordOf('s-4', 'c-4', 15, '+15550199')]);
      const said = await printed('erase', '--from', '+1 (555) 0100');
      assert.equal(said.match(/^erased the record of session/gm)?.length, 3);
      assert.match(said, /calls that do not name the number/);
      assert.deepEqual(await left(), ['s-4']);
      await assert.rejects(run('erase', '--from', '+15550100'), NOTHING);
    });

    it("erases by number, but not another caller's call with the same ids", async () => {
      await keepCalls([recordOf('s-1', 'c-1', 15, '+15550199')], 'sales/');
      await run('erase', '--from', '+15550100');
      assert.deepEqual((await exported()).map(({ from }) => from), ['+15550199']);
    });
  });
}

describe('the calls command with records in a file', () => {
  beforeEach(async () => {
    use(FILE);
    await keepCalls();
  });

  it('says that there are no records, and when they are made', async () => {
    use(FILE);
    await keepCalls([]);
    await run('list', '--from', '+1');
    assert.deepEqual([terminal.out, terminal.err], ['', `No calls found; ${WHEN_RECORDED}.\n`]);
  });

  it('says that no recorded call matches, but not when records are made', async () => {
    await run('list', '--failed');
    assert.equal(terminal.err, 'No recorded call matches the flags.\n');
  });

  it('shows a dash for an unknown cost, and nothing for an unknown number', async () => {
    const { cost: _cost, from: _from, ...unknown } = recordOf('s-4', 'c-4', 15);
    await keepCalls([unknown]);
    assert.match(await printed('list'), / – +c-4 +s-4\n/);
  });

  it('lists only the calls that its flags ask for', async () => {
    const flags = ['--day', '2026-11-25', '--slower-than', '611', '--agent', 'stockist'];
    assert.equal((await printed('list', ...flags)).split('\n').length, 5);
    const others = ['--number', '+1 555-0100', '--tool-outcome', 'failed'];
    assert.equal(await printed('list', ...others), '');
  });

  it('shows what was said and done, without anything that a terminal would obey', async () => {
    assert.equal(await printed('show', 's-3'), [
      'session       s-3',
      'conversation  c-2',
      'agent         bakery',
      'caller        +15550100 → ?',
      'time          2026-11-25T14:00:00.000Z – 2026-11-25T14:00:00.000Z, ended',
      'tokens        12 in, 3 out, partly estimated',
      'cost          0.25',
      '',
      '[12:00:07] interrupted, first word after 612 ms, discarded by the platform, turn t-1',
      'caller: Rye?␛[2J',
      'agent: One moment.',
      'tool: stock {"bread":"rye"}',
      'result: {"loaves":3}',
      'stockist: Three loaves.',
      '',
    ].join('\n'));
  });

  it('shows the calls of a conversation as one HTML page', async () => {
    const page = await printed('show', 'c-1', '--html');
    assert.equal(page.match(/<article>/g)?.length, 2);
    assert.match(page, /^<!doctype html>[^]*<\/html>\n$/);
  });

  it('prints one call as a scenario, and lists the calls of an id that has several', async () => {
    const text = await printed('scenario', 's-3');
    assert.match(text, /^# A recorded call of the agent "bakery"\.[^]*\nnever-fails\n/);
    assert.doesNotMatch(text, /^agent/m); // the settings have one agent, and name no other
    await assert.rejects(run('scenario', 'c-1'), {
      name: 'CommandError', message: 'this conversation has 2 calls; name one: s-2, s-1',
    });
    await assert.rejects(run('scenario', 'c-9'), NOTHING);
  });

  // A process that shuts down in mid-call leaves a record, too.
  it('makes a scenario of the record that says how the call ended', async () => {
    const messages = [{ role: 'user', content: 'Rye?' }] as const;
    const turn = { turnId: 't-1', outcome: 'completed', startedAt: '', messages } as const;
    const ended = { ...recordOf('s-4', 'c-4'), turns: [turn] };
    const begun = { ...ended, outcome: 'not reported', turns: [] } as const;
    for (const records of [[begun, ended], [ended, begun]]) {
      await keepCalls(records);
      assert.match(await printed('scenario', 's-4'), /\nsay Rye/);
    }
  });

  it('names the called agent in a scenario if there are several agents', async () => {
    const environment = { ...FILE, AGENTS: 'sales=echo,bakery=echo' };
    terminal = new RecordedTerminal(environment, terminal.directory);
    assert.match(await printed('scenario', 's-3'), /^agent bakery$/m);
  });

  it('takes its settings as flags', async () => {
    terminal = new RecordedTerminal({}, terminal.directory);
    assert.equal(await run('list', '--call-records', 'file:calls.jsonl'), 0);
  });

  it('stops when it is interrupted', async () => {
    terminal.interrupt();
    await assert.rejects(run('export'), /interrupted/);
  });

  // A number in Singapore, and one in Tampa without its +.
  it('erases by number, but leaves a call from another country, and names it', async () => {
    for (const from of ['+6562345678', '6562345678'])
      await keepCalls([recordOf(from, from, 12, from)]);
    const said = await printed('erase', '--from', '+65 6234 5678');
    assert.deepEqual(said.match(/^erased .*$/gm), ['erased the record of session +6562345678']);
    assert.deepEqual(said.match(/^ {2}calls from .*$/gm), [
      '  calls from 6562345678, which may be another number: to erase them, give it to --from as '
      + 'it is written here',
    ]);
    await assert.rejects(run('erase', '--from', '+65 6234 5678'), NOTHING);
    assert.match(
      await printed('erase', '--from', '6562345678'), /^erased the record of session 6562345678$/m,
    );
  });

  it('leaves a cut line whose number differs only by a +, and names it', async () => {
    const [name = ''] = readdirSync(terminal.directory);
    const path = join(terminal.directory, name);
    const cut = JSON.stringify(recordOf('s-9', 'c-9', 12, '15550100')).slice(0, -20);
    appendFileSync(path, cut); // as a full disk leaves it
    const said = await printed('erase', '--from', '+15550100');
    assert.equal(readFileSync(path, 'utf8').trim(), cut);
    assert.match(said, /^ {2}calls from 15550100, which may be another number: /m);
  });
});

// It is the default in a shell that lacks the server's settings.
describe('the calls erase command without a conversation store', () => {
  it('names a conversation that a server may still have, and exits with 1', async () => {
    use(FILE);
    await keepCalls([{ ...recordOf('s-1', 'c-1'), endedAt: new Date().toISOString() }]);
    await assert.rejects(run('erase', 'c-1'), { message: /^not everything was erased/ });
    assert.match(terminal.out, /^erased the record of session s-1$/m);
    assert.match(terminal.out, /^ {2}the conversation c-1 of the agent bakery, which is in a server/m);
  });
});

describe('the calls erase command with a conversation store', { skip: WITHOUT_SQLITE }, () => {
  it('erases the conversation from the store for every agent', async () => {
    const environment = {
      CONVERSATION_STORE: 'sqlite:calls.db', AGENTS: 'sales=echo,support=echo',
    };
    use(environment);
    await storeConversations([['sales/c-1'], ['support/c-1'], ['sales/c-2']]);
    const said = await printed('erase', 'c-1');
    assert.match(said, /^erased the conversation sales\/c-1$/m);
    assert.match(said, /^erased the conversation support\/c-1$/m);
    const { directory } = terminal;
    const again = await openStore(parseSettings(environment, []), { log, directory });
    assert.equal(await again.count(), 1);
    await again.close();
  });

  // A server that was started with --agents, and a shell in which AGENTS is not set.
  for (const argv of [['c-1'], ['s-1'], ['--from', '+15550100']]) {
    it(`erases it at every agent without AGENTS, given ${argv.join(' ')}`, async () => {
      use({ ...FILE, CONVERSATION_STORE: 'sqlite:calls.db' });
      await keepCalls([recordOf('s-1', 'c-1')], 'bakery/');
      await storeConversations([['bakery/c-1'], ['bakery/x-c-1'], ['bakery/c-10']]);
      const said = await printed('erase', ...argv);
      assert.deepEqual(said.match(/^erased .*$/gm), [
        'erased the conversation bakery/c-1', 'erased the record of session s-1',
      ]);
    });
  }

  it('erases a call that has no record yet at every agent, without AGENTS', async () => {
    use({ CONVERSATION_STORE: 'sqlite:calls.db' });
    await storeConversations([['shop/c-1'], ['desk/c-1'], ['a/b/c-1'], ['Shop/c-1']]);
    assert.deepEqual((await printed('erase', 'c-1')).match(/^erased .*$/gm)?.toSorted(), [
      'erased the conversation desk/c-1', 'erased the conversation shop/c-1',
    ]);
  });

  it("leaves another caller's conversation with an id of this one's", async () => {
    use({ ...FILE, CONVERSATION_STORE: 'sqlite:calls.db' });
    await keepCalls([recordOf('s-1', 'c-1')], 'bakery/');
    await storeConversations([['bakery/c-1', '+15550100'], ['c-1', '+15550199']]);
    const said = await printed('erase', '--from', '+15550100');
    assert.deepEqual(said.match(/^erased the conv.*$/gm), ['erased the conversation bakery/c-1']);
  });

  it('keeps the record of a call whose conversation should be in the store, and is not', async () => {
    use({ ...FILE, CONVERSATION_STORE: 'sqlite:calls.db' });
    const endedAt = new Date().toISOString();
    await keepCalls([{ ...recordOf('s-1', 'c-1'), endedAt }, recordOf('s-2', 'c-2')]);
    await storeConversations([['c-3']]);
    const before = terminal.out.length;
    await assert.rejects(run('erase', '--from', '+15550100'), {
      message: /^not everything was erased: .* CONVERSATION_STORE .* run this again/,
    });
    const said = terminal.out.slice(before);
    assert.match(said, /^ {2}the conversation c-1 of the agent bakery, which is not in the store/m);
    assert.deepEqual(await left(), ['s-1']);
    assert.match(await printed('erase', 'c-1'), /^erased the record of session s-1$/m);
  });

  it("keeps the records if one agent's conversation cannot be erased", async () => {
    use({
      ...FILE, CONVERSATION_STORE: 'sqlite:calls.db', AGENTS: 'sales=echo,support=echo',
    });
    await keepCalls();
    await storeConversations([['sales/c-1'], ['support/c-1']]);
    const { directory, out } = terminal;
    const file = new (loadSqlite().DatabaseSync)(join(directory, 'calls.db'));
    file.exec("CREATE TRIGGER t BEFORE UPDATE ON conversation WHEN old.id = 'sales/c-1' "
      + "BEGIN SELECT RAISE(ABORT, 'no room'); END");
    await assert.rejects(run('erase', 'c-1'), { message: /^not everything was erased/ });
    assert.match(terminal.out.slice(out.length), /^erased the conversation support\/c-1\nnot reached/);
    assert.deepEqual(await left(), ['s-1', 's-2', 's-3']);
    file.exec('DROP TRIGGER t');
    file.close();
    await printed('erase', 'c-1');
    assert.deepEqual(await left(), ['s-3']);
  });

  it('erases conversations even if no records are kept', async () => {
    use({ CONVERSATION_STORE: 'sqlite:calls.db' });
    await storeConversations([['c-1', '+1']]);
    assert.match(await printed('erase', '--from', '+1'), /^erased the conversation c-1$/m);
    await assert.rejects(run('erase', 'c-2'), NOTHING);
  });

  it("finds a caller's conversations without records, and marks them as erased", async () => {
    use(STORE);
    await storeConversations([['c-1', '+1'], ['sales/c-2', '+1'], ['c-3', '+12'], ['c-4', '1']]);
    const said = await printed('erase', '--from', '+1');
    assert.deepEqual((said.match(/^erased the conversation .*$/gm) ?? []).sort(), [
      'erased the conversation c-1', 'erased the conversation sales/c-2',
    ]);
    assert.match(said, /^ {2}calls from 1, which may be another number: /m);
    const { directory } = terminal;
    const parts = await openParts(parseSettings(STORE, []), { log, directory });
    const marked = await parts.read('c-1');
    assert.ok(typeof marked === 'object' && marked.version.startsWith('~'));
    assert.equal(await parts.count(), 2);
    await parts.close();
  });

  for (const argv of [['s-1'], ['--from', '+15550100']]) {
    it(`also erases a conversation that its record names, given ${argv.join(' ')}`, async () => {
      use({ ...FILE, CONVERSATION_STORE: 'sqlite:calls.db' });
      await keepCalls();
      await storeConversations([['c-1']]);
      const said = await printed('erase', ...argv);
      assert.match(said, /^erased the conversation c-1$/m);
      assert.match(said, /^erased the record of session s-1$/m);
    });
  }
});

describe('the calls list command with --unrecorded', { skip: WITHOUT_SQLITE }, () => {
  // An earlier version erased the record of such a call, and left its conversation.
  it('lists the conversations in the store that have no record', async () => {
    use({ ...FILE, CONVERSATION_STORE: 'sqlite:calls.db' });
    await keepCalls([recordOf('s-1', 'c-1'), recordOf('s-2', 'c-2')]);
    await storeConversations([
      ['c-1'], ['bakery/c-2'], ['shop/c-2', '+15550199'], ['c-3'], ['c-4'],
    ]);
    await printed('erase', 'c-4');
    const rows = (await printed('list', '--unrecorded')).trim().split('\n')
      .map((line) => line.split(/ {2,}/).slice(1));
    assert.deepEqual(rows[0], ['conversation', 'from']);
    assert.deepEqual(rows.slice(1).sort(), [['c-3'], ['shop/c-2', '+15550199']]);
  });

  it('says so if there are none, and if the store is the memory of a server', async () => {
    use({ ...FILE, CONVERSATION_STORE: 'sqlite:calls.db' });
    await keepCalls([recordOf('s-1', 'c-1')]);
    await storeConversations([['c-1']]);
    assert.equal(await printed('list', '--unrecorded'), '');
    assert.match(terminal.err, /^Every conversation in the store has a record\.\n$/m);
    use(FILE);
    await keepCalls();
    await assert.rejects(run('list', '--unrecorded'), { message: /CONVERSATION_STORE is not set/ });
  });
});

describe('the calls erase command during a backup of SQLite', { skip: WITHOUT_SQLITE }, () => {
  const HELD = /^Another process is using the SQLite file, so what was erased has not .*\.\n$/;

  /** Erases a call, and returns what the command says on stderr. `begin` starts the backup. */
  async function said(
    environment: Readonly<Record<string, string>>,
    prepare: (begin: () => void) => void,
  ): Promise<string> {
    use(environment);
    const settings = parseSettings(environment, []);
    if (settings.callRecords !== undefined) await keepCalls();
    await storeConversations([['c-1']]);
    const { directory } = terminal;
    const server = await openStore(settings, { log, directory });
    const backup = new (loadSqlite().DatabaseSync)(join(directory, 'calls.db'));
    prepare(() => backup.exec('BEGIN; SELECT count(*) FROM part'));
    assert.equal(await run('erase', 'c-1'), 0);
    backup.close();
    await server.close();
    return terminal.err;
  }

  it('says that the words are still there, and when they will be gone', async () => {
    const environment = { CONVERSATION_STORE: 'sqlite:calls.db' };
    assert.match(await said(environment, (begin) => begin()), HELD);
  });

  it('says the same about records, which are erased last', async (t) => {
    const environment = { CALL_RECORDS: 'store', CONVERSATION_STORE: 'sqlite:calls.db' };
    const err = await said(environment, (begin) => {
      const { stdout } = terminal;
      const write = stdout.write.bind(stdout) as (...given: unknown[]) => boolean;
      let hasBegun = false;
      t.mock.method(stdout, 'write', (...given: unknown[]) => {
        if (!hasBegun && String(given[0]).includes('the record of')) begin();
        hasBegun ||= String(given[0]).includes('the record of');
        return write(...given);
      });
    });
    assert.match(err, HELD);
  });

  it('says nothing if the backup is not reading', async () => {
    const environment = { CALL_RECORDS: 'store', CONVERSATION_STORE: 'sqlite:calls.db' };
    assert.equal(await said(environment, () => undefined), '');
  });
});

describe('the calls command', () => {
  it('names each of its actions in the list of commands and in its help', () => {
    for (const action of ['list', 'show', 'export', 'scenario', 'erase']) {
      assert.match(calls.summary, new RegExp(`\\b${action}\\b`, 'i'));
      assert.match(calls.help, new RegExp(`^.*layercode-microserver calls ${action}\\b`, 'm'));
    }
  });

  const wrong: readonly (readonly [argv: readonly string[], says: RegExp])[] = [
    [[], /calls takes list, show, export, scenario or erase$/],
    [['delete'], /got "delete"/],
    [['list', 'c-1'], /calls list takes only flags/],
    [['show'], /calls show takes the id/],
    [['scenario'], /calls scenario takes the id/],
    [['erase'], /calls erase takes the id/],
    [['erase', 'a', 'b'], /takes one id/],
    [['list', '--port', '1'], /--port is not a flag of calls/],
    [['list', '--day', 'today'], /--day takes a day such as 2026-11-25/],
    [['list', '--day', '2026-02-30'], /--day takes a day/],
    [['list', '--outcome', 'lost'], /--outcome takes "hung up", "ended", "not reported"/],
    [['list', '--slower-than', '3s'], /--slower-than takes milliseconds/],
    [['list', '--unrecorded', '--failed'], /--failed is about recorded calls/],
    [['list', '--unrecorded', '--day', '2026-11-25'], /--day is about recorded calls/],
    [['list', '--requests'], /--requests is for calls show/],
    [['list', '--html'], /--html is for calls show/],
    [['show', 'c-1', '--failed'], /--failed is for calls list/],
    [['erase', '--number', '+1'], /calls erase takes the id/],
    [['erase', 'c-1', '--from', '+1'], /takes one id or --from with a number, not both/],
    [['erase', '--from', '+1', '--day', '2026-11-25'], /--day is for calls list/],
  ];
  for (const [argv, says] of wrong) {
    it(`refuses ${JSON.stringify(argv.join(' '))}`, async () => {
      use({});
      await assert.rejects(run(...argv), { name: 'UsageError', message: says });
    });
  }

  it('says what to set if no records are kept', async () => {
    use({});
    await assert.rejects(run('list'), /CALL_RECORDS is not set/);
  });

  it('says that a file cannot be read, and not that there are no calls', async () => {
    use({ CALL_RECORDS: 'file:calls.jsonl' });
    mkdirSync(join(terminal.directory, 'calls-2026-11-25.jsonl'));
    await assert.rejects(run('list'), /it is not a regular file/);
    assert.deepEqual([terminal.out, terminal.err], ['', '']);
  });

  it('promises no record of a call without a reported end if none will be made', async () => {
    use({ CALL_RECORDS: 'file:calls.jsonl', CALL_RECORDS_IDLE_SECONDS: '0' });
    await keepCalls([]);
    await run('list', '--from', '+1');
    assert.match(terminal.err, /^No calls found; a record .* of a call is reported\.$/m);
  });

  // A misspelt name used to become a file, with no calls in it.
  for (const [argv, environment, message] of [
    [
      ['list'], { CALL_RECORDS: 'file:typo.jsonl' },
      /in \S+typo\.jsonl cannot be used: there is no file such as typo-[\d-]{10}\.jsonl; use the/,
    ],
    [
      ['show', 'c-1'], { CALL_RECORDS: 'file:typo/calls.jsonl' },
      /in \S+calls\.jsonl cannot be used: there is no file such as calls-[\d-]{10}\.jsonl; use/,
    ],
    [
      ['erase', 'c-1'], { CALL_RECORDS: 'store', CONVERSATION_STORE: 'sqlite:typo.db' },
      /in \S+typo\.db cannot be used: there is no such file; use the settings and the directory/,
    ],
  ] as const)
    it(`creates no file for ${argv.join(' ')}, but says what is missing`, async () => {
      use(environment);
      await assert.rejects(run(...argv), { name: 'StoreError', message });
      assert.deepEqual([terminal.out, readdirSync(terminal.directory)], ['', []]);
    });

  it('does not erase a record while the SQLite file of the conversations is missing', async () => {
    use({ CALL_RECORDS: 'file:calls.jsonl', CONVERSATION_STORE: 'sqlite:typo.db' });
    await keepCalls();
    const before = readdirSync(terminal.directory);
    await assert.rejects(run('erase', 'c-1'), /typo\.db cannot be used: there is no such file/);
    assert.deepEqual(readdirSync(terminal.directory), before);
    assert.equal((await exported('c-1')).length, 2);
  });
});
