import type { CommandModule as ModuleOf, CommandRow as RowOf } from '@tsbuild/command-line'
import type { Host } from './host.ts'

/** A command's module. */
export type CommandModule = ModuleOf<Host>

/** One row of the table of commands. */
export type CommandRow = RowOf<Host>

/** Every command, in the order of the overview. */
export const commands: readonly CommandRow[] = [
  {
    name: 'build',
    usage: '[build] [flags] CONTEXT',
    summary: 'Build an image from a Dockerfile',
    load: () => import('./commands/build.ts'),
  },
  {
    name: 'run',
    usage: 'run IMAGE [ARGS...]',
    summary: 'Run a program in a throw-away copy of an image',
    load: () => import('./commands/run.ts'),
  },
  {
    name: 'explain',
    usage: 'explain [REF] [STEP]',
    summary: 'Say why steps of a build ran',
    load: () => import('./commands/explain.ts'),
  },
  {
    name: 'shell',
    usage: 'shell [REF] [-- COMMAND...]',
    summary: 'Open a shell where a step failed',
    load: () => import('./commands/shell.ts'),
  },
  {
    name: 'history',
    usage: 'history [ls|show|logs|export|rm]',
    summary: 'Show what earlier builds did',
    load: () => import('./commands/history.ts'),
  },
  {
    name: 'logs',
    usage: 'logs [REF [STEP]]',
    summary: 'Print what a step wrote, all of it',
    load: () => import('./commands/logs.ts'),
  },
  {
    name: 'pull',
    usage: 'pull NAME...',
    summary: 'Bring images of a registry into the local list',
    load: () => import('./commands/pull.ts'),
  },
  {
    name: 'push',
    usage: 'push NAME...',
    summary: 'Send local images to their registry',
    load: () => import('./commands/push.ts'),
  },
  {
    name: 'tag',
    usage: 'tag SOURCE TARGET',
    summary: 'Give a local image one more name',
    load: () => import('./commands/tag.ts'),
  },
  {
    name: 'images',
    usage: 'images [NAME]',
    summary: 'List local images',
    load: () => import('./commands/images.ts'),
  },
  {
    name: 'rmi',
    usage: 'rmi NAME...',
    summary: 'Remove names from the local images',
    load: () => import('./commands/rmi.ts'),
  },
  {
    name: 'compare',
    usage: 'compare A B',
    summary: 'Say what differs between two images',
    load: () => import('./commands/compare.ts'),
  },
  {
    name: 'inspect',
    usage: 'inspect IMAGE',
    summary: 'Say what is known of an image',
    load: () => import('./commands/inspect.ts'),
  },
  {
    name: 'save',
    usage: 'save NAME...',
    summary: 'Write local images into an archive',
    load: () => import('./commands/save.ts'),
  },
  {
    name: 'load',
    usage: 'load',
    summary: 'Bring the images of an archive into the local list',
    load: () => import('./commands/load.ts'),
  },
  {
    name: 'copy',
    usage: 'copy FROM TO',
    summary: 'Copy an image between registries, layouts and archives',
    load: () => import('./commands/copy.ts'),
  },
  {
    name: 'index',
    usage: 'index create|inspect',
    summary: 'Make an index of images in a registry',
    load: () => import('./commands/image-index.ts'),
  },
  {
    name: 'login',
    usage: 'login [REGISTRY]',
    summary: 'Check credentials for a registry and keep them',
    load: () => import('./commands/login.ts'),
  },
  {
    name: 'logout',
    usage: 'logout [REGISTRY]',
    summary: 'Forget the credentials for a registry',
    load: () => import('./commands/logout.ts'),
  },
  {
    name: 'search',
    usage: 'search TERM',
    summary: 'Find images in a registry, or list the tags of one',
    load: () => import('./commands/search.ts'),
  },
  {
    name: 'du',
    usage: 'du',
    summary: 'Say what images and the cache take on the disk',
    load: () => import('./commands/du.ts'),
  },
  {
    name: 'prune',
    usage: 'prune',
    summary: 'Remove cache that is not needed',
    load: () => import('./commands/prune.ts'),
  },
  {
    name: 'sign',
    usage: 'sign --key KEY IMAGE...',
    summary: 'Sign images of a registry',
    load: () => import('./commands/sign.ts'),
  },
  {
    name: 'attest',
    usage: 'attest --key KEY IMAGE',
    summary: 'Say something about an image and sign it',
    load: () => import('./commands/attest.ts'),
  },
  {
    name: 'verify-image',
    usage: 'verify-image --key KEY IMAGE...',
    summary: 'Verify signatures of images',
    load: () => import('./commands/verify-image.ts'),
  },
  {
    name: 'generate-key-pair',
    usage: 'generate-key-pair',
    summary: 'Make a key pair for signatures',
    load: () => import('./commands/generate-key-pair.ts'),
  },
  {
    name: 'bootstrap',
    usage: 'bootstrap IMAGE',
    summary: "Make a base image from a distribution's packages",
    load: () => import('./commands/bootstrap.ts'),
  },
  {
    name: 'verify',
    usage: 'verify [--repair]',
    summary: 'Check everything in the store, and mend what is damaged',
    load: () => import('./commands/verify.ts'),
  },
  {
    name: 'doctor',
    usage: 'doctor',
    summary: 'Say what this machine can do and what it lacks',
    load: () => import('./commands/doctor.ts'),
  },
]
