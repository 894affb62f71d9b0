import { createHash } from 'node:crypto'
import { declaredLicence } from './licence.ts'
import { distroOf } from './os-release.ts'
import type { Inventory, Package } from './types.ts'

/** What a document says of itself. */
export interface DocumentOptions {
  /** Of the image. */
  readonly name: string
  /** When it was made, Unix ms. */
  readonly createdAt: number
  /** `tsbuild-1.2.3` */
  readonly tool: string
}

const nothing = 'NOASSERTION'
const rootId = 'SPDXRef-DocumentRoot'
const osId = 'SPDXRef-OperatingSystem'

/**
 * Writes an inventory as an SPDX 2.3 document: the image contains its operating system and each package. The same inventory gives
 * the same document, also what names it.
 *
 * @see https://spdx.github.io/spdx-spec/v2.3/
 */
export function spdxDocument(
  inventory: Inventory,
  options: DocumentOptions,
): Readonly<Record<string, unknown>> {
  const { os, notes } = inventory
  const described = inventory.packages.map(describePackage)
  const packages = [rootPackage(options.name), ...osPackage(inventory), ...described.map(({ json }) => json)]
  const contents = [...(distroOf(os) === undefined ? [] : [osId]), ...described.map(({ id }) => id)]
  const relationships = [
    relationship('SPDXRef-DOCUMENT', 'DESCRIBES', rootId),
    ...contents.map((id) => relationship(rootId, 'CONTAINS', id)),
  ]
  const extracted = new Map(
    described.flatMap(({ licence }) => (licence ? [[licence.licenseId, licence]] : [])),
  )
  const created = `${new Date(options.createdAt).toISOString().slice(0, 19)}Z`
  const body = {
    packages,
    ...(extracted.size === 0
      ? {}
      : { hasExtractedLicensingInfos: [...extracted].sort().map(([, licence]) => licence) }),
    relationships,
  }
  return {
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: 'SPDXRef-DOCUMENT',
    name: options.name,
    documentNamespace: `urn:uuid:${uuidOf(JSON.stringify([options, body]))}`,
    creationInfo: {
      created,
      creators: [`Tool: ${options.tool}`],
      ...(notes.length === 0 ? {} : { comment: notes.join(' ') }),
    },
    ...body,
  }
}

function relationship(spdxElementId: string, relationshipType: string, relatedSpdxElement: string) {
  return { spdxElementId, relationshipType, relatedSpdxElement }
}

/** What SPDX wants of each package, where nobody knows it. */
const unknown = {
  downloadLocation: nothing,
  filesAnalyzed: false,
  licenseConcluded: nothing,
  copyrightText: nothing,
}

function rootPackage(name: string) {
  return { SPDXID: rootId, name, ...unknown, licenseDeclared: nothing, primaryPackagePurpose: 'CONTAINER' }
}

function osPackage({ os }: Inventory) {
  if (distroOf(os) === undefined) return []
  const version = os.versionId === '' ? {} : { versionInfo: os.versionId }
  const description = os.prettyName === '' ? {} : { description: os.prettyName }
  const purpose = { primaryPackagePurpose: 'OPERATING-SYSTEM' }
  return [
    {
      SPDXID: osId,
      name: os.id,
      ...version,
      ...unknown,
      licenseDeclared: nothing,
      ...description,
      ...purpose,
    },
  ]
}

function describePackage(one: Package) {
  const { type, name, version, purl, supplier, location, checksums } = one
  const hash = createHash('sha256').update(`${purl} ${location}`).digest('hex').slice(0, 16)
  const id = `SPDXRef-Package-${type}-${name.replace(/[^A-Za-z0-9.-]+/g, '-')}-${hash}`
  const { expression, extracted } = declaredLicence(one.licence)
  const json = {
    SPDXID: id,
    name,
    ...(version === '' ? {} : { versionInfo: version }),
    ...(supplier === undefined || supplier === '' ? {} : { supplier: supplierOf(supplier) }),
    ...unknown,
    licenseDeclared: expression,
    sourceInfo: `acquired package info from /${location}`,
    ...(checksums === undefined
      ? {}
      : { checksums: checksums.map(({ algorithm, value }) => ({ algorithm, checksumValue: value })) }),
    externalRefs: [{ referenceCategory: 'PACKAGE-MANAGER', referenceType: 'purl', referenceLocator: purl }],
  }
  return { id, json, licence: extracted }
}

/** A line, its address in brackets as SPDX has it. Teams and distributions are organizations, and who is what nobody says. */
function supplierOf(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim().slice(0, 200)
  const [, name = line, address] = /^(.*?)\s*<([^<>]*)>$/.exec(line) ?? []
  return `Organization: ${name}${address === undefined ? '' : ` (${address})`}`
}

/** Of version 8, whose bits may mean anything. */
function uuidOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex')
  const variant = ((Number.parseInt(hex[16] ?? '0', 16) & 3) | 8).toString(16)
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-')
}
