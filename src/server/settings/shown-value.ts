// Shows values in messages without revealing secrets.

/**
 * The value in a form that is safe to show. Hides a secret that was put into the wrong variable, a
 * URL's password, and its query.
 */
export function show(value: string, secrets: readonly string[]): string {
  return JSON.stringify(
    shorten(hide(value, secrets).replace(/^.*@/s, '…@').replace(/\?.*$/s, '?…')),
  );
}

export function hide(value: string, secrets: readonly string[]): string {
  return secrets.reduce((rest, secret) => rest.replaceAll(secret, '…'), value);
}

export function shorten(value: string): string {
  return value.length > 80 ? `${value.slice(0, 79)}…` : value;
}
