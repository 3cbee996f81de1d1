// The bank of docs/payments.md.

import { NotDone } from 'layercode-microserver';

export interface Payment {
  readonly invoice: string;
  readonly cents: number;
  /** The bank acts only once per key. */
  readonly key: string;
  readonly signal: AbortSignal;
}

export interface Bank {
  charge(payment: Payment): Promise<{ receipt: string }>;
  refund(payment: Payment): Promise<{ receipt: string }>;
}

export const bank: Bank = {
  charge: (payment) => post('charges', payment),
  refund: (payment) => post('refunds', payment),
};

async function post(path: string, payment: Payment): Promise<{ receipt: string }> {
  const { invoice, cents, key, signal } = payment;
  const response = await fetch(`https://bank.example/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify({ reference: invoice, cents }),
    signal,
  });
  // The bank says that no money has moved.
  if (response.status === 402) throw new NotDone('the bank declined it');
  // Money may have moved before this went wrong.
  if (!response.ok) throw new Error(`the bank answered ${response.status}`);
  return (await response.json()) as { receipt: string };
}
