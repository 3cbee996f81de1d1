// Finds the secrets among all values, so that no problem and no log line shows one.

import { minRedactedLength } from './kinds.ts';
import {
  agentOfKeysVariable, agentOfSecretVariable, keysVariableOf, secretVariableOf,
} from './named-agents.ts';
import type { Settings } from './settings.ts';
import { rows, settingRows } from './table.ts';

/**
 * Every secret that is long enough to redact, the longest first. `values`: all values by variable.
 */
export function secretsIn(values: Readonly<Record<string, string>>): readonly string[] {
  const found = Object.entries(values)
    .flatMap(([variable, value]) => {
      if (isOwnSecret(variable)) return value.split(','); // most may be lists
      return /(^|_)(API_KEY|SECRET|TOKEN|PASSWORD)$/i.test(variable) ? [value] : [];
    })
    .concat(loginIn(values[rows.conversationStore.variable] ?? ''))
    .map((value) => value.trim())
    .filter((value) => value.length >= minRedactedLength);
  return [...new Set(found)].sort((a, b) => b.length - a.length);
}

/** Shortest secret that is hard to guess, in UTF-16 code units. */
export const MIN_UNGUESSED_LENGTH = 16;

/** The variables that hold a secret which is short enough to be guessed. */
export function shortSecretsIn(settings: Settings): readonly string[] {
  const {
    webhookSecrets, chatCompletionsKeys, vapiWebhookSecrets, elevenLabsWebhookSecrets,
  } = rows;
  const held: readonly (readonly [variable: string, secrets: readonly string[]])[] = [
    [webhookSecrets.variable, settings.webhookSecrets],
    [chatCompletionsKeys.variable, settings.chatCompletionsKeys],
    [vapiWebhookSecrets.variable, settings.vapiWebhookSecrets],
    [elevenLabsWebhookSecrets.variable, settings.elevenLabsWebhookSecrets],
    ...Object.entries(settings.agentSecrets).map(
      ([name, own]) => [secretVariableOf(name), own] as const,
    ),
    ...Object.entries(settings.agentKeys).map(
      ([name, own]) => [keysVariableOf(name), own] as const,
    ),
  ];
  return held.flatMap(([variable, secrets]) =>
    secrets.some(({ length }) => length < MIN_UNGUESSED_LENGTH) ? [variable] : [],
  );
}

/** User and password of a URL, both encoded and decoded. */
function loginIn(url: string): readonly string[] {
  const [, login = ''] = /^[a-z+]+:\/\/([^/?#]*)@/i.exec(url) ?? [];
  const [user = '', ...passwords] = login.split(':');
  const written = [user, passwords.join(':')];
  try {
    return [...written, ...written.map(decodeURIComponent)];
  } catch {
    return written; // the store refuses such a URL
  }
}

const SECRET_SETTINGS: ReadonlySet<string> = new Set(
  settingRows.filter(({ secret }) => secret).map(({ variable }) => variable),
);

/** Whether it is a secret setting, or an agent's own. Other programs' secrets are known by name. */
function isOwnSecret(variable: string): boolean {
  const agent = agentOfSecretVariable(variable) ?? agentOfKeysVariable(variable);
  return SECRET_SETTINGS.has(variable) || agent !== undefined;
}
