/** What is read of a package's header. */
export interface RpmHeader {
  readonly name: string
  readonly version: string
  readonly release: string
  readonly epoch: number | undefined
  readonly arch: string | undefined
  readonly licence: string | undefined
  readonly vendor: string | undefined
  readonly sourceRpm: string | undefined
}

/** Numbers of tags. @see https://rpm-software-management.github.io/rpm/manual/tags.html */
const tags = {
  name: 1000,
  version: 1001,
  release: 1002,
  epoch: 1003,
  vendor: 1011,
  licence: 1014,
  arch: 1022,
  sourceRpm: 1044,
}

const int32 = 4
const string = 6
const i18nString = 9

const wanted: ReadonlySet<number> = new Set(Object.values(tags))

/** More entries than this no header has. */
const maxEntries = 65_536

/**
 * Reads a header as the database stores it: two counts, an index of 16 bytes each, and the data. Undefined for what is none.
 *
 * @see https://rpm-software-management.github.io/rpm/manual/format_header.html
 */
export function readRpmHeader(blob: Buffer): RpmHeader | undefined {
  if (blob.length < 8) return undefined
  const count = blob.readUInt32BE(0)
  const dataStart = 8 + count * 16
  const dataEnd = dataStart + blob.readUInt32BE(4)
  if (count > maxEntries || dataEnd > blob.length) return undefined
  const data = blob.subarray(dataStart, dataEnd)
  const values = new Map<number, string | number | undefined>()
  for (let at = 8; at < dataStart; at += 16) {
    const tag = blob.readUInt32BE(at)
    // Of each tag the first counts, whatever it is worth: 65,536 entries could have the whole data searched as often.
    if (!wanted.has(tag) || values.has(tag)) continue
    values.set(tag, readValue(data, blob.readUInt32BE(at + 4), blob.readUInt32BE(at + 8)))
  }
  const text = (tag: number) => {
    const value = values.get(tag)
    return typeof value === 'string' && value !== '' ? value : undefined
  }
  const [name, version] = [text(tags.name), text(tags.version)]
  if (name === undefined || version === undefined) return undefined
  const epoch = values.get(tags.epoch)
  return {
    name,
    version,
    release: text(tags.release) ?? '',
    epoch: typeof epoch === 'number' ? epoch : undefined,
    arch: text(tags.arch),
    licence: text(tags.licence),
    vendor: text(tags.vendor),
    sourceRpm: text(tags.sourceRpm),
  }
}

function readValue(data: Buffer, type: number, offset: number): string | number | undefined {
  if (offset >= data.length) return undefined
  if (type === int32) return offset + 4 <= data.length ? data.readUInt32BE(offset) : undefined
  if (type !== string && type !== i18nString) return undefined
  const end = data.indexOf(0, offset)
  return end < 0 ? undefined : data.toString('utf8', offset, end)
}
