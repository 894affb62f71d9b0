import { createHash } from 'node:crypto'
import { type Digest, digestFromHex, digestHex } from '@tsbuild/digest'
import { isScope, type Scope } from '@tsbuild/trust'
import type { RecordName } from './layout.ts'

/** A record, as far as look-ups need to know it without reading it. */
export interface IndexEntry {
  readonly scope: Scope
  /** The key's 32 bytes, as Latin-1: less than half of what the text would take. */
  readonly key: string
  /** 32 bytes of the output key, and 32 of each blob. */
  readonly facts: string
  /** When its blobs were all found last, in seconds of the service's clock; -1: never. */
  checkedAt: number
  /** When its use was noted last, in minutes since 1970; -1: never. */
  notedAt: number
}

/** How the form of {@link RecordIndex.encode} begins. */
const magic = 'tsbuild record index 1\n'
const keyBytes = 32

/**
 * Which records there are: in memory, some 200 bytes each, written and read back whole. It is about what was said to be there: whoever
 * gives a record away reads it first.
 */
export class RecordIndex {
  readonly #scopes = new Map<Scope, Map<string, IndexEntry>>()
  #size = 0

  /** How many records there are. */
  get size(): number {
    return this.#size
  }

  /** The scopes with their numbers of records. */
  scopes(): ReadonlyMap<Scope, number> {
    return new Map([...this.#scopes].map(([scope, entries]) => [scope, entries.size]))
  }

  /** How many records a scope has. */
  sizeOf(scope: Scope): number {
    return this.#scopes.get(scope)?.size ?? 0
  }

  get(scope: Scope, key: Digest): IndexEntry | undefined {
    return this.#scopes.get(scope)?.get(packed([key]))
  }

  /** Whether exactly this is known of a record. */
  holds(scope: Scope, key: Digest, outputKey: Digest, blobs: readonly Digest[]): boolean {
    return this.get(scope, key)?.facts === packed([outputKey, ...blobs])
  }

  /** Adds a record, or replaces it. */
  set({ scope, key }: RecordName, outputKey: Digest, blobs: readonly Digest[]): IndexEntry {
    return this.#put(scope, packed([key]), packed([outputKey, ...blobs]))
  }

  delete(scope: Scope, key: Digest): boolean {
    const entries = this.#scopes.get(scope)
    if (entries?.delete(packed([key])) !== true) return false
    this.#size--
    if (entries.size === 0) this.#scopes.delete(scope)
    return true
  }

  clear(): void {
    this.#scopes.clear()
    this.#size = 0
  }

  /** All of it in one piece, with its own checksum. */
  encode(): Buffer {
    const parts: Buffer[] = [Buffer.from(magic)]
    for (const [scope, entries] of this.#scopes) {
      const name = Buffer.from(scope)
      const head = Buffer.alloc(8)
      head.writeUInt32BE(name.length, 0)
      head.writeUInt32BE(entries.size, 4)
      parts.push(head, name)
      for (const { key, facts } of entries.values()) {
        const row = Buffer.allocUnsafe(1 + key.length + facts.length)
        row.writeUInt8(facts.length / keyBytes, 0)
        row.write(key + facts, 1, 'latin1')
        parts.push(row)
      }
    }
    const body = Buffer.concat(parts)
    return Buffer.concat([body, sha256(body)])
  }

  /** Takes over what {@link encode} gave. @returns false for what is damaged or of another version: nothing is taken of it */
  load(bytes: Buffer): boolean {
    const body = bytes.subarray(0, Math.max(0, bytes.length - keyBytes))
    const isWhole = sha256(body).equals(bytes.subarray(body.length))
    if (!isWhole || body.toString('latin1', 0, magic.length) !== magic) return false
    let at = magic.length
    while (at < body.length) {
      const nameBytes = body.readUInt32BE(at)
      const count = body.readUInt32BE(at + 4)
      const scope = body.toString('utf8', at + 8, at + 8 + nameBytes)
      at += 8 + nameBytes
      for (let row = 0; row < count; row++) {
        const end = at + 1 + keyBytes + body.readUInt8(at) * keyBytes
        const factsAt = at + 1 + keyBytes
        // A scope that this version does not know is nobody's.
        if (isScope(scope))
          this.#put(scope, body.toString('latin1', at + 1, factsAt), body.toString('latin1', factsAt, end))
        at = end
      }
    }
    return true
  }

  #put(scope: Scope, key: string, facts: string): IndexEntry {
    let entries = this.#scopes.get(scope)
    if (entries === undefined) {
      entries = new Map()
      this.#scopes.set(scope, entries)
    }
    const known = entries.get(key)
    // The same again must not forget what is known of it.
    if (known?.facts === facts) return known
    if (known === undefined) this.#size++
    const entry: IndexEntry = { scope, key, facts, checkedAt: -1, notedAt: -1 }
    entries.set(key, entry)
    return entry
  }
}

/** The key of a record. */
export function keyOf({ key }: IndexEntry): Digest {
  return unpacked(key, 0)
}

/** What readers of a record's result count it as. */
export function outputKeyOf({ facts }: IndexEntry): Digest {
  return unpacked(facts, 0)
}

/** The blobs of a record's layers. */
export function entryBlobs({ facts }: IndexEntry): readonly Digest[] {
  return Array.from({ length: facts.length / keyBytes - 1 }, (_, at) => unpacked(facts, at + 1))
}

function packed(digests: readonly Digest[]): string {
  return Buffer.from(digests.map(digestHex).join(''), 'hex').toString('latin1')
}

function unpacked(text: string, at: number): Digest {
  const part = text.slice(at * keyBytes, (at + 1) * keyBytes)
  return digestFromHex(Buffer.from(part, 'latin1').toString('hex'))
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest()
}
