// What a sink of the user's own is given, since it cannot import what is bundled into the binary: valibot, and the values
// of the contract. Its types are examples/module/ecrelay.d.ts; `bun scripts/declarations.ts` writes that anew.
import * as v from "valibot"
import { expiryOf, outlives } from "../../src/credential.ts"
import { ConfigError, DeliveryError, isTransient } from "../../src/errors.ts"
import { isEcrHost } from "../../src/registry.ts"
import {
  defineSink,
  durationOption,
  errorFinding,
  fillTemplate,
  flagOption,
  listOption,
  type SinkKind,
  secretOption,
  templateProblem,
  textOption,
} from "../../src/sink.ts"

/** What the function of a module is called with. */
export type Host = {
  /** https://valibot.dev, for options that the functions below do not describe. */
  readonly v: typeof v
  readonly defineSink: typeof defineSink
  readonly textOption: typeof textOption
  readonly secretOption: typeof secretOption
  readonly flagOption: typeof flagOption
  readonly listOption: typeof listOption
  readonly durationOption: typeof durationOption
  readonly fillTemplate: typeof fillTemplate
  readonly templateProblem: typeof templateProblem
  readonly errorFinding: typeof errorFinding
  readonly outlives: typeof outlives
  readonly expiryOf: typeof expiryOf
  readonly isEcrHost: typeof isEcrHost
  readonly isTransient: typeof isTransient
  readonly ConfigError: typeof ConfigError
  readonly DeliveryError: typeof DeliveryError
}

/** The default export of a module. Called once, when the sink is configured; does no I/O. */
export type Module = (host: Host) => SinkKind

/** The one host there is. */
export const host: Host = {
  v,
  defineSink,
  textOption,
  secretOption,
  flagOption,
  listOption,
  durationOption,
  fillTemplate,
  templateProblem,
  errorFinding,
  outlives,
  expiryOf,
  isEcrHost,
  isTransient,
  ConfigError,
  DeliveryError,
}
