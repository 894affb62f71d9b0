import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { isBuildError } from '@tsbuild/errors'
import { describe, expect, it } from 'vitest'
import { parseDockerfile } from './parse.ts'

const root = new URL('../testdata/', import.meta.url)

/** What a case's result.json holds: the parsed file without its text and stages, or the error. */
function outcome(text: string): unknown {
  try {
    const {
      directives,
      escape: escapeToken,
      instructions,
      globalArgs,
      stages,
      warnings,
    } = parseDockerfile(text, 'Dockerfile')
    return {
      directives,
      escape: escapeToken,
      instructions,
      globalArgs: globalArgs.length,
      stages: stages.map(({ name, instructions: own }) => ({ name, kinds: own.map(({ kind }) => kind) })),
      warnings,
    }
  } catch (error) {
    if (!isBuildError(error)) throw error
    const { kind, code, message, source, hints } = error
    return { error: { kind, code, message, source, hints } }
  }
}

describe('parseDockerfile() on testdata', () => {
  const cases = readdirSync(root)
  it('has cases', () => {
    expect(cases.length).toBeGreaterThan(15)
  })
  it.each(cases)('gives the recorded result for %s', (name) => {
    const folder = new URL(`${name}/`, root)
    const result = outcome(readFileSync(new URL('Dockerfile', folder), 'utf8'))
    const golden = new URL('result.json', folder)
    if (process.env.UPDATE_GOLDEN === '1') writeFileSync(golden, `${JSON.stringify(result, null, 2)}\n`)
    expect(JSON.parse(JSON.stringify(result))).toEqual(JSON.parse(readFileSync(golden, 'utf8')))
    expect('error' in Object(result)).toBe(name.startsWith('refused-'))
  })
})
