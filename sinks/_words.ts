// A command line as words, split as Python's shlex does: blanks, both quotes, backslashes; no variables, no shell.

const PIECE = /'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|[^ \t\r\n'"\\]+/gs
const BLANKS = /^[ \t\r\n]+/
const WORD = new RegExp(`^(?:${PIECE.source})*`, "s")

/** The words of a text; undefined where a quote or a backslash has no other half. */
export function splitWords(text: string): readonly string[] | undefined {
  const words: string[] = []
  let rest = text.replace(BLANKS, "")
  while (rest !== "") {
    const word = WORD.exec(rest)?.[0] ?? ""
    rest = rest.slice(word.length)
    // A word that ends at anything but a blank ends at a quote or a backslash without its other half.
    if (!/^([ \t\r\n]|$)/.test(rest)) return undefined
    words.push(word.replace(PIECE, unquote))
    rest = rest.replace(BLANKS, "")
  }
  return words
}

/** A text of which `splitWords` makes the same words; easy to read where nothing needs quotes. */
export function joinWords(words: readonly string[]): string {
  return words
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`))
    .join(" ")
}

function unquote(piece: string, single?: string, double?: string, escaped?: string): string {
  // Between double quotes a backslash escapes only itself and the quote.
  return single ?? double?.replace(/\\(["\\])/g, "$1") ?? escaped ?? piece
}
