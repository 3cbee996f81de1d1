// Whether callers paid once, and were told the truth: see scripts/payment-faults.ts.

import { readFileSync } from 'node:fs';

import type { Loss } from './failing-redis.ts';
import { grouped, STOP_MS, TURN_MS, type Answer, type Down } from './paying-processes.ts';

/** A line in the file `bank`. */
interface Line {
  readonly kind: string;
  readonly id: string;
  readonly pid: number;
  readonly atMs: number;
  /** For an act, the milliseconds since it was asked for. For a fault, its name. */
  readonly more: string;
}

export interface PaymentEvidence {
  readonly bank: string;
  /** By conversation. The last one was given when nothing was failing any more. */
  readonly answers: ReadonlyMap<string, readonly Answer[]>;
  readonly downs: readonly Down[];
  readonly losses: readonly Loss[];
  /** Whether a claim of a tool that has begun survives a failover. */
  readonly survivesFailover: boolean;
}

export interface PaymentFaultsVerdict {
  readonly acts: number;
  readonly twice: number;
  /** How many of the double acts each kind of loss explains. */
  readonly explained: ReadonlyMap<Loss['kind'], number>;
  readonly unknown: number;
  /** How many of the unknown payments were known to be done in the end. */
  readonly late: number;
  readonly notStarted: number;
  /** Milliseconds from a call to the beginning of its act. */
  readonly waits: readonly number[];
  /** The same, without acts in the 15 s after the store had lost something. */
  readonly calmWaits: readonly number[];
  /** How long callers waited if the process of their payment had died. */
  readonly deaths: readonly number[];
  readonly ownFaults: number;
  /** What nothing explains. */
  readonly wrong: readonly string[];
}

export function judgePayments(evidence: PaymentEvidence): PaymentFaultsVerdict {
  const { answers, losses } = evidence;
  const lines = linesOf(evidence.bank);
  const faults = lines.filter(({ kind }) => kind === 'fault');
  const downs = [...evidence.downs, ...faults.map(downOf)];
  const acts = lines.filter(({ kind }) => kind === 'act');
  const actsOf = grouped(acts, ({ id }) => id);
  const cases = [...answers].map(([id, given]) =>
    new PaymentCase(id, actsOf.get(id) ?? [], given, { ...evidence, downs }));
  const isCalm = ({ atMs }: Line): boolean =>
    !losses.some((loss) => atMs > loss.atMs && atMs < loss.atMs + 15_000);
  const twice = cases.filter(({ acts }) => acts.length > 1);
  const explained = grouped(twice, (one) => one.explanation?.kind ?? '');
  explained.delete('');
  const has = (said: string) => (one: PaymentCase): boolean =>
    one.answers.some((answer) => answer.said === said);
  const unknown = cases.filter(has('unknown'));
  return {
    acts: acts.length,
    twice: twice.length,
    explained: new Map([...explained].map(([kind, all]) => [kind as Loss['kind'], all.length])),
    unknown: unknown.length,
    late: unknown.filter(({ answers }) => answers.at(-1)?.said === 'done').length,
    notStarted: cases.filter(has('not started')).length,
    waits: acts.map(({ more }) => Number(more)),
    calmWaits: acts.filter(isCalm).map(({ more }) => Number(more)),
    deaths: faults.filter(({ more }) => more.startsWith('die')).flatMap(({ id, atMs }) =>
      (answers.get(id) ?? []).filter(({ said, toMs }) => said === 'unknown' && toMs > atMs)
        .slice(0, 1).map(({ fromMs, toMs }) => toMs - Math.max(fromMs, atMs))),
    ownFaults: faults.length,
    wrong: cases.flatMap((one) => one.faults().map((fault) => `${fault}: ${one.story}`)),
  };
}

function linesOf(bank: string): readonly Line[] {
  return readFileSync(bank, 'utf8').split('\n').filter(Boolean).map((line) => {
    const [kind = '', id = '', pid, atMs, more = ''] = line.split('|');
    return { kind, id, pid: Number(pid), atMs: Number(atMs), more };
  });
}

function downOf({ pid, atMs, more }: Line): Down {
  const ms = more.startsWith('die') ? Infinity : STOP_MS + 2_000;
  return { pids: [pid], fromMs: atMs, toMs: atMs + ms };
}

class PaymentCase {
  readonly acts: readonly Line[];
  readonly answers: readonly Answer[];
  readonly #id: string;
  readonly #evidence: PaymentEvidence;

  constructor(
    id: string, acts: readonly Line[], answers: readonly Answer[], evidence: PaymentEvidence,
  ) {
    this.#id = id;
    this.acts = acts;
    this.answers = answers;
    this.#evidence = evidence;
  }

  /**
   * Why there are two acts: the store lost the claim between them, and the process of the first
   * could not put it back, because it was dead, stopped, or cut off. Nobody notices an evicted key.
   */
  get explanation(): Loss | undefined {
    const [first, second] = this.acts;
    if (first === undefined || second === undefined) return undefined;
    const { losses, survivesFailover } = this.#evidence;
    return losses.find(({ atMs, kind, ids }) =>
      atMs > first.atMs - 15_000 && atMs < second.atMs
      && (ids === undefined || ids.has(this.#id))
      && !(kind === 'fail over' && survivesFailover)
      && (kind === 'evict'
        || this.#isDown([first.pid], atMs, atMs + (kind === 'flush' ? 3_000 : 10_000))));
  }

  faults(): readonly string[] {
    const [{ acts, answers }, last] = [this, this.answers.at(-1)?.said];
    const hasActed = acts.length > 0;
    const isTold = answers.some(({ said }) => said === 'paid' || said === 'done');
    const hasEnd = last === 'unknown' || (hasActed && (last === 'paid' || last === 'done'));
    return [
      ...(acts.length > 1 && this.explanation === undefined ? ['acted twice'] : []),
      ...(isTold && !hasActed ? ['told of no act'] : []),
      ...(hasEnd ? [] : ['never ended']),
      ...(this.#isUnknownForNothing ? ['unknown, and nobody was down'] : []),
      ...(answers.some((answer) => this.#isHang(answer)) ? ['a caller hung'] : []),
    ];
  }

  get #isUnknownForNothing(): boolean {
    const told = this.answers.find(({ said }) => said === 'unknown');
    if (told === undefined) return false;
    const acts = this.acts.filter(({ atMs }) => atMs < told.toMs);
    return acts.length > 0
      && !acts.some(({ pid, atMs }) => this.#isDown([pid], atMs - 5_000, told.toMs));
  }

  #isHang({ fromMs, toMs }: Answer): boolean {
    return toMs - fromMs > TURN_MS + 3_000 && !this.#isDown(undefined, fromMs, toMs);
  }

  /** Whether one of these processes, or any, was down in this time. */
  #isDown(pids: readonly number[] | undefined, fromMs: number, toMs: number): boolean {
    return this.#evidence.downs.some((down) =>
      (pids?.some((pid) => down.pids.includes(pid)) ?? true)
      && down.toMs > fromMs && down.fromMs < toMs);
  }

  /** What happened, in order, with the milliseconds since the caller first asked. */
  get story(): string {
    const beginMs = this.answers[0]?.fromMs ?? 0;
    const endMs = this.answers.at(-1)?.toMs ?? 0;
    const events: (readonly [atMs: number, what: string])[] = [
      ...this.answers.filter(({ text }) => !text.includes('failed'))
        .map(({ server, fromMs, toMs, said }) =>
          [fromMs, `asks ${server}: ${said} after ${toMs - fromMs}`] as const),
      ...this.acts.map(({ pid, atMs }) => [atMs, `act of ${pid}`] as const),
      ...this.#evidence.losses.map(({ atMs, kind, ids }) =>
        [atMs, `${kind}${ids?.has(this.#id) === false ? ' elsewhere' : ''}`] as const),
      ...this.#evidence.downs.map(({ pids, fromMs, toMs }) =>
        [fromMs, `${pids.join()} down for ${Math.round(toMs - fromMs)}`] as const),
    ];
    return [this.#id, ...events.filter(([atMs]) => atMs > beginMs - 20_000 && atMs <= endMs)
      .toSorted(([a], [b]) => a - b).map(([atMs, what]) => `${atMs - beginMs} ${what}`)]
      .join('\n  ');
  }
}
