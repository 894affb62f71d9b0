import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { requestOf } from './build-request.ts'
import type { BuildOptions } from './types.ts'

const request = (options: Partial<BuildOptions>) => requestOf({ context: '.', cwd: '/', ...options })

describe('requestOf()', () => {
  it('says nothing of what was not asked for', () => {
    expect(request({})).toEqual({ context: '.', dockerfile: null, target: null, tags: [], flags: [] })
  })

  it('says everything else as flags, of secrets and agents the ids alone', () => {
    const secret = async () => {
      throw new Error('The test did not expect the secret to be read')
    }
    const { flags } = request({
      platforms: ['linux/arm64'],
      buildContexts: { a: 'docker-image://b' },
      buildArgs: { VERSION: '2' },
      labels: { l: 'm' },
      noCache: true,
      noCacheFilter: ['one'],
      pull: true,
      secrets: { npm: secret },
      ssh: { default: { kind: 'agent', socket: '/run/agent' } },
      network: 'none',
      addHosts: ['h:1.2.3.4'],
      allow: ['network.host'],
      security: 'minimal',
      noNewPrivileges: true,
      userns: 'auto',
      limits: { memoryBytes: 1024, pids: 5 },
      stepLimits: { cpusetCpus: '0-1' },
      ulimits: [{ name: 'nofile', soft: 5, hard: undefined }],
      shmSizeBytes: 7,
      cgroupParent: '/c',
      timeoutMs: 90_000,
      stepTimeoutMs: 500,
      onError: 'cat log',
      outputs: [
        { type: 'oci', dest: '/o.tar', compression: { type: 'zstd', level: 3 } },
        { type: 'tar', dest: new PassThrough() },
        { type: 'cacheonly' },
      ],
      allowOutputs: ['buildx.local.delete'],
      annotations: [{ level: 'index', key: 'a', value: 'https://me:secret@host' }],
    })
    expect(flags).toEqual([
      '--platform linux/arm64',
      '--build-context a=docker-image://b',
      '--build-arg VERSION=2',
      '--label l=m',
      '--no-cache',
      '--no-cache-filter one',
      '--pull',
      '--secret id=npm',
      '--ssh default',
      '--network none',
      '--add-host h:1.2.3.4',
      '--allow network.host',
      '--security-opt minimal',
      '--security-opt no-new-privileges',
      '--userns auto',
      '--memory 1024',
      '--pids-limit 5',
      '--resource cpuset-cpus=0-1',
      '--ulimit nofile=5:-1',
      '--shm-size 7',
      '--cgroup-parent /c',
      '--timeout 1m30s',
      '--step-timeout 500ms',
      '--on-error cat log',
      '--output type=oci,dest=/o.tar,compression=zstd,compression-level=3',
      '--output type=tar,dest=-',
      '--output type=cacheonly',
      '--allow buildx.local.delete',
      '--annotation index:a=https://***@host',
    ])
  })

  it('has no secret: by name, by form, or in a URL', () => {
    const hidden = 'hunter2-hunter2'
    const { context, dockerfile, flags } = request({
      context: `https://me:${hidden}@host/r.git`,
      dockerfile: `https://host/f?token=${hidden}`,
      buildContexts: { src: `https://x:${hidden}@host/s.git`, KEY: hidden },
      buildArgs: {
        NPM_TOKEN: hidden,
        HTTP_PROXY: `http://u:${hidden}@proxy:3128`,
        PLAIN: `ghp_${'a'.repeat(36)}`,
        URL: `https://host/?access_token=${hidden}`,
      },
      onError: `curl https://u:${hidden}@host`,
    })
    const all = [context, dockerfile, ...flags].join('\n')
    expect(all).not.toContain(hidden)
    expect(all).not.toContain('ghp_')
    expect(all).toContain('--build-arg NPM_TOKEN=***')
    expect(all).toContain('https://***@host/r.git')
  })

  it('cuts values that nobody would read', () => {
    const [flag = ''] = request({ buildArgs: { A: 'x'.repeat(5000) } }).flags
    expect(flag).toHaveLength('--build-arg A='.length + 1001)
  })
})
