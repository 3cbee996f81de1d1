// The file of recorded replies next to a scenario. People commit it.

import { arrayOf, isObject, number, objectOf, optional, string } from '../../base/fields.ts';
import { parseJson } from '../../base/json.ts';
import type { ModelDelta } from '../../core/models/model.ts';
import { valueInventor } from './invented-values.ts';

/**
 * A piece of a reply: text, or a tool call with its arguments as the model wrote them. In both,
 * `<value 3>` stands for the third value of the request.
 */
export type RecordedPart = string | { readonly call: string; readonly args: string };

/** Counts are missing if the vendor did not report them. */
export type RecordedUsage = Partial<
  Pick<UsageDelta, 'inputTokens' | 'outputTokens' | 'cachedTokens' | 'finishReason'>
>;
type UsageDelta = Extract<ModelDelta, { readonly type: 'usage' }>;

export interface RecordedReply {
  /** The text of the normal request. */
  readonly request: string;
  readonly reply: readonly RecordedPart[];
  readonly usage: RecordedUsage;
}

/** A file that cannot be replayed. The message is one line that names the file. */
export class RecordingError extends Error {
  override readonly name = 'RecordingError';
}

/** In a file, a request is the lines after those that it has in common with the one before it. */
interface ListedReply extends Omit<RecordedReply, 'request'> {
  readonly linesAsBefore: number;
  readonly request: readonly string[];
}

const FORMAT = 3;
const CALL = objectOf({ call: string, args: string });
const PART = {
  ...CALL, check: (part: unknown) => (typeof part === 'string' ? undefined : CALL.check(part)),
};
const FILE = objectOf({
  replies: arrayOf(objectOf({
    linesAsBefore: number,
    request: arrayOf(string),
    reply: arrayOf(PART),
    usage: objectOf({
      inputTokens: optional(number),
      outputTokens: optional(number),
      cachedTokens: optional(number),
      finishReason: optional(string),
    }),
  })),
});

/**
 * The file's text. Ids, numbers and e-mail addresses that a model has made up are replaced by
 * invented ones, the same value by the same one everywhere. What an agent redacts has never been
 * shown to a model.
 */
export function formatRecording(recorded: readonly RecordedReply[]): string {
  const change = valueInventor();
  let before: readonly string[] = [];
  const replies = recorded.map(({ request, reply, usage }): ListedReply => {
    const lines = request.split('\n');
    const differing = lines.findIndex((line, index) => line !== before[index]);
    const linesAsBefore = differing === -1 ? lines.length : differing;
    before = lines;
    return {
      linesAsBefore,
      request: lines.slice(linesAsBefore),
      reply: withPartTexts(reply, change),
      usage,
    };
  });
  return `${JSON.stringify({ format: FORMAT, replies }, null, 2)}\n`;
}

/** Throws a `RecordingError`. `path` is for its message. */
export function parseRecording(text: string, path: string): readonly RecordedReply[] {
  const value = parseJson(text);
  const fault = faultOf(value);
  if (fault !== undefined)
    throw new RecordingError(`${path}: ${fault}; record it again with --record`);
  let lines: readonly string[] = [];
  const { replies } = value as unknown as { readonly replies: readonly ListedReply[] };
  return replies.map(({ linesAsBefore, request, reply, usage }) => {
    lines = [...lines.slice(0, linesAsBefore), ...request];
    return { request: lines.join('\n'), reply, usage };
  });
}

function faultOf(value: unknown): string | undefined {
  if (!isObject(value)) return 'it is not a JSON object';
  if (value['format'] !== FORMAT) return `its format is not ${FORMAT}`;
  const fault = FILE.check(value);
  return fault && `${fault.path} must be ${fault.expected}`;
}

/** The parts with their texts changed. Names of tools stay. */
export function withPartTexts(
  parts: readonly RecordedPart[],
  change: (text: string) => string,
): readonly RecordedPart[] {
  return parts.map((part) =>
    typeof part === 'string' ? change(part) : { ...part, args: change(part.args) });
}
