type Same<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Does not compile unless the types are the same. */
export function same<A, B>(_isSame: Same<A, B>): void {}
