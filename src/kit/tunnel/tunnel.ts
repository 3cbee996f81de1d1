// `run --tunnel`: a public URL for a server on this machine, for as long as it is running.

import type { RestClient } from '../../core/wires/layercode/rest-client.ts';
import type { Terminal } from '../terminal/command.ts';
import { borrowWebhook, type BorrowedWebhook } from './borrowed-webhook.ts';
import { startCloudflared } from './cloudflared.ts';

export interface TunnelOptions {
  /** Where the tunnel leads, for example `http://localhost:8000`. */
  readonly origin: string;
  /** The path of the webhook. */
  readonly agentRoute: string;
  /** The only paths that can be reached. */
  readonly paths: readonly string[];
  /**
   * The URL is printed on its stderr. Its signal cancels the opening, but does not end the tunnel.
   */
  readonly terminal: Terminal;
  /**
   * The agent that gets the public URL for as long as the tunnel is running. Undefined: the URL is
   * only printed.
   */
  readonly webhook?: { readonly client: RestClient; readonly agentId: string };
  /** The program to run. Default `cloudflared`, found in PATH. */
  readonly program?: string;
  /**
   * How long to wait for a URL and a connection. Default 30,000 ms. If there is a URL but no
   * connection by then, it continues.
   */
  readonly timeoutMs?: number;
}

export interface Tunnel {
  /** For example `https://….trycloudflare.com/api/agent`. */
  readonly webhookUrl: string;
  /**
   * Resolves when the tunnel has ended and the old webhook is back; never rejects. The reason is
   * undefined if the tunnel was closed, or ended together with this process on an interrupt.
   */
  readonly ended: Promise<{ readonly reason: string | undefined }>;
  /**
   * Puts the old webhook back, then closes the tunnel, so that no call goes to a tunnel that is
   * gone. Resolves when both are done. May be called again.
   */
  close(): Promise<void>;
}

/**
 * Opens the tunnel. Rejects with a `CommandError` if the program is not installed, ends early or
 * has no URL in time, if the webhook cannot be set, or if the terminal's signal fires. In those
 * cases nothing is left open or changed.
 */
export async function openTunnel(options: TunnelOptions): Promise<Tunnel> {
  const { origin, agentRoute, paths, terminal, webhook } = options;
  const { program = 'cloudflared', timeoutMs = 30_000 } = options;
  const { environment, interrupted, stderr } = terminal;
  const cloudflared = await startCloudflared({
    program, origin, paths, timeoutMs, environment, interrupted,
  });
  const webhookUrl = `${cloudflared.url}${agentRoute}`;
  stderr.write(`  tunnel      ${webhookUrl}\n`);
  if (!cloudflared.isConnected) {
    stderr.write('  The tunnel is not connected yet; its first calls may fail.\n');
  }
  if (webhook === undefined) {
    stderr.write(
      `  To get LayerCode's calls, run: npx layercode-microserver webhook set ${webhookUrl}\n`
        + '  Next time, --update-webhook does it for you.\n',
    );
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
    // Ctrl-C reaches every process of the terminal, and cloudflared may be the first to end.
    const isMeant = closing !== undefined || interrupted.aborted;
    await borrowed?.giveBack();
    return { reason: isMeant ? undefined : `the tunnel is gone: ${reason}` };
  }
  return { webhookUrl, ended: waitForEnd(), close: () => (closing ??= closeBoth()) };
}
