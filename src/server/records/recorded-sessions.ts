import { BoundedMap } from '../../base/bounded-map.ts';
import { parseJson } from '../../base/json.ts';
import { isOfEnd, parseCallRecord } from './call-record.ts';

/** A line of a file of records. */
export interface RecordLine {
  readonly bytes: Buffer;
  /** Where the next line begins. Undefined if this one has no line break yet. */
  readonly end: number | undefined;
}

/** Far more than the calls whose end may still be reported. */
const MOST_SESSIONS = 100_000;
/** Only a line whose ids have very many escapes has its outcome after this. */
const HEAD_BYTES = 4_096;
const IDS = /^\{"format":\d+,"conversationId":"(?:[^"\\]|\\.)*","sessionId":("(?:[^"\\]|\\.)*")/;
/** Comes before anything that could look like it: in a string the quotes would be escaped. */
const OUTCOME = /,"durationMs":[^,"]+,"outcome":"([^"]*)"/;
const CLOSING_BRACE = 0x7d;

/**
 * The sessions whose end was recorded in files, perhaps by other processes. Each line is read only
 * once: a busy day's file is long. `linesFrom`: the lines of a file from a position onwards.
 * Empty if there is no file.
 */
export function recordedSessions(
  linesFrom: (path: string, from: number) => AsyncIterable<RecordLine>,
) {
  const sessions = new BoundedMap<string, true>(MOST_SESSIONS);
  /** How far each file has been read. */
  let ends = new Map<string, number>();
  let reading: Promise<void> = Promise.resolve();

  async function readOn(paths: readonly string[]): Promise<void> {
    // Nobody asks about the files of other days any more.
    ends = new Map(paths.map((path) => [path, ends.get(path) ?? 0]));
    for (const path of paths) {
      for await (const { bytes, end } of linesFrom(path, ends.get(path) ?? 0)) {
        if (end === undefined) break;
        const sessionId = endedSessionIn(bytes);
        if (sessionId !== undefined) sessions.set(sessionId, true);
        ends.set(path, end);
      }
    }
  }

  return {
    /** Leaves out what the file holds up to `end`. */
    skip: (path: string, end: number): unknown => ends.set(path, end),
    /** Whether one of the files has the session's end in a part that was not skipped. */
    async has(sessionId: string, paths: readonly string[]): Promise<boolean> {
      // One reader at a time: two would read the same lines. If it fails, only this call fails.
      const read = reading.then(() => readOn(paths));
      reading = read.catch(() => undefined);
      await read;
      return sessions.get(sessionId) === true;
    },
  };
}

/** Undefined for a line that is not a whole record, or does not say how the call ended. */
function endedSessionIn(bytes: Buffer): string | undefined {
  if (bytes.at(-1) !== CLOSING_BRACE) return undefined;
  const head = bytes.toString('utf8', 0, HEAD_BYTES);
  const [[, written], [, outcome]] = [IDS.exec(head) ?? [], OUTCOME.exec(head) ?? []];
  if (written === undefined || outcome === undefined) {
    const record = parseCallRecord(bytes.toString());
    return isOfEnd(record) ? record?.sessionId : undefined;
  }
  if (!isOfEnd({ outcome })) return undefined;
  const sessionId = parseJson(written);
  return typeof sessionId === 'string' ? sessionId : undefined;
}
