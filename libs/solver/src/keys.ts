import { type Digest, digestKey, type KeyValue } from '@tsbuild/digest'
import type { RecordedInput } from './types.ts'

/*
 * The keys of a step. Each is the SHA-256 of its domain, a line feed, and the canonical JSON (libs/digest) of:
 *
 *   definition  tsbuild.definition.v1  {"inputs":[input…],"op":<StepOp.key>}
 *   output      tsbuild.output.v2      {"bases":[input…],"content":<digest of what was put upon them>}, where that is known
 *               tsbuild.output.v1      {"definition":<definition key>,"result":<stored result>}, else and after forced runs
 *
 * where an input is {"key":<output key>} for a step, {"source":<SourceOp.key>} for a source, both with "selector" where
 * only a part is read, and {"content":<digest>} for what is read of an input. docs/dev/cache-keys.md says what each op puts into its key.
 */

/**
 * Names a step by its op and by what its inputs count as. The content key of a step is made in the same way, of the content
 * that it reads in the place of the keys of those inputs: where a directory of the host gives the same files, it is the same.
 */
export function definitionKey(op: KeyValue, inputs: readonly RecordedInput[]): Digest {
  return digestKey('tsbuild.definition.v1', { op, inputs: inputs.map(encode) })
}

/** Names one result of a step that may give another result each time. */
export function outputKey(definition: Digest, stored: KeyValue): Digest {
  return digestKey('tsbuild.output.v1', { definition, result: stored })
}

/** Names a result by what was put upon which bases: whoever makes the same, in whatever way, counts as the same. */
export function layerKey(bases: readonly RecordedInput[], content: Digest): Digest {
  return digestKey('tsbuild.output.v2', { bases: bases.map(encode), content })
}

function encode(input: RecordedInput): KeyValue {
  switch (input.kind) {
    case 'result':
      return { key: input.key, selector: input.selector }
    case 'source':
      return { source: input.key, selector: input.selector }
    case 'content':
      return { content: input.digest }
  }
}
