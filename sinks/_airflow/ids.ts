// Connection ids as MySQL and MariaDB take them: which of them their column cannot hold, and which its collation equates
// with others (by case, accents, trailing blanks, ß and ss). The server itself is asked: no rule of ours would match its own.
import { AirflowError } from "./error.ts"
import { takenFor } from "./rows.ts"
import { type Collation, chunksOf, type Session } from "./session.ts"

type Readable = Pick<Session, "table" | "columns" | "query" | "maxStatementBytes">

/** Which of these ids the column cannot hold, and why. One such id would make a statement fail for all ids in it. */
export async function findUnholdable(
  session: Readable,
  connIds: readonly string[],
): Promise<ReadonlyMap<string, AirflowError>> {
  const charset = collationOf(session)?.charset
  const unholdable = new Map<string, AirflowError>()
  if (charset === undefined || charset === "utf8mb4") return unholdable
  // ASCII is in all of them, and so are most ids.
  const doubtful = connIds.filter((connId) => /[^ -~]/.test(connId))
  for (const chunk of chunksOf(doubtful, session, sizeOf)) {
    // A character that the set does not have comes back as another one.
    const selects = chunk.map((_, i) => `SELECT ${i} AS n, CONVERT(? USING ${charset}) AS held`)
    for (const { n, held } of await session.query(selects.join(" UNION ALL "), chunk)) {
      const connId = chunk[Number(n)] as string
      if (held !== connId) unholdable.set(connId, notIn(charset, connId))
    }
  }
  return unholdable
}

function notIn(charset: string, connId: string): AirflowError {
  return new AirflowError(`the database cannot hold connection ${connId}: its column is in ${charset}`, {
    code: "conn-id-charset",
    hint: `choose a conn_id that ${charset} can hold, such as one of plain letters and digits`,
  })
}

/**
 * Which of these ids, none of which has a row, cannot be made, and why: the database equates them with the id of a row, or
 * with one that stands before them here.
 */
export async function findEquated(
  session: Readable,
  connIds: readonly string[],
): Promise<ReadonlyMap<string, AirflowError>> {
  const collation = collationOf(session)
  const equated = new Map<string, AirflowError>()
  if (!collation) return equated
  const first = new Map<unknown, string>()
  for (const chunk of chunksOf(connIds, session, sizeOf))
    for (const { n, weight, owner } of await likesOf(session, collation, chunk)) {
      const connId = chunk[Number(n)] as string
      if (!first.has(weight)) first.set(weight, connId)
      const taker = owner === null ? first.get(weight) : String(owner)
      // The row that it is equated with may be its own, made a moment ago.
      if (taker !== undefined && taker !== connId) equated.set(connId, takenFor(connId, taker))
    }
  return equated
}

// Among themselves the ids are compared here, by their sort keys, since they may not fit into one statement. With those of the
// table the server compares them: a trailing blank, which no id of ours has, changes the key but mostly not the comparison.
function likesOf({ table, query }: Readable, { charset, name }: Collation, connIds: readonly string[]) {
  const id = `CONVERT(w.given USING ${charset}) COLLATE ${name}`
  const given = connIds.map((_, i) => (i === 0 ? "SELECT 0 AS n, ? AS given" : `SELECT ${i}, ?`))
  return query(
    `SELECT w.n, hex(weight_string(${id})) AS weight, c.conn_id AS owner
     FROM (${given.join(" UNION ALL ")}) AS w LEFT JOIN ${table} AS c ON c.conn_id = ${id} ORDER BY w.n`,
    connIds,
  )
}

function collationOf({ columns }: Readable): Collation | undefined {
  return columns.find(({ name }) => name === "conn_id")?.collation
}

// A backslash is written as two.
const sizeOf = (connId: string) => 2 * Buffer.byteLength(connId)
