// Finds the secrets among all values, so that no problem and no log line shows one.

import { minRedactedLength } from './kinds.ts';
import { agentOfKeysVariable, agentOfSecretVariable } from './named-agents.ts';
import { rows } from './table.ts';

/** Every secret that is long enough to redact, the longest first. `values` has them by variable. */
export function secretsIn(values: Readonly<Record<string, string>>): readonly string[] {
  const found = Object.entries(values)
    .filter(
      ([variable]) =>
        /(^|_)(API_KEY|SECRET|TOKEN|PASSWORD)$/i.test(variable) || isList(variable),
    )
    .flatMap(([variable, value]) => (isList(variable) ? value.split(',') : [value]))
    .concat(loginIn(values[rows.conversationStore.variable] ?? ''))
    .map((value) => value.trim())
    .filter((value) => value.length >= minRedactedLength);
  return [...new Set(found)].sort((a, b) => b.length - a.length);
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

/** Whether it holds several secrets. */
function isList(variable: string): boolean {
  const { webhookSecrets, chatCompletionsKeys } = rows;
  const isCommon = [webhookSecrets, chatCompletionsKeys].some((row) => row.variable === variable);
  const agent = agentOfSecretVariable(variable) ?? agentOfKeysVariable(variable);
  return isCommon || agent !== undefined;
}
