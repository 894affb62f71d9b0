import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findProgram } from '../support/capabilities.ts'
import { type FlatTree, tinyLayers, writeLayeredImages } from '../support/layered-image.ts'
import { check } from '../support/tsbuild.ts'
import { openBusyboxWorkspace, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
beforeAll(async () => {
  workspace = await openBusyboxWorkspace('many-layers')
})
afterAll(() => workspace?.remove())

/** The files below a directory of the host. */
function readTree(folder: string): FlatTree {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((one) => one.isFile())
  const paths = files.map(({ parentPath, name }) => join(parentPath, name).slice(folder.length + 1))
  return new Map(paths.sort().map((path) => [path, readFileSync(join(folder, path), 'utf8')]))
}

const sorted = (tree: FlatTree) => [...tree].sort(([one], [other]) => (one < other ? -1 : 1))

describe('an image of many layers', () => {
  const heights = [1000, 501, 500, 499, 200, 128]

  it('is built upon, run in, copied from and exported', async () => {
    const layers = tinyLayers(1000, findProgram('busybox') ?? '')
    const layout = workspace.path('layout')
    writeLayeredImages(layout, layers, heights)
    for (const height of heights) {
      const context = workspace.context(`height-${height}`, {
        Dockerfile: [
          'FROM base AS ran',
          // What the step sees is what it copies.
          'RUN cp -a /tree /seen && echo ran > /seen/ran',
          'FROM scratch',
          'COPY --from=ran /seen /seen',
          'COPY --from=base /tree /tree',
        ].join('\n'),
      })
      const out = workspace.path(`out-${height}`)
      const base = `base=oci-layout://${layout}:${height}`
      await workspace.tsbuild.build(['--network', 'none', '--build-context', base, '-o', out, context])
      const tree = layers[height - 1]?.tree ?? new Map()
      const seen = new Map([...tree].map(([path, text]) => [path.replace(/^tree/, 'seen'), text]))
      expect([...readTree(out)], `${height} layers`).toEqual(
        sorted(new Map([...tree, ...seen, ['seen/ran', 'ran\n']])),
      )
    }
    // All of its layers again, as another builder sees them.
    const whole = workspace.context('whole', { Dockerfile: 'FROM base\nRUN true\n' })
    const base = `base=oci-layout://${layout}:1000`
    const archive = workspace.path('archive')
    const output = `type=oci,dest=${archive}.tar`
    await workspace.tsbuild.build(['--network', 'none', '--build-context', base, '-o', output, whole])
    mkdirSync(archive)
    await check('tar', ['-xf', `${archive}.tar`, '-C', archive])
    const read = (digest: string) =>
      JSON.parse(readFileSync(join(archive, 'blobs/sha256', digest.slice('sha256:'.length)), 'utf8'))
    const index = JSON.parse(readFileSync(join(archive, 'index.json'), 'utf8'))
    expect(read(index.manifests[0].digest).layers).toHaveLength(1001)
  })
})

/** How `ls -A` shows names, and what `md5sum` says of it. */
const md5 = (text: string) => createHash('md5').update(text).digest('hex')

/** Steps that each compare what all steps before have left with a flat tree, and then change something. */
function comparingSteps(count: number): readonly string[] {
  const tree = new Map<string, string>()
  return Array.from({ length: count }, (_, at) => {
    const names = [...tree.keys()].sort()
    const expected = md5(names.map((name) => `${name}=${tree.get(name)}\n`).join(''))
    const seen = 'for f in $(ls -A /w); do echo "$f=$(cat /w/$f)"; done | md5sum'
    const changes: string[] = []
    const write = (name: string, text: string) => {
      tree.set(name, text)
      changes.push(`echo ${text} > /w/${name}`)
    }
    write(`f${at % 17}`, `${at}`)
    write(`g${at % 5}`, `${at}`)
    if (at % 3 === 1) {
      const gone = `f${(at * 7) % 17}`
      tree.delete(gone)
      changes.push(`rm -f /w/${gone}`)
    }
    if (at % 50 === 49) {
      tree.clear()
      changes.push('rm -r /w && mkdir /w', 'echo new > /w/anew')
      tree.set('anew', 'new')
    }
    return `RUN mkdir -p /w && [ "$(${seen})" = "${expected}  -" ] && ${changes.join(' && ')}`
  })
}

describe('a Dockerfile of many steps', () => {
  it('sees in each of 600 steps what those before have left, on few directories', async () => {
    const lowers = `tr , '\\n' < /proc/mounts | grep -c lowerdir`
    const context = workspace.context('steps', {
      Dockerfile: [
        'FROM busybox:test',
        ...comparingSteps(600),
        `RUN [ $(${lowers}) -gt 20 ] && [ $(${lowers}) -lt 200 ]`,
      ].join('\n'),
    })
    const { executed } = await workspace.tsbuild.build(['--network', 'none', context])
    expect(executed).toHaveLength(601)
    const again = await workspace.tsbuild.build(['--network', 'none', context])
    expect(again.executed).toEqual([])
    // And no line of the progress is lost when the reader is slower than the build.
    expect(again.cached).toHaveLength(601)
  })

  it('of 500 stages, 300 of them upon each other, and 200 that one copies from', async () => {
    const depth = 300
    const width = 200
    const copied = Array.from({ length: width }, (_, at) => `s${at}`)
    const context = workspace.context('stages', {
      Dockerfile: [
        'FROM busybox:test AS d0',
        ...Array.from({ length: depth }, (_, at) => `FROM d${at} AS d${at + 1}\nENV E${at}=${at}`),
        ...copied.map((name) => `FROM scratch AS ${name}\nCOPY ${name} /${name}`),
        `FROM d${depth}`,
        ...copied.map((name) => `COPY --from=${name} /${name} /one-by-one/`),
        `COPY ${copied.join(' ')} /at-once/`,
        `RUN [ $(ls /one-by-one | wc -l) = ${width} ] && [ $(ls /at-once | wc -l) = ${width} ] && [ $E${depth - 1} = ${depth - 1} ]`,
      ].join('\n'),
      ...Object.fromEntries(copied.map((name) => [name, name])),
    })
    const { executed } = await workspace.tsbuild.build(['--network', 'none', context])
    expect(executed).toHaveLength(2 * width + 2)
  })
})
