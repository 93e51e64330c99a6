// A local stand-in for AWS: ECR, ECR Public and STS as far as ecrelay asks them, on loopback, for tests, demo and bench.
// It checks every signature, counts every call, and fails on request. Never part of the product.
import { createHash, createHmac, randomBytes } from "node:crypto"

/** An identity that the stand-in knows. */
export type Identity = {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly account: string
}

/** What the stand-in answers instead of a token: an AWS error, silence, or something odd. */
export type Fault =
  | { readonly kind: "error"; readonly status: number; readonly type: string; readonly message: string }
  | { readonly kind: "hang" }
  | { readonly kind: "empty" }

/** How the stand-in behaves; all of it optional. */
export type StandInOptions = {
  readonly identities?: readonly Identity[]
  /** Life of the tokens that it gives, in milliseconds. */
  readonly lifetimeMs?: number
  /** Length of a password, about; real ones have around 2,700 characters. */
  readonly passwordLength?: number
  readonly tls?: { readonly key: string; readonly cert: string }
  /** How long it takes to answer, in milliseconds; at once without it. */
  readonly answerMs?: number
  readonly now?: () => number
}

/** One call that arrived with a good signature. */
export type Call = {
  readonly operation: string
  readonly region: string
  readonly account: string
  readonly userAgent: string
  /** The session token that came with the keys, empty where there was none. */
  readonly sessionToken: string
  /** What STS was asked with. */
  readonly form: Readonly<Record<string, string>>
}

/** A stand-in that runs. */
export type StandIn = {
  /** Where it answers, for all of its services. */
  readonly url: string
  readonly calls: readonly Call[]
  /** Answers the next `times` calls of an operation with a fault. */
  fail(operation: string, fault: Fault, times?: number): void
  stop(): Promise<void>
}

/** The identity that it knows where none is given. */
export const DEMO_IDENTITY: Identity = {
  accessKeyId: "AKIDECRELAYDEMO",
  secretAccessKey: "a-secret-key-of-the-local-stand-in",
  account: "012345678901",
}

/** Starts the stand-in on a free loopback port. */
export function startAws(options: StandInOptions = {}): StandIn {
  const identities = new Map((options.identities ?? [DEMO_IDENTITY]).map((one) => [one.accessKeyId, one]))
  const faults = new Map<string, { fault: Fault; left: number }>()
  const calls: Call[] = []
  const now = options.now ?? Date.now

  // As AWS's own: each carries a request id, and the date by AWS's clock.
  async function answerAsAws(request: Request): Promise<Response> {
    const response = await answer(request)
    if (options.answerMs) await Bun.sleep(options.answerMs)
    response.headers.set("x-amzn-requestid", crypto.randomUUID())
    response.headers.set("date", new Date(now()).toUTCString())
    return response
  }

  async function answer(request: Request): Promise<Response> {
    const body = await request.text()
    const operation = operationOf(request, body)
    const caller = authenticate(request, body)
    if ("type" in caller) return refuse(operation, 403, caller.type, caller.message)
    const { identity, region } = caller
    calls.push({
      operation,
      region,
      account: identity.account,
      userAgent: request.headers.get("user-agent") ?? "",
      sessionToken: request.headers.get("x-amz-security-token") ?? "",
      form: body.startsWith("{") ? {} : Object.fromEntries(new URLSearchParams(body)),
    })
    const planned = faults.get(operation)
    if (planned && planned.left > 0) {
      planned.left -= 1
      return answerFault(operation, planned.fault)
    }
    if (operation === "GetCallerIdentity") return callerIdentity(identity)
    if (operation === "AssumeRole") return assumedRole(new URLSearchParams(body), identities, now())
    const data = authorizationData(operation, identity, region, now(), options)
    return Response.json(
      { authorizationData: operation === "ecr-public" ? data : [data] },
      { headers: JSON_TYPE },
    )
  }

  /** Who signed a request and for which region, or the error that AWS would give. */
  function authenticate(request: Request, body: string): Caller | Refusal {
    const signature = readSignature(request)
    const identity = signature && identities.get(signature.accessKeyId)
    if (!signature || !identity)
      return {
        type: "UnrecognizedClientException",
        message: "The security token included in the request is invalid.",
      }
    if (!isSignedBy(identity, signature, request, body))
      return {
        type: "InvalidSignatureException",
        message: "The request signature we calculated does not match the signature you provided.",
      }
    const signedAt = request.headers.get("x-amz-date") ?? ""
    if (Math.abs(parseBasicDate(signedAt) - now()) > CLOCK_TOLERANCE_MS)
      return {
        type: isSts(operationOf(request, body)) ? "SignatureDoesNotMatch" : "InvalidSignatureException",
        message: `Signature expired: ${signedAt} is not within 5 min of ${new Date(now()).toISOString()}`,
      }
    return { identity, region: signature.region }
  }

  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    idleTimeout: 0,
    ...(options.tls ? { tls: options.tls } : {}),
    fetch: answerAsAws,
  })
  return {
    url: `${options.tls ? "https" : "http"}://127.0.0.1:${server.port}`,
    calls,
    fail: (operation, fault, times = 1) => void faults.set(operation, { fault, left: times }),
    stop: () => server.stop(true),
  }
}

type Caller = { readonly identity: Identity; readonly region: string }
type Refusal = { readonly type: string; readonly message: string }

const CLOCK_TOLERANCE_MS = 5 * 60_000

/** `20261124T101500Z` in milliseconds since 1970. */
function parseBasicDate(text: string): number {
  return Date.parse(text.replace(/^(\d{4})(\d\d)(\d\dT\d\d)(\d\d)/, "$1-$2-$3:$4:"))
}

const JSON_TYPE = { "content-type": "application/x-amz-json-1.1" }

function operationOf(request: Request, body: string): string {
  const target = request.headers.get("x-amz-target") ?? ""
  if (target.startsWith("SpencerFrontendService")) return "ecr-public"
  if (target.endsWith("GetAuthorizationToken")) return "GetAuthorizationToken"
  return new URLSearchParams(body).get("Action") ?? "unknown"
}

function authorizationData(
  operation: string,
  { account }: Identity,
  region: string,
  now: number,
  { lifetimeMs = 12 * 3_600_000, passwordLength = 2700 }: StandInOptions,
) {
  const expiresAt = Math.floor((now + lifetimeMs) / 1000)
  return {
    authorizationToken: Buffer.from(`AWS:${makePassword(expiresAt, passwordLength)}`).toString("base64"),
    expiresAt,
    ...(operation === "ecr-public"
      ? {}
      : { proxyEndpoint: `https://${account}.dkr.ecr.${region}.${suffixOf(region)}` }),
  }
}

/** A password as ECR makes them: base64 of JSON with random bytes and the expiry in seconds. */
export function makePassword(expiresAt: number, length = 2700): string {
  const payload = randomBytes(Math.max(32, Math.floor(length * 0.5))).toString("base64")
  return Buffer.from(
    JSON.stringify({
      payload,
      datakey: randomBytes(24).toString("base64"),
      version: "2",
      type: "DATA_KEY",
      expiration: expiresAt,
    }),
  ).toString("base64")
}

function suffixOf(region: string): string {
  return region.startsWith("cn-") ? "amazonaws.com.cn" : "amazonaws.com"
}

function callerIdentity({ account }: Identity): Response {
  return xml(`<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
    <Arn>arn:aws:iam::${account}:user/someone</Arn><UserId>AIDA</UserId><Account>${account}</Account>
    </GetCallerIdentityResult></GetCallerIdentityResponse>`)
}

// The account of an assumed role is the one in its ARN; with an external id in the name, it must be given.
function assumedRole(form: URLSearchParams, identities: Map<string, Identity>, now: number): Response {
  const arn = form.get("RoleArn") ?? ""
  const wanted = /external-(\w+)$/.exec(arn)?.[1]
  if (wanted && form.get("ExternalId") !== wanted)
    return refuse(
      "AssumeRole",
      403,
      "AccessDenied",
      `not authorized to perform: sts:AssumeRole on resource: ${arn}`,
    )
  const identity = {
    accessKeyId: `ASIA${randomBytes(8).toString("hex").toUpperCase()}`,
    secretAccessKey: randomBytes(20).toString("hex"),
    account: arn.split(":")[4] ?? "",
  }
  identities.set(identity.accessKeyId, identity)
  return xml(`<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
    <AccessKeyId>${identity.accessKeyId}</AccessKeyId><SecretAccessKey>${identity.secretAccessKey}</SecretAccessKey>
    <SessionToken>session-token</SessionToken><Expiration>${new Date(now + 3_600_000).toISOString()}</Expiration>
    </Credentials></AssumeRoleResult></AssumeRoleResponse>`)
}

function xml(text: string): Response {
  return new Response(text, { headers: { "content-type": "text/xml" } })
}

async function answerFault(operation: string, fault: Fault): Promise<Response> {
  switch (fault.kind) {
    case "hang":
      return new Promise(() => undefined)
    case "empty":
      return Response.json({ authorizationData: [] }, { headers: JSON_TYPE })
    case "error":
      return refuse(operation, fault.status, fault.type, fault.message)
  }
}

const isSts = (operation: string) => operation === "GetCallerIdentity" || operation === "AssumeRole"

function refuse(operation: string, status: number, type: string, message: string): Response {
  if (isSts(operation))
    return new Response(
      `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>${type}</Code><Message>${message}</Message></Error></ErrorResponse>`,
      { status, headers: { "content-type": "text/xml" } },
    )
  return Response.json({ __type: type, message }, { status, headers: JSON_TYPE })
}

// AWS Signature Version 4, as its documentation describes it.
type Signature = {
  accessKeyId: string
  date: string
  region: string
  service: string
  signedHeaders: readonly string[]
  value: string
}

/** The signature that a request carries, undefined where it carries none. */
export function readSignature(request: Request): Signature | undefined {
  const header = request.headers.get("authorization") ?? ""
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/([^/]+)\/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/.exec(
      header,
    )
  if (!match) return undefined
  const [, accessKeyId = "", date = "", region = "", service = "", headers = "", value = ""] = match
  return { accessKeyId, date, region, service, signedHeaders: headers.split(";"), value }
}

/** Whether a request with this body, and no query, was signed with an identity's key. */
export function isSignedBy(
  identity: Identity,
  signature: Signature,
  request: Request,
  body: string,
): boolean {
  const { date, region, service, signedHeaders } = signature
  const url = new URL(request.url)
  const headers = signedHeaders
    .map((name) => `${name}:${(name === "host" ? url.host : (request.headers.get(name) ?? "")).trim()}\n`)
    .join("")
  const canonical = [request.method, url.pathname, "", headers, signedHeaders.join(";"), sha256(body)].join(
    "\n",
  )
  const toSign = [
    "AWS4-HMAC-SHA256",
    request.headers.get("x-amz-date"),
    `${date}/${region}/${service}/aws4_request`,
    sha256(canonical),
  ].join("\n")
  const key = [date, region, service, "aws4_request"].reduce<Buffer | string>(
    (k, part) => hmac(k, part),
    `AWS4${identity.secretAccessKey}`,
  )
  return hmac(key, toSign).toString("hex") === signature.value
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex")
}

function hmac(key: Buffer | string, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest()
}
