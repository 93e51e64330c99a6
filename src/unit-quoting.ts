// Texts in a unit, so that systemd reads them as they are.

/** One word of a line. Only what needs quotes gets them: units are read by people. */
export function quoted(text: string): string {
  const plain = specifierFree(text)
  if (/^[\w@%+=:,./$-]+$/.test(plain)) return plain
  return `"${plain.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`
}

/** A text in which systemd fills in nothing. */
export function specifierFree(text: string): string {
  return text.replaceAll("%", "%%")
}
