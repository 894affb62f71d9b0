#!/bin/sh
':' //; exec node -- "$0" "$@"
// For the shell, the line above starts Node.js; here it is a string. Without the `--`, Node.js takes an `--env-file` of the
// command line for its own.
const nodeModule = require('node:module')

// Node.js 22.1 and later keep compiled code by themselves; where is Node's choice (NODE_COMPILE_CACHE changes it).
nodeModule.enableCompileCache?.()
require('../dist/bundle/cache-server.cjs').start()
