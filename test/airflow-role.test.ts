// The role that Airflow's `aws` connection assumes: what AWS is told of it, by keys and by web identity, and what not.
import { expect, test } from "bun:test"
import fc from "fast-check"
import { NOTHING, ofExtra, ROLE, refusalOf } from "./support/airflow-identity.ts"

test("a role is assumed under the name that Airflow gives to its session", () => {
  expect(ofExtra({ role_arn: ROLE })).toEqual({
    ...NOTHING,
    role: { arn: ROLE, parameters: { RoleSessionName: "airflow_aws_default" } },
  })
  expect(ofExtra({ role_arn: ROLE, assume_role_method: "assume_role" }).role?.arn).toBe(ROLE)
})

test("everything that AssumeRole takes is passed on; the role is always role_arn", () => {
  const kwargs = {
    ExternalId: "of the partner",
    DurationSeconds: 900,
    RoleSessionName: "mine",
    Policy: '{"Version":"2012-10-17"}',
    PolicyArns: [{ arn: "arn:aws:iam::aws:policy/ReadOnlyAccess" }],
    Tags: [{ Key: "team", Value: "data" }],
    TransitiveTagKeys: ["team"],
    SourceIdentity: "airflow",
    SerialNumber: "arn:aws:iam::123456789012:mfa/someone",
    TokenCode: "123456",
    ProvidedContexts: [{ ProviderArn: "arn:aws:iam::aws:contextProvider/x", ContextAssertion: "y" }],
  }
  const RoleArn = "arn:aws:iam::999999999999:role/other"
  expect(ofExtra({ role_arn: ROLE, assume_role_kwargs: { ...kwargs, RoleArn } }).role).toEqual({
    arn: ROLE,
    parameters: kwargs,
  })
})

test.each([
  [{ ExternalID: "typo" }, "extra.assume_role_kwargs holds a parameter that assume_role does not take"],
  [{ ExternalId: 7 }, "extra.assume_role_kwargs.ExternalId is not a string"],
  [{ DurationSeconds: "900" }, "extra.assume_role_kwargs.DurationSeconds is not a whole number"],
  [{ DurationSeconds: -1 }, "extra.assume_role_kwargs.DurationSeconds is not a whole number"],
  [{ DurationSeconds: 0.5 }, "extra.assume_role_kwargs.DurationSeconds is not a whole number"],
  [{ Tags: "team" }, "extra.assume_role_kwargs.Tags is not a list of objects that hold Key and Value"],
  [
    { Tags: [{ Key: "a", Valeu: "b" }] },
    "extra.assume_role_kwargs.Tags is not a list of objects that hold Key and Value",
  ],
  [{ Tags: [5] }, "extra.assume_role_kwargs.Tags is not a list of objects that hold Key and Value"],
  [{ TransitiveTagKeys: [1] }, "extra.assume_role_kwargs.TransitiveTagKeys is not a list of strings"],
  [["ExternalId"], "extra.assume_role_kwargs is not a JSON object"],
  ["ExternalId", "extra.assume_role_kwargs is not a JSON object"],
])("what AssumeRole does not take so is refused by its path: %j", (assume_role_kwargs, problem) => {
  const { message, hint, code } = refusalOf({ extra: { role_arn: ROLE, assume_role_kwargs } })
  expect({ message, code }).toEqual({
    message: `Airflow connection aws_default: ${problem}`,
    code: "connection-invalid",
  })
  expect(hint).toMatch(/^correct it in Airflow|^it takes RoleSessionName, /)
})

test("what belongs to a role has no effect without one, and that is said", () => {
  const { role, warnings } = ofExtra({ assume_role_kwargs: { ExternalId: "x" }, external_id: "y" })
  expect(role).toBeUndefined()
  expect(warnings).toEqual([
    "Airflow connection aws_default: assume_role_kwargs, external_id have no effect without role_arn",
  ])
})

test("an external id at the top counts with a warning, and not beside its proper place", () => {
  const alias = ofExtra({ role_arn: ROLE, external_id: "old" })
  expect(alias.role?.parameters).toMatchObject({ ExternalId: "old" })
  expect(alias.warnings).toEqual([
    expect.stringContaining("external_id works here, but no longer in Airflow"),
  ])
  const both = ofExtra({ role_arn: ROLE, external_id: "old", assume_role_kwargs: { ExternalId: "new" } })
  expect(both.role?.parameters).toMatchObject({ ExternalId: "new" })
  expect(both.warnings).toEqual([expect.stringContaining("external_id has no effect next to")])
})

test.each(["123456789012", 123456789012])(
  "account and role of long ago make an ARN, with a warning: %p",
  (aws_account_id) => {
    const { role, warnings } = ofExtra({ aws_account_id, aws_iam_role: "pull" })
    expect(role?.arn).toBe(ROLE)
    expect(warnings).toEqual([expect.stringContaining("write role_arn instead")])
  },
)

test("an account that lost its zero as a number gets it back", () => {
  expect(ofExtra({ aws_account_id: 12345678901, aws_iam_role: "pull" }).role?.arn).toBe(
    "arn:aws:iam::012345678901:role/pull",
  )
})

test("what makes no role's ARN is refused", () => {
  expect(refusalOf({ extra: { role_arn: "pull" } }).message).toContain(
    "extra.role_arn is not the ARN of a role",
  )
  expect(refusalOf({ extra: { aws_account_id: "x", aws_iam_role: "pull" } }).message).toContain(
    "its aws_account_id and aws_iam_role do not make a valid role ARN",
  )
})

test("a role is assumed with a web identity from a file, named by the connection or by the environment", () => {
  const extra = {
    role_arn: ROLE,
    assume_role_method: "assume_role_with_web_identity",
    assume_role_with_web_identity_federation: "file",
  }
  const env = { AWS_WEB_IDENTITY_TOKEN_FILE: "/from/env" }
  const file = { assume_role_with_web_identity_token_file: "/from/extra" }
  expect(ofExtra({ ...extra, ...file }, { env }).role).toEqual({
    arn: ROLE,
    parameters: { RoleSessionName: "airflow_aws_default" },
    webIdentityTokenFile: "/from/extra",
  })
  expect(ofExtra(extra, { env }).role?.webIdentityTokenFile).toBe("/from/env")
  expect(refusalOf({ extra }).message).toBe(
    "Airflow connection aws_default: it names no file that holds its web identity token",
  )
  const kwargs = { assume_role_kwargs: { DurationSeconds: 900, ProviderId: "www.amazon.com" } }
  expect(ofExtra({ ...extra, ...file, ...kwargs }).role?.parameters).toMatchObject(kwargs.assume_role_kwargs)
  expect(
    refusalOf({ extra: { ...extra, ...file, assume_role_kwargs: { ExternalId: "x" } } }).message,
  ).toContain("holds a parameter that assume_role_with_web_identity does not take")
})

test("a session is named as Airflow's slugify names it, within what STS takes", () => {
  const nameFor = (id: string) => ofExtra({ role_arn: ROLE }, { id }).role?.parameters.RoleSessionName
  expect(nameFor("AWS Prod/EU")).toBe("airflow_aws-prod-eu")
  expect(nameFor("müller--x")).toBe("airflow_muller-x")
  expect(nameFor("a.b@c=d,e+f")).toBe("airflow_a.b@c=d,e+f")
  expect(nameFor("x".repeat(100))).toBe(`airflow_${"x".repeat(56)}`)
  const id = fc.string({ unit: "grapheme", minLength: 1, maxLength: 100 })
  fc.assert(fc.property(id, (any) => expect(nameFor(any)).toMatch(/^[\w+=,.@-]{2,64}$/)))
})
