import { cutText } from './cut-text.js';

/** @import { TraceFrame } from '../../src/platform/frames.ts' */
/** @import { Delivery } from './deliveries.js' */

/** @typedef {{ readonly text: string, readonly kind: 'plain' | 'good' | 'bad' }} Verdict */

/**
 * What a frame of the trace means to someone who tries a server: a fault, or a provocation that was met. Undefined where all goes
 * its usual way.
 *
 * @param {TraceFrame} frame
 * @param {Delivery} delivery of which it tells
 * @param {boolean} isDropAsked whether the drop was asked for, so that it is no barge-in
 * @returns {Verdict | undefined}
 */
export function verdict(frame, delivery, isDropAsked) {
  if (frame.type === 'local.turn') return turnVerdict(frame, delivery);
  if (frame.type !== 'local.over') return undefined;
  if (delivery.signature !== 'right') return forgeryVerdict(delivery);
  if (frame.outcome === 'failed') {
    return { text: `${delivery.eventType || 'The delivery'} failed: ${cutText(frame.reason ?? 'no reason was told', 200)}`, kind: 'bad' };
  }
  if (frame.outcome === 'dropped' && isDropAsked) {
    return {
      text: 'Dropped in the middle. The history keeps what had been sent, marked [interrupted].',
      kind: 'plain',
    };
  }
  if (delivery.eventType === 'session.end') {
    return {
      text: `The session's end was delivered: ${delivery.status ?? 'no answer'}.`,
      kind: 'plain',
    };
  }
  return undefined;
}

/** @param {TraceFrame & { type: 'local.turn' }} frame @param {Delivery} delivery @returns {Verdict | undefined} */
function turnVerdict({ outcome, reason }, { isRepeat, hasTakenOver }) {
  switch (outcome) {
    case 'replayed':
      return {
        text: 'Delivered twice: the stored reply was sent again, and the model was not asked.',
        kind: 'good',
      };
    case 'taken over':
      return { text: 'Delivered twice: the second delivery took the stream over, and the model was not asked again.', kind: 'good' };
    case 'failed':
      return { text: `The turn failed: ${cutText(reason ?? 'no reason was given', 400)}. The caller heard the apology.`, kind: 'bad' };
    case 'stale':
      return {
        text: 'The turn came too late: a newer one is under way, and it was not run.',
        kind: 'plain',
      };
    case 'completed':
      return isRepeat && !hasTakenOver
        ? {
            text: 'Delivered again: the turn had not come to its end, so it ran anew.',
            kind: 'good',
          }
        : undefined;
    default:
      return undefined;
  }
}

/** @param {Delivery} delivery @returns {Verdict} */
function forgeryVerdict({ signature, status, error }) {
  const name = signature === 'stale' ? 'Stale signature' : 'Bad signature';
  if (status === 401) {
    return { text: `${name}: ${error ?? '401'}: refused, as it must be.`, kind: 'good' };
  }
  if (status === undefined) {
    return { text: `${name}: no answer: ${error ?? 'no reason was told'}`, kind: 'bad' };
  }
  return {
    text: `${name}: answered with ${status}. A right server refuses it with 401.`,
    kind: 'bad',
  };
}
