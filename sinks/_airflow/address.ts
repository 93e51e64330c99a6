// Where the servers of a database URL are: hosts, ports and sockets as SQLAlchemy and the drivers below it read them.
// A host that could hold a piece of a password is refused, never repeated.
import { AirflowError } from "./error.ts"

/** One place where a server may be: a host, or the path of a socket. */
export type Address =
  | { readonly host: string; readonly port: number; readonly socket?: undefined }
  | { readonly socket: string; readonly host?: undefined; readonly port?: undefined }

type Netloc = { readonly host: string | undefined; readonly port: string | undefined }

const POSTGRES_PORT = 5432
const MYSQL_PORT = 3306
// Where Debian's libpq and psycopg2's own look for the socket when no host is named.
const POSTGRES_SOCKET_FOLDER = "/var/run/postgresql"
const SEVERAL_HOSTS =
  "write / ? # @ : % in user and password as %2F and so on; several hosts as postgresql://user:password@/database?host=h1:5432&host=h2:5432"
const HOST = /^[\p{L}\p{N}._:%-]+$/u
const HOST_AND_PORT = /^([^:/]+):(\d+)$/

/**
 * PostgreSQL's addresses: the netloc, or `host` in the query, which may be a socket's folder, a comma list, or
 * repeated (`host=h1:5432&host=h2`); ports either one for all or one each.
 */
export function postgresAddresses(netloc: Netloc, query: URLSearchParams): readonly Address[] {
  const given = query.getAll("host").length > 0 ? query.getAll("host") : query.getAll("hostaddr")
  const named = given.flatMap((list) => list.split(",")).filter((host) => host !== "")
  const hosts = named.length > 0 ? named : [netloc.host ?? POSTGRES_SOCKET_FOLDER]
  const ports = query.getAll("port").flatMap((list) => list.split(","))
  if (ports.length > 1 && ports.length !== hosts.length)
    throw invalidUrl("there are not as many ports as hosts")
  return hosts.map((text, index) => {
    const listed = ports.length > 1 ? ports[index] : (ports[0] ?? netloc.port)
    const [, host = text, port = listed] = (named.length > 0 && HOST_AND_PORT.exec(text)) || []
    return postgresAddress(host, parsePort(port, POSTGRES_PORT))
  })
}

function postgresAddress(host: string, port: number): Address {
  return host.startsWith("/") ? { socket: `${host.replace(/\/+$/, "")}/.s.PGSQL.${port}` } : tcp(host, port)
}

/** MySQL's one address: `unix_socket` in the query, else a host; `localhost` where none is named. */
export function mysqlAddresses(netloc: Netloc, query: URLSearchParams): readonly Address[] {
  const socket = query.get("unix_socket")
  if (socket) return [{ socket }]
  const port = parsePort(query.get("port") ?? netloc.port, MYSQL_PORT)
  return [tcp(query.get("host") ?? netloc.host ?? "localhost", port)]
}

function tcp(host: string, port: number): Address {
  if (!HOST.test(host)) throw invalidUrl("the host is not a host name or an IP address", SEVERAL_HOSTS)
  return { host, port }
}

function parsePort(text: string | undefined, usual: number): number {
  if (!text) return usual
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (port < 1 || port > 65_535) throw invalidUrl("the port is not a number from 1 to 65535", SEVERAL_HOSTS)
  return port
}

/** The error for a URL that cannot be used; `problem` and `hint` must not repeat any of it. */
export function invalidUrl(problem: string, hint?: string): AirflowError {
  return new AirflowError(`database URL: ${problem}`, {
    code: "database-url-invalid",
    hint:
      hint ??
      "the form is postgresql://user:password@host:5432/database, with / ? # @ : % in user and password as %2F and so on",
  })
}
