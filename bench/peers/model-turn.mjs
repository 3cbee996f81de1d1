// What the contestants of bench:model share.

export const MODEL = 'gpt-6-luna';
export const PROMPT = 'You are on the phone for a tourist office. Be brief.';

/** Offered but never called. */
export const TOOLS = [
  { name: 'search', description: 'Finds sights by what they are.' },
  { name: 'look_up', description: 'Looks up opening hours.' },
  { name: 'book', description: 'Books a guided tour.' },
];
