import { UserError } from '@tsbuild/errors'
import { isRecord } from '@tsbuild/shape'

/** The largest configuration file that is read. */
const maxConfigBytes = 1024 * 1024

/** A value of a configuration file, and where in it it is. */
export interface ConfigNode {
  readonly file: string
  /** For example `registry[0].prefix`; empty for the whole. */
  readonly path: string
  readonly value: unknown
}

/** The error for a file that breaks a rule. */
export function wrongConfig(node: Pick<ConfigNode, 'file' | 'path'>, state: string): UserError {
  const place = node.path === '' ? '' : `${node.path} `
  return new UserError('ERR_CONFIG', `Cannot use configuration "${node.file}": ${place}${state}`)
}

/** @throws {UserError} `ERR_CONFIG` if the text is longer than any configuration */
export function checkLength(text: string, file: string): void {
  if (text.length > maxConfigBytes)
    throw wrongConfig({ file, path: '' }, `it is larger than ${maxConfigBytes} bytes`)
}

/** A member of an object; undefined where it is missing. @throws {UserError} `ERR_CONFIG` if `node` is no object */
export function child(node: ConfigNode, name: string): ConfigNode {
  if (!isRecord(node.value)) throw wrongConfig(node, 'is no table')
  const path = node.path === '' ? name : `${node.path}.${name}`
  return { file: node.file, path, value: Object.hasOwn(node.value, name) ? node.value[name] : undefined }
}

/** The members of an object in their order; none where it is missing. @throws {UserError} `ERR_CONFIG` */
export function children(node: ConfigNode): readonly (readonly [string, ConfigNode])[] {
  if (node.value === undefined) return []
  if (!isRecord(node.value)) throw wrongConfig(node, 'is no table')
  return Object.keys(node.value).map((name) => [name, child(node, name)])
}

/** The entries of a list; none where it is missing. @throws {UserError} `ERR_CONFIG` */
export function entries(node: ConfigNode): readonly ConfigNode[] {
  if (node.value === undefined) return []
  if (!Array.isArray(node.value)) throw wrongConfig(node, 'is no list')
  return node.value.map((value: unknown, index) => ({ ...node, path: `${node.path}[${index}]`, value }))
}

/** A text; undefined where it is missing or empty. @throws {UserError} `ERR_CONFIG` */
export function textOf(node: ConfigNode): string | undefined {
  if (node.value === undefined || node.value === '') return undefined
  if (typeof node.value !== 'string') throw wrongConfig(node, 'is no text')
  return node.value
}

/** A list of texts; none where it is missing. @throws {UserError} `ERR_CONFIG` */
export function textsOf(node: ConfigNode): readonly string[] {
  return entries(node).flatMap((entry) => textOf(entry) ?? [])
}

/** True or false; false where it is missing. @throws {UserError} `ERR_CONFIG` */
export function flagOf(node: ConfigNode): boolean {
  if (node.value === undefined) return false
  if (typeof node.value !== 'boolean') throw wrongConfig(node, 'is neither true nor false')
  return node.value
}

/** One of a few words; undefined where it is missing or empty. @throws {UserError} `ERR_CONFIG` */
export function wordOf<Word extends string>(node: ConfigNode, words: readonly Word[]): Word | undefined {
  const text = textOf(node)
  const found = words.find((word) => word === text)
  if (text !== undefined && found === undefined) {
    throw wrongConfig(node, `is ${JSON.stringify(text.slice(0, 80))}, expected ${words.join(', ')}`)
  }
  return found
}
