// Lines that put something else in place of a model or a tool.

import { isObject } from '../../base/fields.ts';
import { parseJson } from '../../base/json.ts';
import { isToolName } from '../../core/models/well-formed-call.ts';
import type { ScriptedPart } from '../scripted-answer.ts';
import { parseTime } from '../terminal/flags.ts';
import { LineFault } from './line.ts';

/** What a scripted model answers, in the turn that the line belongs to. */
interface ModelLine {
  readonly part: ScriptedPart;
  /** Whether this answers another request, made with the results of the calls before it. */
  readonly isNext: boolean;
}

/** Replaces what a tool does, from the next turn on. */
export interface Mock {
  readonly tool: string;
  readonly afterMs: number;
  readonly outcome: MockOutcome;
}

type MockOutcome =
  | { readonly kind: 'returns'; readonly value: unknown }
  /** The tool throws. `not-done`: it throws `NotDone`. */
  | { readonly kind: 'fails' | 'not-done'; readonly message: string }
  | { readonly kind: 'hands-over'; readonly agent: string }
  /** The tool hangs until its signal fires. */
  | { readonly kind: 'hangs' };

const MODEL_RULE =
  'model takes: says TEXT, calls TOOL {…}, waits 2 s, fails 503, refuses, breaks off or is cut; '
  + '"then" before it begins the next answer';
const MOCK_RULE =
  'mock takes a tool and what it does: returns JSON, fails [TEXT], not-done TEXT, '
  + 'hands-over AGENT or hangs; "after 2 s" may come before it';

export function parseModelLine(written: string): ModelLine {
  const isNext = /^then\s/.test(written);
  const line = isNext ? written.slice('then'.length).trim() : written;
  return { part: parsePart(line), isNext };
}

function parsePart(line: string): ScriptedPart {
  const [, word = '', rest = ''] = /^(\S+)(?:\s+(.+))?$/.exec(line) ?? [];
  if (line === 'refuses') return { fail: 'content_filter' };
  if (line === 'breaks off') return { fail: 'connection_dropped' };
  if (line === 'is cut') return { cut: true };
  if (word === 'says' && rest !== '') return rest;
  if (word === 'calls' && rest !== '') return parseCall(rest);
  if (word === 'waits') {
    const waitMs = parseTime(rest);
    if (waitMs === undefined) throw new LineFault('model waits takes a time: model waits 2 s');
    return { waitMs };
  }
  if (word === 'fails') {
    if (!/^[45]\d\d$/.test(rest))
      throw new LineFault('model fails takes a status from 400 to 599: model fails 503');
    return { fail: Number(rest) };
  }
  throw new LineFault(MODEL_RULE);
}

function parseCall(written: string): ScriptedPart {
  const [call = ''] = written.split(/\s/, 1);
  const rest = written.slice(call.length).trim();
  const args = rest === '' ? {} : parseJson(rest);
  if (!isObject(args))
    throw new LineFault('model calls takes a tool and a JSON object: model calls pay {"cents": 5}');
  return { call, args };
}

export function parseMock(written: string): Mock {
  const [tool = ''] = written.split(/\s/, 1);
  if (!isToolName(tool)) throw new LineFault(MOCK_RULE);
  let rest = written.slice(tool.length).trim();
  let afterMs = 0;
  const delay = /^after (\S+ ?m?s)(?=\s)/.exec(rest);
  if (delay !== null) {
    const ms = parseTime(delay[1] ?? '');
    if (ms === undefined)
      throw new LineFault('after takes a time: mock book_table after 2 s returns {}');
    afterMs = ms;
    rest = rest.slice(delay[0].length).trim();
  }
  return { tool, afterMs, outcome: parseMockOutcome(rest) };
}

function parseMockOutcome(written: string): MockOutcome {
  const [, word = '', rest = ''] = /^(\S+)(?:\s+(.+))?$/.exec(written) ?? [];
  if (written === 'hangs') return { kind: 'hangs' };
  if (word === 'fails') return { kind: 'fails', message: rest === '' ? 'the tool failed' : rest };
  if (word === 'not-done' && rest !== '') return { kind: 'not-done', message: rest };
  if (word === 'hands-over' && /^\S+$/.test(rest)) return { kind: 'hands-over', agent: rest };
  if (word === 'returns') {
    const value = parseJson(rest);
    if (value === undefined) throw new LineFault('mock … returns takes JSON: returns {"ok": true}');
    return { kind: 'returns', value };
  }
  throw new LineFault(MOCK_RULE);
}
