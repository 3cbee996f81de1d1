import { speakable } from '../../base/speech/speakable.ts';
import { tool, type Tool } from './tool.ts';

/**
 * Lets the model transfer the call. `destinations` has the numbers, each under a name that tells
 * the model what it is for, such as `{ sales: '+49 30 111' }`. The model never chooses a number of
 * its own. Throws a `TypeError` if there is no number, or an empty one.
 */
export function transferTo(destinations: Readonly<Record<string, string>>): Tool {
  const names = Object.keys(destinations);
  if (names.length === 0) throw new TypeError('transferTo needs at least one destination');
  for (const name of names) {
    if (typeof destinations[name] === 'string' && destinations[name] !== '') continue;
    throw new TypeError(`transferTo: the destination ${JSON.stringify(name)} must be a number`);
  }
  let hasWarned = false;
  return tool({
    name: 'transfer_call',
    description:
      'Transfers the call to somebody else. Tell the caller first, in your reply or in "say".',
    parameters: {
      type: 'object',
      properties: {
        destination: { type: 'string', enum: names, description: 'Whom to transfer to.' },
        say: { type: 'string', description: 'What to say first, in one sentence.' },
        briefing: {
          type: 'string', description: 'What to tell the person who picks up, in one sentence.',
        },
      },
      required: ['destination'],
      additionalProperties: false,
    },
    repeatable: true,
    isOfTurn: true,
    run: ({ destination, say, briefing }, { reply, log }) => {
      const to = destinations[destination] ?? '';
      const words = say === undefined ? {} : { say: speakable(say) };
      const brief = briefing === undefined ? {} : { briefing: speakable(briefing) };
      if (reply.transfer({ to, ...words, ...brief })) return undefined;
      if (!reply.isOver && !hasWarned) {
        log.warn('this platform offers no transfer');
        hasWarned = true;
      }
      return { error: 'calls cannot be transferred here' };
    },
  });
}
