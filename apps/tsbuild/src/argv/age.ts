export { parseAge } from '@tsbuild/command-line'
