// Records in real files, as several processes write, read and erase them.

import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import {
  appendFileSync, chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync,
  statSync, symlinkSync, writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { promisify } from 'node:util';

import { StoreError } from '../../../src/core/conversations/stores/store-error.ts';
import { callFile, type CallFile } from '../../../src/server/records/call-file.ts';
import type { CallRecord } from '../../../src/server/records/call-record.ts';
import { until } from '../../fixtures/app.ts';
import { mockTimers } from '../../fixtures/clock.ts';
import { processorMs } from '../../fixtures/processor-time.ts';
import { TYPESCRIPT } from '../../fixtures/typescript.ts';

const NOON = Date.UTC(2026, 10, 25, 12);
const DAY_MS = 86_400_000;
const KEY = { conversationKey: 'c-1', sessionId: 's-1' };

let folder: string;
let path: string;
/** Today's file. */
let today: string;
const opened: CallFile[] = [];

/** Sets up a folder for each test of the `describe` that calls it. */
function useFolder(): void {
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'call-file-'));
    path = join(folder, 'calls.jsonl');
    today = join(folder, 'calls-2026-11-25.jsonl');
  });
  afterEach(async () => {
    for (const file of opened.splice(0)) await file.close();
    rmSync(folder, { recursive: true, force: true });
  });
}

function open(now: () => number = () => NOON, days = 30, at = path): CallFile {
  const file = callFile({ path: at, days, now });
  opened.push(file);
  return file;
}

function recordOf(sessionId: string, conversationId = 'c-1', words = 'Hello'): CallRecord {
  const time = new Date(NOON).toISOString();
  return {
    format: 1, conversationId, sessionId, agent: 'bakery', startedAt: time, endedAt: time,
    durationMs: 0, outcome: 'ended', tokens: {},
    turns: [
      { turnId: 't-1', outcome: 'completed', messages: [{ role: 'user', content: words }] },
    ],
  };
}

/** Root may read and write everything, so another user runs it. */
async function asNobody(run: () => Promise<void>): Promise<void> {
  if (process.geteuid?.() !== 0) return run();
  process.seteuid?.(65_534);
  try {
    await run();
  } finally {
    process.seteuid?.(0);
  }
}

async function sessionsIn(records: AsyncIterable<CallRecord>): Promise<string[]> {
  const ids: string[] = [];
  for await (const { sessionId } of records) ids.push(sessionId);
  return ids;
}

describe('callFile', () => {
  useFolder();

  it('appends one line of JSON per record to the file of the day', async () => {
    const file = open();
    await file.keep(KEY, recordOf('s-1'));
    await file.keep(KEY, recordOf('s-2', 'c-1', 'Two\nlines\u2028'));
    const lines = readFileSync(today, 'utf8').split('\n');
    assert.deepEqual(lines.slice(0, 2).map((line) => JSON.parse(line)), [
      recordOf('s-1'), recordOf('s-2', 'c-1', 'Two\nlines\u2028'),
    ]);
    assert.equal(lines[2], '');
  });

  it('begins a new file at midnight UTC, and reads all files', async () => {
    let now = Date.UTC(2026, 10, 25, 23, 59, 59, 999);
    const file = open(() => now);
    await file.keep(KEY, recordOf('s-1'));
    now += 1;
    await file.keep(KEY, recordOf('s-2'));
    assert.deepEqual(readdirSync(folder), ['calls-2026-11-25.jsonl', 'calls-2026-11-26.jsonl']);
    assert.deepEqual(await sessionsIn(file.all()), ['s-1', 's-2']);
  });

  it('creates files that only this user can read, and restricts older ones', async () => {
    const file = open();
    await file.keep(KEY, recordOf('s-1'));
    assert.equal(statSync(today).mode & 0o777, 0o600);
    chmodSync(today, 0o644);
    await file.keep(KEY, recordOf('s-2'));
    assert.equal(statSync(today).mode & 0o777, 0o600);
  });

  it('removes expired files, and no others', async () => {
    const names = [
      'calls-2026-10-25.jsonl', 'calls-2026-10-26.jsonl', 'calls-2026-10-25.jsonl.gz',
      'calls-old.jsonl', 'other-2026-10-25.jsonl', 'calls-2020-01-01.jsonl',
    ];
    for (const name of names) writeFileSync(join(folder, name), '');
    await open().begin();
    assert.deepEqual(readdirSync(folder), [
      'calls-2026-10-25.jsonl.gz', 'calls-2026-10-26.jsonl', 'calls-2026-11-25.jsonl',
      'calls-old.jsonl', 'other-2026-10-25.jsonl',
    ]);
  });

  it('also removes expired files every hour, until it is closed', async (t) => {
    const clock = mockTimers(t, ['setInterval']);
    const names = ['calls-2026-10-01.jsonl', 'calls-2026-10-02.jsonl'];
    const [first = '', second = ''] = names.map((name) => join(folder, name));
    const file = open();
    await file.begin();
    writeFileSync(first, '');
    // Each of these reads comes after one that a timer has begun.
    clock.tick(3_599_999);
    await open().all()[Symbol.asyncIterator]().next();
    assert.ok(existsSync(first));
    clock.tick(1);
    await until(() => !existsSync(first), 'the file to be removed');
    await file.close();
    writeFileSync(second, '');
    clock.tick(3_600_000);
    await open().all()[Symbol.asyncIterator]().next();
    assert.ok(existsSync(second));
  });

  it('tries again an hour later if a file cannot be removed', async (t) => {
    const clock = mockTimers(t, ['setInterval']);
    const old = join(folder, 'calls-2026-10-01.jsonl');
    const file = open();
    await file.begin();
    mkdirSync(old); // unlink refuses a directory
    clock.tick(3_600_000);
    await open().all()[Symbol.asyncIterator]().next();
    rmSync(old, { recursive: true });
    writeFileSync(old, '');
    clock.tick(3_600_000);
    await until(() => !existsSync(old), 'the file to be removed');
  });

  it('does not read an expired record, even if its file is still there', async () => {
    let now = NOON;
    const file = open(() => now, 1);
    await file.keep(KEY, recordOf('s-1'));
    now += DAY_MS;
    assert.deepEqual(await sessionsIn(file.all()), ['s-1']);
    now += DAY_MS;
    assert.deepEqual(await sessionsIn(file.all()), []);
  });

  it('keeps lines whole if several processes append large ones at once', async () => {
    const url = new URL('../../../src/server/records/call-file.ts', import.meta.url);
    const script = `
      import { callFile } from ${JSON.stringify(url.href)};
      const [path, name] = process.argv.slice(1);
      const file = callFile({ path, days: 30, now: () => ${NOON} });
      const record = ${JSON.stringify(recordOf('s'))};
      record.turns[0].messages[0].content = 'x'.repeat(200_000);
      for (let n = 0; n < 25; n += 1)
        await file.keep({}, { ...record, sessionId: name + '-' + n });
    `;
    const argv = [...TYPESCRIPT, '--input-type=module', '-e', script];
    await Promise.all(['a', 'b'].map((name) =>
      promisify(execFile)(process.execPath, [...argv, path, name]),
    ));
    const ids = await sessionsIn(open().all());
    assert.equal(new Set(ids).size, 50);
    assert.equal(readFileSync(today, 'utf8').split('\n').filter(Boolean).length, 50);
  });

  it('knows the sessions whose end was recorded since it began, by any process', async () => {
    const [file, other] = [open(), open()];
    await other.keep(KEY, recordOf('before'));
    await file.begin();
    const has = (sessionId: string): Promise<boolean> => file.hasEnd({ ...KEY, sessionId });
    assert.deepEqual(await Promise.all(['before', 's-1'].map(has)), [false, false]);
    await other.keep(KEY, recordOf('s-1'));
    await file.keep(KEY, recordOf('a "quoted" one', 'c "sessionId":"x"'));
    const asked = ['s-1', 'a "quoted" one', 'x', 's-2'];
    assert.deepEqual(await Promise.all(asked.map(has)), [true, true, false, false]);
    appendFileSync(today, JSON.stringify(recordOf('s-2')).slice(0, 80));
    assert.equal(await has('s-2'), false);
    await other.keep(KEY, recordOf('s-3'));
    appendFileSync(today, JSON.stringify(recordOf('s-4')));
    assert.deepEqual(await Promise.all(['s-2', 's-3', 's-4'].map(has)), [false, true, false]);
    appendFileSync(today, '\n');
    assert.equal(await has('s-4'), true);
  });

  it('knows of no end from the record of a silent call', async () => {
    const file = open();
    await file.begin();
    const has = (sessionId: string): Promise<boolean> => file.hasEnd({ ...KEY, sessionId });
    const both = async (outcome: CallRecord['outcome']): Promise<readonly boolean[]> => {
      // The second one's outcome is far from the beginning of its line.
      for (const [sessionId, conversationId] of [['s-1', 'c-1'], ['s-2', 'x'.repeat(5_000)]])
        await file.keep(KEY, { ...recordOf(sessionId ?? '', conversationId), outcome });
      return Promise.all(['s-1', 's-2'].map(has));
    };
    assert.deepEqual(await both('not reported'), [false, false]);
    assert.deepEqual(await both('hung up'), [true, true]);
  });

  it('knows about yesterday\'s records, and those with fields in another order', async () => {
    let now = NOON;
    const file = open(() => now);
    await file.begin();
    const { sessionId, ...rest } = recordOf('s-1');
    appendFileSync(today, `${JSON.stringify({ ...rest, sessionId })}\n`);
    now += DAY_MS;
    await file.keep(KEY, recordOf('s-2'));
    assert.equal(await file.hasEnd({ ...KEY, sessionId: 's-1' }), true);
    assert.equal(await file.hasEnd({ ...KEY, sessionId: 's-2' }), true);
  });

  // It once parsed the files of two days for each record of a call whose end was never reported.
  it('finds sessions in a time that does not grow with the file', async () => {
    const file = open();
    const day = `${JSON.stringify(recordOf('s-1', 'c-1', 'x'.repeat(10_000)))}\n`.repeat(2_000);
    writeFileSync(today, day);
    await file.begin();
    const since = process.cpuUsage();
    for (let count = 0; count < 50; count++) await file.hasEnd({ ...KEY, sessionId: `s-${count}` });
    const ms = processorMs(since);
    assert.ok(ms < 500, `${ms} ms`);
  });

  it('begins a new line after one that a full disk has cut off', async () => {
    const file = open();
    await file.keep(KEY, recordOf('s-1'));
    appendFileSync(today, JSON.stringify(recordOf('s-2')).slice(0, 80));
    await file.keep(KEY, recordOf('s-3'));
    assert.deepEqual(await sessionsIn(file.all()), ['s-1', 's-3']);
  });

  it('skips anything that is not a record', async () => {
    const file = open();
    writeFileSync(today, '\n\n{"a":1}\n[]\nnull\nx\n   \n');
    await file.keep(KEY, recordOf('s-1'));
    assert.deepEqual(await sessionsIn(file.all()), ['s-1']);
  });

  for (const [id, erased, left] of [
    ['s-2', ['s-2'], ['s-1', 's-3']], ['c-1', ['s-1', 's-3'], ['s-2']],
  ] as const) {
    it(`erases the records of ${id} in place, in every file, and leaves the others`, async () => {
      let now = NOON;
      const file = open(() => now);
      for (const session of ['s-1', 's-2', 's-3']) {
        const conversation = session === 's-2' ? 'c-2' : 'c-1';
        await file.keep(KEY, recordOf(session, conversation, 'x'.repeat(99_999)));
        now += DAY_MS;
      }
      const written = (): string =>
        readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8')).join('');
      const before = written();
      assert.deepEqual(await sessionsIn(file.erase(id)), erased);
      const after = written();
      assert.equal(after.length, before.length);
      assert.ok(!after.includes(id), after);
      assert.deepEqual(await sessionsIn(file.all()), left);
    });
  }

  it('erases a piece of a record that a full disk has cut off', async () => {
    const file = open();
    appendFileSync(today, JSON.stringify(recordOf('s-1', 'c-1')).slice(0, 80));
    await file.keep(KEY, recordOf('s-2', 'c-2'));
    assert.deepEqual(await sessionsIn(file.erase('c-1')), []);
    assert.doesNotMatch(readFileSync(today, 'utf8'), /c-1/);
    assert.deepEqual(await sessionsIn(file.all()), ['s-2']);
  });

  it('erases no record that only mentions the id, or whose id begins with it', async () => {
    const file = open();
    await file.keep(KEY, recordOf('s-1', 'c-1', 'c-2'));
    await file.keep(KEY, recordOf('s-22', 'c-22'));
    assert.deepEqual(await sessionsIn(file.erase('c-2')), []);
    assert.deepEqual(await sessionsIn(file.all()), ['s-1', 's-22']);
  });

  it('keeps reading if a server removes a file meanwhile', async () => {
    let now = NOON;
    const file = open(() => now);
    for (const session of ['s-1', 's-2', 's-3']) {
      await file.keep(KEY, recordOf(session));
      now += DAY_MS;
    }
    const ids: string[] = [];
    for await (const { sessionId } of file.all()) {
      ids.push(sessionId);
      rmSync(join(folder, 'calls-2026-11-26.jsonl'), { force: true });
    }
    assert.deepEqual(ids, ['s-1', 's-3']);
  });

  it('loses no record that is written while others are erased', async () => {
    const file = open();
    for (let n = 0; n < 50; n += 1) await file.keep(KEY, recordOf(`old-${n}`, 'c-1'));
    const writing = (async () => {
      for (let n = 0; n < 50; n += 1) await file.keep(KEY, recordOf(`new-${n}`, 'c-2'));
    })();
    await sessionsIn(file.erase('c-1'));
    await writing;
    assert.equal((await sessionsIn(file.all())).length, 50);
  });

  const notFiles: readonly (readonly [
    what: string,
    make: (at: string) => void,
    says: RegExp,
  ])[] = [
    ['a symbolic link', (at) => symlinkSync(join(folder, 'elsewhere'), at), /a symbolic link/],
    ['a FIFO', (at) => execFileSync('mkfifo', [at]), /it is not a regular file/],
    ['a directory', (at) => mkdirSync(at), /it is a directory|it is not a regular file/],
  ];
  for (const [what, make, says] of notFiles) {
    it(`reads and erases nothing through ${what} with the name of a day's file`, async () => {
      const elsewhere = join(folder, 'elsewhere');
      writeFileSync(elsewhere, `${JSON.stringify(recordOf('s-1'))}\n`);
      make(join(folder, 'calls-2026-11-24.jsonl'));
      const before = readFileSync(elsewhere, 'utf8');
      const isRefusal = (error: unknown): boolean => {
        assert.ok(error instanceof StoreError);
        assert.match(error.message, says);
        return true;
      };
      await assert.rejects(sessionsIn(open().all()), isRefusal);
      await assert.rejects(sessionsIn(open().erase('s-1')), isRefusal);
      assert.equal(readFileSync(elsewhere, 'utf8'), before);
    });
  }

  for (const [mode, access, use] of [
    [0, 'read', (file: CallFile) => file.all()],
    [0o444, 'read and write', (file: CallFile) => file.erase('s-1')],
  ] as const) {
    it(`says what to do if this user cannot ${access} a file`, async () => {
      writeFileSync(today, '');
      chmodSync(today, mode);
      chmodSync(folder, 0o755);
      await asNobody(() => assert.rejects(sessionsIn(use(open())), {
        name: 'StoreError',
        message: `the call records in ${today} cannot be used: this user cannot ${access} the `
          + 'file; run this as its owner, or change its owner',
      }));
    });
  }

  const wrong: readonly (readonly [what: string, make: () => string, says: RegExp])[] = [
    ['a missing folder', () => join(folder, 'no/calls.jsonl'), /does not exist; create/],
    ['a directory with that name', () => (mkdirSync(today), path), /it is a directory/],
    [
      'a symbolic link',
      () => (symlinkSync(join(folder, 'elsewhere'), today), path),
      /it is a symbolic link/,
    ],
  ];
  for (const [what, make, says] of wrong) {
    it(`refuses ${what} at start-up, and creates nothing`, async () => {
      const at = make();
      await assert.rejects(open(undefined, undefined, at).begin(), (error: unknown) => {
        assert.ok(error instanceof StoreError);
        assert.match(error.message, /^the call records in .* cannot be used: /);
        assert.match(error.message, says);
        return true;
      });
      assert.equal(existsSync(join(folder, 'elsewhere')), false);
    });
  }
});
