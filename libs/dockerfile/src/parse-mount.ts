import { didYouMean, type SourceRange, UserError } from '@tsbuild/errors'
import { parseByteSize } from './byte-size.ts'
import type { MountFlag } from './instruction.ts'
import type { Mount, MountType } from './mount.ts'

const TYPES: readonly MountType[] = ['bind', 'cache', 'tmpfs', 'secret', 'ssh']
const SHARINGS = ['shared', 'private', 'locked'] as const
const KEYS = [
  'type',
  'from',
  'source',
  'src',
  'target',
  'dst',
  'destination',
  'readonly',
  'ro',
  'readwrite',
  'rw',
  'required',
  'size',
  'id',
  'sharing',
  'mode',
  'uid',
  'gid',
  'env',
  'cache',
] as const
type Key = (typeof KEYS)[number]

const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ...['1', 't', 'T', 'TRUE', 'true', 'True'].map((text) => [text, true] as const),
  ...['0', 'f', 'F', 'FALSE', 'false', 'False'].map((text) => [text, false] as const),
])

/** Keys that say the same thing. */
const MEANINGS: ReadonlyMap<string, Key> = new Map<string, Key>([
  ['src', 'source'],
  ['dst', 'target'],
  ['destination', 'target'],
  ['ro', 'readonly'],
  ['rw', 'readonly'],
  ['readwrite', 'readonly'],
])

/** How a mount's fields are read. */
export interface ParseMountOptions {
  /** Expands a value; called once for each `key=value`, also for `type`. */
  readonly expand: (value: string) => string
  /** Put into errors: the `RUN`. */
  readonly source?: SourceRange
}

/** The options as given, before they are checked against the type. */
interface Draft {
  type: MountType
  from: string
  source: string
  target: string
  readOnly: boolean | null
  required: boolean
  size: number | null
  id: string
  sharing: (typeof SHARINGS)[number] | null
  mode: number | null
  uid: number | null
  gid: number | null
  env: string | null
  cache: 'content' | null
}

function createDraft(): Draft {
  return {
    type: 'bind',
    from: '',
    source: '',
    target: '',
    readOnly: null,
    required: false,
    size: null,
    id: '',
    sharing: null,
    mode: null,
    uid: null,
    gid: null,
    env: null,
    cache: null,
  }
}

type Field = MountFlag['fields'][number]

const sizeHint = 'Use bytes or a unit, for example `64m` or `1g`.'

type Refuse = (message: string, hints?: readonly string[]) => never

function readBoolean(key: string, value: string, refuse: Refuse): boolean {
  return BOOLEANS.get(value) ?? refuse(`invalid value for ${key}: ${value}`, ['Use `true` or `false`.'])
}

function readNumber(key: string, value: string, options: { base: 8 | 10; refuse: Refuse }): number {
  const digits = options.base === 8 ? /^[0-7]+$/ : /^\d+$/
  const number = digits.test(value) ? Number.parseInt(value, options.base) : Number.NaN
  if (number <= 0xffffffff) return number
  const hint =
    options.base === 8 ? 'Use octal digits, for example `0755`.' : 'Use a number: names are not looked up.'
  return options.refuse(`invalid value ${value} for ${key}`, [hint])
}

/** The nearest choice, else the one that was begun, else all of them. */
function choiceHints(value: string, choices: readonly string[]): readonly string[] {
  const near = didYouMean(value.slice(0, 32), choices)
  if (near.length > 0) return near
  const begun = choices.find((choice) => value !== '' && choice.startsWith(value.toLowerCase()))
  if (begun !== undefined) return [`Did you mean \`${begun}\`?`]
  return [`Use one of ${choices.map((choice) => `\`${choice}\``).join(', ')}.`]
}

function readChoice<T extends string>(what: string, value: string, choices: readonly T[], refuse: Refuse): T {
  const found = choices.find((choice) => choice === value.toLowerCase())
  return found ?? refuse(`unsupported ${what} ${JSON.stringify(value)}`, choiceHints(value, choices))
}

function onlyFor(draft: Draft, key: string, types: readonly MountType[], refuse: Refuse): void {
  if (!types.includes(draft.type)) refuse(`unexpected key '${key}' for mount type '${draft.type}'`)
}

/** A bare key. The type must have been given before `required`, as in BuildKit. */
function applyBareKey(draft: Draft, { key, text }: Field, refuse: Refuse): void {
  if (key === 'readonly' || key === 'ro') draft.readOnly = true
  else if (key === 'readwrite' || key === 'rw') draft.readOnly = false
  else if (key === 'required') {
    onlyFor(draft, key, ['secret', 'ssh'], refuse)
    draft.required = true
  } else refuse(`invalid field '${text}' must be a key=value pair`)
}

function applyField(draft: Draft, key: Key, value: string, refuse: Refuse): void {
  switch (key) {
    case 'type':
      draft.type = readChoice('mount type', value, TYPES, refuse)
      break
    case 'from':
      draft.from = value
      break
    case 'source':
    case 'src':
      draft.source = value
      break
    case 'target':
    case 'dst':
    case 'destination':
      draft.target = value
      break
    case 'readonly':
    case 'ro':
      draft.readOnly = readBoolean(key, value, refuse)
      break
    case 'readwrite':
    case 'rw':
      draft.readOnly = !readBoolean(key, value, refuse)
      break
    case 'required':
      onlyFor(draft, key, ['secret', 'ssh'], refuse)
      draft.required = readBoolean(key, value, refuse)
      break
    case 'size':
      onlyFor(draft, key, ['tmpfs'], refuse)
      draft.size = parseByteSize(value) ?? refuse(`invalid value for size: ${value}`, [sizeHint])
      break
    case 'id':
      draft.id = value
      break
    case 'sharing':
      draft.sharing = readChoice('sharing value', value, SHARINGS, refuse)
      break
    case 'mode':
      draft.mode = readNumber(key, value, { base: 8, refuse })
      break
    case 'uid':
    case 'gid':
      draft[key] = readNumber(key, value, { base: 10, refuse })
      break
    case 'cache':
      onlyFor(draft, key, ['secret'], refuse)
      draft.cache =
        value === 'content'
          ? value
          : refuse(`invalid value for cache: ${value}`, [
              'Use `cache=content`: the step runs again when the secret has another value.',
            ])
      break
    case 'env':
      // BuildKit makes a variable without a name.
      draft.env = /^[^=\0]+$/.test(value) ? value : refuse(`invalid value for env: ${value}`)
      break
  }
}

/** BuildKit takes the last one without a word. */
function refuseTwice(fields: readonly Field[], refuse: Refuse): void {
  const seen = new Map<string, string>()
  for (const { key } of fields) {
    const meaning = MEANINGS.get(key) ?? key
    const earlier = seen.get(meaning)
    if (earlier !== undefined) refuse(`'${key}' after '${earlier}', which says it already`)
    seen.set(meaning, key)
  }
}

/** What a type would take without a use for it. BuildKit ignores these without a word. */
function checkUnused({ type, id, from, source, env }: Draft, refuse: Refuse): void {
  const unused = (key: string) => refuse(`${key} not allowed for "${type}" type mounts`)
  if (env !== null && type !== 'secret') unused('env')
  if (id !== '' && (type === 'bind' || type === 'tmpfs')) unused('id')
  if (from !== '' && (type === 'tmpfs' || type === 'ssh')) unused('from')
  if (source !== '' && type === 'tmpfs') unused('source')
}

function check(draft: Draft, refuse: Refuse): void {
  const { type } = draft
  checkUnused(draft, refuse)
  if (type === 'bind' || type === 'tmpfs') {
    for (const key of ['mode', 'uid', 'gid'] as const) {
      if (draft[key] !== null) refuse(`${key} not allowed for "${type}" type mounts`)
    }
  }
  if (type === 'secret') {
    if (draft.from !== '') refuse('secret mount should not have a from')
    if (draft.sharing !== null) refuse('secret mount should not define sharing')
    if (draft.source === '' && draft.target === '' && draft.id === '') {
      refuse('invalid secret mount. one of source, target required')
    }
    if (draft.source !== '' && draft.id !== '') refuse("both source and id can't be set")
  }
  if (draft.sharing !== null && type !== 'cache') refuse(`invalid cache sharing set for ${type} mount`)
  if (type === 'ssh' && draft.source !== '') refuse('ssh does not support source')
}

function baseName(path: string): string {
  return path.replace(/\/+$/, '').split('/').at(-1) || '/'
}

function finish(draft: Draft): Mount {
  const { target, source, required, mode, uid, gid } = draft
  const from = draft.from || null
  switch (draft.type) {
    case 'bind':
      return { type: 'bind', target, source, from, readOnly: draft.readOnly ?? true }
    case 'cache':
      return {
        type: 'cache',
        id: draft.id || null,
        target,
        source,
        from,
        readOnly: draft.readOnly ?? false,
        sharing: draft.sharing ?? 'shared',
        mode,
        uid,
        gid,
      }
    case 'tmpfs':
      return { type: 'tmpfs', target, sizeBytes: draft.size, readOnly: draft.readOnly ?? false }
    case 'secret': {
      const id = source || draft.id || baseName(target)
      return {
        type: 'secret',
        id,
        target: target || null,
        env: draft.env,
        required,
        cache: draft.cache,
        mode,
        uid,
        gid,
      }
    }
    case 'ssh':
      return { type: 'ssh', id: draft.id || 'default', target: target || null, required, mode, uid, gid }
  }
}

/**
 * Makes a typed mount of a `--mount` flag: expands its values, checks them against the mount's type, fills in the defaults that
 * do not depend on the build.
 *
 * The target is not checked: only with WORKDIR joined to it is it known whether it is `/`.
 *
 * @throws {UserError} `ERR_DOCKERFILE_MOUNT_OPTION` for an unknown key, type or value, one that the type does not take, a key given twice;
 *   what `expand` throws
 * @see spec/dockerfile.md 2.1
 */
export function parseMount(flag: MountFlag, options: ParseMountOptions): Mount {
  const refuse: Refuse = (message, hints = []) => {
    throw new UserError('ERR_DOCKERFILE_MOUNT_OPTION', `Cannot parse mount "${flag.text}": ${message}`, {
      source: options.source,
      hints,
    })
  }
  const draft = createDraft()
  for (const field of flag.fields) {
    const { key, value } = field
    const known = KEYS.find((name) => name === key)
    if (value === null) applyBareKey(draft, field, refuse)
    else if (known === undefined) refuse(`unexpected key '${key}' in '${field.text}'`, choiceHints(key, KEYS))
    else applyField(draft, known, known === 'from' ? value : options.expand(value), refuse)
  }
  refuseTwice(flag.fields, refuse)
  check(draft, refuse)
  return finish(draft)
}
