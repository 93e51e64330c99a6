// Percent-encoding as Python's `unquote` undoes it, by which Airflow and SQLAlchemy read their URIs.

/** A text with its `%XX` decoded as UTF-8. A `+` stays, and so does a `%` that begins no byte. */
export function unquote(text: string): string {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (run) =>
    Buffer.from(run.replaceAll("%", ""), "hex").toString("utf8"),
  )
}
