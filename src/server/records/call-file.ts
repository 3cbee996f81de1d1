import { constants, type Stats } from 'node:fs';
import { open, readdir, unlink, type FileHandle } from 'node:fs/promises';
import { join, parse } from 'node:path';

import { codeOf } from '../../base/thrown-values.ts';
import { reasonNotCreated, SAME_SETTINGS } from '../../core/conversations/stores/file-failure.ts';
import { StoreError } from '../../core/conversations/stores/store-error.ts';
import { isOf, type CallArchive } from './call-archive.ts';
import { parseCallRecord } from './call-record.ts';
import { recordedSessions, type RecordLine } from './recorded-sessions.ts';

interface CallFileOptions {
  /** `calls.jsonl` stands for `calls-2026-11-25.jsonl` and the files of other days. */
  readonly path: string;
  /** Files are removed this many days after their date. */
  readonly days: number;
  /** Milliseconds since the epoch. Default `Date.now`. */
  readonly now?: () => number;
}

/** Owner only: the files hold what callers said. */
const PRIVATE = 0o600;
const DAY_MS = 86_400_000;
const SWEEP_INTERVAL_MS = 3_600_000;
const CHUNK_BYTES = 65_536;
/** No record is longer than this. */
const MAX_LINE_BYTES = 67_108_864;
const LINE_END = 0x0a;
const SPACE = 0x20;

interface Line extends RecordLine {
  /** Position in the file. */
  readonly offset: number;
}

export interface CallFile extends CallArchive {
  /** Rejects with a `StoreError` if no day has a file. */
  checkExists(): Promise<void>;
}

/**
 * Keeps records as JSON lines, in one file per UTC day. No process needs a lock: a record is
 * appended by a single write, files of old days are removed whole, and an erased line is
 * overwritten with spaces.
 */
export function callFile({ path: ofDays, days, now = Date.now }: CallFileOptions): CallFile {
  const { dir, name, ext } = parse(ofDays);
  const recorded = recordedSessions(linesFrom);
  let sweeping: NodeJS.Timeout | undefined;

  const pathOf = (day: string): string => join(dir, `${name}-${day}${ext}`);
  const today = (): string => dayOf(now());
  const firstDay = (): string => dayOf(now() - days * DAY_MS);
  const recentPaths = (): readonly string[] => [dayOf(now() - DAY_MS), today()].map(pathOf);

  /** The days that have a file, in order. */
  async function daysKept(): Promise<string[]> {
    let names: string[];
    try {
      names = await readdir(dir);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return [];
      throw refused(ofDays, reasonNotCreated(ofDays, codeOf(error)), error);
    }
    return names
      .filter((file) => file.startsWith(`${name}-`) && file.endsWith(ext))
      .map((file) => file.slice(name.length + 1, file.length - ext.length))
      .filter((day) => /^\d{4}-\d\d-\d\d$/.test(day))
      .sort();
  }

  /** The files of the days that are kept, oldest first. */
  async function paths(): Promise<string[]> {
    const from = firstDay();
    return (await daysKept()).filter((day) => day >= from).map(pathOf);
  }

  async function sweep(): Promise<void> {
    const from = firstDay();
    for (const day of await daysKept()) {
      if (day >= from) break;
      await unlink(pathOf(day)).catch((error: unknown) => {
        if (codeOf(error) !== 'ENOENT') throw error; // another process was faster
      });
    }
  }

  async function openToday(): Promise<{ readonly file: FileHandle; readonly path: string }> {
    const path = pathOf(today());
    const { O_RDWR, O_APPEND, O_CREAT } = constants;
    const { file, stats } = await openRegular(path, O_RDWR | O_APPEND | O_CREAT).catch(
      (error: unknown) => {
        if (error instanceof StoreError) throw error;
        throw refused(path, reasonNotCreated(path, codeOf(error)), error);
      },
    );
    try {
      if (process.geteuid !== undefined && stats.uid !== process.geteuid())
        throw refused(path, 'it belongs to another user');
      if ((stats.mode & 0o777 & ~PRIVATE) !== 0) await file.chmod(PRIVATE);
      return { file, path };
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  return {
    name: 'file',
    // Also removes old files, now and every hour.
    async begin() {
      const { file } = await openToday();
      await file.close();
      for (const path of recentPaths()) recorded.skip(path, await sizeOf(path));
      await sweep();
      // A file that cannot be removed now may be removed in an hour.
      const sweepAgain = (): unknown => sweep().catch(() => undefined);
      sweeping = setInterval(sweepAgain, SWEEP_INTERVAL_MS).unref();
    },
    async checkExists() {
      if ((await daysKept()).length > 0) return;
      const { base } = parse(pathOf(today()));
      throw refused(ofDays, `there is no file such as ${base}; ${SAME_SETTINGS}`);
    },
    async keep(_key, record) {
      const { file, path } = await openToday();
      try {
        // If a full disk cut off the last line, this one must not be appended to it.
        const { size } = await file.stat();
        const last = Buffer.alloc(1);
        if (size > 0) await file.read(last, 0, 1, size - 1);
        const isTorn = size > 0 && last[0] !== LINE_END;
        const bytes = Buffer.from(`${isTorn ? '\n' : ''}${JSON.stringify(record)}\n`);
        const { bytesWritten } = await file.write(bytes); // one call, so that lines stay whole
        if (bytesWritten < bytes.length)
          throw refused(path, `only ${bytesWritten} of ${bytes.length} bytes could be written`);
      } finally {
        await file.close();
      }
    },
    // Reads only what has been appended since `begin`, today or yesterday: the call has just ended.
    // Does not distinguish agents.
    hasEnd: ({ sessionId }) => recorded.has(sessionId, recentPaths()),
    async *all() {
      for (const path of await paths()) {
        for await (const { bytes } of linesFrom(path, 0)) {
          const record = parseCallRecord(bytes.toString());
          if (record !== undefined) yield record;
        }
      }
    },
    async *erase(text, isMeant = (record) => isOf(record, text), isSame = () => false) {
      // A fragment may begin anywhere, so it is unknown which of its quotes open a value.
      const isInFragment = (written: string): boolean =>
        written.includes(JSON.stringify(text)) || written.split('"').some(isSame);
      for (const path of await paths()) {
        const file = await openIfThere(path, constants.O_RDWR);
        if (file === undefined) continue;
        try {
          for await (const line of linesOf(file, path)) {
            const written = line.bytes.toString();
            const record = parseCallRecord(written);
            const isErased = record === undefined ? isInFragment(written) : isMeant(record);
            if (!isErased) continue;
            const spaces = Buffer.alloc(line.bytes.length, SPACE);
            await file.write(spaces, 0, spaces.length, line.offset);
            await file.datasync();
            if (record !== undefined) yield record;
          }
        } finally {
          await file.close();
        }
      }
    },
    async close() {
      clearInterval(sweeping);
    },
  };
}

/** The lines of a file from a position onwards. None if the file does not exist. */
async function* linesFrom(path: string, from: number): AsyncGenerator<Line, void, undefined> {
  const file = await openIfThere(path, constants.O_RDONLY);
  if (file === undefined) return;
  try {
    yield* linesOf(file, path, from);
  } finally {
    await file.close();
  }
}

interface RegularFile {
  readonly file: FileHandle;
  readonly stats: Stats;
}

/**
 * Does not follow links or wait for a FIFO. Rejects with a `StoreError` unless the file is regular.
 */
async function openRegular(path: string, flags: number): Promise<RegularFile> {
  // Without O_NONBLOCK a FIFO would block here. Windows lacks both flags.
  const { O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants;
  let file: FileHandle;
  try {
    file = await open(path, flags | O_NOFOLLOW | O_NONBLOCK, PRIVATE);
  } catch (error) {
    const code = codeOf(error);
    if (code === 'EISDIR') throw refused(path, 'it is a directory', error);
    if (code === 'ELOOP')
      throw refused(path, 'it is a symbolic link; name the file itself', error);
    throw error;
  }
  try {
    const stats = await file.stat();
    if (!stats.isFile()) throw refused(path, 'it is not a regular file');
    return { file, stats };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Undefined if the file is gone: a server may just have removed it. */
async function openIfThere(path: string, flags: number): Promise<FileHandle | undefined> {
  try {
    return (await openRegular(path, flags)).file;
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT') return undefined;
    if (code === 'EACCES') {
      const access = flags === constants.O_RDONLY ? 'read the file' : 'read and write the file';
      const reason = `this user cannot ${access}; run this as its owner, or change its owner`;
      throw refused(path, reason, error);
    }
    throw error;
  }
}

/** In bytes. 0 if the file does not exist. */
async function sizeOf(path: string): Promise<number> {
  const file = await openIfThere(path, constants.O_RDONLY);
  try {
    return file === undefined ? 0 : (await file.stat()).size;
  } finally {
    await file?.close();
  }
}

function dayOf(timeMs: number): string {
  return new Date(timeMs).toISOString().slice(0, 10);
}

/**
 * The lines without their line breaks, including an unfinished last one. Blank lines are left out.
 */
async function* linesOf(
  file: FileHandle,
  path: string,
  from = 0,
): AsyncGenerator<Line, void, undefined> {
  let begun: Buffer = Buffer.alloc(0);
  let offset = from; // where `begun` starts
  for (;;) {
    const { buffer, bytesRead } = await file.read(
      Buffer.alloc(CHUNK_BYTES), 0, CHUNK_BYTES, offset + begun.length,
    );
    if (bytesRead === 0) break;
    const bytes = Buffer.concat([begun, buffer.subarray(0, bytesRead)]);
    let start = 0;
    for (let end; (end = bytes.indexOf(LINE_END, start)) !== -1; start = end + 1)
      if (hasText(bytes.subarray(start, end))) {
        const line = bytes.subarray(start, end);
        yield { bytes: line, offset: offset + start, end: offset + end + 1 };
      }
    begun = bytes.subarray(start);
    offset += start;
    if (begun.length > MAX_LINE_BYTES)
      throw refused(path, `a line is longer than ${MAX_LINE_BYTES} bytes`);
  }
  if (hasText(begun)) yield { bytes: begun, offset, end: undefined };
}

function hasText(bytes: Buffer): boolean {
  return bytes.some((byte) => byte !== SPACE);
}

function refused(path: string, reason: string, cause?: unknown): StoreError {
  return new StoreError(`the call records in ${path} cannot be used: ${reason}`, { cause });
}
