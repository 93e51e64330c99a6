// What a program of the user said, made fit to be shown: without the logins it was given, in whatever form and however cut or
// wrapped; without control characters, which a terminal would obey; and short.
import type { Credential } from "../src/credential.ts"

// A piece of a secret this long is hidden; anything shorter is of no use to whoever reads it.
const PIECE_LENGTH = 12
const READ_CHARACTERS = 8192
const SHOWN_CHARACTERS = 600
const REDACTED = "[redacted]"

/** A function that makes texts fit to be shown, without any of these credentials in them. */
export function createRedaction(credentials: readonly Credential[]): (text: string) => string {
  let forms: ReadonlySet<string> | undefined
  return (text) => {
    if (text === "") return ""
    forms ??= new Set(credentials.flatMap(formsOf))
    return lastLines(withoutSecrets(text.slice(-READ_CHARACTERS).replaceAll(CONTROLS, ""), forms))
  }
}

// Escape sequences as a whole, then every control and format character but tab and line breaks.
const CONTROLS = /(?![\t\n\r])\p{Cc}\[[0-?]*[ -/]*[@-~]|(?![\t\n\r])[\p{Cc}\p{Cf}]/gu

function formsOf({ userName, password }: Credential): readonly string[] {
  const text = password.reveal()
  const bytes = Buffer.from(text)
  return [
    text,
    JSON.stringify(text).slice(1, -1),
    encodeURIComponent(text),
    encodeURI(text),
    bytes.toString("hex"),
    Buffer.from(`${userName}:${text}`).toString("base64"),
    // Within a longer text, base64 begins at one of three places.
    ...[0, 1, 2].flatMap((shift) => {
      const shifted = Buffer.concat([Buffer.alloc(shift), bytes])
      return (["base64", "base64url"] as const).map((form) => shifted.toString(form).slice(shift && 4))
    }),
  ]
}

function withoutSecrets(text: string, forms: ReadonlySet<string>): string {
  const places = new Map<string, number[]>()
  for (let at = 0; at + PIECE_LENGTH <= text.length; at++) {
    const piece = text.slice(at, at + PIECE_LENGTH)
    const known = places.get(piece)
    if (known) known.push(at)
    else places.set(piece, [at])
  }
  const hidden = new Uint8Array(text.length)
  for (const form of forms)
    for (const [at, length] of occurrences(form, text, places)) hidden.fill(1, at, at + length)
  let shown = ""
  for (let at = 0; at < text.length; at++) {
    if (!hidden[at]) shown += text[at]
    else if (!hidden[at - 1]) shown += REDACTED
  }
  return shown
}

function* occurrences(form: string, text: string, places: ReadonlyMap<string, readonly number[]>) {
  if (form.length < PIECE_LENGTH) {
    for (let at = text.indexOf(form); form !== "" && at >= 0; at = text.indexOf(form, at + 1))
      yield [at, form.length] as const
    return
  }
  for (let from = 0; from + PIECE_LENGTH <= form.length; from++)
    for (const at of places.get(form.slice(from, from + PIECE_LENGTH)) ?? [])
      yield [at, PIECE_LENGTH] as const
}

function lastLines(text: string): string {
  const lines = text
    .split(/[\r\n]+/)
    .map((line) => line.trim())
    .filter(Boolean)
  const whole = lines.join(" | ")
  const end = whole.length > SHOWN_CHARACTERS ? `…${whole.slice(-SHOWN_CHARACTERS)}` : whole
  return end.replace(/[\s.]+$/, "")
}
