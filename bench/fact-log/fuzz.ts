// npx tsx bench/fact-log/fuzz.ts [--talks 2000] [--seed 1] [--without <rule>] [--judge]
// Random talks on a log of facts: how many go wrong, and in what. `--without` switches a rule off,
// and `--judge` each of them in turn. Exit code 1 if talks go wrong with all rules on.

import { parseArgs } from 'node:util';

import { RULES, type Off, type Rule } from './facts.ts';
import { SUBJECTS, Talk, type Subject } from './talk.ts';

const { values } = parseArgs({
  options: {
    talks: { type: 'string', default: '2000' },
    seed: { type: 'string', default: '1' },
    without: { type: 'string', default: '' },
    judge: { type: 'boolean', default: false },
  },
});
const rules = Object.keys(RULES) as Rule[];
const [talks, seed] = [Number(values.talks), Number(values.seed)];

/** Prints one line, and up to `examples` stories. Returns how many talks were wrong. */
function play(name: string, off: Off, examples: number): number {
  const counts = new Map<Subject, number>();
  let wrongTalks = 0;
  for (let index = 0; index < talks; index++) {
    const talk = new Talk(seed + index, off);
    const wrong = talk.run();
    for (const subject of new Set(wrong.map((one) => one.subject)))
      counts.set(subject, (counts.get(subject) ?? 0) + 1);
    if (wrong.length === 0) continue;
    wrongTalks += 1;
    if (wrongTalks > examples) continue;
    console.log(`  seed ${seed + index}: ${talk.story}`);
    for (const { subject, what } of wrong.slice(0, 4)) console.log(`    ${subject}: ${what}`);
  }
  const found = SUBJECTS.filter((subject) => counts.has(subject))
    .map((subject) => `${subject} ${counts.get(subject) ?? 0}`);
  console.log(`${name}: ${wrongTalks} of ${talks} talks wrong  ${found.join(', ')}`);
  return wrongTalks;
}

if (values.judge) {
  const unseen = rules.filter((rule) => play(`without "${RULES[rule]}"`, new Set([rule]), 0) === 0);
  if (unseen.length > 0) console.log(`no talk noticed: ${unseen.join(', ')}`);
} else {
  const off = rules.filter((rule) => values.without.split(',').includes(rule));
  const wrong = play(off.join() || 'all rules', new Set(off), 8);
  process.exitCode = wrong > 0 && off.length === 0 ? 1 : 0;
}
