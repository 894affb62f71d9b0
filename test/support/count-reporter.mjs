// A vitest reporter that writes what run-all.mjs counts: one JSON file with every test, its state, time and skip reason.
import { writeFileSync } from 'node:fs'

export default class CountReporter {
  onTestRunEnd(modules, unhandledErrors) {
    const tests = modules.flatMap((module) => {
      const found = [...module.children.allTests()].map((test) => describeTest(module, test))
      const broken = module.errors().map((error) => failure(`${module.moduleId}: ${error.message}`))
      // A file that could not be loaded has no tests: it must count as a failure, not as nothing.
      const unloadable = module.state() === 'failed' && found.length === 0 && broken.length === 0
      return [...found, ...broken, ...(unloadable ? [failure(module.moduleId)] : [])]
    })
    const unhandled = unhandledErrors.map((error) => failure(`unhandled: ${error.message}`))
    const path = process.env.TSBUILD_TEST_COUNTS
    if (path !== undefined) writeFileSync(path, JSON.stringify([...tests, ...unhandled]))
  }
}

function describeTest(module, test) {
  const result = test.result()
  return {
    name: `${module.relativeModuleId ?? module.moduleId} > ${test.fullName}`,
    state: result.state,
    ms: Math.round(test.diagnostic()?.duration ?? 0),
    note: result.state === 'skipped' ? (result.note ?? test.options.mode) : undefined,
  }
}

function failure(name) {
  return { name, state: 'failed', ms: 0 }
}
