// The cashier from examples/cashier.ts, with a bank in which no money moves. It declines the first
// card of each call.
import { NotDone } from 'layercode-microserver';

import { cashier } from '../cashier.ts';

export default cashier({
  async charge({ invoice, cents, key }) {
    if (key.endsWith('-1')) throw new NotDone('the bank declined it');
    return { receipt: `${cents} for ${invoice}` };
  },
  refund: async ({ invoice, cents }) => ({ receipt: `${cents} back for ${invoice}` }),
});
