import { describe, expect, it } from 'vitest'
import { spdxDocument } from './spdx.ts'
import type { Inventory } from './types.ts'

const inventory: Inventory = {
  os: { id: 'debian', versionId: '12', prettyName: 'Debian GNU/Linux 12' },
  packages: [
    {
      type: 'deb',
      name: 'g++',
      version: '1',
      purl: 'pkg:deb/debian/g%2B%2B@1',
      licence: 'A licence of our own',
      supplier: 'Debian GCC <gcc@debian.test>',
      location: 'var/lib/dpkg/status',
    },
    {
      type: 'npm',
      name: 'x',
      version: '',
      purl: 'pkg:npm/x',
      licence: 'MIT OR Apache-2.0',
      location: 'a',
      checksums: [{ algorithm: 'SHA512', value: 'ab' }],
    },
  ],
  notes: ['One thing.', 'Another.'],
}
const options = { name: 'app:1', createdAt: 1_700_000_000_500, tool: 'tsbuild-1.2.3' }

describe('spdxDocument()', () => {
  it('spdxDocument() describes the image, its system and each package', () => {
    const document = spdxDocument(inventory, options)
    expect(document).toMatchObject({
      spdxVersion: 'SPDX-2.3',
      dataLicense: 'CC0-1.0',
      SPDXID: 'SPDXRef-DOCUMENT',
      name: 'app:1',
      documentNamespace: expect.stringMatching(
        /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
      ),
      creationInfo: {
        created: '2023-11-14T22:13:20Z',
        creators: ['Tool: tsbuild-1.2.3'],
        comment: 'One thing. Another.',
      },
      packages: [
        { SPDXID: 'SPDXRef-DocumentRoot', name: 'app:1', primaryPackagePurpose: 'CONTAINER' },
        { name: 'debian', versionInfo: '12', primaryPackagePurpose: 'OPERATING-SYSTEM' },
        {
          SPDXID: expect.stringMatching(/^SPDXRef-Package-deb-g--[0-9a-f]{16}$/),
          name: 'g++',
          versionInfo: '1',
          supplier: 'Organization: Debian GCC (gcc@debian.test)',
          licenseDeclared: expect.stringMatching(/^LicenseRef-[0-9a-f]{16}$/),
          sourceInfo: 'acquired package info from /var/lib/dpkg/status',
          externalRefs: [
            {
              referenceCategory: 'PACKAGE-MANAGER',
              referenceType: 'purl',
              referenceLocator: 'pkg:deb/debian/g%2B%2B@1',
            },
          ],
        },
        {
          name: 'x',
          licenseDeclared: 'MIT OR Apache-2.0',
          checksums: [{ algorithm: 'SHA512', checksumValue: 'ab' }],
        },
      ],
      hasExtractedLicensingInfos: [{ extractedText: 'A licence of our own' }],
    })
    const ids = (document.packages as { SPDXID: string }[]).map(({ SPDXID }) => SPDXID)
    expect(document.relationships).toEqual([
      {
        spdxElementId: 'SPDXRef-DOCUMENT',
        relationshipType: 'DESCRIBES',
        relatedSpdxElement: 'SPDXRef-DocumentRoot',
      },
      ...ids.slice(1).map((id) => ({
        spdxElementId: 'SPDXRef-DocumentRoot',
        relationshipType: 'CONTAINS',
        relatedSpdxElement: id,
      })),
    ])
  })

  it('spdxDocument() is the same for the same inventory, and is named otherwise for another', () => {
    const one = spdxDocument(inventory, options)
    expect(JSON.stringify(spdxDocument(structuredClone(inventory), { ...options }))).toBe(JSON.stringify(one))
    const other = spdxDocument({ ...inventory, packages: [] }, options)
    expect(other.documentNamespace).not.toBe(one.documentNamespace)
    expect(other).not.toHaveProperty('hasExtractedLicensingInfos')
  })

  it.each([
    ['GPL-2.0-or-later WITH Classpath-exception-2.0', true],
    ['(MIT AND BSD-3-Clause)', true],
    ['Apache 2.0', false],
    ['LicenseRef-theirs', false],
    ['(', false],
    ['('.repeat(100_000), false],
  ])('spdxDocument() takes the licence %.40s as an expression: %s', (licence, isExpression) => {
    const packages = [{ type: 'npm', name: 'x', version: '1', purl: 'pkg:npm/x@1', location: 'a', licence }]
    const document = spdxDocument({ ...inventory, packages }, options)
    expect(Object.hasOwn(document, 'hasExtractedLicensingInfos')).toBe(!isExpression)
  })
})
