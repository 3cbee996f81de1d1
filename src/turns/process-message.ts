// The messages about turns that the processes of one service send each other.

import * as field from '../base/fields.ts';
import type { ReplyEvent } from '../wires/layercode/dialect.ts';
import { TURN_OUTCOMES, type TurnReport } from './delivery.ts';

export type ProcessMessage =
  /** Ends turns of the receiver: that run, those of that session, or all of the conversation. */
  | {
      readonly type: 'interrupt';
      readonly conversationId: string;
      readonly runId?: number | undefined;
      readonly sessionId?: string | undefined;
    }
  /** Asks which of these calls the receiver runs. `runId` also asks for the stream of that run. */
  | {
      readonly type: 'ask';
      readonly id: string;
      readonly from: string;
      readonly conversationId: string;
      readonly runId?: number | undefined;
      readonly calls: readonly string[];
    }
  | {
      readonly type: 'answer';
      readonly id: string;
      readonly from: string;
      readonly calls: readonly string[];
      readonly isFollowing: boolean;
    }
  /**
   * A stream that was asked for: a sign of life, an event, the end. The id is the question's.
   * `sent` counts the events before it, so that a missing one is noticed.
   */
  | { readonly type: 'alive'; readonly id: string }
  | {
      readonly type: 'event';
      readonly id: string;
      readonly sent: number;
      readonly event: ReplyEvent;
    }
  | {
      readonly type: 'end';
      readonly id: string;
      readonly sent: number;
      readonly report: Pick<TurnReport, 'outcome' | 'usage' | 'speakers'>;
    }
  /**
   * No more of the stream leaves: `sent` of its events have. If `hasEnded`, its end has, too;
   * otherwise its caller has left before.
   */
  | {
      readonly type: 'left';
      readonly id: string;
      readonly sent: number;
      readonly hasEnded?: boolean | undefined;
    };

export type MessageOf<T> = Extract<ProcessMessage, { readonly type: T }>;

const text = field.string;
const texts = field.arrayOf(field.string);

const EVENTS = {
  say: { text },
  data: { json: text },
  hangup: {},
  error: {},
} as const satisfies Readonly<Record<ReplyEvent['type'], field.FieldTable>>;

const MESSAGES = {
  interrupt: {
    conversationId: text,
    runId: field.optional(field.number),
    sessionId: field.optional(text),
  },
  ask: {
    id: text,
    from: text,
    conversationId: text,
    runId: field.optional(field.number),
    calls: texts,
  },
  answer: { id: text, from: text, calls: texts, isFollowing: field.boolean },
  alive: { id: text },
  event: { id: text, sent: field.number, event: field.objectOf({ type: text }) },
  end: {
    id: text,
    sent: field.number,
    report: field.objectOf({ outcome: text, speakers: field.optional(texts) }),
  },
  left: { id: text, sent: field.number, hasEnded: field.optional(field.boolean) },
} as const satisfies Readonly<Record<ProcessMessage['type'], field.FieldTable>>;

/** Undefined for any other text. A process of another version may have sent it. */
export function parseProcessMessage(json: string): ProcessMessage | undefined {
  const value = parsed(json);
  if (!field.isObject(value)) return undefined;
  const { type, event, report } = value;
  if (!fits(MESSAGES, type, value)) return undefined;
  if (type === 'event' && !(field.isObject(event) && fits(EVENTS, event['type'], event)))
    return undefined;
  if (type === 'end' && !(field.isObject(report) && isReport(report))) return undefined;
  return value as unknown as ProcessMessage;
}

function fits(
  tables: Readonly<Record<string, field.FieldTable>>,
  type: unknown,
  value: unknown,
): boolean {
  if (typeof type !== 'string' || !Object.hasOwn(tables, type)) return false;
  return field.objectOf(tables[type] ?? {}).check(value) === undefined;
}

function isReport({ outcome, usage = [] }: Readonly<Record<string, unknown>>): boolean {
  return TURN_OUTCOMES.some((known) => known === outcome) && Array.isArray(usage);
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
