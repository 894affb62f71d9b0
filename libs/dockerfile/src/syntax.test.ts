import { describe, expect, it } from 'vitest'
import { detectSyntax, judgeSyntax } from './syntax.ts'

describe('detectSyntax()', () => {
  it.each([
    ['# syntax=docker/dockerfile:1\nFROM a', 'docker/dockerfile:1', 1],
    ['\ufeff#SYNTAX = x extra\r\nFROM a', 'x', 1],
    ['# escape=`\n# syntax=x\nFROM a', 'x', 2],
    ['#!/bin/env x\n# syntax=x', 'x', 2],
    ['// syntax=x\n{', 'x', 1],
    ['{"syntax": "x y", "a": 1}', 'x', 1],
  ])('finds that of %j', (text, image, line) => {
    expect(detectSyntax(text)).toMatchObject({ image, line })
  })

  it.each([
    '',
    'FROM a',
    '# c\n# syntax=x',
    '\n# syntax=x',
    '# other=1\n# syntax=x',
    '{"syntax": 1}',
    '{"syntax": "x"',
    '[]',
  ])('finds none in %j', (text) => {
    expect(detectSyntax(text)).toBeNull()
  })
})

describe('judgeSyntax()', () => {
  const digest = `sha256:${'0'.repeat(64)}`
  it.each<[string, ReturnType<typeof judgeSyntax>]>([
    ['dockerfile.v0', { kind: 'builtin' }],
    ['docker/dockerfile', { kind: 'standard', tag: null, digest: null }],
    ['docker/dockerfile:1', { kind: 'standard', tag: '1', digest: null }],
    ['docker/dockerfile:1.26.0', { kind: 'standard', tag: '1.26.0', digest: null }],
    ['docker/dockerfile:1.0-experimental', { kind: 'standard', tag: '1.0-experimental', digest: null }],
    [`docker/dockerfile@${digest}`, { kind: 'standard', tag: null, digest }],
    [`docker/dockerfile:1@${digest}`, { kind: 'standard', tag: '1', digest }],
    ['docker.io/docker/dockerfile:1', { kind: 'standard', tag: '1', digest: null }],
    ['index.docker.io/docker/dockerfile:1', { kind: 'standard', tag: '1', digest: null }],
    ['docker/dockerfile-upstream:master', { kind: 'standard', tag: 'master', digest: null }],
    ['docker.io/docker/dockerfile-upstream', { kind: 'standard', tag: null, digest: null }],
    ['docker/dockerfile:labs', { kind: 'labs', tag: 'labs', digest: null }],
    ['docker/dockerfile:1-labs', { kind: 'labs', tag: '1-labs', digest: null }],
    ['docker/dockerfile:1.20.0-labs', { kind: 'labs', tag: '1.20.0-labs', digest: null }],
    [`docker/dockerfile-upstream:master-labs@${digest}`, { kind: 'labs', tag: 'master-labs', digest }],
  ])('takes %s for what it is', (image, judgement) => {
    expect(judgeSyntax(image)).toEqual(judgement)
  })

  it.each([
    '',
    'dockerfile',
    'dockerfile.v1',
    'library/dockerfile',
    'ghcr.io/docker/dockerfile:1',
    'docker.io.example.com/docker/dockerfile',
    'evil/docker/dockerfile',
    'docker/dockerfile/x',
    'docker/dockerfile2',
    'docker/Dockerfile',
    'docker/dockerfile:',
    'docker/dockerfile:-labs',
    'docker/dockerfile@sha256:0',
    'docker/dockerfile:1 ',
    'docker/dockerfile:1\n',
    'tonistiigi/dockerfile:runmount20180925',
    'https://docker.io/docker/dockerfile',
    'crazymax/dockerfile-labs',
  ])('takes %j for foreign', (image) => {
    expect(judgeSyntax(image)).toEqual({ kind: 'foreign' })
  })
})
