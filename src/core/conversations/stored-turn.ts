// Checks a turn that was stored, like anything else that comes from outside: a bad one must not
// break the calls of its conversation. Fields that this version does not know may hold anything.

import {
  arrayOf, count, isObject, number, object, objectOf, orMissing, string, time, type Field,
} from '../../base/fields.ts';
import { TURN_STATES } from './message.ts';
import type { TurnRecord } from './turn-record.ts';

export function isTurnRecord(value: object): value is TurnRecord {
  return TURN.check(value) === undefined && TURN_STATES.includes((value as TurnRecord).state);
}

const textOrNull: Field = {
  ...string,
  check: (value) => (value === null ? undefined : string.check(value)),
};

const anything: Field = { ...object, check: () => undefined };

/** An object that one of its fields assigns to one of these rules, or to `others`. */
function byKind(name: string, rules: Readonly<Record<string, Field>>, others: Field): Field {
  return {
    ...object,
    check: (value) => {
      const kind = isObject(value) ? value[name] : undefined;
      const rule = typeof kind === 'string' && Object.hasOwn(rules, kind) ? rules[kind] : others;
      return (rule ?? others).check(value);
    },
  };
}

const message = byKind('role', {
  assistant: objectOf({
    content: string,
    toolCalls: orMissing(arrayOf(objectOf({ id: string, name: string, args: string }))),
    agent: orMissing(string),
  }),
  tool: objectOf({
    content: string,
    toolCallId: string,
    state: string,
    runId: orMissing(number),
    key: orMissing(string),
    process: orMissing(string),
    handOver: orMissing(string),
  }),
}, objectOf({ role: string, content: string }));

const sentEvent = byKind('type', {
  say: objectOf({ text: string }),
  data: objectOf({ json: string }),
  transfer: objectOf({ to: string, briefing: orMissing(string) }),
}, objectOf({ type: string }));

const captured = objectOf({
  after: orMissing(objectOf({ turnId: string, hash: string })),
  hash: orMissing(string),
  bytes: count,
  leftOut: orMissing(count),
  requests: arrayOf(objectOf({
    request: count,
    fields: orMissing(object),
    withoutFields: orMissing(arrayOf(string)),
    sameMessages: orMissing(count),
    messages: arrayOf(anything),
  })),
});

const objects = orMissing(arrayOf(object));

const figures = objectOf({
  sessionId: string,
  startedAt: time,
  failure: orMissing(object),
  collisions: orMissing(arrayOf(string)),
  models: objects,
  requests: objects,
  tools: objects,
  fillers: objects,
  captured: orMissing(captured),
});

const TURN = objectOf({
  id: string,
  runId: number,
  runs: orMissing(count),
  earlierRuns: orMissing(arrayOf(number)),
  words: textOrNull,
  reply: textOrNull,
  messages: orMissing(arrayOf(message)),
  kept: orMissing(count),
  filler: orMissing(string),
  sent: orMissing(arrayOf(sentEvent)),
  heard: orMissing(objectOf({
    runId: number, text: orMissing(string), lines: orMissing(arrayOf(string)),
  })),
  process: orMissing(string),
  figures: orMissing(figures),
  trace: orMissing(objectOf({
    traceId: string, spanId: string, traceFlags: number, sessionId: string,
  })),
  number: orMissing(count),
  undo: orMissing(string),
  agentBefore: orMissing(textOrNull),
  addedAt: orMissing(time),
  arrivedAt: orMissing(time),
  firstArrivedAt: orMissing(time),
});
