// What every part that reads variables of the environment is given: nobody but `main.ts` reads them itself.

/** The variables of a process, as they come from outside. */
export type Environment = Readonly<Record<string, string | undefined>>
