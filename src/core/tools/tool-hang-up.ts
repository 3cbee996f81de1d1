import { speakable } from '../../base/speech/speakable.ts';
import { tool, type Tool } from './tool.ts';

/**
 * Lets the model end the call. The goodbye is an argument, so that it is spoken before the end. It
 * may be left out, and is not spoken again if the reply ends with it.
 */
export const hangUp: Tool = tool({
  name: 'hang_up',
  description:
    'Ends the call. Use it when the caller has said goodbye or wants nothing more. '
    + 'Say goodbye either in your reply or in "goodbye".',
  parameters: {
    type: 'object',
    properties: {
      goodbye: { type: 'string', description: 'What to say before hanging up, in one sentence.' },
    },
    additionalProperties: false,
  },
  repeatable: true,
  isOfTurn: true,
  run: ({ goodbye }, { reply }) =>
    reply.hangup(goodbye === undefined ? {} : { say: speakable(goodbye) }),
});
