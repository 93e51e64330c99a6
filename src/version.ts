// The version: stamped into the binary by `bun run build`, `0.0.0-source` when the source runs as it is.

declare const ECRELAY_VERSION: string | undefined

/** Such as `0.1.0 (3f2a9c1)`. */
export const VERSION = typeof ECRELAY_VERSION === "string" ? ECRELAY_VERSION : "0.0.0-source"
