import { readdirSync, readFileSync } from 'node:fs'
import { isBuildError } from '@tsbuild/errors'
import { describe, expect, it, vi } from 'vitest'
import { splitCsv } from './csv.ts'
import { decodeText } from './decode.ts'
import { parseDuration } from './duration.ts'
import { type Environment, expand, expandHeredoc, expandWords } from './expand.ts'
import { parseIgnore } from './ignore.ts'
import { parseTrigger } from './parse.ts'
import { parseMount } from './parse-mount.ts'
import { parseExposePort } from './ports.ts'
import { parseSignal } from './signals.ts'
import { detectSyntax, judgeSyntax } from './syntax.ts'
import { checkParse } from './testing/check-parse.ts'
import { openStepCounter } from './testing/count-steps.ts'
import { mutate } from './testing/mutate.ts'
import { createRandom } from './testing/random.ts'

const corpus = new URL('../corpus/', import.meta.url)
const names = readdirSync(corpus)
const seeds = names.map((name) => readFileSync(new URL(name, corpus)))

// `npm run test:soak` sets both; a failure names what repeats it.
const ROUNDS = Number(process.env.TSBUILD_FUZZ_ROUNDS ?? 2_000)
const SEED = Number(process.env.TSBUILD_FUZZ_SEED ?? 20_261_121)
/** More than a slow machine needs: the number of rounds is the bound. */
const TIMEOUT_MS = 60_000 + ROUNDS * 20

/** Runs a check on mutated seeds; puts the text into the failure, so that it can become a file of the corpus. */
function onMutations(check: (bytes: Uint8Array, round: number) => void): void {
  const random = createRandom(SEED)
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = mutate(seeds, random)
    try {
      check(bytes, round)
    } catch (error) {
      const text = Buffer.from(bytes).toString('latin1')
      throw new Error(`TSBUILD_FUZZ_SEED=${SEED}, round ${round}, bytes as latin1 ${JSON.stringify(text)}`, {
        cause: error,
      })
    }
  }
}

/** Runs something that may refuse its input, but only as the user's mistake. */
function mayRefuse(action: () => void): boolean {
  try {
    action()
    return true
  } catch (error) {
    if (!isBuildError(error) || error.kind !== 'user') throw error
    return false
  }
}

describe('parseDockerfile() on the corpus', () => {
  it.each(names)('keeps its promises for %s', (name) => {
    checkParse(decodeText(readFileSync(new URL(name, corpus))))
  })
})

describe('parseDockerfile() on mutations of the corpus', () => {
  it(
    'throws nothing but errors of the user with a range, and what it gives is in order and means the same alone',
    () => {
      let accepted = 0
      onMutations((bytes) => {
        if (checkParse(decodeText(bytes)) > 1) accepted++
      })
      expect(accepted).toBeGreaterThan(ROUNDS / 6)
    },
    TIMEOUT_MS,
  )

  it(
    'takes steps in proportion to the text',
    async () => {
      const counter = openStepCounter()
      vi.resetModules()
      const library = await import('./index.ts')
      try {
        // Counting costs more than parsing, so it is done for some.
        onMutations((bytes, round) => {
          if (round % 20 !== 0) return
          const text = decodeText(bytes)
          const steps = counter.steps(() => void mayRefuse(() => void library.parseDockerfile(text, 'D')))
          expect(steps).toBeLessThan(20_000 + 100 * text.length)
        })
      } finally {
        counter.close()
      }
    },
    TIMEOUT_MS,
  )
})

/** Reads a word as everything that a word can be. */
function checkWord(word: string, env: Environment, accepted: { mount: number; port: number }): void {
  const texts = splitCsv(word.replace(/^--mount=/, ''))
  if (typeof texts !== 'string') {
    const fields = texts.map((text) => {
      const [key = '', value = null] = text.split('=', 2)
      return { key: key.toLowerCase(), value, text }
    })
    const read = (value: string) => expand(value, env, { escape: '\\' })
    if (mayRefuse(() => void parseMount({ text: word, fields, flagIndex: 0 }, { expand: read })))
      accepted.mount++
  }
  if (mayRefuse(() => void parseExposePort(word))) accepted.port++
  mayRefuse(() => void parseSignal(word))
  parseDuration(word)
}

describe('the small languages on mutations of the corpus', () => {
  it(
    'throw nothing but errors of the user',
    () => {
      const source = { file: 'D', startLine: 1, startColumn: 0, endLine: 1, endColumn: 0 }
      const env = (name: string) => (name === 'a' ? 'va*l b' : undefined)
      const accepted = { expand: 0, ignore: 0, trigger: 0, mount: 0, port: 0 }
      onMutations((bytes) => {
        const text = decodeText(bytes)
        if (mayRefuse(() => void expand(text, env, { escape: '\\' }))) accepted.expand++
        mayRefuse(() => void expandWords(text, env, { escape: '`' }))
        mayRefuse(() => void expandHeredoc(text, env))
        if (mayRefuse(() => void parseIgnore(text))) accepted.ignore++
        if (mayRefuse(() => void parseTrigger(text.replace(/^FROM.*\n/, ''), source))) accepted.trigger++
        judgeSyntax(detectSyntax(text)?.image ?? text)
        for (const word of text.split(/\s+/, 20)) checkWord(word, env, accepted)
      })
      for (const count of Object.values(accepted)) expect(count).toBeGreaterThan(ROUNDS / 100)
    },
    TIMEOUT_MS,
  )
})
