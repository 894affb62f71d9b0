import { UserError } from '@tsbuild/errors'

/** The largest manifest, index or config that is read: registries must take 4 MiB, and no real one comes near. */
export const maxDocumentBytes = 4 * 1024 * 1024
const maxDepth = 64

/** A value of an untrusted JSON document, and where in it it is. */
export interface JsonNode {
  /** What the document is, for messages. */
  readonly what: string
  /** For example `layers[3].digest`; empty for the document itself. */
  readonly path: string
  readonly value: unknown
}

/** The error for a document that breaks a rule. */
export function invalidDocument(what: string, fault: string): UserError {
  return new UserError('ERR_MANIFEST_INVALID', `Cannot parse ${what}: ${fault}`)
}

/**
 * Parses the bytes of one JSON object.
 *
 * @throws {UserError} `ERR_MANIFEST_INVALID` if they are over 4 MiB, no UTF-8, no JSON, no object, nested more than 64
 *   deep, or if an object names a member twice: readers disagree about which of the two counts
 */
export function parseJsonObject(bytes: Uint8Array, what: string): JsonNode {
  if (bytes.byteLength > maxDocumentBytes)
    throw invalidDocument(what, `it is larger than ${maxDocumentBytes} bytes`)
  let text: string
  let value: unknown
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    value = JSON.parse(text)
  } catch (cause) {
    throw new UserError('ERR_MANIFEST_INVALID', `Cannot parse ${what}: it is not JSON`, { cause })
  }
  checkStructure(text, what)
  const node = { what, path: '', value }
  if (!isObject(value)) throw wrongType(node, 'an object')
  return node
}

/** Goes through a text that is known to be JSON, with a list of names per open object. */
function checkStructure(text: string, what: string): void {
  const open: (Set<string> | undefined)[] = []
  const tokens = /"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\]]/g
  for (let match = tokens.exec(text); match !== null; match = tokens.exec(text)) {
    const token = match[0]
    if (token === '{' || token === '[') {
      if (open.push(token === '{' ? new Set() : undefined) > maxDepth) {
        throw invalidDocument(what, `it is nested more than ${maxDepth} deep`)
      }
    } else if (token === '}' || token === ']') {
      open.pop()
    } else if (match[1] !== undefined) {
      const name: string = JSON.parse(token.slice(0, token.length - match[1].length))
      const names = open.at(-1)
      if (names?.has(name)) throw invalidDocument(what, `it has the member ${JSON.stringify(name)} twice`)
      names?.add(name)
    }
  }
}

/** A member of an object; one that is missing or null has the value undefined. */
export function member(node: JsonNode, name: string): JsonNode {
  const path = node.path === '' ? name : `${node.path}.${name}`
  if (!isObject(node.value)) throw wrongType(node, 'an object')
  const value = Object.hasOwn(node.value, name) ? (node.value[name] ?? undefined) : undefined
  return { what: node.what, path, value }
}

/** Whether the member is there and not null. */
export function hasMember(node: JsonNode, name: string): boolean {
  return member(node, name).value !== undefined
}

/** @throws {UserError} `ERR_MANIFEST_INVALID` */
export function readString(node: JsonNode): string {
  if (typeof node.value !== 'string') throw wrongType(node, 'a text')
  return node.value
}

/** @throws {UserError} `ERR_MANIFEST_INVALID` */
export function readInteger(node: JsonNode): number {
  if (typeof node.value !== 'number' || !Number.isSafeInteger(node.value)) throw wrongType(node, 'an integer')
  return node.value
}

/** @throws {UserError} `ERR_MANIFEST_INVALID` */
export function readSize(node: JsonNode): number {
  const size = readInteger(node)
  if (size < 0) throw wrongType(node, 'a size')
  return size
}

/** @throws {UserError} `ERR_MANIFEST_INVALID` */
export function readBoolean(node: JsonNode): boolean {
  if (typeof node.value !== 'boolean') throw wrongType(node, 'true or false')
  return node.value
}

/** The elements of an array. @throws {UserError} `ERR_MANIFEST_INVALID` */
export function readList(node: JsonNode): readonly JsonNode[] {
  if (!Array.isArray(node.value)) throw wrongType(node, 'an array')
  return node.value.map((value: unknown, index) => ({
    what: node.what,
    path: `${node.path}[${index}]`,
    value,
  }))
}

/** An array of texts. @throws {UserError} `ERR_MANIFEST_INVALID` */
export function readStrings(node: JsonNode): readonly string[] {
  return readList(node).map(readString)
}

/** The names of an object's members, sorted: Go's way to write a set. @throws {UserError} `ERR_MANIFEST_INVALID` */
export function readSet(node: JsonNode): readonly string[] {
  if (!isObject(node.value)) throw wrongType(node, 'an object')
  return Object.keys(node.value).sort()
}

/** An object whose members are all texts. @throws {UserError} `ERR_MANIFEST_INVALID` */
export function readTextMap(node: JsonNode): Readonly<Record<string, string>> {
  const entries = readSet(node).map((name) => [name, readString(member(node, name))] as const)
  return Object.fromEntries(entries)
}

/** Reads what is there; a missing value stays missing. */
export function optional<T>(node: JsonNode, read: (node: JsonNode) => T): T | undefined {
  return node.value === undefined ? undefined : read(node)
}

/** The error for a value of another type than wanted. */
export function wrongType(node: JsonNode, expected: string): UserError {
  const shown = JSON.stringify(node.value) ?? 'missing'
  const place = node.path === '' ? 'it' : node.path
  return invalidDocument(
    node.what,
    `${place} is ${shown.length > 80 ? `${shown.slice(0, 80)}…` : shown}, expected ${expected}`,
  )
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
