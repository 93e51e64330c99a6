// How facts about services travel to the tests: as variables, `url` of postgres as ECRELAY_TEST_POSTGRES_URL.
// Whoever has a server of their own may set them by hand.

/** What tests need to know of a service: addresses, paths, commands; `absent` holds the reason where it is not there. */
export type Facts = Readonly<Record<string, string | undefined>>

/** The variables that tell these facts. */
export function toVariables(service: string, facts: Facts): Record<string, string> {
  const variables: Record<string, string> = {}
  for (const [key, value] of Object.entries(facts)) {
    const name = key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()
    if (value !== undefined) variables[prefix(service) + name] = value
  }
  return variables
}

/** The facts that these variables tell of a service. */
export function fromVariables(env: Facts, service: string): Facts {
  const start = prefix(service)
  const told = Object.entries(env).filter(([name]) => name.startsWith(start))
  return Object.fromEntries(
    told.map(([name, value]) => {
      const words = name.slice(start.length).toLowerCase()
      return [words.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase()), value]
    }),
  )
}

function prefix(service: string): string {
  return `ECRELAY_TEST_${service.toUpperCase()}_`
}
