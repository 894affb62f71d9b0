#!/usr/bin/env node
import * as nodeModule from 'node:module'

// Node.js 22.1 and later keep the compiled code; the directory is Node's own choice (NODE_COMPILE_CACHE changes it).
nodeModule.enableCompileCache?.()
await import('../dist/bundle/tsbuild.js')
