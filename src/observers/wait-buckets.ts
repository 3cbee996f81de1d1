/**
 * Upper bounds of what callers wait for, in seconds. Around 2 s, where they begin to doubt that
 * somebody is there, the bounds are close.
 */
export const WAIT_BUCKETS_SECONDS = [
  0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 2, 2.5, 3, 5, 10,
];
