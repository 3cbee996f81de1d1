// The part of `npm run deploy-test` where payments run while their callers go on talking.

import {
  playDoublePayments, type PaymentPlan, type PaymentVerdict,
} from '../test/deploy/double-payment.ts';
import { RedisServer } from '../test/fixtures/redis-server.ts';

export const DOUBLE_PAYMENT = 'double payment';

const CALLERS = 50;

const PLANS: readonly (Pick<PaymentPlan, 'processes' | 'isOnce'> & { readonly name: string })[] = [
  { name: 'two servers', processes: 'servers', isOnce: true },
  { name: 'one server, `WORKERS=2`', processes: 'workers', isOnce: true },
  { name: 'two servers, a tool without `once`', processes: 'servers', isOnce: false },
];

/**
 * Prints a table. Returns what is wrong. That includes a run that proves nothing: the last row has
 * to find double payments.
 */
export async function tryDoublePayments(): Promise<readonly string[]> {
  console.log('\n| payments while callers go on talking | callers | next words reached another'
    + ' process | charged twice | told "outcome unknown" | other faults |');
  console.log('|---|--:|--:|--:|--:|--:|');
  const wrong: string[] = [];
  for (const { name, processes, isOnce } of PLANS) {
    const redis = await RedisServer.start('redis-server');
    try {
      await redis.hasRunForLong();
      const plan = { storeUrl: redis.url, processes, isOnce, callers: CALLERS };
      const verdict = await playDoublePayments(plan);
      const { elsewhere, doubled, unknown, faults } = verdict;
      const cells = [name, CALLERS, elsewhere, doubled.length, unknown, faults.length];
      console.log(`| ${cells.join(' | ')} |`);
      wrong.push(...faultsOf(verdict, isOnce).map((fault) => `${name}: ${fault}`));
    } finally {
      await redis.remove();
    }
  }
  return wrong;
}

function faultsOf({ elsewhere, doubled, faults }: PaymentVerdict, isOnce: boolean): string[] {
  const untried = elsewhere === 0 ? ['no words reached another process'] : [];
  if (!isOnce) return doubled.length > 0 ? untried : ['a double payment was not found'];
  return [...untried, ...doubled.map((invoice) => `${invoice} was charged twice`), ...faults];
}
