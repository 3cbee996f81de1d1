// Assembles the tool calls of one streamed reply from their parts.

import { randomUUID } from 'node:crypto';

import type { ToolCall } from '../conversations/message.ts';
import { asCount, asRecord, asText, type JsonRecord } from './json.ts';
import { isSignature } from './tool-call-signatures.ts';
import { parseArguments } from './well-formed-call.ts';

interface OpenCall {
  readonly index: number | undefined;
  givenId: string;
  name: string;
  args: string;
  extraContent: unknown;
}

/** A complete call, with the `extra_content` that its vendor wants sent back. */
interface FinishedCall extends ToolCall {
  readonly extraContent: unknown;
}

/**
 * How many UTF-16 code units of a reply's arguments are parsed to find out whether they are
 * complete. A server that repeats the name in every part has them parsed with each one.
 */
const MAX_PARSED_LENGTH = 4_194_304;

/** Takes the parts in stream order. The caller sets the bounds. */
export class ToolCallParts {
  readonly #calls: OpenCall[] = [];
  #length = 0;
  #parsedLength = 0;
  #hasBegun = false;

  /** Whether there was a name or an argument. A part without either does not count as a call. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  get count(): number {
    return this.#calls.length;
  }

  /** Length of the ids, names and arguments of all calls so far, in UTF-16 code units. */
  get length(): number {
    return this.#length;
  }

  add(part: JsonRecord): void {
    const { name: givenName, arguments: given } = asRecord(part['function']) ?? {};
    const name = asText(givenName);
    // The API defines a string. Some self-hosted servers stream the object itself.
    const args = asRecord(given) === undefined ? asText(given) : JSON.stringify(given);
    const givenId = asText(part['id']).trim();
    const index = asCount(part['index']);
    const call = this.#find(index, givenId, name, args) ?? this.#open(index);
    const before = lengthOf(call);
    call.givenId ||= givenId;
    call.name ||= name;
    call.args += args;
    this.#length += lengthOf(call) - before;
    const { extra_content: extraContent } = part;
    if (isSignature(extraContent)) call.extraContent = extraContent;
    if (call.name !== '' || call.args !== '') this.#hasBegun = true;
  }

  /**
   * The calls in the order in which they began, each with a unique id. Calls without name and
   * arguments are left out.
   */
  finish(): FinishedCall[] {
    const ids = new Set<string>();
    return this.#calls
      .filter(({ name, args }) => name !== '' || args.trim() !== '')
      .map(({ givenId, name, args, extraContent }) => {
        // A vendor may use one id twice in a reply. Our own ids have no dashes, to stay below
        // OpenAI's limit of 40 characters.
        const isNew = givenId !== '' && !ids.has(givenId);
        const id = isNew ? givenId : `call_${randomUUID().replaceAll('-', '')}`;
        ids.add(id);
        return { id, name, args, extraContent };
      });
  }

  /**
   * The open call that a part belongs to. According to the API, its index identifies it. Gemini
   * omits the index (THU-MAIC/OpenMAIC#1556), and others send 0 for every call
   * (QuantumNous/new-api#2701). So a name with another id begins another call. A part without a
   * name continues a call, whatever its id: some servers make up a new id for each part.
   */
  #find(
    index: number | undefined,
    givenId: string,
    name: string,
    args: string,
  ): OpenCall | undefined {
    const isSameCall = (call: OpenCall): boolean => {
      if (name === '') return true;
      if (givenId !== '' && call.givenId !== '') return givenId === call.givenId;
      return call.name === '' || args === '' || !this.#isOver(call, name);
    };
    if (index !== undefined) {
      const sameIndex = this.#calls.filter((call) => call.index === index);
      const sameId = sameIndex.find((call) => givenId !== '' && call.givenId === givenId);
      return sameId ?? sameIndex.findLast(isSameCall);
    }
    const sameId = givenId === '' ? undefined : this.#calls.find((c) => c.givenId === givenId);
    return sameId ?? (name === '' ? this.#calls.at(-1) : undefined);
  }

  #open(index: number | undefined): OpenCall {
    const call = { index, givenId: '', name: '', args: '', extraContent: undefined };
    this.#calls.push(call);
    return call;
  }

  /**
   * Whether a name with arguments begins another call even without an id. Ollama sent every call
   * whole, at index 0 and without an id (vercel/ai#18440). Other servers repeat the name in every
   * part.
   */
  #isOver({ name, args }: OpenCall, nextName: string): boolean {
    if (args.trim() === '') return nextName !== name;
    this.#parsedLength += args.length;
    return this.#parsedLength <= MAX_PARSED_LENGTH && parseArguments(args) !== undefined;
  }
}

function lengthOf({ givenId, name, args }: OpenCall): number {
  return givenId.length + name.length + args.length;
}
