#!/bin/sh
':' //; exec node -- "$0" "$@"
// For the shell, the line above starts Node.js; here it is a string. Without the `--`, Node.js takes an `--env-file` of the
// command line for its own, wherever it stands: the variables of a container, NODE_OPTIONS too, would be the builder's.

// CommonJS: Node's ESM loader alone takes longer to start than all of this.
const nodeModule = require('node:module')

if (nodeModule.enableCompileCache === undefined) require('./load-bundle.js').loadBundle().exports.start()
else {
  // Node.js 22.1 and later keep compiled code by themselves; where is Node's choice (NODE_COMPILE_CACHE changes it).
  nodeModule.enableCompileCache()
  require('../dist/bundle/tsbuild.cjs').start()
}
