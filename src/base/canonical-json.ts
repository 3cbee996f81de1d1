/**
 * JSON text with sorted keys: equal values have equal texts. Throws a `RangeError` for values
 * nested too deeply for the stack. Calls `onValue` for each value within; it can stop the work by
 * throwing.
 */
export function canonicalJson(value: unknown, onValue?: () => void): string {
  // Collected flat: building each text from inner ones would copy those once per level.
  const parts: string[] = [];
  const write = (inner: unknown): void => {
    onValue?.();
    if (Array.isArray(inner)) {
      inner.forEach((item, index) => {
        parts.push(index === 0 ? '[' : ',');
        write(item);
      });
      parts.push(inner.length === 0 ? '[]' : ']');
    } else if (typeof inner === 'object' && inner !== null) {
      const entries = Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1));
      entries.forEach(([name, item], index) => {
        parts.push(index === 0 ? '{' : ',', JSON.stringify(name), ':');
        write(item);
      });
      parts.push(entries.length === 0 ? '{}' : '}');
    } else {
      // `JSON.stringify` turns 1e999 into null.
      parts.push(typeof inner === 'number' ? String(inner) : JSON.stringify(inner));
    }
  };
  write(value);
  return parts.join('');
}
