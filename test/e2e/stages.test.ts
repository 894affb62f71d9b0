import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openBusyboxWorkspace, readLine, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
beforeAll(async () => {
  workspace = await openBusyboxWorkspace('stages')
})
afterAll(() => workspace?.remove())

describe('stages', () => {
  it('that the target does not need are not built', async () => {
    const context = workspace.context('unneeded', {
      Dockerfile: [
        'FROM busybox:test AS used',
        'RUN echo used > /file',
        'FROM busybox:test AS unused',
        'RUN false',
        'FROM scratch',
        'COPY --from=used /file /file',
      ].join('\n'),
    })
    const steps = await workspace.tsbuild.build([context])
    expect(steps.executed).toHaveLength(2)
    expect(JSON.stringify(steps.events)).not.toContain('RUN false')
  })

  it('end at --target, by name and by number', async () => {
    const context = workspace.context('target', {
      Dockerfile: [
        'FROM busybox:test AS first',
        'RUN echo first > /file',
        'FROM first AS second',
        'RUN echo second > /file',
      ].join('\n'),
    })
    for (const target of ['first', '0']) {
      const out = workspace.path(`target-${target}`)
      await workspace.tsbuild.build(['--target', target, '-o', out, context])
      expect(readLine(join(out, 'file'))).toBe('first')
    }
  })

  it('that are independent run at the same time', async () => {
    // Each stage notes the kernel's clock before and after; neither number is compared with a duration.
    const stage = (name: string) => [
      `FROM busybox:test AS ${name}`,
      `RUN cut -d' ' -f1 /proc/uptime > /${name}-start; sleep 2; cut -d' ' -f1 /proc/uptime > /${name}-end`,
    ]
    const context = workspace.context('parallel', {
      Dockerfile: [
        ...stage('a'),
        ...stage('b'),
        'FROM scratch',
        'COPY --from=a /a-start /a-end /',
        'COPY --from=b /b-start /b-end /',
      ].join('\n'),
    })
    const out = workspace.path('parallel-out')
    await workspace.tsbuild.build(['-o', out, context])
    const at = (name: string) => Number(readLine(join(out, name)))
    expect(at('a-start')).toBeLessThan(at('b-end'))
    expect(at('b-start')).toBeLessThan(at('a-end'))
  })

  it('copy from an image by name', async () => {
    const context = workspace.context('image', {
      Dockerfile: 'FROM scratch\nCOPY --from=busybox:test /etc/passwd /passwd\n',
    })
    const out = workspace.path('image-out')
    await workspace.tsbuild.build(['-o', out, context])
    expect(readLine(join(out, 'passwd'))).toContain('root:x:0:0')
  })
})
