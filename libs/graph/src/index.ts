export type { GraphBuilder, VertexOptions } from './builder.ts'
export { createGraphBuilder, vertexDigest } from './builder.ts'
export type {
  ExecOp,
  ExtraHost,
  FileAction,
  FileOp,
  Graph,
  ImageLayer,
  ImageOp,
  InputIndex,
  LocalOp,
  Op,
  Vertex,
} from './types.ts'
