export { badValue, parseSize, parseWhole } from '@tsbuild/command-line'
