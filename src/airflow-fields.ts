// The fields of a JSON object that people wrote by hand into Airflow: each taken with its type checked. A refusal names
// the field by its path and never what stands there: any of it may be secret.
import type { Environment } from "./environment.ts"

/** The error that says what is wrong with the connection, and what to do about it. */
export type Refuse = (problem: string, hint: string, code?: string) => Error

/** What reading a connection needs beside its fields. */
export type Reading = {
  readonly connId: string
  readonly env: Environment
  readonly refuse: Refuse
  /** Takes, in words, what has no effect or is deprecated. */
  readonly warn: (text: string) => void
}

/** An object's fields. What is null or empty counts as absent, as it does to Airflow. */
export type Fields = {
  /** The names of what is there. */
  readonly names: readonly string[]
  /** The field's path, for messages: `extra.assume_role_kwargs.ExternalId`. */
  path(name: string): string
  has(name: string): boolean
  text(name: string): string | undefined
  /** A whole number, not negative. */
  count(name: string): number | undefined
  /** True or false, and false where it is absent. */
  flag(name: string): boolean
  /** The fields of an object, none where it is absent. */
  object(name: string): Fields
  /** A list of texts, or of objects that hold these fields and no others, all of them texts. */
  list(name: string, fields?: readonly string[]): readonly unknown[] | undefined
  /** The value as it is. */
  value(name: string): unknown
}

/** Reads an object; `at` is its own path. */
export function fieldsOf(values: Readonly<Record<string, unknown>>, at: string, refuse: Refuse): Fields {
  const path = (name: string) => `${at}.${name}`
  const value = (name: string) => {
    const found = Object.hasOwn(values, name) ? values[name] : undefined
    return isEmpty(found) ? undefined : found
  }
  const take = <T>(name: string, is: (found: unknown) => found is T, what: string): T | undefined => {
    const found = value(name)
    if (found === undefined || is(found)) return found
    throw refuse(`${path(name)} is not ${what}`, `correct it in Airflow: ${path(name)} must be ${what}`)
  }
  return {
    names: Object.keys(values).filter((name) => value(name) !== undefined),
    path,
    value,
    has: (name) => value(name) !== undefined,
    text: (name) => take(name, isText, "a string"),
    count: (name) => take(name, isCount, "a whole number"),
    flag: (name) => take(name, isFlag, "true or false") ?? false,
    object: (name) => fieldsOf(take(name, isObject, "a JSON object") ?? {}, path(name), refuse),
    list: (name, fields) =>
      fields
        ? take(name, isListOf(isRecordOf(fields)), `a list of objects that hold ${fields.join(" and ")}`)
        : take(name, isListOf(isText), "a list of strings"),
  }
}

const isEmpty = (found: unknown) =>
  found === null || found === "" || (typeof found === "object" && Object.keys(found).length === 0)

const isText = (found: unknown): found is string => typeof found === "string"

const isCount = (found: unknown): found is number => Number.isSafeInteger(found) && Number(found) >= 0

const isFlag = (found: unknown): found is boolean => typeof found === "boolean"

const isObject = (found: unknown): found is Readonly<Record<string, unknown>> =>
  typeof found === "object" && found !== null && !Array.isArray(found)

const isListOf =
  (is: (one: unknown) => boolean) =>
  (found: unknown): found is readonly unknown[] =>
    Array.isArray(found) && found.every(is)

const isRecordOf = (fields: readonly string[]) => (found: unknown) =>
  isObject(found) && Object.keys(found).every((key) => fields.includes(key) && isText(found[key]))
