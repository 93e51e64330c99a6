// Edits of a JSON text that touch nothing else: the members of an object as pieces of text, some of them replaced,
// removed or added, and all the rest byte for byte as it was, with its order, white space, numbers and odd keys.
// The text must be valid: whoever edits has let JSON.parse look at all of it first.

/** A member of an object, as text. `lead` is what stands before the key: the comma, if any, and white space. */
type Member = { readonly lead: string; readonly key: string; readonly colon: string; readonly value: string }

/** An object as text: its members, and what stands between the last one and the closing brace. */
export type JsonObject = { readonly members: readonly Member[]; readonly tail: string }

/** How a document is laid out: the line break and unit of indentation, or the blanks of one that is on one line. */
export type Layout = {
  readonly lineBreak: string
  readonly indent: string
  readonly blank: string
  readonly colon: string
}

/** Replaces (text), removes (undefined) or adds members by key. */
export type Edits = ReadonlyMap<string, string | undefined>

const WHITE = /[\t\n\r ]*/y
const STRING = /"[^"\\]*(?:\\.[^"\\]*)*"/y
const SCALAR = /[^\t\n\r ,\]}]+/y
const NEXT_BRACKET = /["[\]{}]/g

/** The members of the object that a valid JSON text is, undefined if it is something else. */
export function splitObject(text: string): JsonObject | undefined {
  let at = endOf(WHITE, text, 0)
  if (text[at] !== "{") return undefined
  at += 1
  const members: Member[] = []
  for (;;) {
    const leadStart = at
    at = endOf(WHITE, text, at)
    if (text[at] === ",") at = endOf(WHITE, text, at + 1)
    if (text[at] === "}") return { members, tail: text.slice(leadStart, at) }
    const keyStart = at
    const keyEnd = endOf(STRING, text, keyStart)
    const valueStart = endOf(WHITE, text, endOf(WHITE, text, keyEnd) + 1)
    at = endOfValue(text, valueStart)
    members.push({
      lead: text.slice(leadStart, keyStart),
      key: text.slice(keyStart, keyEnd),
      colon: text.slice(keyEnd, valueStart),
      value: text.slice(valueStart, at),
    })
  }
}

/** The text of an object's members, braces included. */
export function joinObject({ members, tail }: JsonObject): string {
  return `{${members.map((member) => member.lead + member.key + member.colon + member.value).join("")}${tail}}`
}

/** The text of the last member with this key, which is the one that every reader takes; undefined if there is none. */
export function memberValue(object: JsonObject, key: string): string | undefined {
  return object.members.findLast((member) => keyOf(member) === key)?.value
}

/** A member's key, unescaped. */
export function keyOf(member: { readonly key: string }): string {
  return JSON.parse(member.key)
}

/** The layout of a document, by its first member; tabs, as docker writes, where it has none to show. */
export function layoutOf(document: JsonObject): Layout {
  const [first] = document.members
  if (!first) return { lineBreak: "\n", indent: "\t", blank: "", colon: ": " }
  const [, lineBreak, indent] = /(\r?\n)([\t ]*)$/.exec(first.lead) ?? []
  if (!lineBreak) return { lineBreak: "", indent: "", blank: first.lead, colon: first.colon }
  return { lineBreak, indent: indent ?? "", blank: "", colon: first.colon }
}

/** An object, `depth` levels deep in its document, after the edits. Of a key that stands twice the last is replaced. */
export function editObject(object: JsonObject, edits: Edits, layout: Layout, depth: number): JsonObject {
  const last = new Map(object.members.map((member) => [keyOf(member), member]))
  const kept = object.members.flatMap((member) => {
    const key = keyOf(member)
    if (!edits.has(key)) return [member]
    const value = edits.get(key)
    if (value === undefined) return []
    return [last.get(key) === member ? { ...member, value } : member]
  })
  const firstLead = object.members[0]?.lead ?? white(layout, depth + 1)
  const added = [...edits].flatMap(([key, value]) =>
    value === undefined || last.has(key)
      ? []
      : [{ lead: `,${firstLead}`, key: JSON.stringify(key), colon: layout.colon, value }],
  )
  // Whoever comes first loses the comma before it.
  const [first, ...others] = [...kept, ...added]
  if (!first) return { members: [], tail: "" }
  const tail = object.members.length > 0 ? object.tail : white(layout, depth)
  return { members: [{ ...first, lead: firstLead }, ...others], tail }
}

const white = ({ lineBreak, indent, blank }: Layout, depth: number) =>
  lineBreak ? lineBreak + indent.repeat(depth) : blank

function endOf(pattern: RegExp, text: string, from: number): number {
  pattern.lastIndex = from
  pattern.test(text)
  return pattern.lastIndex
}

function endOfValue(text: string, from: number): number {
  if (text[from] === '"') return endOf(STRING, text, from)
  if (text[from] !== "{" && text[from] !== "[") return endOf(SCALAR, text, from)
  let at = from
  let depth = 0
  do {
    NEXT_BRACKET.lastIndex = at
    at = NEXT_BRACKET.exec(text)?.index ?? text.length
    const bracket = text.charAt(at)
    at = bracket === '"' ? endOf(STRING, text, at) : at + 1
    if (bracket !== '"') depth += bracket === "{" || bracket === "[" ? 1 : -1
  } while (depth > 0 && at < text.length)
  return at
}
