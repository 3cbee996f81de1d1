// An agent's webhook while a tunnel runs: ours for so long, and then what it was.

import { PlatformError, type RestClient } from '../../layercode/rest-client.ts';
import { CommandError, type Terminal } from '../terminal/command.ts';
import { oneLine, shellWord } from '../terminal/one-line.ts';
import { describePlatformError } from '../terminal/platform-failure.ts';
import { ReplacedWebhooks } from './replaced-webhooks.ts';

/** Stands for no webhook on the command line and in messages. No URL looks like it. */
export const NO_WEBHOOK = 'none';

export interface BorrowOptions {
  readonly client: RestClient;
  readonly agentId: string;
  /** The tunnel's URL, which takes the webhook's place. */
  readonly url: string;
  /** Told what becomes of the webhook, on stderr. `.layercode/` is in its directory, and its signal ends the calls. */
  readonly terminal: Terminal;
}

export interface BorrowedWebhook {
  /**
   * Puts the old one back, unless somebody has set another one meanwhile. Resolves, never rejects, when that is done, or
   * when it failed and the way out was told. May be called more than once.
   */
  giveBack(): Promise<void>;
}

/** Sets the webhook. Rejects with a `CommandError`; the webhook is then what it was, or the way out was told. */
export async function borrowWebhook(options: BorrowOptions): Promise<BorrowedWebhook> {
  const loan = new WebhookLoan(options);
  await loan.begin();
  return loan;
}

class WebhookLoan implements BorrowedWebhook {
  readonly #client: RestClient;
  readonly #agentId: string;
  readonly #url: string;
  readonly #terminal: Terminal;
  readonly #replaced: ReplacedWebhooks;
  /** What it was when we came, undefined for none. */
  #before: string | undefined;
  /** What it is to be again: another URL than that only when that is a dead tunnel's. */
  #old: string | undefined;
  #givingBack: Promise<void> | undefined;

  constructor({ client, agentId, url, terminal }: BorrowOptions) {
    this.#client = client;
    this.#agentId = agentId;
    this.#url = url;
    this.#terminal = terminal;
    this.#replaced = new ReplacedWebhooks(terminal.directory);
  }

  async begin(): Promise<void> {
    const { interrupted } = this.#terminal;
    let isAsked = false;
    try {
      this.#before = await this.#client.webhookUrl(this.#agentId, interrupted);
      this.#old = this.#whatToPutBack(this.#before);
      // Before the webhook is set: whatever ends this process from here on, the next run finds the old one.
      this.#remember();
      isAsked = true;
      await this.#client.setWebhookUrl(this.#agentId, this.#url, interrupted);
      this.#say(`webhook of agent ${this.#agentId}: was ${this.#old ?? NO_WEBHOOK}, is now the tunnel's; the old one is put back at the end`);
    } catch (error) {
      const isRefused = error instanceof PlatformError && error.kind === 'refused';
      // Without an answer it may be set all the same.
      if (isAsked && !isRefused) await this.giveBack();
      else if (isAsked && this.#before === this.#old) this.#forget();
      if (interrupted.aborted) throw new CommandError('interrupted before the webhook was set', { cause: error });
      if (!(error instanceof PlatformError)) throw error;
      throw new CommandError(`the webhook is not set: ${describePlatformError(error, this.#agentId)}`, { cause: error });
    }
  }

  giveBack(): Promise<void> {
    return (this.#givingBack ??= this.#giveBack());
  }

  /** A quick tunnel's URL is dead when its run is: where we know what it replaced, that is the webhook. */
  #whatToPutBack(current: string | undefined): string | undefined {
    if (current === undefined || !isQuickTunnel(current)) return current;
    const kept = this.#replaced.get(this.#agentId);
    if (kept === undefined) {
      this.#say(`webhook of agent ${this.#agentId}: it is ${current}, another tunnel's, maybe left by a run that was killed. It is put back at the end; `
        + '"webhook set <url>" sets the right one');
      return current;
    }
    this.#say(`webhook of agent ${this.#agentId}: it is ${current}, left by a run that was killed; what it was before that is put back at the end`);
    return kept ?? undefined;
  }

  /** Undone by `#forget`. Where nothing can be written only being killed is a danger, which is no reason not to run. */
  #remember(): void {
    try {
      this.#replaced.set(this.#agentId, this.#old ?? null);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#say(`${this.#replaced.file} cannot be written (${reason}): a run that is killed will not have its webhook put back`);
    }
  }

  #forget(): void {
    try {
      this.#replaced.delete(this.#agentId);
    } catch (error) {
      this.#say(`remove ${this.#replaced.file}, which is of no use any more: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  /** Not by the terminal's signal, which has fired when this is the end of a run. */
  async #giveBack(): Promise<void> {
    const agentId = this.#agentId;
    try {
      const current = await this.#client.webhookUrl(agentId);
      if (current === this.#url) {
        await this.#client.setWebhookUrl(agentId, this.#old);
        this.#say(`webhook of agent ${agentId}: it is ${this.#old ?? NO_WEBHOOK} again`);
      } else if (current !== this.#old && current !== this.#before) {
        this.#say(`webhook of agent ${agentId}: somebody has set it to ${current ?? NO_WEBHOOK} meanwhile, and it stays that; `
          + `before the tunnel it was ${this.#old ?? NO_WEBHOOK}`);
      }
      // Another run's tunnel: what this one was to put back, that one may need.
      if (current === this.#url || current === undefined || !isQuickTunnel(current)) this.#forget();
    } catch (error) {
      const reason = error instanceof PlatformError ? describePlatformError(error, agentId) : oneLine(String(error));
      this.#say(`THE WEBHOOK OF AGENT ${agentId} IS NOT PUT BACK, and its calls may go to a tunnel that is gone: ${reason}. Run:`);
      const old = shellWord(oneLine(this.#old ?? NO_WEBHOOK, 10_000));
      this.#terminal.stderr.write(`\n    layercode-microserver webhook set ${old} --agent-id ${shellWord(agentId)}\n\n`);
    }
  }

  #say(text: string): void {
    this.#terminal.stderr.write(`  ${oneLine(text, 10_000)}\n`);
  }
}

function isQuickTunnel(url: string): boolean {
  return URL.canParse(url) && new URL(url).hostname.endsWith('.trycloudflare.com');
}
