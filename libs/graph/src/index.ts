export type { GraphBuilder, VertexOptions } from './builder.ts'
export { createGraphBuilder, vertexDigest } from './builder.ts'
export type {
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
  MergeOp,
  Op,
  ScriptFile,
  Vertex,
} from './types.ts'
