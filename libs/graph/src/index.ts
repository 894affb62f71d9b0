export type { GraphBuilder, VertexOptions } from './builder.ts'
export { createGraphBuilder, vertexDigest } from './builder.ts'
export { literalPattern } from './literal-pattern.ts'
export { mergeGraphs } from './merge-graphs.ts'
export type {
  Entitlement,
  ExecMount,
  ExecOp,
  ExtraHost,
  FileAction,
  FileOp,
  GitOp,
  Graph,
  HttpOp,
  ImageLayer,
  ImageOp,
  InputIndex,
  LocalOp,
  MergedGraph,
  MergeOp,
  Op,
  ScriptFile,
  Ulimit,
  Vertex,
} from './types.ts'
export { entitlementsOf } from './types.ts'
