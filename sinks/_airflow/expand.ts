// `$NAME`, `${NAME}` and `~` in Airflow's settings, expanded as Airflow expands them in values and in its own paths.

/** What an expansion may know: the environment and the user's home directory. */
export type Surroundings = {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly home: string | undefined
}

// Airflow goes on until nothing changes, for ever if need be; a value that refers to itself ends here.
const ROUNDS = 10

/** Expands variables that are set, and a leading `~`, again and again until nothing changes. */
export function expand(text: string, { env, home }: Surroundings): string {
  let expanded = text
  for (let round = 0; round < ROUNDS; round++) {
    const before = expanded
    expanded = before.replace(/\$(?:(\w+)|\{([^}]*)\})/g, (all, bare?: string, braced?: string) => {
      const name = bare ?? braced ?? ""
      return (Object.hasOwn(env, name) ? env[name] : undefined) ?? all
    })
    if (home !== undefined && /^~(\/|$)/.test(expanded))
      expanded = home.replace(/\/+$/, "") + expanded.slice(1)
    if (expanded === before) break
  }
  return expanded
}
