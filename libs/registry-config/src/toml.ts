import { UserError } from '@tsbuild/errors'
import { parse, TomlError } from 'smol-toml'
import { type ConfigNode, checkLength } from './read-value.ts'

/** Parses TOML. @throws {UserError} `ERR_CONFIG` naming the file and the line if it is none */
export function parseToml(text: string, file: string): ConfigNode {
  checkLength(text, file)
  try {
    return { file, path: '', value: parse(text) }
  } catch (cause) {
    // What nests thousands deep ends the parser's stack.
    if (cause instanceof RangeError)
      throw new UserError('ERR_CONFIG', `Cannot parse configuration "${file}": it nests too deep`)
    if (!(cause instanceof TomlError)) throw cause
    // The parser's message shows the lines, and there may be secrets in them.
    const [why = ''] = cause.message.split('\n')
    throw new UserError('ERR_CONFIG', `Cannot parse configuration "${file}": line ${cause.line}: ${why}`)
  }
}
