// `run --tunnel`: a public URL for a server on this machine, for as long as it runs.

import type { RestClient } from '../../layercode/rest-client.ts';
import { borrowWebhook, type BorrowedWebhook } from './borrowed-webhook.ts';
import { startCloudflared } from './cloudflared.ts';
import type { Terminal } from '../terminal/command.ts';

export interface TunnelOptions {
  /** What the tunnel leads to, `http://localhost:8000`. */
  readonly origin: string;
  /** The webhook's path. */
  readonly agentRoute: string;
  /** Told the URL, on stderr. Its signal ends the opening, not the tunnel. */
  readonly terminal: Terminal;
  /** Sets the public URL on the agent, and puts the old one back. Undefined: the URL is only printed. */
  readonly webhook?: { readonly client: RestClient; readonly agentId: string };
  /** The program. Default `cloudflared`, found in PATH. */
  readonly program?: string;
  /** How long it may take to get a URL, and to be connected. Default 30,000 ms; with a URL it goes on then. */
  readonly timeoutMs?: number;
}

export interface Tunnel {
  /** `https://….trycloudflare.com/api/agent` */
  readonly webhookUrl: string;
  /**
   * Resolves, never rejects, when the tunnel is over, whether it was closed or died; the reason is undefined when it was closed,
   * or ended with us when we were interrupted. The old webhook has been put back by then.
   */
  readonly ended: Promise<{ readonly reason: string | undefined }>;
  /** Puts the old webhook back, then ends the tunnel: no call is sent to one that is gone. Resolves when both are done; may be called more than once. */
  close(): Promise<void>;
}

/**
 * Opens it. Rejects with a `CommandError` when the program is not installed, ends early or has no URL in time, when the webhook
 * cannot be set, and when the terminal's signal fires; neither tunnel nor webhook is left then.
 */
export async function openTunnel(options: TunnelOptions): Promise<Tunnel> {
  const {
    origin,
    agentRoute,
    terminal,
    webhook,
    program = 'cloudflared',
    timeoutMs = 30_000,
  } = options;
  const { environment, interrupted, stderr } = terminal;
  const cloudflared = await startCloudflared({
    program,
    origin,
    timeoutMs,
    environment,
    interrupted,
  });
  const webhookUrl = `${cloudflared.url}${agentRoute}`;
  stderr.write(`  tunnel      ${webhookUrl}\n`);
  if (!cloudflared.isConnected) {
    stderr.write('  The tunnel has not said yet that it is connected; its first calls may fail.\n');
  }
  if (webhook === undefined) {
    stderr.write(`  For LayerCode's calls: layercode-microserver webhook set ${webhookUrl}, or next time --update-webhook.\n`);
  }
  let borrowed: BorrowedWebhook | undefined;
  try {
    if (webhook !== undefined) {
      borrowed = await borrowWebhook({ ...webhook, url: webhookUrl, terminal });
    }
  } catch (error) {
    await cloudflared.close();
    throw error;
  }

  let closing: Promise<void> | undefined;
  async function closeBoth(): Promise<void> {
    await borrowed?.giveBack();
    await cloudflared.close();
  }
  async function waitForEnd(): Promise<{ readonly reason: string | undefined }> {
    const reason = await cloudflared.exited;
    // A Ctrl-C reaches every process of the terminal, and cloudflared may be the first to go.
    const isMeant = closing !== undefined || interrupted.aborted;
    await borrowed?.giveBack();
    return { reason: isMeant ? undefined : `the tunnel is gone: ${reason}` };
  }
  return { webhookUrl, ended: waitForEnd(), close: () => (closing ??= closeBoth()) };
}
