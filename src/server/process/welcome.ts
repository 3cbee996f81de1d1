// The greeting for a person who starts the server outside production.

import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { packageFile } from '../../base/package-files.ts';
import { version } from '../../base/version.ts';
import { whyNoModel } from '../app/bind-agent.ts';
import { keysOfAgent } from '../settings/named-agents.ts';
import type { Settings } from '../settings/settings.ts';
import { rows } from '../settings/table.ts';
import type { OpenServer } from './open-server.ts';

/** In a clone of this package npx finds nothing to run, but there is an npm script. */
function talkCommand(origin: string): string {
  const url = origin.endsWith(`:${rows.port.fallback}`) ? '' : `--url ${origin}`;
  const isClone = realpathSync(fileURLToPath(packageFile('.'))) === realpathSync(process.cwd());
  if (isClone) return `npm run talk${url === '' ? '' : ` -- ${url}`}`;
  return `npx layercode-microserver talk${url === '' ? '' : ` ${url}`}`;
}

/** Lines of which only the first has the label. */
function listed(label: string, lines: readonly string[]): readonly string[] {
  return lines.map((line, index) => `  ${(index === 0 ? label : '').padEnd(12)}${line}`);
}

/** For a person, so it goes to stderr: stdout belongs to the log. */
export function welcome(
  given: Settings,
  { app, settings, origin, secretFile }: OpenServer,
): string {
  const models = new Set(app.agents.flatMap(({ model }) => model ?? []));
  const modelNames = [...new Set([...models].map(({ name }) => name))];
  const names = app.agents.map(({ name }) => `"${name}"`);
  const agents = `the agent${names.length === 1 ? '' : 's'} ${names.join(', ')}`;
  const speaker = [agents, ...modelNames].join(' and ');
  /** The first agent also has the agent route itself. */
  const urls = app.agents.flatMap(({ name, path }, index) =>
    [...new Set(index === 0 ? [settings.agentRoute, path] : [path])].map((route) => ({
      url: `${origin}${route}`, hasKeys: keysOfAgent(settings, name).length > 0,
    })),
  );
  const webhooks = urls.map(({ url }) => url);
  const customLlms = urls.filter(({ hasKeys }) => hasKeys).map(({ url }) => url);
  const lines = [
    '',
    `  layercode-microserver ${version} answers calls with ${speaker}.`,
    '',
    ...(settings.playground ? [`  talk to it  ${origin}/playground`] : []),
    `  ${settings.playground ? 'or here    ' : 'talk to it '} ${talkCommand(origin)}`,
    ...listed('webhook', webhooks),
    ...listed('custom LLM', customLlms.map((url) => `${url} (${settings.chatCompletionsProfile})`)),
    `  health      ${origin}/health`,
    '',
  ];
  if (settings.webhookSecrets.length > given.webhookSecrets.length) {
    const where =
      secretFile === undefined
        ? 'for this run only, because no file can be written here'
        : 'kept in .layercode/webhook-secret';
    lines.push(`  LAYERCODE_WEBHOOK_SECRET is not set: a random secret is used, ${where}.`);
  }
  if (given.agent === undefined && given.agents.length === 0 && models.size === 0) {
    const [reason, remedy] = whyNoModel(given);
    lines.push(`  ${reason}, so the echo agent repeats what it hears. ${remedy}`);
  }
  const problems = new Set([...models].flatMap((model) => model.problems()));
  for (const problem of problems) lines.push(`  ${problem}.`);
  return `${lines.join('\n')}\n\n`;
}
