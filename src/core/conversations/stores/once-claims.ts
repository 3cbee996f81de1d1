/** How safe a claim must be before a tool that acts once starts: the setting `ONCE_CLAIMS`. */
export interface OnceClaims {
  /** How many replicas must have the claim. */
  readonly replicas: number;
  /** Whether it must be on the server's disk. */
  readonly isOnDisk: boolean;
}

/** Whether claims need more than the store's answer that it has them. */
export function mustBeConfirmed(claims: OnceClaims | undefined): boolean {
  return claims !== undefined && (claims.isOnDisk || claims.replicas > 0);
}
