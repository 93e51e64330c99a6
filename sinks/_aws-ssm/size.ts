// How much a parameter holds, found before AWS is asked. In bytes: what KMS encrypts at once sets the standard limit.
import type { DeliveryError } from "../../src/errors.ts"
import { holdsSeveral, type LoginFormat } from "../_login-format.ts"
import { targetError } from "../_target-error.ts"
import { TYPE } from "./failure.ts"

/** The sizes of parameter that AWS has; Intelligent-Tiering chooses by the value. */
export const TIERS = ["Standard", "Advanced", "Intelligent-Tiering"] as const

/** One of the tiers. */
export type Tier = (typeof TIERS)[number]

/** What the size depends on; without a tier AWS may take a standard parameter. */
export type Sizing = { readonly tier: Tier | undefined; readonly format: LoginFormat }

/** Bytes that fit, and what to do about more. */
export function sizeLimit({ tier, format }: Sizing): { readonly limit: number; readonly wayOut: string } {
  const isStandard = tier === undefined || tier === "Standard"
  const bigger =
    "tier=Intelligent-Tiering or tier=Advanced holds 8,192 characters, at AWS's price for advanced parameters"
  const shorter = "format=password stores the password alone"
  const elsewhere = "use the sink aws-secrets-manager, which holds 65,536"
  const waysOut = [
    isStandard ? [bigger] : [],
    format === "password" ? [] : [shorter],
    holdsSeveral(format) ? [elsewhere] : [],
  ].flat()
  return {
    limit: isStandard ? 4096 : 8192,
    wayOut: waysOut.join("; ") || "no parameter can hold it; use another kind of sink",
  }
}

/** Why AWS would refuse a value for its length, undefined where it fits. */
export function sizeProblem(value: string, target: string, sizing: Sizing): DeliveryError | undefined {
  const { limit, wayOut } = sizeLimit(sizing)
  const size = Buffer.byteLength(value)
  if (size <= limit) return undefined
  const kind = limit === 4096 ? "a standard" : "an advanced"
  const what = holdsSeveral(sizing.format) ? "the docker config would be" : "the login is"
  const says = `${what} ${grouped(size)} characters long, and ${kind} parameter holds ${grouped(limit)}`
  return targetError(TYPE, target, { code: "too-long", says, hint: wayOut })
}

/** A count as people write it: `4,096`. */
export function grouped(count: number): string {
  return count.toLocaleString("en-GB")
}
