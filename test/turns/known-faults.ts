/**
 * What the server is known to do wrong, by name. While a name stands here, talks avoid exactly that
 * situation, or the model tolerates it. A fix removes the name.
 */
export const KNOWN_FAULTS: Readonly<Record<string, string>> = {};

/** `LIFT_FAULTS='one; another' npm test` holds the server to these, too. */
const lifted = new Set<string>();
for (const fault of (process.env['LIFT_FAULTS'] ?? '').split(';'))
  if (fault.trim() !== '') lift(fault.trim());

/** Whether the situation is to be avoided. */
export function isKnown(fault: string): boolean {
  return Object.hasOwn(KNOWN_FAULTS, fault) && !lifted.has(fault);
}

/** Holds the server to it in this process, as if the name were removed. */
export function lift(fault: string): void {
  if (!Object.hasOwn(KNOWN_FAULTS, fault))
    throw new RangeError(
      `no known fault ${JSON.stringify(fault)}; there are: ${Object.keys(KNOWN_FAULTS).join('; ')}`,
    );
  lifted.add(fault);
}
