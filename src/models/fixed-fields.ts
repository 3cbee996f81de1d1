/** What `providerOptions` cannot set: a request is built around it. */
export const FIXED_FIELDS: readonly string[] = ['model', 'messages', 'tools', 'stream'];
