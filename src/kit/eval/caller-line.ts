import { LineFault } from './fault.ts';
import type { CallerLine } from './step.ts';

const RULE =
  'caller takes whom a model plays, what they want, and a bound: '
  + 'caller "a hurried customer" wants "a table for two" in 8 turns';
const MAX_TURNS = 50;

/** `caller "PERSONA" wants "GOAL" in 8 turns` */
export function parseCallerLine(argument: string): CallerLine {
  const [, persona, goal, turns] =
    /^"([^"]+)" wants "([^"]+)" in (\d{1,3}) turns?$/.exec(argument) ?? [];
  if (persona === undefined || goal === undefined) throw new LineFault(RULE);
  const maxTurns = Number(turns);
  if (maxTurns >= 1 && maxTurns <= MAX_TURNS) return { name: 'caller', persona, goal, maxTurns };
  throw new LineFault(`a played caller takes 1 to ${MAX_TURNS} turns`);
}
