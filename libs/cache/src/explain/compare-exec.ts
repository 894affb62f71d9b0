import type { KeyValue } from '@tsbuild/digest'
import { isSecretValue, looksSecret } from '@tsbuild/dockerfile'
import { redact } from '@tsbuild/errors'
import { listOf, membersOf, same, shownValue, textOf, textsOf } from './key-value.ts'
import type { Difference, Side } from './types.ts'

/** Fields of an exec op that have a comparison of their own. */
const compared = new Set(['kind', 'rootfs', 'args', 'env', 'mounts', 'scripts', 'ulimits'])

/** What a field is called where somebody set it. */
const fieldNames: Readonly<Record<string, string>> = {
  cwd: 'WORKDIR',
  user: 'USER',
  extraHosts: '--add-host',
  shmSizeBytes: '--shm-size',
  cgroupParent: '--cgroup-parent',
  network: 'network',
}

/** What differs between two `RUN`s, their inputs left out. @see docs/dev/cache-keys.md "exec" */
export function compareExec(now: Side, earlier: Side): readonly Difference[] {
  const [after, before] = [membersOf(now.op), membersOf(earlier.op)]
  return [
    ...compareCommand(textsOf(before.args), textsOf(after.args)),
    ...compareScripts(listOf(before.scripts), listOf(after.scripts)),
    ...compareVariables(now, earlier),
    ...compareFields(before, after, compared, fieldNames),
    ...compareUlimits(listOf(before.ulimits), listOf(after.ulimits)),
    ...compareMounts(listOf(before.mounts), listOf(after.mounts)),
  ]
}

/** Fields of two objects as settings, except for some. */
export function compareFields(
  before: Readonly<Record<string, KeyValue>>,
  after: Readonly<Record<string, KeyValue>>,
  except: ReadonlySet<string>,
  names: Readonly<Record<string, string>> = {},
): readonly Difference[] {
  const fields = [...new Set([...Object.keys(after), ...Object.keys(before)])]
  return fields.flatMap((field): readonly Difference[] => {
    if (except.has(field) || same(before[field], after[field])) return []
    const name = names[field] ?? field
    return [{ kind: 'setting', name, before: shown(before[field]), after: shown(after[field]) }]
  })
}

function shown(value: KeyValue): string | null {
  const text = shownValue(value)
  return text === null ? null : redact(text)
}

function compareCommand(before: readonly string[], after: readonly string[]): readonly Difference[] {
  if (same(before, after)) return []
  const [shellBefore, shellAfter] = [before.slice(0, -1), after.slice(0, -1)]
  const [textBefore = '', textAfter = ''] = [before.at(-1), after.at(-1)]
  if (textBefore === textAfter) return [command('shell', null, shellBefore.join(' '), shellAfter.join(' '))]
  if (!same(shellBefore, shellAfter)) return [command('command', null, before.join(' '), after.join(' '))]
  return [compareText('command', textBefore, textAfter)]
}

/** Two texts of which one has several lines: the first line that differs says more than both. */
export function compareText(part: 'command' | 'heredoc', before: string, after: string): Difference {
  const [linesBefore, linesAfter] = [before.split('\n'), after.split('\n')]
  if (linesBefore.length === 1 && linesAfter.length === 1) return command(part, null, before, after)
  const at = linesAfter.findIndex((line, index) => line !== linesBefore[index])
  const line = at < 0 ? linesAfter.length : at
  return command('heredoc', line + 1, linesBefore[line] ?? '', linesAfter[line] ?? '')
}

function command(
  part: 'command' | 'shell' | 'heredoc',
  line: number | null,
  before: string,
  after: string,
): Difference {
  return { kind: 'command', part, line, before: redact(before), after: redact(after) }
}

function compareScripts(before: readonly KeyValue[], after: readonly KeyValue[]): readonly Difference[] {
  return pairs(before, after, (script) => textOf(membersOf(script).path) ?? '').flatMap(([, old, young]) =>
    same(old, young)
      ? []
      : [
          compareText(
            'heredoc',
            textOf(membersOf(old).content) ?? '',
            textOf(membersOf(young).content) ?? '',
          ),
        ],
  )
}

/** Variables by name. Which of them are build arguments is known of the step that is to run, and of most records. */
function compareVariables(now: Side, earlier: Side): readonly Difference[] {
  const [after, before] = [variablesOf(now), variablesOf(earlier)]
  const args = new Set([...argNamesOf(now), ...argNamesOf(earlier)])
  const names = [...new Set([...after.keys(), ...before.keys()])]
  const differences = names.flatMap((name): readonly Difference[] => {
    const [old, young] = [before.get(name) ?? null, after.get(name) ?? null]
    if (old === young) return []
    const hidden = looksSecret(name) || [old, young].some((value) => value !== null && isSecretValue(value))
    const value = (text: string | null) => (text === null || hidden ? null : redact(text))
    const kind = args.has(name) ? 'arg' : 'env'
    return [{ kind, name, before: value(old), after: value(young), hidden }]
  })
  const moved = differences.length === 0 && !same([...after.keys()], [...before.keys()])
  return moved
    ? [
        {
          kind: 'setting',
          name: 'order of variables',
          before: [...before.keys()].join(' '),
          after: [...after.keys()].join(' '),
        },
      ]
    : differences
}

function variablesOf({ op }: Side): ReadonlyMap<string, string> {
  return new Map(
    textsOf(membersOf(op).env).map((entry) => {
      const at = entry.indexOf('=')
      return at < 0 ? [entry, ''] : [entry.slice(0, at), entry.slice(at + 1)]
    }),
  )
}

function argNamesOf({ about }: Side): readonly string[] {
  return textsOf(membersOf(about).args)
}

function compareUlimits(before: readonly KeyValue[], after: readonly KeyValue[]): readonly Difference[] {
  const limit = (value: KeyValue) => {
    const { soft = 'unlimited', hard = 'unlimited' } = membersOf(value)
    return value === undefined ? null : `${shownValue(soft)}:${shownValue(hard)}`
  }
  return pairs(before, after, (value) => textOf(membersOf(value).name) ?? '').flatMap(([name, old, young]) =>
    same(old, young)
      ? []
      : [{ kind: 'setting', name: `--ulimit ${name}`, before: limit(old), after: limit(young) }],
  )
}

/** Of a secret's content only a digest counts, which means nothing to anybody. */
const secretContent = 'content'

function compareMounts(before: readonly KeyValue[], after: readonly KeyValue[]): readonly Difference[] {
  const differences = pairs(before, after, mountName).flatMap(([, old, young]): readonly Difference[] => {
    if (same(old, young)) return []
    const [oldFields, youngFields] = [membersOf(old), membersOf(young)]
    const { kind, target, env, id } = young === undefined ? oldFields : youngFields
    const mount = {
      kind: 'mount',
      type: textOf(kind) ?? '',
      target: textOf(target) ?? textOf(env) ?? '',
    } as const
    if (old === undefined || young === undefined) {
      const [was, is] = [old === undefined ? null : 'mounted', young === undefined ? null : 'mounted']
      return [{ ...mount, option: null, before: was, after: is }]
    }
    // The number of an input says nothing: the input itself is compared.
    const fields = compareFields(oldFields, youngFields, new Set(['kind', 'target', 'input', secretContent]))
    const options = fields.flatMap((field) =>
      field.kind === 'setting'
        ? [{ ...mount, option: field.name, before: field.before, after: field.after }]
        : [],
    )
    const changed = !same(oldFields[secretContent], youngFields[secretContent])
    return changed ? [...options, { kind: 'secret', id: textOf(id) ?? '' }] : options
  })
  if (differences.length > 0 || same(before.map(mountName), after.map(mountName))) return differences
  const list = (mounts: readonly KeyValue[]) => mounts.map(mountName).join(' ')
  return [{ kind: 'setting', name: 'order of mounts', before: list(before), after: list(after) }]
}

function mountName(mount: KeyValue): string {
  const { kind, target, env, id } = membersOf(mount)
  return [kind, target ?? env ?? id].map((part) => textOf(part) ?? '').join(' ')
}

/** Entries of two lists by name, in the order of the later list. */
function pairs(
  before: readonly KeyValue[],
  after: readonly KeyValue[],
  nameOf: (value: KeyValue) => string,
): readonly (readonly [name: string, before: KeyValue, after: KeyValue])[] {
  const [old, young] = [before, after].map((list) => new Map(list.map((value) => [nameOf(value), value])))
  const names = [...new Set([...(young?.keys() ?? []), ...(old?.keys() ?? [])])]
  return names.map((name) => [name, old?.get(name), young?.get(name)])
}
