import type { FrontendWarning } from '@tsbuild/frontend'
import { describe, expect, it } from 'vitest'
import { judgeFrontend } from './judge-frontend.ts'

function judge(text: string, override?: string): readonly FrontendWarning[] {
  const warnings: FrontendWarning[] = []
  judgeFrontend({ text, file: 'Dockerfile', override, warn: (warning) => warnings.push(warning) })
  return warnings
}

describe('judgeFrontend()', () => {
  it.each([
    '',
    'FROM scratch\n',
    '# syntax=docker/dockerfile:1\n',
    '# syntax = docker.io/docker/dockerfile\n',
    '#syntax=dockerfile.v0\n',
  ])('judgeFrontend() accepts %j', (text) => {
    expect(judge(text)).toEqual([])
  })

  it('judgeFrontend() warns of the labs channel at its line', () => {
    expect(judge('# escape=`\n# syntax=docker/dockerfile:1-labs\n')).toMatchObject([
      { rule: 'SyntaxLabs', source: { file: 'Dockerfile', startLine: 2 } },
    ])
  })

  it.each([
    ['# syntax=example.test/x:1\nNOT A DOCKERFILE', 1],
    ['// syntax=example.test/x:1\n', 1],
    ['#!/usr/bin/env x\n# syntax=example.test/x:1\n', 2],
  ])('judgeFrontend() throws ERR_UNSUPPORTED for a foreign frontend: %j', (text, startLine) => {
    expect(() => judge(text)).toThrow(
      expect.objectContaining({
        kind: 'user',
        code: 'ERR_UNSUPPORTED',
        message: expect.stringContaining('"example.test/x:1"'),
        source: expect.objectContaining({ file: 'Dockerfile', startLine }),
        hints: [expect.stringContaining('# syntax=docker/dockerfile:1')],
      }),
    )
  })

  it('judgeFrontend() takes BUILDKIT_SYNTAX before the directive', () => {
    const text = '# syntax=example.test/x\n'
    expect(judge(text, 'docker/dockerfile:1')).toEqual([])
    expect(() => judge('FROM scratch\n', 'example.test/x args')).toThrow(
      expect.objectContaining({ code: 'ERR_UNSUPPORTED', source: undefined }),
    )
    expect(() => judge(text, '')).toThrow(expect.objectContaining({ code: 'ERR_UNSUPPORTED' }))
  })
})
