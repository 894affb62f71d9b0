import { visible } from '@tsbuild/command-line'
import { isRecord, parseJson } from '@tsbuild/shape'

/** A line of the log as people read it: `12:34:56 warn  what happened  key=value`. Ends with a line feed. */
export function textLine(line: string): string {
  const value = parseJson(line)
  if (!isRecord(value)) return `${visible(line.trimEnd())}\n`
  const { time, level, message, ...fields } = value
  const facts = Object.entries(fields).map(([name, fact]) => `${name}=${shown(fact)}`)
  const head = `${String(time).slice(11, 19)} ${String(level).padEnd(5)} ${String(message)}`
  return `${visible([head, ...facts].join('  ').replaceAll('\n', '\\n'))}\n`
}

function shown(fact: unknown): string {
  return typeof fact === 'string' && /^[^\s"=]+$/.test(fact) ? fact : JSON.stringify(fact)
}
