import { lstatSync } from 'node:fs'
import { join } from 'node:path'
import { isRecord, parseJson } from '@tsbuild/shape'
import { isBuildRef, isBuildRunning, type Layout } from '@tsbuild/store'
import { type Check, damage, foreign, notice } from './found.ts'
import { leftover } from './leftovers.ts'
import { cutOffProblem, entriesOf, isCutOff, isStill, lookAt, sealedJson, sealedText } from './look.ts'
import { removeAt, removeUnlessUsed } from './mend.ts'
import type { Scan } from './scan.ts'

/** The history of builds that have ended: each has its record, or the journal of one that died. */
export async function* checkBuilds({ layout, signal }: Scan): Check {
  for (const { name } of entriesOf(layout.builds)) {
    signal.throwIfAborted()
    const path = layout.build(name)
    const stats = lstatSync(path, { throwIfNoEntry: false })
    if (stats === undefined) continue
    if (!isBuildRef(name)) {
      yield foreign(path)
      continue
    }
    if (isBuildRunning(layout, name)) continue
    if (stats.isDirectory() && diedAtOnce(path)) {
      if (isStill(path, stats)) yield* leftover(layout, path, 'the build that began it has died')
      continue
    }
    const problem = stats.isDirectory() ? recordProblem(layout, name) : 'it is no directory'
    // A build that ends meanwhile changes its directory.
    if (problem !== undefined && isStill(path, stats)) {
      const mend = removeUnlessUsed('build', name, stats)
      const found = { kind: 'build', path, loses: 'data', mend } as const
      const files = ['build.json', 'journal'].map((file) => lookAt(join(path, file)))
      if (files.some(isCutOff))
        yield notice({ ...found, problem: cutOffProblem }, 'is removed from the history')
      else yield damage({ ...found, problem }, 'is removed from the history')
    } else if (problem === undefined) yield* checkExplanations(join(path, 'explain'))
  }
}

function recordProblem(layout: Layout, ref: string): string | undefined {
  const directory = layout.build(ref)
  const record = lookAt(join(directory, 'build.json'))
  if (record.is === 'missing') return journalProblem(join(directory, 'journal'), ref)
  const sealed = sealedText(record, ref)
  if ('problem' in sealed) return `of its build.json: ${sealed.problem}`
  const value = parseJson(sealed.text)
  if (!isRecord(value) || value.ref !== ref) return 'its build.json is no record of this build'
  const steps = Array.isArray(value.steps) ? value.steps : []
  return steps.map((step) => logProblem(directory, step)).find((problem) => problem !== undefined)
}

/** It died as it began, before the first line of its journal was written: there was nothing to lose. */
function diedAtOnce(directory: string): boolean {
  if (entriesOf(directory).some(({ name }) => name !== 'journal')) return false
  const journal = lookAt(join(directory, 'journal'))
  return journal.is === 'missing' || (journal.is === 'file' && !journal.bytes.includes(0x0a))
}

/** Of one that died the last line may be cut off; the first says what it was. */
function journalProblem(path: string, ref: string): string | undefined {
  const looked = lookAt(path)
  if (looked.is !== 'file') return 'it has neither a record nor a journal'
  const facts = parseJson(looked.bytes.toString().split('\n', 1)[0] ?? '')
  return isRecord(facts) && facts.ref === ref ? undefined : 'its journal is not of this build'
}

/** Nothing of a log is clipped: it has as many bytes as were written. */
function logProblem(directory: string, step: unknown): string | undefined {
  if (!isRecord(step) || !isRecord(step.log) || typeof step.vertex !== 'string') return undefined
  const { bytes } = step.log
  if (typeof bytes !== 'number' || bytes === 0) return undefined
  const log = join(directory, 'logs', step.vertex.replace(/^sha256:/, ''))
  const stats = lstatSync(log, { throwIfNoEntry: false })
  if (stats?.isFile() === true && stats.size === bytes) return undefined
  return `the log of step ${step.vertex} is ${stats?.isFile() === true ? `${stats.size} bytes long, and ${bytes} were written` : 'missing'}`
}

async function* checkExplanations(directory: string): Check {
  for (const { name } of entriesOf(directory)) {
    const path = join(directory, name)
    const looked = lookAt(path)
    if (looked.is === 'missing' || isRecord(sealedJson(looked, name.replace(/\.json$/, '')))) continue
    const { stats } = looked
    if (stats === undefined || !isStill(path, stats)) continue
    const found = { kind: 'build', path, loses: 'data', mend: removeAt(path, stats) } as const
    if (isCutOff(looked)) yield notice({ ...found, problem: cutOffProblem }, 'is removed')
    else yield damage({ ...found, problem: 'it is no whole explanation' }, 'is removed')
  }
}
