import { parseDigest } from '@tsbuild/digest'
import type { ExecOp } from '@tsbuild/graph'
import type { ExecuteContext, StepOp } from '@tsbuild/solver'
import { execInputs, execKey } from './exec-key.ts'
import { openMounts } from './exec-mounts.ts'
import { processOf } from './exec-process.ts'
import { readSecrets, type StepSecrets } from './exec-secrets.ts'
import { endFailedStep } from './keep-failure.ts'
import { createOutputTail } from './output-tail.ts'
import { secretsAbout, warnOfChangedSecrets } from './secret-digests.ts'
import { createSecretMasks } from './secret-mask.ts'
import { stepFailed, usageEvent } from './step-end.ts'
import { executedLayer, filesystemOf, loadLayer } from './stored-layer.ts'
import type { OpResult, OpsOptions } from './types.ts'

/** A `RUN`: a process in a new layer, which is what it leaves there; what it mounts is in no layer. */
export function execOp(op: ExecOp, inputCount: number, options: OpsOptions): StepOp<OpResult> {
  return {
    kind: 'step',
    key: execKey(op, () => options.secretDigests),
    // Asked for where the step has to run, and for nothing that is cached.
    get about() {
      const secrets = secretsAbout(op, () => options.secretDigests)
      return { build: options.build, args: op.argNames ?? [], secrets }
    },
    maxAgeMs: op.maxAgeMs,
    found: (record, context) => warnOfChangedSecrets(op, record, context, options),
    inputs: execInputs(op, inputCount, options),
    pure: false,
    bases: op.rootfs === undefined ? [] : [op.rootfs],
    load: (stored, bases) => loadLayer(stored, filesystemOf(bases[0]), options),
    execute: (inputs, context) => execute(op, options, inputs, context),
  }
}

async function execute(
  op: ExecOp,
  options: OpsOptions,
  inputs: readonly OpResult[],
  context: ExecuteContext,
) {
  // First, because nothing can be done without them.
  const secrets = await readSecrets(op.mounts, options)
  const base = filesystemOf(op.rootfs === undefined ? undefined : inputs[op.rootfs])
  const snapshot = await options.snapshotter.prepare(base, context.signal, options.layerOf(context.vertex))
  const output = stepOutput(secrets, options, context)
  try {
    const mounts = await openMounts(op, secrets, inputs, options, context)
    const run = async () => {
      const process = { ...processOf(op, mounts, secrets), root: snapshot.root }
      const finishing = { ...snapshot.finishing, signal: context.signal }
      const { outcome, content, finished } = options.executor.run(process, output, finishing)
      return { end: await outcome, content, finished }
    }
    // They are free when the process has ended, in whatever way; its layer may still be written then.
    const { end, content, finished } = await run().finally(() => mounts.close())
    output.end()
    context.events(usageEvent(context.vertex.digest, end, options.now()))
    if (end.exitCode !== 0) {
      // Its tree may be deleted when nothing works in it any more.
      await finished
      throw stepFailed({ op, outcome: end, lastLines: output.lastLines(), executor: options.executor })
    }
    const executed = executedLayer(base, snapshot, { createdAt: options.now(), content, finished })
    const digest = await content
    return { ...executed, content: digest === undefined ? undefined : parseDigest(digest) }
  } catch (error) {
    throw await endFailedStep({ op, inputs, snapshot, output, context, error }, options)
  }
}

/** What the process writes, on its way to events and to the error that it may end with, its secrets masked. */
function stepOutput(secrets: StepSecrets, { now }: OpsOptions, { vertex, events }: ExecuteContext) {
  const tail = createOutputTail()
  const createMask = createSecretMasks(secrets.values.values())
  const streamOf = (stream: 'stdout' | 'stderr') => {
    const mask = createMask()
    const send = (data: Buffer) => {
      if (data.length === 0) return
      tail.push(data)
      events({ type: 'vertex.log', vertex: vertex.digest, stream, data, at: now() })
    }
    return { push: (chunk: Buffer) => send(mask.push(chunk)), end: () => send(mask.end()) }
  }
  const [stdout, stderr] = [streamOf('stdout'), streamOf('stderr')]
  return {
    kind: 'callbacks',
    onStdout: stdout.push,
    onStderr: stderr.push,
    end: () => {
      stdout.end()
      stderr.end()
    },
    endsLine: () => tail.endsLine(),
    lastLines: () => tail.lines(),
  } as const
}
