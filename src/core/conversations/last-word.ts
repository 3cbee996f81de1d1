// Who may overwrite what a turn says. Pure: it knows neither a store nor a clock. There are two
// facts about a turn: its run's account of what it spoke, and what the platform has reported as
// heard. Either may come first, in any process. The turn's words follow from both: those of the
// account, cut to what was heard.

/**
 * How much the run of a turn has told about its reply.
 *
 * - `running`: the run is not over, and has stored its calls at most.
 * - `closed`: the run has told nothing, and something else has ended the turn.
 * - `leaving`: it has told how it ended, or what it has spoken so far, and may retract some of it.
 * - `final`: it has told everything.
 */
export const ACCOUNTS = ['running', 'closed', 'leaving', 'final'] as const;
export type Account = (typeof ACCOUNTS)[number];

/**
 * - `takes`: the turn has these words from now on, cut to what was reported of them.
 * - `stays`: no word changes.
 * - `unless reported`: takes, unless the platform has reported on the run.
 * - `if reported`: takes, if only the copy has a report.
 * - `its report`: stays, but is cut to the copy's report if only the copy has one.
 */
export type Verdict = 'takes' | 'stays' | 'unless reported' | 'if reported' | 'its report';

/**
 * Who writes, and whether the words change, for each of `ACCOUNTS`.
 *
 * - `its calls`: its run says what it has said and called so far.
 * - `its end`: its run says how it ended, and whether it is leaving.
 * - `a newer turn`: the run's process has begun another, and knows what this one has said so far.
 * - `a report`: the platform says what was heard, or that the reply was cut.
 * - `a replay`: the reply is complete, and is sent again in full.
 * - `another run`: neither run knew of the other, and only the other one's reply was sent in full.
 * - `a copy`: another process knows the same run, and says this about it.
 */
const VERDICTS = {
  'its calls': ['takes', 'stays', 'stays', 'stays'],
  'its end': ['takes', 'takes', 'takes', 'stays'],
  'a newer turn': ['takes', 'stays', 'takes', 'stays'],
  'a report': ['takes', 'takes', 'takes', 'takes'],
  'a replay': ['stays', 'stays', 'takes', 'stays'],
  'another run': ['takes', 'unless reported', 'unless reported', 'unless reported'],
  'a copy, running': ['takes', 'stays', 'stays', 'stays'],
  'a copy, closed': ['if reported', 'if reported', 'its report', 'its report'],
  'a copy, leaving': ['takes', 'takes', 'if reported', 'its report'],
  'a copy, final': ['takes', 'takes', 'takes', 'if reported'],
} as const satisfies Readonly<Record<string, readonly [Verdict, Verdict, Verdict, Verdict]>>;

export type Writer = keyof typeof VERDICTS;
export const WRITERS = Object.keys(VERDICTS) as readonly Writer[];

/** The two facts about a turn. `said`: see `TurnRecord`. */
export interface SaidAndHeard {
  readonly state: string;
  readonly runId: number;
  readonly said?: 'nothing' | 'leaving';
  readonly heard?: { readonly runId: number };
}

export function verdictOn(account: Account, writer: Writer): Verdict {
  return VERDICTS[writer][ACCOUNTS.indexOf(account)] ?? 'stays';
}

export function accountOf({ state, said }: Pick<SaidAndHeard, 'state' | 'said'>): Account {
  if (state === 'open') return 'running';
  return said === undefined ? 'final' : said === 'leaving' ? 'leaving' : 'closed';
}

/** Whether its run has given an account, even one that may still change. */
export function hasAccount({ state, said }: Pick<SaidAndHeard, 'state' | 'said'>): boolean {
  return state !== 'open' && said !== 'nothing';
}

/** Whether the platform has reported on the run that has the turn. */
export function isReported({ runId, heard }: SaidAndHeard): boolean {
  return heard !== undefined && heard.runId === runId;
}

export function mayWrite(turn: SaidAndHeard, writer: Writer): boolean {
  const verdict = verdictOn(accountOf(turn), writer);
  return verdict === 'takes' || (verdict === 'unless reported' && !isReported(turn));
}

/** What to take from a copy of the same run. */
export function takenOf(copy: SaidAndHeard, turn: SaidAndHeard): 'all' | 'report' | 'nothing' {
  const verdict = verdictOn(accountOf(turn), `a copy, ${accountOf(copy)}`);
  if (verdict === 'takes') return 'all';
  if (verdict === 'stays' || !isReported(copy) || isReported(turn)) return 'nothing';
  return verdict === 'its report' ? 'report' : 'all';
}
