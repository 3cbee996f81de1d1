// An agent's webhook for as long as a tunnel is running: set to the tunnel, then put back.

import { messageOf } from '../../base/thrown-values.ts';
import { PlatformError, type RestClient } from '../../core/wires/layercode/rest-client.ts';
import { CommandError, type Terminal } from '../terminal/command.ts';
import { oneLine, shellWord } from '../terminal/text.ts';
import { describePlatformError } from './platform-failure.ts';
import { ReplacedWebhooks } from './replaced-webhooks.ts';

/** Stands for "no webhook" on the command line and in messages. No URL looks like it. */
export const NO_WEBHOOK = 'none';

interface BorrowOptions {
  readonly client: RestClient;
  readonly agentId: string;
  /** The tunnel's URL, which replaces the webhook. */
  readonly url: string;
  /**
   * What happens to the webhook is reported on its stderr. `.layercode/` is in its directory, and
   * its signal ends the requests.
   */
  readonly terminal: Terminal;
}

export interface BorrowedWebhook {
  /**
   * Puts the old webhook back, unless somebody has set another one since. Never rejects: resolves
   * when that is done and verified, or when it failed and stderr says how to do it by hand. May be
   * called more than once.
   */
  giveBack(): Promise<void>;
}

/**
 * Sets the webhook. Rejects with a `CommandError`: before changing anything, if it is unclear what
 * would have to be put back. After any other failure the webhook is what it was, or stderr says how
 * to restore it.
 */
export async function borrowWebhook(
  { client, agentId, url, terminal }: BorrowOptions,
): Promise<BorrowedWebhook> {
  const { interrupted, stderr, directory } = terminal;
  const replaced = new ReplacedWebhooks(directory);
  /** The webhook at the start; undefined for none. */
  let before: string | undefined;
  /** The webhook to put back. Differs from `before` only if that is the tunnel of a killed run. */
  let old: string | undefined;
  /** True once LayerCode has shown our URL. Until then our request may still take effect. */
  let isSet = false;
  let givingBack: Promise<void> | undefined;

  const say = (text: string): void => void stderr.write(`  ${oneLine(text, 10_000)}\n`);
  const report = (text: string): void => say(`webhook of agent ${agentId}: ${text}`);

  /**
   * A quick tunnel's URL is dead once its run is over. What it had replaced is put back, if known.
   */
  function whatToPutBack(current: string | undefined): string | undefined {
    if (current === undefined || !isQuickTunnel(current)) return current;
    const kept = replaced.get(agentId);
    if (kept === undefined) {
      report(`it is ${current}, another tunnel, perhaps left by a run that was killed. `
        + 'It is put back at the end; "webhook set <url>" sets the right one');
      return current;
    }
    report(`it is ${current}, left by a run that was killed; `
      + 'what it was before that is put back at the end');
    return kept ?? undefined;
  }

  /** A file that cannot be written does harm only after a kill, so the run continues. */
  function remember(): void {
    try {
      replaced.set(agentId, old ?? null);
    } catch (error) {
      say(`${replaced.file} cannot be written (${messageOf(error)}): `
        + 'if this run is killed, the webhook will not be put back');
    }
  }

  function forget(): void {
    try {
      replaced.delete(agentId);
    } catch (error) {
      say(`remove ${replaced.file}, which is no longer needed: ${messageOf(error)}`);
    }
  }

  /** An unclear webhook counts as ours: it was clear at the start, so our URL made it unclear. */
  async function webhookNow(): Promise<string | undefined> {
    try {
      return await client.webhookUrl(agentId);
    } catch (error) {
      if (error instanceof PlatformError && error.kind === 'unclear webhook') return url;
      throw error;
    }
  }

  /** Does not use the terminal's signal, which has fired when this is the end of a run. */
  async function putBack(): Promise<void> {
    const shown = old ?? NO_WEBHOOK;
    try {
      const current = await webhookNow();
      const isOurs = current === url || (!isSet && current === before);
      if (isOurs) await client.setWebhookUrl(agentId, old);
      if (current === url) report(`it is ${shown} again`);
      else if (current !== old && current !== before) {
        report(`somebody has set it to ${current ?? NO_WEBHOOK} since, `
          + `and it stays that way; before the tunnel it was ${shown}`);
      }
      // If the URL is another run's tunnel, that run may need what this one was to put back.
      if (isOurs || current === undefined || !isQuickTunnel(current)) forget();
    } catch (error) {
      const reason = error instanceof PlatformError
        ? describePlatformError(error, agentId) : oneLine(String(error));
      say(`THE WEBHOOK OF AGENT ${agentId} WAS NOT PUT BACK. `
        + `Its calls may go to a tunnel that is gone: ${reason}. Run:`);
      const words = `${shellWord(oneLine(shown, 10_000))} --agent-id ${shellWord(agentId)}`;
      stderr.write(`\n    layercode-microserver webhook set ${words}\n\n`);
    }
  }

  const giveBack = (): Promise<void> => (givingBack ??= putBack());

  let isAsked = false;
  try {
    before = await client.webhookUrl(agentId, interrupted);
    old = whatToPutBack(before);
    // Before the webhook is set: if this process is killed later, the next run finds the old
    // webhook.
    remember();
    isAsked = true;
    await client.setWebhookUrl(agentId, url, interrupted);
    isSet = true;
    report(`was ${old ?? NO_WEBHOOK}, is now the tunnel; the old one is put back at the end`);
    return { giveBack };
  } catch (error) {
    const isRefused = error instanceof PlatformError && error.kind === 'refused';
    // Without an answer the webhook may have been set nevertheless.
    if (isAsked && !isRefused) await giveBack();
    else if (isAsked && before === old) forget();
    if (interrupted.aborted)
      throw new CommandError('interrupted before the webhook was set', { cause: error });
    if (!(error instanceof PlatformError)) throw error;
    const isHopeless = !isAsked && error.kind === 'unclear webhook';
    const reason = describePlatformError(error, agentId) + (isHopeless ? BY_HAND : '');
    throw new CommandError(`the webhook was not set: ${reason}`, { cause: error });
  }
}

const BY_HAND =
  '. It could not be put back at the end: '
  + 'run without --update-webhook, and set the tunnel\'s URL yourself';

function isQuickTunnel(url: string): boolean {
  return URL.canParse(url) && new URL(url).hostname.endsWith('.trycloudflare.com');
}
