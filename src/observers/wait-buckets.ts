/**
 * Upper bounds of callers' waits, in seconds. They are close together around 2 s, where callers
 * begin to doubt that anyone is there.
 */
export const WAIT_BUCKETS_SECONDS = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 2, 2.5, 3, 5, 10,
];
