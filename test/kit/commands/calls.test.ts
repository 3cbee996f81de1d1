// `layercode-microserver calls` over files, and over a store where Node has SQLite.

import assert from 'node:assert/strict';
import {
  appendFileSync, mkdirSync, readFileSync, readdirSync, renameSync, rmdirSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { openParts, openStore } from '../../../src/conversations/stores/open-store.ts';
import { loadSqlite } from '../../../src/conversations/stores/sqlite-library.ts';
import { calls } from '../../../src/kit/commands/calls.ts';
import { UsageError } from '../../../src/kit/terminal/command.ts';
import { createLogger } from '../../../src/log.ts';
import type { CallRecord } from '../../../src/records/call-record.ts';
import { openCallArchive, openCallRecords } from '../../../src/records/open-call-records.ts';
import { parseSettings } from '../../../src/settings/parse-settings.ts';
import { WITHOUT_SQLITE } from '../../fixtures/sqlite.ts';
import { RecordedTerminal } from '../terminal/recorded-terminal.ts';

const log = createLogger({ level: 'silent', write: () => undefined });

let terminal: RecordedTerminal;

/** Call it in a `describe`, for each of its tests. */
function clearTerminal(): void {
  afterEach(() => terminal.clear());
}

function use(environment: Readonly<Record<string, string>>): void {
  terminal = new RecordedTerminal(environment);
}

function recordOf(sessionId: string, conversationId: string, startedAt: string): CallRecord {
  return {
    format: 1, conversationId, sessionId, agent: 'bakery', from: '+15550100', startedAt,
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

/** Keeps three calls, of which the earliest comes last. */
async function keepCalls(): Promise<void> {
  const { environment, directory } = terminal;
  const settings = parseSettings(environment, []);
  await (await openCallRecords(settings, { log, directory }))?.close(); // makes the file
  const archive = await openCallArchive(settings, { log, directory });
  assert.ok(archive !== undefined);
  const records = [
    recordOf('s-2', 'c-1', '2026-11-25T13:00:00.000Z'),
    recordOf('s-3', 'c-2', '2026-11-25T14:00:00.000Z'),
    recordOf('s-1', 'c-1', '2026-11-25T12:00:00.000Z'),
  ];
  for (const record of records) {
    const { conversationId: conversationKey, sessionId } = record;
    await archive.keep({ conversationKey, sessionId }, record);
  }
  await archive.close();
}

/** Keeps a call whose session is named as its caller's number. */
async function keepCallFrom(from: string): Promise<void> {
  const { environment, directory } = terminal;
  const archive = await openCallArchive(parseSettings(environment, []), { log, directory });
  const record = { ...recordOf(from, from, '2026-11-25T12:00:00.000Z'), from };
  await archive?.keep({ conversationKey: from, sessionId: from }, record);
  await archive?.close();
}

async function run(...argv: string[]): Promise<number> {
  return calls.run(argv, terminal);
}

function exported(): CallRecord[] {
  return terminal.out.split('\n').filter(Boolean).map((line) => JSON.parse(line) as CallRecord);
}

const WHEN_RECORDED = 'a record is made when the end of a call is reported, or 900 s after its '
  + 'last turn (CALL_RECORDS_IDLE_SECONDS)';

const PLACES = [
  ['file:calls.jsonl', { CALL_RECORDS: 'file:calls.jsonl' }, false],
  ['store', { CALL_RECORDS: 'store', CONVERSATION_STORE: 'sqlite:calls.db' }, WITHOUT_SQLITE],
] as const;

for (const [place, environment, skip] of PLACES) {
  describe(`calls, with CALL_RECORDS=${place}`, { skip }, () => {
    clearTerminal();

    beforeEach(async () => {
      use(environment);
      await keepCalls();
    });

    it('lists one line per call, the earliest first', async () => {
      assert.equal(await run('list'), 0);
      assert.deepEqual(terminal.out.split('\n'), [
        'started                   seconds  turns  outcome  cost  conversation  session  from',
        '2026-11-25T12:00:00.000Z  65       1      ended    0.25  c-1           s-1      +15550100',
        '2026-11-25T13:00:00.000Z  65       1      ended    0.25  c-1           s-2      +15550100',
        '2026-11-25T14:00:00.000Z  65       1      ended    0.25  c-2           s-3      +15550100',
        '',
      ]);
    });

    it('says so if there are none, and when a record is made', async () => {
      await run('list', '--from', '+1');
      assert.equal(terminal.err, `No calls found; ${WHEN_RECORDED}.\n`);
    });

    it('lists only the calls that its flags ask for', async () => {
      await run('list', '--day', '2026-11-25', '--slower-than', '611', '--agent', 'stockist');
      assert.equal(terminal.out.split('\n').length, 5);
      const before = terminal.out;
      await run('list', '--number', '+1 555-0100', '--tool-outcome', 'failed');
      assert.equal(terminal.out.slice(before.length).split('\n').length, 2);
    });

    it('shows what was said and done, without what a terminal would obey', async () => {
      assert.equal(await run('show', 's-3'), 0);
      assert.equal(terminal.out, [
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

    it('shows the calls of a conversation as one page', async () => {
      assert.equal(await run('show', 'c-1', '--html'), 0);
      assert.equal(terminal.out.match(/<article>/g)?.length, 2);
      assert.match(terminal.out, /^<!doctype html>[^]*<\/html>\n$/);
    });

    it('exports records as they are kept: all, or those of an id', async () => {
      assert.equal(await run('export', 's-3'), 0);
      assert.deepEqual(exported(), [recordOf('s-3', 'c-2', '2026-11-25T14:00:00.000Z')]);
      await run('export');
      assert.equal(exported().length, 4);
    });

    it('erases the calls of a conversation, and says what it cannot reach', async () => {
      assert.equal(await run('erase', 'c-1'), 0);
      assert.match(terminal.out, /^erased the record of session s-[12]$/m);
      const kinds = ['log', 'backups', 'LayerCode\'s own records', 'models, tools'];
      const [, rest = ''] = terminal.out.split('not reached:');
      for (const kind of kinds) assert.ok(rest.includes(kind), kind);
      const before = terminal.out;
      await run('export');
      const left = terminal.out.slice(before.length).trim();
      assert.equal((JSON.parse(left) as CallRecord).sessionId, 's-3');
    });

    it('erases one call of several by its session', async () => {
      await run('erase', 's-1');
      await run('list');
      assert.match(terminal.out, / s-2 /);
      assert.doesNotMatch(terminal.out, / s-1 /);
    });

    it('erases all calls from a number, and no other', async () => {
      const { environment, directory } = terminal;
      const archive = await openCallArchive(parseSettings(environment, []), { log, directory });
      const other = { ...recordOf('s-4', 'c-4', '2026-11-25T15:00:00.000Z'), from: '+15550199' };
      await archive?.keep({ conversationKey: 'c-4', sessionId: 's-4' }, other);
      await archive?.close();
      assert.equal(await run('erase', '--from', '+1 (555) 0100'), 0);
      assert.equal(terminal.out.match(/^erased the record of session/gm)?.length, 3);
      assert.match(terminal.out, /calls that do not name the number/);
      const before = terminal.out;
      await run('export');
      const left = terminal.out.slice(before.length).trim();
      assert.equal((JSON.parse(left) as CallRecord).sessionId, 's-4');
      await assert.rejects(run('erase', '--from', '+15550100'), /nothing is known here about/);
    });

    // A number in Singapore, and one in Tampa without its +1.
    it('erases by number no call of another country, but names it', async () => {
      const before = terminal.out;
      await keepCallFrom('+6562345678');
      await keepCallFrom('6562345678');
      assert.equal(await run('erase', '--from', '+65 6234 5678'), 0);
      const said = terminal.out.slice(before.length);
      assert.deepEqual(said.match(/^erased .*$/gm), ['erased the record of session +6562345678']);
      assert.deepEqual(said.match(/^ {2}calls from .*$/gm), [
        '  calls from 6562345678, which may be another number: to erase them, give it to --from as '
        + 'it is written here',
      ]);
      await assert.rejects(run('erase', '--from', '+65 6234 5678'), /nothing is known here about/);
      assert.equal(await run('erase', '--from', '6562345678'), 0);
      assert.match(terminal.out, /^erased the record of session 6562345678$/m);
    });

    it('erases by number no call of another caller whose ids are the same', async () => {
      const { environment, directory } = terminal;
      const archive = await openCallArchive(parseSettings(environment, []), { log, directory });
      const other = recordOf('s-1', 'c-1', '2026-11-25T15:00:00.000Z');
      const key = { conversationKey: 'sales/c-1', sessionId: 's-1' };
      await archive?.keep(key, { ...other, agent: 'sales', from: '+15550199' });
      await archive?.close();
      assert.equal(await run('erase', '--from', '+15550100'), 0);
      const before = terminal.out;
      await run('export');
      const left = terminal.out.slice(before.length).trim();
      assert.equal((JSON.parse(left) as CallRecord).agent, 'sales');
    });

    for (const [action, hint] of [
      ['show', `; ${WHEN_RECORDED}`],
      ['export', `; ${WHEN_RECORDED}`],
      ['erase', ''],
    ] as const) {
      it(`fails where ${action} finds nothing of the id`, async () => {
        const message = `nothing is known here about "c-9"${hint}`;
        await assert.rejects(run(action, 'c-9'), { message });
      });
    }
  });
}

describe('calls erase', () => {
  clearTerminal();

  it('leaves no word of the caller in the file', async () => {
    use({ CALL_RECORDS: 'file:calls.jsonl' });
    await keepCalls();
    await run('erase', 'c-1');
    await run('erase', 'c-2');
    const [name = ''] = readdirSync(terminal.directory);
    assert.match(readFileSync(join(terminal.directory, name), 'utf8'), /^[ \n]*$/);
  });

  it('leaves no line of a caller that a full disk has cut off', async () => {
    use({ CALL_RECORDS: 'file:calls.jsonl' });
    await keepCalls();
    const [name = ''] = readdirSync(terminal.directory);
    const record = JSON.stringify(recordOf('s-9', 'c-9', '2026-11-25T12:00:00.000Z'));
    appendFileSync(join(terminal.directory, name), record.slice(0, -20));
    await run('erase', '--from', '+1 (555) 0100');
    assert.match(readFileSync(join(terminal.directory, name), 'utf8'), /^[ \n]*$/);
  });

  it('leaves the cut line of a caller whose number differs by its +, and names it', async () => {
    use({ CALL_RECORDS: 'file:calls.jsonl' });
    await keepCalls();
    const [name = ''] = readdirSync(terminal.directory);
    const record = JSON.stringify(recordOf('s-9', 'c-9', '2026-11-25T12:00:00.000Z'));
    const cut = record.replace('+15550100', '15550100').slice(0, -20);
    appendFileSync(join(terminal.directory, name), cut);
    await run('erase', '--from', '+15550100');
    assert.equal(readFileSync(join(terminal.directory, name), 'utf8').trim(), cut);
    assert.match(terminal.out, /^ {2}calls from 15550100, which may be another number: /m);
  });

  it('erases the conversation from the store, of every agent', { skip: WITHOUT_SQLITE }, async () => {
    const environment = {
      CONVERSATION_STORE: 'sqlite:calls.db', AGENTS: 'sales=echo,support=echo',
    };
    use(environment);
    const { directory } = terminal;
    const store = await openStore(parseSettings(environment, []), { log, directory });
    for (const id of ['sales/c-1', 'support/c-1', 'sales/c-2'])
      await store.update(id, ({ turns }) => {
        turns.push({ id: 't', state: 'completed', runId: 1, words: 'Hello', reply: 'Hi' });
      });
    await store.close();
    assert.equal(await run('erase', 'c-1'), 0);
    assert.match(terminal.out, /^erased the conversation sales\/c-1$/m);
    assert.match(terminal.out, /^erased the conversation support\/c-1$/m);
    const again = await openStore(parseSettings(environment, []), { log, directory });
    assert.equal(await again.count(), 1);
    await again.close();
  });
});

describe('calls erase, while a backup reads the SQLite file', { skip: WITHOUT_SQLITE }, () => {
  clearTerminal();

  const HELD = /^Another process uses the SQLite file, so what was erased is not .*\.\n$/;

  /** Erases a call, and returns what the command says on stderr. The backup begins with `begin`. */
  async function said(
    environment: Readonly<Record<string, string>>,
    prepare: (begin: () => void) => void,
  ): Promise<string> {
    use(environment);
    const settings = parseSettings(environment, []);
    if (settings.callRecords !== undefined) await keepCalls();
    const { directory } = terminal;
    const server = await openStore(settings, { log, directory });
    await server.update('c-1', ({ turns }) => {
      turns.push({ id: 't', state: 'completed', runId: 1, words: 'Hello', reply: 'Hi' });
    });
    const backup = new (loadSqlite().DatabaseSync)(join(directory, 'calls.db'));
    prepare(() => backup.exec('BEGIN; SELECT count(*) FROM part'));
    assert.equal(await run('erase', 'c-1'), 0);
    backup.close();
    await server.close();
    return terminal.err;
  }

  it('says that the words are still there, and when they go', async () => {
    const environment = { CONVERSATION_STORE: 'sqlite:calls.db' };
    assert.match(await said(environment, (begin) => begin()), HELD);
  });

  it('says so of records, too, which are erased last', async (t) => {
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

  it('says nothing if nobody reads it', async () => {
    const environment = { CALL_RECORDS: 'store', CONVERSATION_STORE: 'sqlite:calls.db' };
    assert.equal(await said(environment, () => undefined), '');
  });
});

describe('calls erase, once the store works again', { skip: WITHOUT_SQLITE }, () => {
  clearTerminal();

  for (const argv of [['s-1'], ['--from', '+15550100']]) {
    it(`reaches the conversations that only records name, of ${argv.join(' ')}`, async () => {
      const environment = {
        CALL_RECORDS: 'file:calls.jsonl', CONVERSATION_STORE: 'sqlite:calls.db',
      };
      use(environment);
      await keepCalls();
      const { directory } = terminal;
      const store = await openStore(parseSettings(environment, []), { log, directory });
      await store.update('c-1', ({ turns }) => {
        turns.push({ id: 't', state: 'completed', runId: 1, words: 'Hello', reply: 'Hi' });
      });
      await store.close();
      const [file, elsewhere] = [join(directory, 'calls.db'), join(directory, 'elsewhere.db')];
      renameSync(file, elsewhere);
      mkdirSync(file);
      await assert.rejects(run('erase', ...argv), /it is a directory|cannot/);
      rmdirSync(file);
      renameSync(elsewhere, file);
      assert.equal(await run('erase', ...argv), 0);
      assert.match(terminal.out, /^erased the conversation c-1$/m);
      assert.match(terminal.out, /^erased the record of session s-1$/m);
    });
  }
});

describe('calls erase --from', { skip: WITHOUT_SQLITE }, () => {
  clearTerminal();

  it('finds the conversations of a caller that have no record, and marks them erased', async () => {
    const environment = { CALL_RECORDS: 'store', CONVERSATION_STORE: 'sqlite:calls.db' };
    use(environment);
    const { directory } = terminal;
    const settings = parseSettings(environment, []);
    const store = await openStore(settings, { log, directory });
    const callers = [['c-1', '+1'], ['sales/c-2', '+1'], ['c-3', '+12'], ['c-4', '1']] as const;
    for (const [id, from] of callers)
      await store.update(id, (conversation) => {
        conversation.turns.push(
          { id: 't', state: 'completed', runId: 1, words: 'Hello', reply: 'Hi' },
        );
        conversation.caller = { sessionId: 's', from, to: '+2' };
      });
    await store.close();
    assert.equal(await run('erase', '--from', '+1'), 0);
    const erased = terminal.out.match(/^erased the conversation .*$/gm) ?? [];
    assert.deepEqual(erased.sort(), [
      'erased the conversation c-1', 'erased the conversation sales/c-2',
    ]);
    const parts = await openParts(settings, { log, directory });
    const marked = await parts.read('c-1');
    assert.ok(typeof marked === 'object' && marked.version.startsWith('~'));
    assert.equal(await parts.count(), 2);
    await parts.close();
    assert.match(terminal.out, /^ {2}calls from 1, which may be another number: /m);
  });
});

describe('calls', () => {
  clearTerminal();

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
    [['list', '--requests'], /--requests is for calls show/],
    [['list', '--html'], /--html is for calls show/],
    [['show', 'c-1', '--failed'], /--failed is for calls list/],
    [['erase', '--number', '+1'], /calls erase takes the id/],
    [['erase', 'c-1', '--from', '+1'], /takes one id or --from with a number, not both/],
    [['erase', '--from', '+1', '--day', '2026-11-25'], /--day is for calls list/],
  ];
  for (const [argv, says] of wrong) {
    it(`is used wrongly as ${JSON.stringify(argv.join(' '))}`, async () => {
      use({});
      await assert.rejects(run(...argv), (error: unknown) => {
        assert.ok(error instanceof UsageError);
        assert.match(error.message, says);
        return true;
      });
    });
  }

  it('says what to set where no records are kept', async () => {
    use({});
    await assert.rejects(run('list'), /CALL_RECORDS is not set/);
  });

  it('erases conversations where no records are kept', { skip: WITHOUT_SQLITE }, async () => {
    const environment = { CONVERSATION_STORE: 'sqlite:calls.db' };
    use(environment);
    const { directory } = terminal;
    const store = await openStore(parseSettings(environment, []), { log, directory });
    await store.update('c-1', (conversation) => {
      conversation.turns.push({ id: 't', state: 'completed', runId: 1, words: 'Hi', reply: 'Hi' });
      conversation.caller = { sessionId: 's', from: '+1', to: '+2' };
    });
    await store.close();
    assert.equal(await run('erase', '--from', '+1'), 0);
    assert.match(terminal.out, /^erased the conversation c-1$/m);
    await assert.rejects(run('erase', 'c-2'), /nothing is known here about "c-2"/);
  });

  it('says that a file cannot be read, and not that there are no calls', async () => {
    use({ CALL_RECORDS: 'file:calls.jsonl' });
    mkdirSync(join(terminal.directory, 'calls-2026-11-25.jsonl'));
    await assert.rejects(run('list'), /it is not a regular file/);
    assert.equal(terminal.err, '');
  });

  it('promises no record of a call without an end where there will be none', async () => {
    use({ CALL_RECORDS: 'file:calls.jsonl', CALL_RECORDS_IDLE_SECONDS: '0' });
    await keepCalls();
    await run('list', '--from', '+1');
    assert.match(terminal.err, /^No calls found; a record .* of a call is reported\.$/m);
  });

  // A misspelt name was made into a file, in which there were no calls.
  for (const argv of [
    ['list'], ['show', 'c-1'], ['export'], ['scenario', 'c-1'], ['erase', 'c-1'],
    ['erase', '--from', '+1'],
  ])
    for (const [what, environment, message] of [
      [
        'record file', { CALL_RECORDS: 'file:typo.jsonl' },
        /in \S+typo\.jsonl cannot be used: there is no file such as typo-[\d-]{10}\.jsonl; use the/,
      ],
      [
        'folder of records', { CALL_RECORDS: 'file:typo/calls.jsonl' },
        /in \S+calls\.jsonl cannot be used: there is no file such as calls-[\d-]{10}\.jsonl; use/,
      ],
      [
        'SQLite file', { CALL_RECORDS: 'store', CONVERSATION_STORE: 'sqlite:typo.db' },
        /in \S+typo\.db cannot be used: there is no such file; use the settings and the directory/,
      ],
    ] as const)
      it(`creates no ${what} for ${argv.join(' ')}, but says that it is missing`, async () => {
        use(environment);
        await assert.rejects(run(...argv), { name: 'StoreError', message });
        assert.deepEqual([terminal.out, readdirSync(terminal.directory)], ['', []]);
      });

  it('erases no record while the SQLite file of the conversations is missing', async () => {
    use({ CALL_RECORDS: 'file:calls.jsonl', CONVERSATION_STORE: 'sqlite:typo.db' });
    await keepCalls();
    const before = readdirSync(terminal.directory);
    await assert.rejects(run('erase', 'c-1'), /typo\.db cannot be used: there is no such file/);
    assert.deepEqual(readdirSync(terminal.directory), before);
    await run('export', 'c-1');
    assert.equal(exported().length, 2);
  });

  it('prints one call as a scenario, and names the calls of an id that has several', async () => {
    use({ CALL_RECORDS: 'file:calls.jsonl' });
    await keepCalls();
    assert.equal(await run('scenario', 's-3'), 0);
    assert.match(terminal.out, /^# A recorded call of the agent "bakery"\.[^]*\nnever-fails\n/);
    assert.doesNotMatch(terminal.out, /^agent/m); // the settings have one agent, and name no other
    await assert.rejects(run('scenario', 'c-1'), {
      name: 'CommandError', message: 'this conversation has 2 calls; name one: s-2, s-1',
    });
    await assert.rejects(run('scenario', 'c-9'), /nothing is known here about "c-9"/);
  });

  it('names in a scenario the agent that was called, if there are several', async () => {
    use({ CALL_RECORDS: 'file:calls.jsonl', AGENTS: 'sales=echo,bakery=echo' });
    await keepCalls();
    assert.equal(await run('scenario', 's-3'), 0);
    assert.match(terminal.out, /^agent bakery$/m);
  });

  it('takes its settings as flags', async () => {
    use({ CALL_RECORDS: 'file:calls.jsonl' });
    await keepCalls();
    terminal = new RecordedTerminal({}, terminal.directory);
    assert.equal(await run('list', '--call-records', 'file:calls.jsonl'), 0);
  });

  it('stops when it is interrupted', async () => {
    use({ CALL_RECORDS: 'file:calls.jsonl' });
    await keepCalls();
    terminal.interrupt();
    await assert.rejects(run('export'), /interrupted/);
  });
});
