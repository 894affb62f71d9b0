import { didYouMean, isBuildError, UserError } from '@tsbuild/errors'
import { isRecord, parseJson } from '@tsbuild/shape'
import { rowOf, type SettingKey, settingKeys } from './table.ts'

/** What a configuration file says, key by key: texts as they would be given to flags, lists of them, or for the file alone any value. */
export type FileSettings = ReadonlyMap<SettingKey, unknown>

/**
 * Reads the text of a configuration file: TOML, or JSON where its name ends in `.json`. Values are checked for their type here and
 * for their meaning by the form of the setting.
 *
 * @param file named in errors
 * @throws {UserError} `ERR_CONFIG` if it cannot be parsed, or has an unknown key or a value of a wrong type
 */
export async function parseConfigFile(text: string, file: string): Promise<FileSettings> {
  const value = file.endsWith('.json') ? parseJson(text) : await parseToml(text, file)
  if (!isRecord(value)) throw wrong(file, 'expected one JSON object')
  const settings = new Map<SettingKey, unknown>()
  for (const [key, one] of flatten(value)) {
    const known = settingKeys.find((each) => each === key)
    if (known === undefined) throw wrong(file, `key "${key}" is not known`, didYouMean(key, settingKeys))
    settings.set(known, checkType(file, known, one))
  }
  return settings
}

async function parseToml(text: string, file: string): Promise<unknown> {
  const { parse, TomlError } = await import('smol-toml')
  try {
    return parse(text)
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause
    // Its message shows the lines, which may hold a password.
    const [reason = ''] = cause.message.split('\n')
    throw wrong(file, `line ${cause.line}, column ${cause.column}: ${reason}`)
  }
}

/** Sections are one level deep; what is below a known key is its value. */
function flatten(value: Readonly<Record<string, unknown>>): readonly (readonly [string, unknown])[] {
  return Object.entries(value).flatMap(([name, one]) =>
    isRecord(one) && settingKeys.some((key) => key.startsWith(`${name}.`))
      ? Object.entries(one).map(([inner, deep]) => [`${name}.${inner}`, deep] as const)
      : [[name, one] as const],
  )
}

function checkType(file: string, key: SettingKey, value: unknown): unknown {
  const { form, isFileOnly } = rowOf(key)
  if (isFileOnly === true) return value
  if (form.isList) {
    if (!Array.isArray(value)) throw wrong(file, `key "${key}" is a list of texts`)
    return value.map((one) => scalar(file, key, one))
  }
  return scalar(file, key, value)
}

function scalar(file: string, key: SettingKey, value: unknown): string {
  const isSwitch = rowOf(key).form.placeholder === ''
  if (isSwitch ? typeof value === 'boolean' : typeof value === 'string' || typeof value === 'number')
    return String(value)
  throw wrong(file, `key "${key}" is ${isSwitch ? 'true or false' : 'a text or a number'}`)
}

/** The error for a configuration file. */
function wrong(file: string, state: string, hints: readonly string[] = []): UserError {
  return new UserError('ERR_CONFIG', `Cannot use configuration "${file}": ${state}`, { hints })
}

/** What is wrong in a file is no mistake of the command line. */
export function asConfigError(file: string, error: unknown): unknown {
  if (!isBuildError(error) || error.code !== 'ERR_USAGE') return error
  return new UserError('ERR_CONFIG', `${error.message}, in "${file}"`, { hints: error.hints })
}
