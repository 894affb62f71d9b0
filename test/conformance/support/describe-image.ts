import { isDeepStrictEqual } from 'node:util'
import { describeEntry, type Entry, type Tree } from './entry.ts'
import type { Image, RawConfig } from './read-image.ts'
import type { ImageWant } from './want.ts'

/** What a config holds where nothing was said: that of a stage `FROM scratch`. */
const emptyConfig = {
  Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
  WorkingDir: '/',
}

/** Content of more bytes than this is given by its digest. */
const longestText = 2_000

/**
 * What differs between an image and its base, in the notation of want.json.
 *
 * @param want says which optional members to give: times, the history, the number of layers
 */
export function describeImage(
  image: Image,
  base: Image | undefined,
  want: ImageWant,
): Record<string, unknown> {
  const since = base?.config
  const created = (image.config.history ?? []).slice(since?.history?.length ?? 0)
  return {
    tree: describeTree(image.tree, base?.tree ?? new Map(), want.tree),
    config: describeConfig(image.config, since),
    ...(want.author === undefined ? {} : { author: image.config.author }),
    ...(want.created === undefined ? {} : { created: image.config.created?.replace('.000Z', 'Z') }),
    ...(want.layers === undefined ? {} : { layers: countLayers(image.config) - countLayers(since) }),
    ...(want.history === undefined
      ? {}
      : {
          history: created.map(({ created_by, empty_layer }) => ({
            created_by,
            empty_layer: empty_layer === true ? true : undefined,
          })),
        }),
  }
}

function countLayers(config: RawConfig | undefined): number {
  return config?.rootfs.diff_ids.length ?? 0
}

/** Path → notation for every path that is new or not as in `base`; null for one that is gone. */
function describeTree(tree: Tree, base: Tree, want: ImageWant['tree']): Record<string, unknown> {
  const described: Record<string, unknown> = {}
  for (const path of [...new Set([...base.keys(), ...tree.keys()])].toSorted()) {
    const [now, before] = [tree.get(path), base.get(path)]
    const wanted = want[path]
    const withTime = wanted !== undefined && wanted !== null && 'mtime' in wanted
    const isWanted = wanted !== undefined
    if (now === undefined) described[path] = null
    else if (isWanted || before === undefined || !sameEntry(now, before)) {
      const long = now.content.length > longestText || (isWanted && wanted !== null && 'sha256' in wanted)
      described[path] = describeEntry(now, withTime, long)
    }
  }
  // The root has an entry only when a step changed it.
  if (want[''] === undefined && isPlainFolder(tree.get(''))) delete described['']
  return described
}

function sameEntry(a: Entry, b: Entry): boolean {
  return isDeepStrictEqual(describeEntry(a, false, true), describeEntry(b, false, true))
}

function isPlainFolder(entry: Entry | undefined): boolean {
  return entry !== undefined && isDeepStrictEqual(describeEntry(entry, false), { type: 'directory' })
}

/** Members that are not as in `since`; null for those that are gone. Empty ones are as good as missing. */
function describeConfig(config: RawConfig, since: RawConfig | undefined): Record<string, unknown> {
  const now = withoutEmpty(config.config ?? {})
  const before = since === undefined ? emptyConfig : withoutEmpty(since.config ?? {})
  const keys = [...new Set([...Object.keys(before), ...Object.keys(now)])].toSorted()
  const values = new Map(Object.entries(before))
  return Object.fromEntries(
    keys.flatMap((key) => {
      const value = (now as Readonly<Record<string, unknown>>)[key]
      return isDeepStrictEqual(value, values.get(key)) ? [] : [[key, value ?? null]]
    }),
  )
}

/** A config without the members that stand for nothing, which tools write or leave out as they like. */
export function withoutEmpty(config: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const isEmpty = (value: unknown) =>
    value === null ||
    value === '' ||
    value === false ||
    (typeof value === 'object' && Object.keys(value).length === 0)
  return Object.fromEntries(Object.entries(config).filter(([, value]) => !isEmpty(value)))
}
