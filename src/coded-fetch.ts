// The runtime's `fetch`, so that what went wrong is told by a code whatever the runtime.

/**
 * The same `fetch`, whose failures tell a code under Deno too: its own tell none, and what they come to then is mostly
 * that nobody was reached. The code is Bun's.
 */
export function codedFetch(real: typeof fetch): typeof fetch {
  const coded = async (...call: Parameters<typeof fetch>) => {
    try {
      return await real(...call)
    } catch (error) {
      const { code, cause } = error as {
        readonly code?: unknown
        readonly cause?: { readonly code?: unknown }
      }
      if (!(error instanceof TypeError) || (code ?? cause?.code) !== undefined) throw error
      const { message } = cause instanceof Error ? cause : error
      // It quotes the address, in which somebody may have put a password.
      const said = message.replaceAll(/\/\/[^/@\s]*@/g, "//")
      throw Object.assign(new Error(said), { code: "FailedToOpenSocket" })
    }
  }
  return coded as typeof fetch
}
