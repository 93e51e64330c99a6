// What it means when MWAA does not pass a call on, by the names of its errors. AWS's own words are shown only for calls
// that carry no login, since AWS quotes what it finds wrong.
import type { SinkDeps } from "../../src/sink.ts"
import type { Meanings } from "../_aws/call.ts"
import { RestError } from "./error.ts"

const MEANINGS: Meanings = {
  ResourceNotFoundException: {
    code: "no-environment",
    text: "MWAA has no such environment here",
    hint: "check mwaa_environment, the region, and whose account it is: `aws mwaa list-environments` shows which there are",
  },
  ValidationException: {
    code: "invalid",
    text: "MWAA rejected the call",
    hint: "check that the environment is AVAILABLE; one from before autumn 2024 has to be updated once, and must run Airflow 2.4.3 or later",
  },
  InternalServerException: {
    code: "server-error",
    text: "MWAA failed",
    hint: "this clears up by itself; check whether the environment is AVAILABLE or being updated",
    retryable: true,
  },
  ServiceUnavailableException: {
    code: "server-error",
    text: "MWAA is not available",
    hint: "this clears up by itself; check whether the environment is AVAILABLE or being updated",
    retryable: true,
  },
}

const UNNAMED = {
  code: "not-mwaa",
  text: "the answer does not look like one from MWAA",
  hint: "an environment from before autumn 2024 has to be updated once before it knows InvokeRestApi; else check what AWS_ENDPOINT_URL_MWAA and AWS_ENDPOINT_URL name, and what is in between",
}

/** A call that MWAA did not pass on. `quotable`: it carried nothing secret. */
export function mwaaRefusal(
  cause: Error,
  { name, region }: { readonly name: string; readonly region: string },
  explain: SinkDeps["aws"]["explain"],
  quotable: boolean,
): RestError {
  const explained = explain(cause)
  const { code, text, hint, retryable } = { ...explained, ...meaningOf(cause, explained) }
  const said = quotable && explained.said ? ` (${explained.said})` : ""
  const denied = code === "access-denied"
  return new RestError(`${text}${denied ? ": airflow:InvokeRestApi" : ""}${said}`, {
    code,
    hint: denied ? permissionHint(name, region) : hint,
    retryable,
    ...(quotable ? { cause } : {}),
  })
}

function meaningOf({ name }: Error, { retryable }: { readonly retryable: boolean }) {
  if (name === "") return { ...UNNAMED, retryable }
  const own = Object.hasOwn(MEANINGS, name) ? MEANINGS[name] : undefined
  return own && { retryable: false, ...own }
}

/** The resource that a policy has to name; its last part is who we are to Airflow. */
export function airflowRoleArn(name: string, region: string): string {
  return `arn:aws:airflow:${region}:<account>:role/${name}/Op`
}

function permissionHint(name: string, region: string): string {
  return `allow airflow:InvokeRestApi on ${airflowRoleArn(name, region)} for this identity; a private web server also refuses callers from outside its VPC`
}
