#!/usr/bin/env node
// CommonJS: Node's ESM loader alone takes longer to start than all of this.
const nodeModule = require('node:module')

if (nodeModule.enableCompileCache === undefined) require('./load-bundle.js').loadBundle().exports.start()
else {
  // Node.js 22.1 and later keep compiled code by themselves; where is Node's choice (NODE_COMPILE_CACHE changes it).
  nodeModule.enableCompileCache()
  require('../dist/bundle/tsbuild.cjs').start()
}
