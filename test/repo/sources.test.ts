import { basename } from 'node:path'
import { describe, expect, it } from 'vitest'
import { listFiles, readText } from '../support/repository.ts'

const files = listFiles()
const isTest = (path: string) =>
  /\.(test|contract)\.ts$|\/src\/testing\//.test(path) || path.startsWith('test/')
const sources = files.filter((path) => /\.(ts|mjs|rs|sh)$/.test(path))
const librarySources = files.filter((path) => /^libs\/[^/]+\/src\/.*\.ts$/.test(path) && !isTest(path))
/** Files that may name what the rules forbid: the rule itself builds its words from parts instead. */
const texts = files.filter((path) => !/\.(png|gz|tar|zst|tgz|bin)$/.test(path))

const lineCount = (text: string) => text.split('\n').length - 1
/** Lines of a Rust module that are code: no tests, no documentation, no blanks. */
const rustCodeLines = (text: string) =>
  (text.split('#[cfg(test)]')[0] ?? '').split('\n').filter((line) => !/^\s*(\/\/.*)?$/.test(line)).length

describe('sources', () => {
  it('stay below 500 lines, tests below 800', () => {
    const long = sources
      .filter((path) => !path.endsWith('.rs'))
      .map((path) => ({ path, lines: lineCount(readText(path)), limit: isTest(path) ? 800 : 500 }))
      .filter(({ lines, limit }) => lines > limit)
    expect(long).toEqual([])
  })

  it('in Rust stay below 400 lines of code a module', () => {
    const modules = sources.filter((path) => /^native\/helper\/src\/.*\.rs$/.test(path))
    const long = modules.map((path) => ({ path, lines: rustCodeLines(readText(path)) }))
    expect(long.filter(({ lines }) => lines > 400)).toEqual([])
  })

  it('have no file named after nothing', () => {
    const empty = sources.filter((path) =>
      /^(utils?|helpers?|common|manager|info|misc)\./.test(basename(path)),
    )
    expect(empty).toEqual([])
  })

  it('carry no marks of unfinished work', () => {
    const mark = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'HA' + 'CK'].join('|')})\\b`)
    const marked = texts.filter((path) => path !== 'package-lock.json' && mark.test(readText(path)))
    expect(marked).toEqual([])
  })

  it('carry no marks of a merge', () => {
    const mark = /^(<{7}|>{7}) /m
    expect(texts.filter((path) => mark.test(readText(path)))).toEqual([])
  })

  it('keep unsafe Rust in sys/', () => {
    const unsafe = files
      .filter((path) => path.endsWith('.rs') && !path.includes('/src/sys/'))
      .filter((path) => /\bunsafe\s*(\{|fn|impl)|allow\(unsafe_code\)/.test(readText(path)))
      // The one place that opens the door for the module.
      .filter(
        (path) =>
          !(
            path.endsWith('main.rs') &&
            /allow\(unsafe_code\)[^\n]*\n(pub(\(crate\))? )?mod sys;/.test(readText(path))
          ),
      )
    expect(unsafe).toEqual([])
  })
})

describe('libraries', () => {
  it('document every exported symbol', () => {
    const undocumented = librarySources.flatMap((path) => findUndocumented(path, readText(path)))
    expect(undocumented).toEqual([])
  })

  it('findUndocumented() finds an export without a docstring', () => {
    const text = [
      '/** Has one. */',
      'export const a = 1',
      '',
      '// not one',
      'export async function b() {}',
    ].join('\n')
    expect(findUndocumented('x.ts', text)).toEqual(['x.ts:5 b'])
  })

  it('re-export by name only', () => {
    expect(librarySources.filter((path) => /^export \* from/m.test(readText(path)))).toEqual([])
  })

  it('leave argv, the environment, the terminal and the exit code to apps', () => {
    const pattern = /\bprocess\.(argv|env|exit|exitCode|stdout|stderr|stdin|cwd)\b|\bconsole\./
    const offending = librarySources
      .map((path) => ({ path, text: withoutComments(readText(path)) }))
      // A parameter may be called process: then the global one cannot be meant.
      .filter(({ text }) => pattern.test(text) && !/\bprocess: [A-Z]/.test(text))
    expect(offending.map(({ path }) => path)).toEqual([])
  })

  it('start processes in native, and where docs/dev/dependencies.md names a foreign program', () => {
    const starting = librarySources.filter((path) => /from 'node:child_process'/.test(readText(path)))
    const allowed =
      /^libs\/(native\/src\/|builder\/src\/bootstrap|registry\/src\/.*credential|context\/src\/git\/run-git)/
    expect(starting.filter((path) => !allowed.test(path))).toEqual([])
  })
})

/** Exported declarations whose previous line does not end a docstring. A second overload needs none. */
function findUndocumented(path: string, text: string): readonly string[] {
  const lines = text.split('\n')
  const declaration =
    /^export (?:declare )?(?:abstract )?(?:async )?(?:function\*?|const|let|class|interface|type|enum)\s+(\w+)/
  const seen = new Set<string>()
  return lines.flatMap((line, index) => {
    const name = declaration.exec(line)?.[1]
    if (name === undefined || seen.has(name)) return []
    seen.add(name)
    return lines[index - 1]?.trimEnd().endsWith('*/') ? [] : [`${path}:${index + 1} ${name}`]
  })
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')
}
