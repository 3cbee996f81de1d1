import { RestClient } from '../../core/wires/layercode/rest-client.ts';
import { pathsOfAgents } from '../../server/app/routes.ts';
import type { Companion } from '../../server/process/closing.ts';
import type { OpenServer } from '../../server/process/open-server.ts';
import { runServer } from '../../server/process/run-server.ts';
import { settingsHelp } from '../../server/settings/help.ts';
import { CommandError, UsageError, type Command, type Terminal } from '../terminal/command.ts';
import { openTunnel } from '../tunnel/tunnel.ts';

const TUNNEL = '--tunnel';
const UPDATE_WEBHOOK = '--update-webhook';

const HELP = `\
Usage: layercode-microserver run [--tunnel [--update-webhook]] [--flag value | --flag=value]...

Runs the server until it gets a signal. "node dist/server.js" does the same, without a tunnel.

  --tunnel          Make the server reachable from outside with cloudflared, which must be
                    installed, and print the public URL of the webhook. If the tunnel ends, the
                    server ends with exit code 1.
  --update-webhook  With --tunnel: set that URL on the agent LAYERCODE_AGENT_ID, using
                    LAYERCODE_API_KEY, and put the old one back at the end. Refused if it is
                    unclear what the old one is.

Exit codes: 0 ended by a signal; 1 wrong setting, cannot start, or the tunnel is lost;
2 --update-webhook without --tunnel; 129, 130 or 143 ended by a second signal.
`;

export const run: Command = {
  name: 'run',
  summary: 'Run the server; every setting is a flag.',
  help: `${HELP}\n${settingsHelp().replace(/^Usage: .*\n\n/, '')}`,
  async run(argv, terminal) {
    const settingFlags = argv.filter((flag) => flag !== TUNNEL && flag !== UPDATE_WEBHOOK);
    const updatesWebhook = argv.includes(UPDATE_WEBHOOK);
    const hasTunnel = argv.includes(TUNNEL);
    if (updatesWebhook && !hasTunnel) {
      throw new UsageError(
        `${UPDATE_WEBHOOK} needs ${TUNNEL}: without it there is no public URL to set`,
      );
    }
    await runServer(settingFlags, {
      loadPlatform: () => import('../platform/local-platform.ts'),
      ...(hasTunnel ? {
        accompany: (server, closing) =>
          openCompanion(server, updatesWebhook, { ...terminal, interrupted: closing }),
      } : {}),
    });
    return Number(process.exitCode ?? 0);
  },
};

async function openCompanion(
  { origin, settings }: Pick<OpenServer, 'origin' | 'settings'>,
  updatesWebhook: boolean,
  terminal: Terminal,
): Promise<Companion> {
  const { agentRoute } = settings;
  const paths = pathsOfAgents(settings);
  if (!updatesWebhook) return openTunnel({ origin, agentRoute, paths, terminal });
  const { layercodeApiKey: apiKey, layercodeApiUrl: url, layercodeAgentIds } = settings;
  const [agentId, ...others] = layercodeAgentIds;
  if (apiKey === undefined) {
    throw new CommandError(
      `${UPDATE_WEBHOOK} needs LAYERCODE_API_KEY, a key from the LayerCode dashboard`,
    );
  }
  if (agentId === undefined || others.length > 0) {
    throw new CommandError(`${UPDATE_WEBHOOK} needs LAYERCODE_AGENT_ID to name one agent`);
  }
  const webhook = { client: new RestClient({ url, apiKey }), agentId };
  return openTunnel({ origin, agentRoute, paths, terminal, webhook });
}
