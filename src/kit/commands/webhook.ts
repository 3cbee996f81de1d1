// `layercode-microserver webhook`: shows or sets where LayerCode posts an agent's events.

import { isId } from '../../base/fields.ts';
import { PlatformError, RestClient } from '../../core/wires/layercode/rest-client.ts';
import type { Settings } from '../../server/settings/settings.ts';
import { show } from '../../server/settings/shown-value.ts';
import { commandSettings } from '../terminal/command-settings.ts';
import {
  CommandError, EXIT, UsageError, type Command, type Terminal,
} from '../terminal/command.ts';
import { parseFlags } from '../terminal/flags.ts';
import { oneLine } from '../terminal/text.ts';
import { NO_WEBHOOK } from '../tunnel/borrowed-webhook.ts';
import { describePlatformError } from '../tunnel/platform-failure.ts';

const SETTINGS_FLAGS = [
  '--layercode-api-key', '--layercode-agent-id', '--layercode-api-url', '--settings-file',
] as const;
const AGENT_FLAG = '--agent-id';

export const webhookCommand: Command = {
  name: 'webhook',
  summary: "Show or set the URL that LayerCode posts an agent's events to.",
  help: `Usage: layercode-microserver webhook get [--agent-id ID]
       layercode-microserver webhook set <url> [--agent-id ID]
       layercode-microserver webhook set none [--agent-id ID]

get prints only the URL on stdout. Without a webhook it prints nothing there, says so on stderr and
ends with code 1. set prints the old URL and the new one, and checks that LayerCode uses it; "set
none" removes the webhook.

  --agent-id ID             The agent. Default: LAYERCODE_AGENT_ID, when it names exactly one.
  --layercode-api-key KEY   LAYERCODE_API_KEY; other users of this machine can see flags.
  --layercode-agent-id ID   LAYERCODE_AGENT_ID.
  --layercode-api-url URL   LAYERCODE_API_URL.
  --settings-file PATH      Read variables from this file instead of .env.

The URL must begin with https://; its path is the server's webhook route, AGENT_ROUTE:
https://voice.example/api/agent. http:// is accepted only for this machine.

Exit codes: 0 success; 1 LayerCode refused or did not answer, or there is no webhook; 2 wrong
arguments.
`,
  async run(argv, terminal) {
    const { given, flags } = parseArguments(argv);
    const settings = commandSettings(SETTINGS_FLAGS, flags, terminal);
    const agentId = checkAgentId(flags[AGENT_FLAG] ?? onlyAgent(settings));
    const client = openClient(settings);
    const url = given === undefined ? undefined : parseWebhookUrl(given, settings, terminal);
    const { interrupted, stdout } = terminal;
    try {
      if (given === undefined)
        return printWebhook(await client.webhookUrl(agentId, interrupted), agentId, terminal);
      const before = await describeWebhook(client, agentId, terminal);
      await client.setWebhookUrl(agentId, url, interrupted);
      stdout.write(`was     ${before}\nis now  ${url ?? NO_WEBHOOK}\n`);
      return EXIT.OK;
    } catch (error) {
      if (interrupted.aborted) {
        const remedy = '; check with "webhook get" whether the webhook was set';
        throw new CommandError(`interrupted${given === undefined ? '' : remedy}`, { cause: error });
      }
      throw error instanceof PlatformError
        ? new CommandError(describePlatformError(error, agentId), { cause: error })
        : error;
    }
  },
};

/**
 * `given`: the URL to set. Undefined: the webhook is shown. No message shows a value: if a key was
 * not quoted, any of the arguments may be a piece of it.
 */
function parseArguments(argv: readonly string[]) {
  const { flags, words } = parseFlags('webhook', argv, [AGENT_FLAG, ...SETTINGS_FLAGS]);
  const [name, url, ...others] = words;
  if (name !== 'get' && name !== 'set') {
    const got = name === undefined ? '' : /^[a-z]{1,16}$/.test(name) ? `, got ${name}` : ' first';
    throw new UsageError(`webhook takes get or set${got}`);
  }
  if (name === 'set' && url === undefined) {
    throw new UsageError('webhook set takes the URL: webhook set https://voice.example/api/agent');
  }
  if (name === 'get' && url !== undefined) throw new UsageError('webhook get takes only flags');
  if (others.length > 0) throw new UsageError('webhook set takes one URL and flags');
  return { given: url, flags };
}

function checkAgentId(agentId: string): string {
  if (isId(agentId) && !/^\.\.?$/.test(agentId)) return agentId;
  throw new UsageError(
    "an agent's id has at most 256 characters and no control characters, and is neither . nor ..",
  );
}

function onlyAgent({ layercodeAgentIds }: Settings): string {
  const [agentId, ...others] = layercodeAgentIds;
  if (agentId === undefined) {
    throw new UsageError(
      `which agent? Set LAYERCODE_AGENT_ID, or pass ${AGENT_FLAG}; the dashboard shows the id`,
    );
  }
  if (others.length === 0) return agentId;
  const choice = oneLine(layercodeAgentIds.join(', '), 200);
  throw new UsageError(
    `LAYERCODE_AGENT_ID names ${layercodeAgentIds.length} agents: `
      + `choose one with ${AGENT_FLAG} (${choice})`,
  );
}

function openClient({ layercodeApiKey: apiKey, layercodeApiUrl: url }: Settings): RestClient {
  if (apiKey !== undefined) return new RestClient({ url, apiKey });
  throw new CommandError(
    'LAYERCODE_API_KEY is not set: '
      + 'copy it from https://dash.layercode.com/settings into .env or the environment',
  );
}

function printWebhook(url: string | undefined, agentId: string, terminal: Terminal): number {
  if (url === undefined) {
    terminal.stderr.write(
      `agent ${oneLine(agentId, 80)} has no webhook; set one with "webhook set <url>"\n`,
    );
    return EXIT.FAILED;
  }
  terminal.stdout.write(`${oneLine(url, 4_096)}\n`);
  return EXIT.OK;
}

/** What `set` reports as the old webhook. If that is unclear, `set` still works. */
async function describeWebhook(
  client: RestClient,
  agentId: string,
  terminal: Terminal,
): Promise<string> {
  try {
    return oneLine((await client.webhookUrl(agentId, terminal.interrupted)) ?? NO_WEBHOOK, 4_096);
  } catch (error) {
    if (!(error instanceof PlatformError && error.kind === 'unclear webhook')) throw error;
    return `unclear: ${oneLine(error.message)}`;
  }
}

/**
 * The URL as it was given; undefined for `none`. Prints a warning for a URL that is valid but looks
 * wrong.
 */
function parseWebhookUrl(
  url: string,
  { agentRoute, secrets }: Settings,
  terminal: Terminal,
): string | undefined {
  const text = url.trim();
  if (text === NO_WEBHOOK) return undefined;
  const refuse = (rule: string): UsageError =>
    new UsageError(`the webhook's URL must ${rule}, got ${show(text, secrets)}`);
  // The text itself is sent, so anything that `URL` would correct silently is refused.
  if (!/^https?:\/\/[^\s\\\p{Cc}\p{Cf}]+$/iu.test(text) || !URL.canParse(text)) {
    throw refuse('be an https:// URL like https://voice.example/api/agent');
  }
  const parsed = new URL(text);
  if (parsed.username !== '' || parsed.password !== '') {
    throw refuse('not contain a user name or password');
  }
  if (text.includes('#')) throw refuse('not contain #');
  const isHere = isThisMachine(parsed.hostname);
  if (parsed.protocol === 'http:' && !isHere) {
    throw refuse('begin with https://, so that nobody else can read the calls');
  }
  if (isHere) {
    terminal.stderr.write(
      `LayerCode cannot reach ${parsed.host}, which is this machine; `
        + '"run --tunnel" gives it a public URL\n',
    );
  }
  if (parsed.pathname === '/' && agentRoute !== '/') {
    terminal.stderr.write(
      `this URL has no path, and the server takes events at ${agentRoute}; `
        + `did you mean ${parsed.origin}${agentRoute}${parsed.search}?\n`,
    );
  }
  return text;
}

/** The host as `URL` spells it: 127.1 is written out in full. */
function isThisMachine(host: string): boolean {
  return /^(localhost|.+\.localhost|127\.\d+\.\d+\.\d+|0\.0\.0\.0|\[::1?\]|\[::ffff:7f[\da-f]{2}:[\da-f]{1,4}\])\.?$/.test(
    host,
  );
}
