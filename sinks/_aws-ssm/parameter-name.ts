// What Parameter Store takes for a parameter's name, so that a wrong one is found before any call.

// AWS counts the ARN's head in, which differs by partition and region; what it leaves is AWS's to refuse.
const MAX_LENGTH = 1011
const MAX_LEVELS = 15

/** What is wrong with a parameter's name, or undefined. */
export function parameterNameProblem(name: string): string | undefined {
  if (!/^[\w./-]+$/.test(name)) return "a parameter's name may hold only letters, digits and _ . - /"
  if (/^\/?(?:aws|ssm)/i.test(name)) return "a parameter's name may not begin with aws or ssm"
  if (name.includes("/") && !name.startsWith("/")) return "a parameter's name with levels must begin with /"
  if (name.endsWith("/") || name.includes("//")) return "a parameter's name may not have an empty level"
  if (name.split("/").length - 1 > MAX_LEVELS)
    return `a parameter's name may not have more than ${MAX_LEVELS} levels`
  if (name.length > MAX_LENGTH) return `a parameter's name may not be longer than ${MAX_LENGTH} characters`
  return undefined
}
