import { describe, expect, it } from 'vitest'
import { detectSyntax } from './syntax.ts'

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
