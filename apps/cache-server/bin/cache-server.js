#!/bin/sh
':' //; exec node -- "$0" "$@"
// For the shell, the line above starts Node.js; here it is a string. Without the `--`, Node.js takes an `--env-file` of the
// command line for its own.
const nodeModule = require('node:module')

// Threads of libuv wait for the disk in the server's place: with Node's four, four uploads that are being synced stop every read.
process.env.UV_THREADPOOL_SIZE ??= '16'

// Node.js 22.1 and later keep compiled code by themselves; where is Node's choice (NODE_COMPILE_CACHE changes it).
nodeModule.enableCompileCache?.()
require('../dist/bundle/cache-server.cjs').start()
