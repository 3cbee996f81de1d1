/** Fields that `providerOptions` cannot set, because the request is built around them. */
export const FIXED_FIELDS: readonly string[] = ['model', 'messages', 'tools', 'stream'];
