/** Bounds of the HTTP server; docs/api.md lists them. */
export type WireLimits = Readonly<{
  /** Open connections; requests on more are refused with TOO_MANY_CONNECTIONS. Default 20,000. */
  connectionsMax: number;
  /** Requests of one client address, on average over ten seconds; more are refused with RATE_LIMITED. Default 5,000. */
  requestsPerSecondMax: number;
  /** Time for the headers of a request; then REQUEST_TIMEOUT. Default 10,000. */
  headersTimeoutMs: number;
  /** Time for a whole request; then REQUEST_TIMEOUT. Default 30,000. */
  requestTimeoutMs: number;
}>;

export const defaultLimits: WireLimits = {
  connectionsMax: 20_000,
  requestsPerSecondMax: 5_000,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
};
