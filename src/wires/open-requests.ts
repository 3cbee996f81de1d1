/** What is open at the moment. All routes of an app share it, as they share the limits. */
export interface OpenRequests {
  /** Turns whose reply is being sent. */
  streams: number;
  /** Events without a reply that the agent is handling. */
  hooks: number;
}
