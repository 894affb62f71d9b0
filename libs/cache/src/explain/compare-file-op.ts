import type { KeyValue } from '@tsbuild/digest'
import { compareFields, compareText } from './compare-exec.ts'
import { listOf, membersOf, same, shownValue, textOf } from './key-value.ts'
import type { Difference, Side } from './types.ts'

/** What a field of an action is called where somebody set it. */
const fieldNames: Readonly<Record<string, string>> = {
  chown: '--chown',
  owner: '--chown',
  chmod: '--chmod',
  exclude: '--exclude',
  parents: '--parents',
  unpack: '--unpack',
  dest: 'destination',
  mtime: 'SOURCE_DATE_EPOCH',
}

/** Which input it is says nothing: the input itself is compared. */
const passedOver = new Set(['kind', 'input', 'content', 'path'])

/** What differs between two `COPY`s, `ADD`s or `WORKDIR`s, their inputs left out. @see docs/dev/cache-keys.md "file" */
export function compareFileOp(now: Side, earlier: Side): readonly Difference[] {
  const [after, before] = [actionsOf(now), actionsOf(earlier)]
  const kinds = (actions: readonly Action[]) => actions.map(({ kind }) => kind)
  if (!same(kinds(before), kinds(after))) return [another(now, earlier)]
  const differences = after.flatMap((action, index) => compareAction(before[index] ?? {}, action))
  const sources = compareFields(sourcesOf(earlier), sourcesOf(now), new Set())
  // Several files of one COPY have one destination.
  return distinct([...sources, ...differences])
}

/** Another instruction stood there. */
export function another(now: Side, earlier: Side): Difference {
  const text = (name: string) => name.replace(/^\[[^\]]*\] /, '')
  return { kind: 'instruction', before: text(earlier.name), after: text(now.name) }
}

type Action = Readonly<Record<string, KeyValue>>

function actionsOf({ op }: Side): readonly Action[] {
  return listOf(membersOf(op).actions).map(membersOf)
}

function compareAction(before: Action, after: Action): readonly Difference[] {
  const fields = compareFields(before, after, passedOver, fieldNames)
  const text = same(before.content, after.content)
    ? []
    : [compareText('heredoc', textOf(before.content) ?? '', textOf(after.content) ?? '')]
  const path: readonly Difference[] = same(before.path, after.path)
    ? []
    : [{ kind: 'setting', name: 'WORKDIR', before: shownValue(before.path), after: shownValue(after.path) }]
  return [...path, ...text, ...fields]
}

/** The sources as written: they are with the inputs, in what was read of them or in which part of them. */
function sourcesOf({ inputs }: Side): Readonly<Record<string, KeyValue>> {
  const sources = inputs.flatMap((input) => {
    const read = membersOf(input.kind === 'content' ? input.preimage : input.selector)
    return listOf(read.sources)
  })
  return sources.length === 0 ? {} : { sources }
}

function distinct(differences: readonly Difference[]): readonly Difference[] {
  const seen = new Set<string>()
  return differences.filter((difference) => {
    const text = JSON.stringify(difference)
    if (seen.has(text)) return false
    seen.add(text)
    return true
  })
}
