// The runtime's `fetch`, whose failures have a `code` whatever the runtime.

/**
 * The same `fetch`, whose failures have a code under Deno too. Deno's own have none, and mostly mean that nobody was reached:
 * they get the code that Bun has for that.
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
