import { EnvironmentError } from '@tsbuild/errors'
import { isRecord, parseJson } from '@tsbuild/shape'
import type { EngineAnswer } from './connection.ts'

/**
 * Reads the answer to a load: JSON objects, one after the other. An error may be among them though the status is 200.
 *
 * @throws {EnvironmentError} `ERR_ENGINE_LOAD` with what the engine says
 */
export function assertLoaded(title: string, { status, text }: EngineAnswer): void {
  const messages = text.split(/\r?\n/).filter((line) => line.trim() !== '')
  const errors = messages.flatMap((line) => errorIn(parseJson(line)))
  if (status === 200 && errors.length === 0) return
  const reason = errors[0] ?? `it answers with status ${status}`
  throw new EnvironmentError('ERR_ENGINE_LOAD', `Cannot load the image into ${title}: ${reason.trim()}`)
}

/** Docker's form in a stream, and the one of a whole answer. */
function errorIn(message: unknown): readonly string[] {
  if (!isRecord(message)) return []
  const detail = isRecord(message.errorDetail) ? message.errorDetail.message : undefined
  const text = detail ?? message.error ?? message.message
  return typeof text === 'string' ? [text] : []
}
