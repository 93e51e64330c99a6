// A stand-in for Amazon MWAA as far as ecrelay asks it: InvokeRestApi, in front of an Airflow that is started elsewhere.
// It computes every signature anew and keeps what AWS's API reference and user guide say: the form of the call and of
// its errors, the Airflow role by IAM, ten calls a second, a path of 64 characters at most.
import { isSignedBy, readSignature } from "../../scripts/aws.ts"

/** Who may ask MWAA, and as which Airflow role; without one IAM refuses. */
export type Invoker = {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
  readonly airflowRole?: string
}

/** The Airflow of the environment. */
export type InnerAirflow = {
  /** The web server's root. */
  readonly url: string
  readonly api: "v1" | "v2"
  /** What it is told in the header Authorization, for one of its roles. */
  authorize(role: string): string | Promise<string>
}

/** A call that was let in. */
type Invocation = {
  readonly Path: string
  readonly Method: string
  readonly QueryParameters?: Readonly<Record<string, unknown>>
  readonly Body?: unknown
}

/** An error as MWAA answers it: `fields` beside the message; without a `type` the message is all there is. */
type Fault = {
  readonly status: number
  readonly type?: string
  readonly message?: string
  readonly fields?: object
}

export type MwaaServer = {
  readonly url: string
  readonly invocations: readonly Invocation[]
  /** Every request, the refused ones too. */
  readonly requests: () => number
  /** What they said in `user-agent`. */
  readonly userAgents: ReadonlySet<string>
  /** Answers with a fault while `when` says so; undefined ends that. */
  fail(fault: Fault | undefined, when?: (call: Invocation) => boolean): void
  stop(): Promise<void>
}

export const ENVIRONMENT = "prod-Airflow_1"
const REGION = "eu-central-1"

/** Who may do everything, who is a viewer to Airflow, and whom IAM refuses. */
export const INVOKERS = {
  admin: { accessKeyId: "AKIDMWAAADMIN", secretAccessKey: "admin-s3cret-key", airflowRole: "admin" },
  viewer: { accessKeyId: "AKIDMWAAVIEWER", secretAccessKey: "viewer-s3cret-key", airflowRole: "viewer" },
  stranger: { accessKeyId: "AKIDMWAASTRANGER", secretAccessKey: "stranger-s3cret-key" },
  session: {
    accessKeyId: "ASIAMWAASESSION",
    secretAccessKey: "session-s3cret-key",
    sessionToken: "a/session+token==",
    airflowRole: "admin",
  },
} as const satisfies Readonly<Record<string, Invoker>>

type Options = {
  readonly airflow: InnerAirflow
  readonly perSecond?: number
  readonly now?: () => number
  readonly region?: string
}

/** Starts a stand-in on a free loopback port. */
export function startMwaa({
  airflow,
  perSecond = Number.POSITIVE_INFINITY,
  now = Date.now,
  region = REGION,
}: Options): MwaaServer {
  const invocations: Invocation[] = []
  const recent: number[] = []
  const userAgents = new Set<string>()
  let requests = 0
  let planned: { readonly fault: Fault; readonly when: (call: Invocation) => boolean } | undefined

  async function answer(request: Request): Promise<Response> {
    requests++
    userAgents.add(request.headers.get("user-agent") ?? "")
    const body = await request.text()
    const invoker = authenticate(request, body, { now, region })
    const [, name = ""] = /^\/restapi\/([a-zA-Z][\w-]{0,79})$/.exec(new URL(request.url).pathname) ?? []
    if (request.method !== "POST" || !name) throw fault(404, "UnknownOperationException")
    if (!invoker.airflowRole) {
      const what = `airflow:InvokeRestApi on resource: arn:aws:airflow:${region}:123456789012:role/${name}/*`
      throw fault(
        403,
        "AccessDeniedException",
        `User: arn:aws:iam::1:user/us is not authorized to perform: ${what}`,
      )
    }
    if (name !== ENVIRONMENT) throw fault(404, "ResourceNotFoundException", `Environment ${name} not found`)
    const call = validated(body)
    recent.push(Date.now())
    if (recent.filter((at) => at > Date.now() - 1000).length > perSecond) {
      recent.pop()
      throw fault(429, "ThrottlingException", "Rate exceeded")
    }
    if (planned?.when(call)) throw planned.fault
    invocations.push(call)
    return passOn(call, airflow, await airflow.authorize(invoker.airflowRole))
  }

  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    idleTimeout: 0,
    fetch: (request) => answer(request).catch(asResponse),
  })
  return {
    url: `http://127.0.0.1:${server.port}`,
    invocations,
    requests: () => requests,
    userAgents,
    fail: (fault, when = () => true) => {
      planned = fault && { fault, when }
    },
    stop: () => server.stop(true),
  }
}

const fault = (status: number, type: string, message = "", fields: object = {}): Fault => ({
  status,
  type,
  message,
  fields,
})

function asResponse(error: unknown): Response {
  const { status, type, message = "", fields } = error as Fault
  if (status === undefined) throw error
  if (!type) return new Response(message, { status })
  const headers = { "x-amzn-ErrorType": `${type}:http://internal.amazon.com/coral/com.amazon.airflow/` }
  return Response.json({ ...(message ? { message } : {}), ...fields }, { status, headers })
}

const SKEW_MS = 15 * 60_000

/** Who signed the request. Throws a Fault. */
function authenticate(
  request: Request,
  body: string,
  { now, region }: { readonly now: () => number; readonly region: string },
): Invoker {
  const signature = readSignature(request)
  if (!signature) throw fault(403, "MissingAuthenticationTokenException", "Missing Authentication Token")
  const known = Object.values<Invoker>(INVOKERS).find((one) => one.accessKeyId === signature.accessKeyId)
  const token = request.headers.get("x-amz-security-token") ?? undefined
  if (!known || token !== known.sessionToken)
    throw fault(403, "UnrecognizedClientException", "The security token included in the request is invalid.")
  const required = ["host", "x-amz-date", ...(token ? ["x-amz-security-token"] : [])]
  const unsigned = required.find((name) => !signature.signedHeaders.includes(name))
  const date = request.headers.get("x-amz-date") ?? ""
  const signedAt = Date.parse(date.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z"))
  if (!(Math.abs(signedAt - now()) < SKEW_MS) || !date.startsWith(signature.date))
    throw fault(403, "InvalidSignatureException", `Signature expired: ${date}`)
  const isScoped = signature.service === "airflow" && signature.region === region
  if (unsigned || !isScoped || !isSignedBy({ ...known, account: "" }, signature, request, body))
    throw fault(403, "InvalidSignatureException", "The request signature we calculated does not match")
  return known
}

/** The call, as the API reference has it. Throws a Fault. */
function validated(body: string): Invocation {
  const call = JSON.parse(body) as Invocation
  const { Path, Method, QueryParameters, Body, ...unknown } = call
  const wrong =
    (Path.length < 1 || Path.length > 64 || !/^\/[^?#]*$/.test(Path) ? "path" : undefined) ??
    (["GET", "PUT", "POST", "PATCH", "DELETE"].includes(Method) ? undefined : "method") ??
    (isDocument(QueryParameters) && isDocument(Body) ? undefined : "document") ??
    Object.keys(unknown)[0]
  // As AWS does, the value that is wrong is quoted.
  if (wrong)
    throw fault(400, "ValidationException", `Value '${body}' at '${wrong}' failed to satisfy constraint`)
  return call
}

const isDocument = (value: unknown) =>
  value === undefined || (typeof value === "object" && value !== null && !Array.isArray(value))

async function passOn(
  call: Invocation,
  { url, api }: InnerAirflow,
  authorization: string,
): Promise<Response> {
  const query = new URLSearchParams()
  // A list is passed on as one text: nothing says otherwise, and nobody may rely on more.
  for (const [key, value] of Object.entries(call.QueryParameters ?? {})) query.set(key, String(value))
  const response = await fetch(`${url}/api/${api}${call.Path}${query.size > 0 ? `?${query}` : ""}`, {
    method: call.Method,
    headers: { "Content-Type": "application/json", Authorization: authorization },
    ...(call.Body ? { body: JSON.stringify(call.Body) } : {}),
  })
  const text = await response.text()
  const answered = {
    RestApiStatusCode: response.status,
    RestApiResponse: text.startsWith("{") ? JSON.parse(text) : { detail: text },
  }
  if (response.ok) return Response.json(answered)
  const type = response.status < 500 ? "RestApiClientException" : "RestApiServerException"
  throw fault(400, type, "", answered)
}
