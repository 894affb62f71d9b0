import { closeSync, constants, fstatSync, openSync, readFileSync, statSync } from 'node:fs'
import { type Digest, digestHex } from '@tsbuild/digest'
import { type BuildStore, unsealedText } from '@tsbuild/store'
import { historyFiles } from './files.ts'
import { BuildFold } from './fold.ts'
import { readStepLog } from './log-reader.ts'
import { parseEvent, parseExplanation, parseFacts, parseRecord } from './record-codec.ts'
import type { BuildList, BuildRecord, History, LogChunk, ReadLogOptions, StepLog } from './types.ts'

/** Larger files are none of ours: a record of 2,000 steps has 2 MiB. */
const mostBytes = 256 * 1024 * 1024

/** Reads the history of a store. */
export function createHistory(store: BuildStore): History {
  const read = (ref: string) => {
    const directory = store.directory(ref)
    return directory === undefined ? undefined : readBuild(store, ref, directory)
  }
  return {
    list: () => listBuilds(store, read),
    read,
    explanation(ref, vertex) {
      const directory = store.directory(ref)
      const text = directory === undefined ? undefined : readText(historyFiles(directory).explanation(vertex))
      const whole = text === undefined ? undefined : unsealedText(digestHex(vertex), Buffer.from(text))
      return whole === undefined ? undefined : parseExplanation(whole)
    },
    readLog: (ref, vertex, options = {}) => readLog(store, read, { ref, vertex, options }),
    remove: (refs) => store.remove(refs),
  }
}

function listBuilds(store: BuildStore, read: History['read']): BuildList {
  const builds: BuildRecord[] = []
  const unreadable: string[] = []
  for (const { ref } of store.list()) {
    const build = read(ref)
    if (build !== undefined) builds.push(build)
    // One that has just begun has nothing yet, and one that was just removed has nothing more.
    else if (store.directory(ref) !== undefined && !store.isRunning(ref)) unreadable.push(ref)
  }
  return { builds: builds.sort((a, b) => b.startedAt - a.startedAt || (a.ref < b.ref ? -1 : 1)), unreadable }
}

function readBuild(store: BuildStore, ref: string, directory: string): BuildRecord | undefined {
  const files = historyFiles(directory)
  const ended = readText(files.record)
  if (ended !== undefined) return ofRef(ref, endedBuild(ref, ended))
  const running = store.isRunning(ref)
  const journal = readText(files.journal)
  // Asked last: it may have ended between any two of these looks.
  const late = readText(files.record)
  if (late !== undefined) return ofRef(ref, endedBuild(ref, late))
  if (journal === undefined) return undefined
  return ofRef(
    ref,
    readJournal(journal, running, (vertex) => sizeOfLog(files.log(vertex))),
  )
}

function endedBuild(ref: string, written: string): BuildRecord | undefined {
  const text = unsealedText(ref, Buffer.from(written))
  return text === undefined ? undefined : parseRecord(text)
}

/** A file that says it is of another build is in the wrong place. */
function ofRef(ref: string, build: BuildRecord | undefined): BuildRecord | undefined {
  return build?.ref === ref ? build : undefined
}

function readJournal(
  text: string,
  running: boolean,
  logOf: (vertex: Digest) => StepLog,
): BuildRecord | undefined {
  const [first = '', ...lines] = text.split('\n')
  const facts = parseFacts(first)
  if (facts === undefined) return undefined
  const fold = new BuildFold(facts)
  for (const line of lines) {
    const event = line === '' ? undefined : parseEvent(line)
    if (event !== undefined) fold.apply(event)
  }
  const end = { endedAt: null, error: null, image: null }
  return fold.record({ outcome: running ? 'running' : 'died', ...end }, logOf)
}

function sizeOfLog(path: string): StepLog {
  return { bytes: statSync(path, { throwIfNoEntry: false })?.size ?? 0, lostBytes: 0 }
}

/** What is in the place of a file, and a file that cannot be read, counts as none. */
function readText(path: string): string | undefined {
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    try {
      const stats = fstatSync(fd)
      return stats.isFile() && stats.size <= mostBytes ? readFileSync(fd, 'utf8') : undefined
    } finally {
      closeSync(fd)
    }
  } catch {
    return undefined
  }
}

interface LogRequest {
  readonly ref: string
  readonly vertex: Digest
  readonly options: ReadLogOptions
}

async function* readLog(
  store: BuildStore,
  read: History['read'],
  { ref, vertex, options }: LogRequest,
): AsyncGenerator<LogChunk> {
  const held = store.hold(ref)
  if (held === undefined) return
  try {
    const isOver = () => {
      const build = read(ref)
      const step = build?.steps.find((one) => one.vertex === vertex)
      return build?.outcome !== 'running' || (step !== undefined && step.endedAt !== null)
    }
    yield* readStepLog(historyFiles(held.directory), vertex, { ...options, isOver })
  } finally {
    held.release()
  }
}
