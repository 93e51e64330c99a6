// What Airflow's `aws` connection says of who asks: each place of keys that Airflow's Amazon provider honours, each one
// that it dropped, and what is refused in words. That AWS is really asked so is `aws-conn-id.test.ts`.
import { expect, test } from "bun:test"
import fc from "fast-check"
import { parseAirflowIdentity } from "../src/airflow-identity.ts"
import { FetchError } from "../src/errors.ts"
import { connectionOf, identityOf, NOTHING, ofExtra, ROLE, refusalOf } from "./support/airflow-identity.ts"
import { secretForms, textOf } from "./support/secrets.ts"

const SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
const OTHER_SECRET = "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY"
const PAIR = { aws_access_key_id: "AKIAEXTRA", aws_secret_access_key: OTHER_SECRET }

test("an empty connection is whoever asks without one", () => {
  expect(identityOf({})).toEqual(NOTHING)
  expect(ofExtra({ region_name: "", profile_name: null, role_arn: "", assume_role_kwargs: {} })).toEqual(
    NOTHING,
  )
})

test("login and password are the keys, before those of extra", () => {
  expect(identityOf({ login: "AKIALOGIN", password: SECRET })).toEqual({
    ...NOTHING,
    keys: ["AKIALOGIN", SECRET],
  })
  expect(identityOf({ login: "AKIALOGIN", password: SECRET, extra: PAIR }).keys).toEqual([
    "AKIALOGIN",
    SECRET,
  ])
})

test("the keys of extra count where login and password are not both given", () => {
  expect(ofExtra(PAIR)).toEqual({ ...NOTHING, keys: ["AKIAEXTRA", OTHER_SECRET] })
  const half = identityOf({ login: "AKIALOGIN", extra: PAIR })
  expect(half.keys).toEqual(["AKIAEXTRA", OTHER_SECRET])
  expect(half.warnings).toEqual([
    "Airflow connection aws_default: its login and password count only where both are given",
  ])
})

test("the keys of session_kwargs come last, with a warning", () => {
  const old = { session_kwargs: { aws_access_key_id: "AKIAOLD", aws_secret_access_key: SECRET } }
  const { keys, warnings } = ofExtra(old)
  expect(keys).toEqual(["AKIAOLD", SECRET])
  expect(warnings).toEqual([expect.stringContaining("the pair of keys in session_kwargs works here")])
  expect(ofExtra({ ...old, ...PAIR })).toEqual({ ...NOTHING, keys: ["AKIAEXTRA", OTHER_SECRET] })
})

test("a session token goes with whichever keys count", () => {
  const token = { aws_session_token: "the-session" }
  expect(identityOf({ login: "AKIALOGIN", password: SECRET, extra: token }).keys).toEqual([
    "AKIALOGIN",
    SECRET,
    "the-session",
  ])
  expect(ofExtra({ ...PAIR, ...token }).keys).toContain("the-session")
  expect(ofExtra({ ...PAIR, session_kwargs: token }).keys).toContain("the-session")
  expect(ofExtra({ ...PAIR, ...token, session_kwargs: { aws_session_token: "old" } }).keys).toContain(
    "the-session",
  )
})

test.each([
  { aws_access_key_id: "AKIAEXTRA" },
  { aws_secret_access_key: SECRET },
  { aws_session_token: "the-session" },
  { session_kwargs: { aws_access_key_id: "AKIAOLD" } },
  { session_kwargs: { aws_session_token: "the-session" } },
])("half of the keys is refused, never somebody else taken: %j", (extra) => {
  const { code, message, hint } = refusalOf({ extra })
  expect({ code, message }).toEqual({
    code: "connection-invalid",
    message: "Airflow connection aws_default: its AWS keys are not complete",
  })
  expect(hint).toContain("aws_access_key_id and aws_secret_access_key in extra")
})

test("region and profile, with the places that Airflow no longer reads as a warning", () => {
  expect(ofExtra({ region_name: "eu-west-1", profile_name: "ci" })).toEqual({
    ...NOTHING,
    region: "eu-west-1",
    profile: "ci",
  })
  const old = ofExtra({ session_kwargs: { region_name: "eu-west-2", profile_name: "old" } })
  expect(old).toMatchObject({ region: "eu-west-2", profile: "old" })
  expect(old.warnings).toEqual([
    expect.stringContaining("session_kwargs.profile_name works here"),
    expect.stringContaining("session_kwargs.region_name works here"),
  ])
  expect(ofExtra({ region_name: "eu-west-1", session_kwargs: { region_name: "eu-west-2" } })).toMatchObject({
    region: "eu-west-1",
    warnings: [],
  })
})

test("the region of config_kwargs goes before the others, as it does to botocore", () => {
  expect(ofExtra({ region_name: "eu-west-1", config_kwargs: { region_name: "eu-west-3" } })).toMatchObject({
    region: "eu-west-3",
    warnings: [],
  })
})

test("whose credentials a file of long ago would name is a warning", () => {
  expect(ofExtra({ profile: "old", s3_config_file: "/etc/aws" }).warnings).toEqual([
    expect.stringContaining("s3_config_file, profile no longer choose the credentials"),
  ])
  expect(ofExtra({ profile: "old" }).warnings).toEqual([
    expect.stringContaining("profile no longer choose the credentials"),
  ])
})

test("a connection of another type is taken, with a warning", () => {
  expect(identityOf({ connType: "s3" }).warnings).toEqual([
    "Airflow connection aws_default: its type is not aws, so it may be meant for something else",
  ])
  expect(identityOf({ connType: "" }).warnings).toEqual([])
})

test.each([
  [
    { assume_role_method: "assume_role_with_saml" },
    "it assumes its role with SAML, which ecrelay does not support",
  ],
  [{ assume_role_method: "assume_role_by_post" }, "its assume_role_method is not one that ecrelay knows"],
  [
    {
      assume_role_method: "assume_role_with_web_identity",
      assume_role_with_web_identity_federation: "google",
    },
    "its web identity does not come from a file, the only way that ecrelay supports",
  ],
  [
    { assume_role_method: "assume_role_with_web_identity" },
    "its web identity does not come from a file, the only way that ecrelay supports",
  ],
  [
    { config_kwargs: { signature_version: "unsigned" } },
    "it asks for unsigned calls, and AWS gives no login without a signature",
  ],
  [{ config_kwargs: { client_cert: "/c.pem" } }, "ecrelay cannot honour its config_kwargs.client_cert"],
  [
    { config_kwargs: { proxies_config: { proxy_ca_bundle: "/ca" } } },
    "ecrelay cannot honour its config_kwargs.proxies_config",
  ],
])("what is not supported is refused in words, with a way out: %j", (extra, problem) => {
  const { message, code, hint, retryable } = refusalOf({ extra: { role_arn: ROLE, ...extra } })
  expect({ message, code, retryable }).toEqual({
    message: `Airflow connection aws_default: ${problem}`,
    code: "connection-unsupported",
    retryable: false,
  })
  expect(hint).not.toBeEmpty()
})

test("whatever stands in a connection, no piece of it reaches an error", () => {
  const secret = fc.constant(SECRET)
  const junk = fc.oneof(
    secret,
    fc.array(secret),
    fc.dictionary(fc.constantFrom("a", "http", "ecr", "mode"), secret),
  )
  const path = fc.constantFrom(
    ["aws_access_key_id"],
    ["role_arn"],
    ["region_name"],
    ["endpoint_url"],
    ["verify"],
    ["service_config"],
    ["service_config", "ecr"],
    ["session_kwargs"],
    ["session_kwargs", "aws_secret_access_key"],
    ["config_kwargs"],
    ["config_kwargs", "retries"],
    ["config_kwargs", "proxies", "https"],
    ["config_kwargs", SECRET],
    ["assume_role_method"],
    ["assume_role_kwargs"],
    ["assume_role_kwargs", SECRET],
    ["assume_role_kwargs", "Tags"],
  )
  const extraOf = ([first = "", ...more]: readonly string[], value: unknown): Record<string, unknown> => ({
    [first]: more.length > 0 ? extraOf(more, value) : value,
  })
  fc.assert(
    fc.property(path, junk, fc.boolean(), (names, value, withRole) => {
      const extra = { ...(withRole ? { role_arn: ROLE } : {}), ...extraOf(names, value) }
      let told: string
      try {
        told = parseAirflowIdentity(connectionOf({ extra }), {}).warnings.join("\n")
      } catch (error) {
        if (!(error instanceof FetchError)) throw error
        told = textOf(error)
      }
      for (const form of secretForms(SECRET)) expect(told).not.toContain(form)
    }),
  )
})
