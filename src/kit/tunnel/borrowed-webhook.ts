// An agent's webhook for as long as a tunnel runs: set to the tunnel, then put back.

import { messageOf } from '../../base/thrown-values.ts';
import { PlatformError, type RestClient } from '../../wires/layercode/rest-client.ts';
import { CommandError, type Terminal } from '../terminal/command.ts';
import { oneLine, shellWord } from '../terminal/text.ts';
import { describePlatformError } from './platform-failure.ts';
import { ReplacedWebhooks } from './replaced-webhooks.ts';

/** Stands for no webhook on the command line and in messages. No URL looks like it. */
export const NO_WEBHOOK = 'none';

export interface BorrowOptions {
  readonly client: RestClient;
  readonly agentId: string;
  /** The tunnel's URL, which replaces the webhook. */
  readonly url: string;
  /**
   * What happens to the webhook is reported on its stderr. `.layercode/` is in its directory, and
   * its signal ends the calls.
   */
  readonly terminal: Terminal;
}

/**
 * Sets the webhook. Rejects with a `CommandError`, before changing anything if it is unclear what
 * would have to be put back. After any other failure the webhook is what it was, or stderr says
 * how to restore it.
 */
export async function borrowWebhook(options: BorrowOptions): Promise<BorrowedWebhook> {
  const webhook = new BorrowedWebhook(options);
  await webhook.begin();
  return webhook;
}

/** Made by `borrowWebhook`. */
export class BorrowedWebhook {
  readonly #options: BorrowOptions;
  readonly #replaced: ReplacedWebhooks;
  /** The webhook at the start; undefined for none. */
  #before: string | undefined;
  /**
   * The webhook to put back. Differs from `#before` only when that is the tunnel of a run that was
   * killed.
   */
  #old: string | undefined;
  /**
   * Set once LayerCode has shown our URL. Until then a request of ours may still be about to take
   * effect.
   */
  #isSet = false;
  #givingBack: Promise<void> | undefined;

  constructor(options: BorrowOptions) {
    this.#options = options;
    this.#replaced = new ReplacedWebhooks(options.terminal.directory);
  }

  async begin(): Promise<void> {
    const { client, agentId, url, terminal: { interrupted } } = this.#options;
    let isAsked = false;
    try {
      this.#before = await client.webhookUrl(agentId, interrupted);
      this.#old = this.#whatToPutBack(this.#before);
      // Before the webhook is set: if this process is killed after that, the next run finds the old
      // one.
      this.#remember();
      isAsked = true;
      await client.setWebhookUrl(agentId, url, interrupted);
      this.#isSet = true;
      this.#report(
        `was ${this.#old ?? NO_WEBHOOK}, is now the tunnel; the old one is put back at the end`,
      );
    } catch (error) {
      const isRefused = error instanceof PlatformError && error.kind === 'refused';
      // Without an answer it may have been set nevertheless.
      if (isAsked && !isRefused) await this.giveBack();
      else if (isAsked && this.#before === this.#old) this.#forget();
      if (interrupted.aborted) {
        throw new CommandError('interrupted before the webhook was set', { cause: error });
      }
      if (!(error instanceof PlatformError)) throw error;
      const isHopeless = !isAsked && error.kind === 'unclear webhook';
      const reason = describePlatformError(error, agentId) + (isHopeless ? BY_HAND : '');
      throw new CommandError(`the webhook is not set: ${reason}`, { cause: error });
    }
  }

  /**
   * Puts the old webhook back, unless somebody has set another one since. Never rejects: resolves
   * when that is done and verified, or when it failed and stderr says how to do it by hand. May be
   * called more than once.
   */
  giveBack(): Promise<void> {
    return (this.#givingBack ??= this.#giveBack());
  }

  /**
   * A quick tunnel's URL is dead once its run is over. If we know what it replaced, that is put
   * back.
   */
  #whatToPutBack(current: string | undefined): string | undefined {
    if (current === undefined || !isQuickTunnel(current)) return current;
    const kept = this.#replaced.get(this.#options.agentId);
    if (kept === undefined) {
      this.#report(`it is ${current}, another tunnel, perhaps left by a run that was killed. `
        + 'It is put back at the end; "webhook set <url>" sets the right one');
      return current;
    }
    this.#report(`it is ${current}, left by a run that was killed; `
      + 'what it was before that is put back at the end');
    return kept ?? undefined;
  }

  /**
   * Undone by `#forget`. A file that cannot be written does harm only after a kill, so the run
   * continues.
   */
  #remember(): void {
    try {
      this.#replaced.set(this.#options.agentId, this.#old ?? null);
    } catch (error) {
      this.#say(
        `${this.#replaced.file} cannot be written (${messageOf(error)}): `
          + 'if this run is killed, the webhook is not put back',
      );
    }
  }

  #forget(): void {
    try {
      this.#replaced.delete(this.#options.agentId);
    } catch (error) {
      this.#say(`remove ${this.#replaced.file}, which is no longer needed: ${messageOf(error)}`);
    }
  }

  /** Does not use the terminal's signal, which has fired when this is the end of a run. */
  async #giveBack(): Promise<void> {
    const { client, agentId, url, terminal } = this.#options;
    const old = this.#old ?? NO_WEBHOOK;
    try {
      const current = await this.#current();
      const isOurs = current === url || (!this.#isSet && current === this.#before);
      if (isOurs) await client.setWebhookUrl(agentId, this.#old);
      if (current === url) this.#report(`it is ${old} again`);
      else if (current !== this.#old && current !== this.#before) {
        this.#report(`somebody has set it to ${current ?? NO_WEBHOOK} since, `
          + `and it stays that way; before the tunnel it was ${old}`);
      }
      // If it is another run's tunnel, that run may need what this one was to put back.
      if (isOurs || current === undefined || !isQuickTunnel(current)) this.#forget();
    } catch (error) {
      const reason =
        error instanceof PlatformError
          ? describePlatformError(error, agentId)
          : oneLine(String(error));
      this.#say(
        `THE WEBHOOK OF AGENT ${agentId} IS NOT PUT BACK. `
          + `Its calls may go to a tunnel that is gone: ${reason}. Run:`,
      );
      const words = `${shellWord(oneLine(old, 10_000))} --agent-id ${shellWord(agentId)}`;
      terminal.stderr.write(`\n    layercode-microserver webhook set ${words}\n\n`);
    }
  }

  /**
   * The webhook now. An unclear one counts as ours: it was clear at the start, so our URL made it
   * unclear.
   */
  async #current(): Promise<string | undefined> {
    const { client, agentId, url } = this.#options;
    try {
      return await client.webhookUrl(agentId);
    } catch (error) {
      if (error instanceof PlatformError && error.kind === 'unclear webhook') return url;
      throw error;
    }
  }

  #report(text: string): void {
    this.#say(`webhook of agent ${this.#options.agentId}: ${text}`);
  }

  #say(text: string): void {
    this.#options.terminal.stderr.write(`  ${oneLine(text, 10_000)}\n`);
  }
}

const BY_HAND =
  '. It could not be put back at the end: '
  + 'run without --update-webhook, and set the tunnel\'s URL yourself';

function isQuickTunnel(url: string): boolean {
  return URL.canParse(url) && new URL(url).hostname.endsWith('.trycloudflare.com');
}
