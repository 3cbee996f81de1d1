/**
 * Counts failures and keeps the first reasons. With more than a hundred, measuring is pointless.
 */
export class Faults {
  count = 0;
  readonly reasons: string[] = [];

  add(reason: string): void {
    this.count++;
    if (this.reasons.length < 5) this.reasons.push(reason);
  }

  get isHopeless(): boolean {
    return this.count > 100;
  }
}
