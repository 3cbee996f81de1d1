// Looking into JSON of strangers without trusting its shape.

export type JsonRecord = Readonly<Record<string, unknown>>;

/** The value as an object with fields, or undefined. */
export function asRecord(value: unknown): JsonRecord | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as JsonRecord)
    : undefined;
}

/** The value as a list; anything else is an empty one. */
export function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** The value as text; anything else is empty. */
export function asText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

/** A count of something: a finite number from 0 up, or undefined. */
export function asCount(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : undefined;
}
