import { isDigest } from '@tsbuild/digest'
import { isRecord, parseJson } from '@tsbuild/shape'
import { maxKeys } from './limits.ts'
import { digest, keyValue } from './shapes.ts'
import type { PlanInput, PlanKnownInput, PlanRequest, PlanStep } from './types.ts'

/** The most inputs of all steps of a plan together. */
const maxInputs = 20 * maxKeys

/** Reads `POST /v1/plan`; undefined for what is none: an input that stands behind its reader among it. */
export function parsePlan(written: string): PlanRequest | undefined {
  const value = parseJson(written)
  if (!isRecord(value) || !Array.isArray(value.steps) || value.steps.length > maxKeys) return undefined
  const steps: PlanStep[] = []
  let inputs = 0
  for (const [place, each] of value.steps.entries()) {
    const step = readStep(each, place)
    inputs += step?.inputs.length ?? 0
    if (step === undefined || inputs > maxInputs) return undefined
    steps.push(step)
  }
  return { steps }
}

function readStep(value: unknown, place: number): PlanStep | undefined {
  if (!isRecord(value) || !Array.isArray(value.inputs) || value.inputs.length > maxInputs) return undefined
  const { kind, op, outputKey } = value
  if ((kind !== 'step' && kind !== 'view') || op === undefined || !isValue(op)) return undefined
  if (outputKey !== undefined && !digest(outputKey)) return undefined
  const inputs = value.inputs.map((input) => readInput(input, place))
  if (!inputs.every((input) => input !== undefined)) return undefined
  return { kind, op, inputs, ...(isText(outputKey) && isDigest(outputKey) ? { outputKey } : {}) }
}

function readInput(value: unknown, place: number): PlanInput | undefined {
  if (!isRecord(value)) return undefined
  if (value.kind === 'known') {
    const input = readKnown(value.input)
    return input && { kind: 'known', input }
  }
  const { kind, step, selector } = value
  if (kind !== 'step' || typeof step !== 'number' || !Number.isSafeInteger(step)) return undefined
  if (step < 0 || step >= place || !isValue(selector)) return undefined
  return { kind, step, ...(selector === undefined ? {} : { selector }) }
}

function readKnown(value: unknown): PlanKnownInput | undefined {
  if (!isRecord(value) || !isValue(value.selector)) return undefined
  const { kind, key, selector } = value
  const selected = selector === undefined ? {} : { selector }
  switch (kind) {
    case 'result':
      return isText(key) && isDigest(key) ? { kind, key, ...selected } : undefined
    case 'source':
      return key !== undefined && isValue(key) ? { kind, key, ...selected } : undefined
    case 'content':
      return isText(value.digest) && isDigest(value.digest) ? { kind, digest: value.digest } : undefined
    default:
      return undefined
  }
}

const isText = (value: unknown): value is string => typeof value === 'string'

const isValue = (value: unknown): value is PlanStep['op'] => value === undefined || keyValue(value)
