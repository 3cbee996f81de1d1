import { cutText } from './cut-text.js';

/** @import { TraceFrame } from '../../src/kit/platform/frames.ts' */
/** @import { Delivery } from './deliveries.js' */

const MAX_REASON_LENGTH = 400;

/** @typedef {{ readonly text: string, readonly kind: 'plain' | 'good' | 'bad' }} Verdict */

/**
 * What a frame of the trace means to someone testing a server: a fault, or a provocation that the
 * server handled. Undefined if nothing is unusual.
 *
 * @param {TraceFrame} frame
 * @param {Delivery} delivery the frame's
 * @param {boolean} isDropAsked whether the drop was asked for, and so is not a barge-in
 * @returns {Verdict | undefined}
 */
export function verdict(frame, delivery, isDropAsked) {
  if (frame.type === 'local.turn') return turnVerdict(frame, delivery);
  if (frame.type !== 'local.over') return undefined;
  if (delivery.signature !== 'right') return forgeryVerdict(delivery);
  if (frame.outcome === 'failed') {
    const what = delivery.eventType || 'The delivery';
    return { text: `${what} failed: ${why(frame.reason)}`, kind: 'bad' };
  }
  if (frame.outcome === 'dropped' && isDropAsked) {
    return {
      text: 'Dropped in the middle. The history keeps what was sent, marked [interrupted].',
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

/**
 * @param {TraceFrame & { type: 'local.turn' }} frame
 * @param {Delivery} delivery
 * @returns {Verdict | undefined}
 */
function turnVerdict({ outcome, reason }, { isRepeat, hasTakenOver }) {
  switch (outcome) {
    case 'replayed':
      return {
        text: 'Delivered twice: the stored reply was sent again, and the model was not asked.',
        kind: 'good',
      };
    case 'taken over':
      return {
        text: 'Delivered twice: the second delivery took over the stream. The model was asked once.',
        kind: 'good',
      };
    case 'failed':
      return {
        text: `The turn failed: ${why(reason)}. The caller heard the apology.`,
        kind: 'bad',
      };
    case 'stale':
      return {
        text: 'The turn came too late: a newer one is running, so this one was not run.',
        kind: 'plain',
      };
    case 'completed':
      return isRepeat && !hasTakenOver
        ? {
            text: 'Delivered again: the turn was not complete, so it ran again.',
            kind: 'good',
          }
        : undefined;
    default:
      return undefined;
  }
}

/** @param {Delivery} delivery @returns {Verdict} */
function forgeryVerdict({ signature, wire, status, error }) {
  const forged = wire === 'layercode' ? 'Bad signature' : 'Bad key';
  const name = signature === 'stale' ? 'Stale signature' : forged;
  if (status === 401) {
    return { text: `${name}: ${error ?? '401'}: refused, as it should be.`, kind: 'good' };
  }
  if (status === undefined) {
    return { text: `${name}: no answer: ${error ?? 'no reason was given'}`, kind: 'bad' };
  }
  return {
    text: `${name}: answered with ${status}. A correct server refuses it with 401.`,
    kind: 'bad',
  };
}

/** @param {string | undefined} reason */
function why(reason) {
  return cutText(reason ?? 'no reason was given', MAX_REASON_LENGTH);
}
