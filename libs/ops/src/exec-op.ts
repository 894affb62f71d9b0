import type { Digest } from '@tsbuild/digest'
import type { EventSink } from '@tsbuild/events'
import type { Process } from '@tsbuild/executor'
import type { ExecOp } from '@tsbuild/graph'
import type { ExecuteContext, StepOp } from '@tsbuild/solver'
import { endFailedStep } from './keep-failure.ts'
import { createOutputTail } from './output-tail.ts'
import { mountScripts } from './script-mounts.ts'
import { stepFailed, usageEvent } from './step-end.ts'
import { executedLayer, filesystemOf, loadLayer } from './stored-layer.ts'
import type { OpResult, OpsOptions } from './types.ts'

/*
 * The key of an exec op, `exec.v2`: args, cwd, env in order, the names of extra hosts in order, hostname, network,
 * platform, scripts in order with path and text, user. Not in it: proxy variables, extra hosts' addresses, extra
 * certificate authorities, limits.
 * spec/dockerfile.md 2.6; its golden digest is in exec-op.test.ts.
 */
export function execOp(op: ExecOp, options: OpsOptions): StepOp<OpResult> {
  const { args, cwd, env, extraHosts, hostname, network, platform, user } = op
  const scripts = op.scripts.map(({ path, content }) => ({ path, content }))
  const hasRootfs = op.rootfs !== undefined
  return {
    kind: 'step',
    key: {
      kind: 'exec.v2',
      args,
      cwd,
      env,
      extraHosts: extraHosts.map(({ name }) => name),
      hostname,
      network,
      platform,
      scripts,
      user,
    },
    inputs: hasRootfs ? [{}] : [],
    pure: false,
    bases: hasRootfs ? [0] : [],
    load: (stored, bases) => loadLayer(stored, filesystemOf(bases[0]), options.hasSnapshot),
    execute: (inputs, context) => execute(op, options, inputs, context),
  }
}

async function execute(
  op: ExecOp,
  options: OpsOptions,
  inputs: readonly OpResult[],
  context: ExecuteContext,
) {
  const base = filesystemOf(inputs[0])
  const snapshot = await options.snapshotter.prepare(base, context.signal, options.layerOf(context.vertex))
  const tail = createOutputTail()
  const send = logger(context.vertex.digest, context.events, options.now)
  const output = {
    kind: 'callbacks',
    onStdout: (data: Buffer) => {
      tail.push(data)
      send('stdout', data)
    },
    onStderr: (data: Buffer) => {
      tail.push(data)
      send('stderr', data)
    },
  } as const
  let process: Process | undefined
  try {
    const mounts = await mountScripts(op.scripts, options)
    process = {
      ...op,
      root: snapshot.root,
      mounts,
      ulimits: [],
      shmSizeBytes: op.shmSizeBytes ?? null,
      readOnly: false,
      terminal: false,
    }
    const finishing = { ...snapshot.finishing, signal: context.signal }
    const { outcome, finished } = options.executor.run(process, output, finishing)
    const ended = await outcome
    context.events(usageEvent(context.vertex.digest, ended, options.now()))
    if (ended.exitCode !== 0) {
      // Its tree may be deleted when nothing works in it any more.
      await finished
      throw stepFailed({ op, outcome: ended, lastLines: tail.lines(), executor: options.executor })
    }
    return executedLayer(base, snapshot, { createdAt: options.now(), finished })
  } catch (error) {
    if (process !== undefined)
      throw await endFailedStep({ op, inputs, snapshot, process, output, tail, context, error }, options)
    await snapshot.release()
    throw error
  }
}

function logger(vertex: Digest, events: EventSink, now: () => number) {
  return (stream: 'stdout' | 'stderr', data: Uint8Array) =>
    events({ type: 'vertex.log', vertex, stream, data, at: now() })
}
