// The tool calls of one streamed reply, put together from their pieces.

import { randomUUID } from 'node:crypto';

import type { ToolCall } from '../conversations/message.ts';
import { asCount, asRecord, asText, type JsonRecord } from './json.ts';
import { parseArguments } from './well-formed-call.ts';

interface OpenCall {
  readonly index: number | undefined;
  givenId: string;
  name: string;
  args: string;
  extraContent: unknown;
}

/** A call as it came, with what its vendor wants sent back beside it. */
export interface FinishedCall extends ToolCall {
  readonly extraContent: unknown;
}

/** Takes the pieces in the order of the stream; knows no bound. */
export class ToolCallParts {
  readonly #calls: OpenCall[] = [];
  #hasBegun = false;

  /** Whether there was a name or an argument. A piece without either is no sign of a call. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  get count(): number {
    return this.#calls.length;
  }

  /** Adds a piece and returns the length of its call's arguments so far. */
  add(part: JsonRecord): number {
    const { name: givenName, arguments: given } = asRecord(part['function']) ?? {};
    const name = asText(givenName);
    // A string by the book; some servers of one's own stream the object itself.
    const args = asRecord(given) === undefined ? asText(given) : JSON.stringify(given);
    const givenId = asText(part['id']).trim();
    const call = this.#callFor(asCount(part['index']), givenId, name, args);
    call.givenId ||= givenId;
    call.name ||= name;
    call.args += args;
    call.extraContent = part['extra_content'] ?? call.extraContent;
    if (call.name !== '' || call.args !== '') this.#hasBegun = true;
    return call.args.length;
  }

  /** The calls in the order they began, each with its own id, without the empty nameless ones. */
  finish(): FinishedCall[] {
    const ids = new Set<string>();
    return this.#calls
      .filter(({ name, args }) => name !== '' || args.trim() !== '')
      .map(({ givenId, name, args, extraContent }) => {
        // A vendor may use one id twice in a reply. Without the dashes an id of ours has 37
        // characters, and OpenAI takes 40.
        const isNew = givenId !== '' && !ids.has(givenId);
        const id = isNew ? givenId : `call_${randomUUID().replaceAll('-', '')}`;
        ids.add(id);
        return { id, name, args, extraContent };
      });
  }

  /** The open call that a piece belongs to, or a new one. */
  #callFor(index: number | undefined, givenId: string, name: string, args: string): OpenCall {
    return this.#find(index, givenId, name, args) ?? this.#open(index, givenId);
  }

  /**
   * The index decides by the book. Gemini leaves it out (THU-MAIC/OpenMAIC#1556), and others send 0
   * for every call (QuantumNous/new-api#2701). So a name with another id begins another call.
   * Without a name a piece goes on with a call, whatever id it bears: some servers make up a new id
   * for each piece.
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
      return call.name === '' || args === '' || !isOver(call, name);
    };
    if (index !== undefined) {
      const sameIndex = this.#calls.filter((call) => call.index === index);
      const sameId = sameIndex.find((call) => givenId !== '' && call.givenId === givenId);
      return sameId ?? sameIndex.findLast(isSameCall);
    }
    const sameId = givenId === '' ? undefined : this.#calls.find((c) => c.givenId === givenId);
    return sameId ?? (name === '' ? this.#calls.at(-1) : undefined);
  }

  #open(index: number | undefined, givenId: string): OpenCall {
    const call = { index, givenId, name: '', args: '', extraContent: undefined };
    this.#calls.push(call);
    return call;
  }
}

/**
 * Whether a name with arguments begins another call, where no id tells: Ollama sent every call
 * whole, at index 0 and without an id (vercel/ai#18440); others repeat the name in every piece.
 */
function isOver(call: OpenCall, name: string): boolean {
  if (call.args.trim() === '') return name !== call.name;
  return parseArguments(call.args) !== undefined;
}
