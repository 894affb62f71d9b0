export { textStream } from './text-stream.ts'
