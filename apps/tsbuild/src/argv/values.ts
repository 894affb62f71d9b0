export { collect, keyValues, oneOf } from '@tsbuild/command-line'
