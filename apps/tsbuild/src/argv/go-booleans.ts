export { goBoolean, goBooleans } from '@tsbuild/command-line'
