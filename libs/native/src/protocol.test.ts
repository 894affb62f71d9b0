import type { Writable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { createNative, type Envelope, type Native, parseReply, type Reply } from './index.ts'
import { answering, fakeHelper } from './testing/fake-helper.ts'
import { goldens } from './testing/goldens.ts'

const replies = goldens('reply').map(({ name, value }) => [name, value as Reply] as const)
const envelopes = goldens('envelope').map(({ name, value }) => [name, value as Envelope] as const)

/** Every copy of `value` in which one object, at any depth, is changed by `change`. */
function mutations(
  value: unknown,
  change: (members: Record<string, unknown>) => readonly Record<string, unknown>[],
): readonly unknown[] {
  if (typeof value !== 'object' || value === null) return []
  if (Array.isArray(value)) {
    return value.flatMap((item, index) =>
      mutations(item, change).map((changed) => value.with(index, changed)),
    )
  }
  const members = value as Record<string, unknown>
  const below = Object.entries(members).flatMap(([name, member]) =>
    mutations(member, change).map((changed) => ({ ...members, [name]: changed })),
  )
  return [...change(members), ...below]
}

function expectRefused(reply: Reply, change: Parameters<typeof mutations>[1]): void {
  const changed = mutations(reply, change)
  expect(changed.length).toBeGreaterThan(0)
  for (const value of changed) {
    const line = JSON.stringify(value)
    expect(() => parseReply(line), line).toThrow(expect.objectContaining({ code: 'ERR_HELPER_PROTOCOL' }))
  }
}

describe('parseReply()', () => {
  it.each(replies)('reads golden %s', (_, reply) => {
    expect(parseReply(JSON.stringify(reply))).toEqual(reply)
  })

  it.each(replies)('refuses golden %s without one of its members', (_, reply) => {
    expectRefused(reply, (members) =>
      Object.keys(members).map((name) => {
        const { [name]: _dropped, ...rest } = members
        return rest
      }),
    )
  })

  it.each(replies)('refuses golden %s with one more member', (_, reply) => {
    expectRefused(reply, (members) =>
      ['surplus', '__proto__', 'toString'].map((name) => withMember(members, name)),
    )
  })

  it.each(replies)('refuses golden %s with a member of another type', (_, reply) => {
    expectRefused(reply, (members) =>
      Object.keys(members).map((name) => ({ ...members, [name]: { no: 'no' } })),
    )
  })

  it.each([
    ['a negative number', '{"event":"progress","bytes":-1}'],
    ['a fraction', '{"event":"progress","bytes":0.5}'],
    ['a number that JavaScript cannot hold', '{"event":"progress","bytes":9007199254740993}'],
    ['an unknown event', '{"event":"toString"}'],
    ['an unknown outcome', '{"event":"result","result":{"op":"constructor"}}'],
    ['an unknown kind', '{"event":"error","kind":"us","code":"ERR_INTERNAL","message":"m","errno":null}'],
    ['a list', '[]'],
    ['no JSON', 'Segmentation fault'],
    ['nothing', ''],
  ])('refuses %s', (_, line) => {
    expect(() => parseReply(line)).toThrow(expect.objectContaining({ code: 'ERR_HELPER_PROTOCOL' }))
  })

  it('shows at most 200 characters of what it refuses', () => {
    expect(() => parseReply('x'.repeat(5000))).toThrow(/reply: "x{200}"$/)
  })
})

/** As JSON.parse makes it: `__proto__` is a member like any other. */
function withMember(members: Record<string, unknown>, name: string): Record<string, unknown> {
  return JSON.parse(JSON.stringify(members).replace(/\}$/, `,${JSON.stringify(name)}:null}`)) as Record<
    string,
    unknown
  >
}

/** Makes the call that must write this request. */
function perform(native: Native, { request, joinUserNamespace }: Envelope, out: Writable): Promise<unknown> {
  switch (request.op) {
    case 'probe':
      return native.probe()
    case 'session':
      // A helper that only answers is over before it is asked to end.
      return native.session(request).ended.catch(() => {})
    case 'scan':
      return native.scan(request.tree, request.selections, { manifests: request.manifest })
    case 'copy': {
      const { root, owners, actions, finish } = request
      const options = { owners: owners ?? undefined, finish: finish ?? undefined }
      return native.copy(root, actions, options).finished
    }
    case 'read':
      return native.read(request.tree, request.paths, { maxBytes: request.maxBytes })
    case 'find': {
      const { op: _op, tree, ...wanted } = request
      return native.find(tree, wanted)
    }
    case 'apply': {
      const { op: _op, finish, ...layer } = request
      return finish === null ? native.apply(layer, 1) : native.applyStaged(layer, 1, { finish }).finished
    }
    case 'diff': {
      const { op: _op, ...layer } = request
      return native.diff(layer, 1)
    }
    case 'convert': {
      const { op: _op, ...layer } = request
      return native.convert(layer, { from: 0, to: 1 })
    }
    case 'concat':
      return native.concat(request.parts, 1)
    case 'merge':
      return native.merge(request.lower, request.target)
    case 'export': {
      const { root, dest } = request
      return dest.kind === 'tar' ? native.exportTar(root, out) : native.exportDirectory(root, dest.path)
    }
    case 'run': {
      const { op: _op, stdin, finish, ...program } = request
      const output = stdin
        ? ({ kind: 'fds', stdin: 0, stdout: 1, stderr: 2 } as const)
        : ({ kind: 'callbacks', onStdout: () => {}, onStderr: () => {} } as const)
      const namespaces = joinUserNamespace ? { userFd: 0 } : undefined
      return native.run(program, output, { finish: finish ?? undefined, namespaces }).finished
    }
    case 'content':
      return native.content(request.trees)
    case 'sync':
      return native.sync(request.paths)
    case 'remove':
      return native.remove(request.paths)
    case 'usage':
      return native.usage(request.paths)
  }
}

/** What follows a result where no layer is asked for. */
function following(request: Envelope['request']): readonly unknown[] {
  if (!('finish' in request) || request.finish === null) return []
  return [...(request.finish.content ? [{ event: 'content', digest: null }] : []), { event: 'durable' }]
}

describe('createNative()', () => {
  it.each(envelopes)('writes golden %s', async (_, envelope) => {
    const result = goldens('reply').find(({ name }) => name === `reply-result-${envelope.request.op}`)?.value
    const helper = fakeHelper(answering(result, ...following(envelope.request)))
    const native = createNative({ helperPath: helper.path, idMap: envelope.idMap ?? undefined })
    const { PassThrough } = await import('node:stream')
    await perform(native, envelope, new PassThrough())
    expect(helper.asked()).toEqual(envelope)
  })

  it('has a golden for every request and every reply', () => {
    const ops = new Set(envelopes.map(([, { request }]) => request.op))
    const results = new Set(
      replies.flatMap(([, reply]) => (reply.event === 'result' ? [reply.result.op] : [])),
    )
    expect(results).toEqual(ops)
    expect(ops.size).toBe(17)
    expect(new Set(replies.map(([, { event }]) => event)).size).toBe(10)
  })
})
