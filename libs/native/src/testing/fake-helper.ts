import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { createNative, type Native } from '../native.ts'

/** A program in the place of the helper. */
export interface FakeHelper {
  readonly path: string
  /** What it was asked last, as it stood on its standard input. */
  readonly asked: () => unknown
}

/**
 * Makes a program that reads its request and then runs `body`: JavaScript of an async function with `request`, `reply`
 * (writes one line), `write` (to a descriptor) and `fs`. It goes when the test ends.
 */
export function fakeHelper(body: string): FakeHelper {
  const directory = temporaryDirectory()
  const path = join(directory, 'helper')
  const record = join(directory, 'request.json')
  const program = `#!${process.execPath}
const fs = require('node:fs')
const text = fs.readFileSync(0, 'utf8')
fs.writeFileSync(${JSON.stringify(record)}, text)
const { request } = JSON.parse(text)
const write = (fd, data) => fs.writeSync(fd, data)
const reply = (value) => write(1, JSON.stringify(value) + '\\n')
;(async () => { ${body} })()
`
  writeFileSync(path, program, { mode: 0o755 })
  return { path, asked: () => JSON.parse(readFileSync(record, 'utf8')) }
}

/** The body of a fake helper that gives these replies. */
export function answering(...replies: readonly unknown[]): string {
  return replies.map((value) => `reply(${JSON.stringify(value)})`).join('\n')
}

/** What calls a {@link fakeHelper} of this body. */
export function nativeOf(body: string): Native {
  return createNative({ helperPath: fakeHelper(body).path, idMap: undefined })
}

/** A directory that goes when the test ends. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'tsbuild-native-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}
