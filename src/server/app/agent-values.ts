// The redaction of an agent, as an app sets it up. Loaded only for agents with `redact`.

import type { Logger } from '../../base/log.ts';
import { messageOf, withoutMessage } from '../../base/thrown-values.ts';
import type { BoundAgent } from '../../core/agents/agent.ts';
import type { ConversationManager } from '../../core/conversations/manager.ts';
import { ValueNumbers } from '../../core/conversations/numbering.ts';
import type { ConversationStore } from '../../core/conversations/store.ts';
import { kindsIn } from '../../core/redaction/named-finders.ts';
import { Redaction } from '../../core/redaction/redaction.ts';
import type { SharedValues, SharedValuesOptions } from '../../core/redaction/shared-values.ts';
import { AgentValues } from '../../core/turns/values.ts';
import type { Settings } from '../settings/settings.ts';

/** The numbers of values in an agent's conversations. */
export function numbersFor({ redact }: BoundAgent): ValueNumbers {
  return new ValueNumbers(kindsIn(redact));
}

/** What redacts for an agent, and in which conversations. */
interface ValuesOptions {
  readonly agent: BoundAgent;
  /** See `GivenAgent`. */
  readonly name: string | undefined;
  readonly secrets: readonly string[];
  readonly keys: readonly string[];
  /** The agents that may speak in its conversations. */
  readonly speakers: readonly BoundAgent[];
  readonly conversations: ConversationManager;
  readonly store: ConversationStore;
  readonly settings: Settings;
  readonly log: Logger;
}

export function openValues({
  agent, name = '', secrets, keys, speakers, conversations, store, settings, log,
}: ValuesOptions): AgentValues {
  const { redact = [] } = agent;
  const { aside } = store;
  const { redactionKeys } = settings;
  const isShared = redactionKeys.length > 0 && speakers.some(mayReveal);
  const keyOf = (id: string): string => conversations.keyOf(id);
  const redaction = new Redaction({
    redact,
    // All processes that serve the agent have these.
    key: JSON.stringify(['redaction', name, [...secrets, ...keys].sort()]),
    onFailure: (error) =>
      log.error('redact failed: a text was left out', {
        agent: name === '' ? agent.name : name, error: withoutMessage(error),
      }),
    shared: isShared && aside !== undefined
      ? shareValues({ aside, keys: redactionKeys, keyOf, log })
      : undefined,
  });
  return new AgentValues(redaction, conversations);
}

/** Whether the agent may need a value itself. Unknown for tools made in each turn, and for code. */
function mayReveal({ tools }: BoundAgent): boolean {
  return tools === undefined || tools.some(({ raw }) => raw === true);
}

/** Loaded only with `REDACTION_KEY`. Undefined if that fails: calls can do without it. */
async function shareValues(
  options: SharedValuesOptions & { readonly log: Logger },
): Promise<SharedValues | undefined> {
  try {
    const { SharedValues } = await import('../../core/redaction/shared-values.ts');
    return new SharedValues(options);
  } catch (error) {
    options.log.warn('REDACTION_KEY has no effect', { reason: messageOf(error) });
    return undefined;
  }
}
