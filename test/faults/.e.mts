import { countInjections, failAt } from './injections.ts'
import { killAt } from './kill-points.ts'
import { openRig } from './rig.ts'
import { makeScenarios } from './scenarios.ts'

const rig = await openRig('dbg')
const s = await makeScenarios(rig)
try {
  const [, , name, victim, syscall, when, error] = process.argv
  const sc = s.all.find((x) => x.name === name)!
  const p = {
    scenario: sc,
    victim: victim === 'builder' ? 'builder' : Number(victim),
    syscall,
    when: Number(when),
  } as any
  console.log(JSON.stringify(error ? await failAt({ ...p, error }) : await killAt(p)))
} finally {
  await s.stop()
  await rig.remove()
}
