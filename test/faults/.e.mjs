// test/faults/injections.ts
// test/faults/rig.ts
import {
  existsSync as existsSync2,
  mkdirSync as mkdirSync3,
  mkdtempSync as mkdtempSync2,
  readdirSync as readdirSync4,
  readFileSync as readFileSync3,
  readFileSync as readFileSync6,
  rmSync as rmSync2,
  writeFileSync as writeFileSync3,
} from 'node:fs'
import { join as join5 } from 'node:path'

// test/support/repository.ts
import { fileURLToPath } from 'node:url'

var repository = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')

// test/support/tsbuild.ts
import { spawn } from 'node:child_process'
import { join } from 'node:path'

var command = join(repository, 'node_modules', '.bin', 'tsbuild')
function cleanEnvironment(own = {}) {
  const kept = ['PATH', 'TMPDIR', 'LANG', 'SSL_CERT_FILE', 'SSL_CERT_DIR', 'NODE_EXTRA_CA_CERTS']
  const proxies = Object.keys(process.env).filter((name) => /^(https?|no|all|ftp)_proxy$/i.test(name))
  const passed = Object.fromEntries([...kept, ...proxies].map((name) => [name, process.env[name]]))
  return { ...passed, HOME: '/nonexistent', ...own }
}
function start(program2, args, options = {}) {
  const child = spawn(program2, args, {
    cwd: options.cwd,
    env: cleanEnvironment(options.env),
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  child.stdin?.on('error', () => {})
  child.stdin?.end(options.input ?? '')
  let stdout = ''
  let stderr = ''
  const listeners = /* @__PURE__ */ new Set()
  child.stdout?.setEncoding('utf8').on('data', (text) => {
    stdout += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text) => {
    stderr += text
    for (const listener of listeners) listener()
  })
  const outcome = new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }))
  })
  const saw = (pattern) =>
    new Promise((resolve, reject) => {
      const look = () => {
        if (!pattern.test(stderr)) return
        listeners.delete(look)
        resolve()
      }
      listeners.add(look)
      look()
      outcome.then(
        () =>
          reject(
            new Error(`${program2} ended before ${pattern} was seen:
${stderr}`),
          ),
        reject,
      )
    })
  return { child, outcome, saw }
}
function run(program2, args, options = {}) {
  return start(program2, args, options).outcome
}
async function check(program2, args, options = {}) {
  const outcome = await run(program2, args, options)
  if (outcome.code !== 0) {
    const { stdout, stderr } = outcome
    throw new Error(
      `${program2} ${args.join(' ')}: exit code ${outcome.code ?? outcome.signal}
${stdout}
${stderr}`,
    )
  }
  return outcome.stdout
}
function tsbuildWith(root) {
  const withRoot = (options = {}) => ({
    ...options,
    env: { TSBUILD_ROOT: root, ...options.env },
  })
  return {
    root,
    start: (args, options) => start(command, args, withRoot(options)),
    run: (args, options) => run(command, args, withRoot(options)),
    check: (args, options) => check(command, args, withRoot(options)),
    build: async (args, options) => {
      const outcome = await run(command, ['--progress', 'json', ...args], withRoot(options))
      if (outcome.code !== 0)
        throw new Error(`tsbuild ${args.join(' ')}: exit code ${outcome.code}
${outcome.stderr}`)
      return readSteps(outcome.stderr)
    },
  }
}
var isStep = (name) => /\b(RUN|COPY|ADD|WORKDIR) /.test(name)
function readSteps(text) {
  const events = readEvents(text)
  const names = new Map(
    events.flatMap((event) => (event.type === 'vertex.planned' ? [[event.vertex, event.name]] : [])),
  )
  const named = (type) =>
    events.flatMap((event) => {
      if (event.type !== type || !('vertex' in event)) return []
      const name = names.get(event.vertex) ?? event.vertex
      return isStep(name) ? [name] : []
    })
  return {
    events,
    executed: named('vertex.completed'),
    cached: named('vertex.cached'),
    failed: named('vertex.failed'),
  }
}
function readEvents(text) {
  return text.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []))
}

// test/support/workspace.ts
// test/support/capabilities.ts
import {
  accessSync,
  chmodSync,
  constants,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { delimiter, dirname, join as join2, join as join3 } from 'node:path'

var unpacked = join2(repository, '.tsbuild-dev', 'programs')
function findProgram(name) {
  return [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin', unpacked]
    .map((folder) => join2(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK)
        return true
      } catch {
        return false
      }
    })
}

// test/support/workspace.ts
var storesFolder = process.env.TMPDIR ?? '/var/tmp'
function openWorkspace(name) {
  const folder = mkdtempSync(join3(storesFolder, `tsbuild-e2e-${name}-`))
  chmodSync(folder, 493)
  const path = (...parts) => join3(folder, ...parts)
  return {
    folder,
    path,
    tsbuild: tsbuildWith(path('store')),
    context: (contextName, files) => writeFiles(path(contextName), files),
    // The store holds files that only the helper may delete when it ran rootless; as root plain deletion does.
    remove: async () => rmSync(folder, { recursive: true, force: true }),
  }
}
async function openBusyboxWorkspace(name) {
  const workspace = openWorkspace(name)
  await addBusybox(workspace)
  return workspace
}
async function addBusybox(workspace) {
  const busybox = findProgram('busybox')
  if (busybox === void 0)
    throw new Error('busybox is not installed: scripts/setup.sh test installs busybox-static')
  const context = workspace.context('busybox', {
    Dockerfile: [
      'FROM scratch',
      'COPY --chmod=755 busybox /bin/busybox',
      'RUN ["/bin/busybox", "--install", "-s", "/bin"]',
      'COPY passwd group /etc/',
      'RUN mkdir -p -m 1777 /tmp && mkdir -p /root',
    ].join('\n'),
    passwd: 'root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000:web:/:/bin/sh\n',
    group: 'root:x:0:\nweb:x:1000:\n',
  })
  copyFileSync(busybox, join3(context, 'busybox'))
  await workspace.tsbuild.check(['-q', '-t', 'busybox:test', context])
}
function writeFiles(folder, files) {
  mkdirSync(folder, { recursive: true })
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join3(folder, name)), { recursive: true })
    writeFileSync(join3(folder, name), text)
  }
  return folder
}

// test/faults/corral.ts
import {
  existsSync,
  mkdirSync as mkdirSync2,
  readdirSync,
  readFileSync as readFileSync2,
  rmdirSync,
  writeFileSync as writeFileSync2,
} from 'node:fs'
import { join as join4 } from 'node:path'

var enter = 'for file in $1; do echo $$ > "$file"; done; shift; exec "$@"'
function makeCorral(name) {
  const folders = hierarchies().map((own) => join4(own, name))
  for (const folder of folders) makeCgroup(folder)
  const files = folders.map((folder) => join4(folder, 'cgroup.procs'))
  const all = () => folders.flatMap((folder) => [folder, ...below(folder)])
  const processes = () => [...new Set(all().flatMap(readProcesses))]
  const kill = async () => {
    for (let attempt = 0; attempt < 500 && processes().length > 0; attempt += 1) {
      for (const pid of processes()) if (pid > 0) killIfThere(pid)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
  return {
    words: ['/bin/sh', '-c', enter, 'sh', files.join(' ')],
    processes,
    cgroups: () => folders.flatMap(below),
    file: (controller, file) =>
      folders
        .map((folder) => join4(folder, file))
        .find((path) => path.includes(`/${controller}/`) && existsSync(path)),
    kill,
    remove: async () => {
      await kill()
      for (const folder of folders) for (const path of [...below(folder), folder]) rmdirIfEmpty(path)
    },
  }
}
function hierarchies() {
  const memberships = readFileSync2('/proc/self/cgroup', 'utf8').split('\n')
  const own = (controllers) =>
    memberships.map((line) => line.split(':')).find((fields) => fields[1] === controllers)?.[2] ?? '/'
  return readFileSync2('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [, , , root = '', point = ''] = line.split(' ')
      const [, kind, options] = / - (cgroup2?) \S+ (\S+)$/.exec(line) ?? []
      if (kind === void 0 || options === void 0 || root !== '/') return []
      const controllers = options
        .split(',')
        .filter((option) => option !== 'rw')
        .join(',')
      return [join4(point, own(kind === 'cgroup2' ? '' : controllers))]
    })
}
function makeCgroup(folder) {
  mkdirSync2(folder)
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    if (existsSync(join4(folder, file)))
      writeFileSync2(join4(folder, file), readFileSync2(join4(folder, '..', file), 'utf8'))
  }
}
function below(folder) {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .flatMap(({ name }) => [...below(join4(folder, name)), join4(folder, name)])
  } catch {
    return []
  }
}
function readProcesses(folder) {
  try {
    return readFileSync2(join4(folder, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number)
  } catch {
    return []
  }
}
function killIfThere(pid) {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {}
}
function rmdirIfEmpty(folder) {
  try {
    rmdirSync(folder)
  } catch {}
}

// test/faults/rig.ts
var program = [process.execPath, join5(repository, 'apps/tsbuild/bin/tsbuild.js')]
var helper = join5(repository, 'native/helper/bin/tsbuild-helper')
var trials = 0
async function inTrial({ template, store: given }, use) {
  trials += 1
  const folder = mkdtempSync2(join5(storesFolder, 'tsbuild-faults-trial-'))
  const corral = makeCorral(`tsbuild-faults-${process.pid}-${trials}`)
  const store = given ?? join5(folder, 'store')
  const path = (...parts) => join5(folder, ...parts)
  try {
    if (template !== void 0) await check('cp', ['-a', '--reflink=auto', template, store])
    if (template !== void 0 && given !== void 0) await check('sync', ['-f', store])
    return await use({
      folder,
      store,
      corral,
      path,
      start: (words, args, env) => {
        const [first = '', ...rest] = [...corral.words, ...words, ...program, ...args]
        return start(first, rest, {
          cwd: folder,
          env: { TSBUILD_ROOT: store, UV_THREADPOOL_SIZE: '1', ...env },
        })
      },
    })
  } finally {
    await corral.remove()
    rmSync2(store, { recursive: true, force: true })
    rmSync2(folder, { recursive: true, force: true })
  }
}
async function findLeft(trial, seconds = 1, mayStay = () => false) {
  const look = () => [
    ...trial.corral.processes().map((pid) => `process ${describeProcess(pid)}`),
    ...trial.corral.cgroups().map((path) => `cgroup ${path}`),
    ...readFileSync3('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => line.includes(trial.folder)),
  ]
  for (let attempt = 0; attempt < seconds * 50 && !look().every(mayStay); attempt += 1)
    await new Promise((resolve) => setTimeout(resolve, 20))
  return look()
}
function describeProcess(pid) {
  try {
    return `${pid} ${readFileSync3(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')}`
  } catch {
    return `${pid}, which has just ended`
  }
}
async function endOf(running, seconds = 60) {
  let hung = false
  const timer = setTimeout(() => {
    hung = true
    running.child.kill('SIGKILL')
  }, seconds * 1e3)
  try {
    return { ...(await running.outcome), hung }
  } finally {
    clearTimeout(timer)
  }
}
async function openRig(name) {
  const workspace = await openBusyboxWorkspace(`faults-${name}`)
  mkdirSync3(workspace.path('contexts'))
  return {
    workspace,
    busybox: workspace.tsbuild.root,
    context: (contextName, files) => writeFiles(workspace.path('contexts', contextName), files),
    remove: () => workspace.remove(),
  }
}
function tsbuild(store, args, env = {}) {
  const [node = '', ...rest] = program
  return run(node, [...rest, ...args], { env: { ...cleanEnvironment(), TSBUILD_ROOT: store, ...env } })
}
function wrapHelper(trial, target, words) {
  const path = trial.path('helper')
  const quoted = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ')
  const script = [
    '#!/bin/sh',
    `folder='${trial.folder}'`,
    'number=1',
    'while ! /bin/mkdir "$folder/helper-$number" 2>/dev/null; do number=$((number + 1)); done',
    ...(target === 0 ? [] : [`[ $number = ${target} ] || exec '${helper}'`]),
    `exec ${quoted.replaceAll('@FOLDER@', `'"$folder/helper-$number"'`)} '${helper}'`,
  ]
  writeFileSync3(
    path,
    `${script.join('\n')}
`,
    { mode: 493 },
  )
  return path
}

// test/faults/strace.ts
function straceWords(log, syscalls, inject, words) {
  const fault = ['-e', `inject=${inject}`]
  const what = ['-e', `trace=${syscalls.join()}`, ...(inject === void 0 ? ['-e', 'signal=none'] : fault)]
  return ['/usr/bin/strace', ...words, '-f', '-q', '-y', '-Y', '-s', '64', '-o', log, ...what]
}

// test/support/tree.ts
import { createHash } from 'node:crypto'
// test/faults/verdict.ts
import {
  lstatSync,
  readdirSync as readdirSync2,
  readFileSync as readFileSync4,
  readlinkSync,
  rmSync as rmSync3,
} from 'node:fs'
import { join as join6 } from 'node:path'

function describeTree(root, skip = []) {
  const firstOf = /* @__PURE__ */ new Map()
  const walk = (path) =>
    readdirSync2(join6(root, path))
      .toSorted()
      .map((name) => `${path}/${name}`)
      .filter((child) => !skip.includes(child))
      .flatMap((child) => {
        const line = describeFile(root, child, firstOf)
        return lstatSync(join6(root, child)).isDirectory() ? [line, ...walk(child)] : [line]
      })
  return walk('')
}
function describeFile(root, path, firstOf) {
  const absolute = join6(root, path)
  const stat = lstatSync(absolute)
  const mode = (stat.mode & 4095).toString(8).padStart(4, '0')
  const head = `${path} ${mode} ${stat.uid}:${stat.gid}`
  if (stat.isDirectory()) return `${head} directory`
  const inode = `${stat.dev}:${stat.ino}`
  const first = firstOf.get(inode)
  if (first !== void 0) return `${head} same as ${first}`
  firstOf.set(inode, path)
  if (stat.isSymbolicLink()) return `${path} ${stat.uid}:${stat.gid} symlink ${readlinkSync(absolute)}`
  if (stat.isFile())
    return `${head} file ${stat.size} ${createHash('sha256').update(readFileSync4(absolute)).digest('hex')}`
  if (stat.isFIFO()) return `${head} fifo`
  return `${head} device ${stat.rdev}`
}

// test/faults/fsck.ts
import { createHash as createHash2 } from 'node:crypto'
import {
  closeSync,
  lstatSync as lstatSync2,
  openSync,
  readdirSync as readdirSync3,
  readFileSync as readFileSync5,
  readSync,
} from 'node:fs'
import { join as join7 } from 'node:path'

function fsck(root, options) {
  const v1 = join7(root, 'v1')
  const committed = listCommitted(join7(v1, 'snapshots'))
  const corrupt = [
    ...checkVersion(root),
    ...list(join7(v1, 'blobs', 'sha256')).flatMap((name) =>
      checkBlob(join7(v1, 'blobs', 'sha256', name), name),
    ),
    ...[...committed].flatMap((id) => checkSnapshot(v1, id)),
    ...checkRecords(join7(v1, 'records'), committed),
    ...checkFileLists(join7(v1, 'files')),
    ...checkSources(join7(v1, 'sources')),
    ...checkImages(v1),
    ...list(join7(v1, 'failures')).flatMap((ref) => checkJson(join7(v1, 'failures', ref, 'failure.json'))),
    ...list(join7(v1, 'quarantine')).map((name) => `quarantine has ${name}`),
    ...checkMounts(join7(v1, 'mounts')),
    ...(options.noEmptyFiles
      ? [...committed].flatMap((id) => emptyFiles(join7(v1, 'snapshots', id, 'fs')))
      : []),
  ]
  return { corrupt, leaked: options.swept ? findLeaked(v1, committed) : [] }
}
function findLeaked(v1, committed) {
  const trees = join7(v1, 'sources', 'trees')
  return [
    ...list(join7(v1, 'ingest')).map(
      (name) => `ingest/${name}: ${list(join7(v1, 'ingest', name)).join(' ')}`,
    ),
    ...list(join7(v1, 'snapshots'))
      .filter((id) => !committed.has(id))
      .map((id) => `snapshots/${id} is a draft`),
    ...list(trees)
      .filter((id) => !isThere(join7(trees, id, 'source.json')))
      .map((id) => `sources/trees/${id} is a draft`),
  ]
}
function checkVersion(root) {
  const text = read(join7(root, 'version'))
  return text === void 0 || /^\d+\n?$/.test(text) ? [] : [`version is ${JSON.stringify(text)}`]
}
function checkBlob(path, hex) {
  const stat = lstatSync2(path)
  if (!stat.isFile() || !/^[0-9a-f]{64}$/.test(hex)) return [`blob ${hex} is no blob`]
  if ((stat.mode & 4095) !== 292) return [`blob ${hex} has mode ${(stat.mode & 4095).toString(8)}`]
  return hashOf(path) === hex ? [] : [`blob ${hex} has other bytes (${stat.size})`]
}
function checkSnapshot(v1, id) {
  const folder = join7(v1, 'snapshots', id)
  const layerPath = join7(folder, 'layer.json')
  const layer = isThere(layerPath) ? parse(layerPath) : {}
  const blobs = layer?.blobs ?? []
  return [
    ...checkJson(join7(folder, 'snapshot.json')),
    ...(isThere(join7(folder, 'fs')) ? [] : [`snapshot ${id} has no tree`]),
    ...(layer === void 0 ? [`snapshot ${id} has a broken layer.json`] : []),
    ...blobs.flatMap((blob) => checkDescriptor(v1, blob, `snapshot ${id}`)),
  ]
}
function checkDescriptor(v1, { digest, size }, whose) {
  const stat = lstatSync2(join7(v1, 'blobs', 'sha256', digest.replace('sha256:', '')), {
    throwIfNoEntry: false,
  })
  if (stat?.size === size) return []
  return [`${whose} names ${digest} of ${size} bytes, there are ${stat?.size ?? 'none'}`]
}
function checkRecords(folder, committed) {
  const fits = /* @__PURE__ */ new Map()
  const wrong = []
  for (const shard of list(folder)) {
    for (const name of list(join7(folder, shard))) {
      const record = parse(join7(folder, shard, name))
      const hex = name.replace(/\.json$/, '')
      const snapshot = record?.stored?.snapshot ?? record?.snapshot
      if (record === void 0 || !/^[0-9a-f]{64}$/.test(hex) || shard !== hex.slice(0, 2))
        wrong.push(`record ${name} is broken`)
      else if (snapshot !== void 0 && !committed.has(snapshot))
        (process.env.DBG && console.log(readFileSync2(join2(folder, shard, name), 'utf8')), 0) ||
          wrong.push(`record ${name} names ${snapshot}, which is not committed`)
      else if (record.op !== void 0 && record.outputKey !== void 0)
        fits.set(record.outputKey, (fits.get(record.outputKey) ?? false) || keysOf(record).includes(hex))
    }
  }
  return [
    ...wrong,
    ...[...fits].filter(([, fit]) => !fit).map(([key]) => `no record of ${key} has the key of its content`),
  ]
}
function keysOf({ op, inputs = [] }) {
  const encoded = inputs.map(({ kind, key, selector, digest }) =>
    kind === 'content'
      ? { content: digest }
      : kind === 'source'
        ? { source: key, selector }
        : { key, selector },
  )
  const text = canonical({ op, inputs: encoded })
  return ['tsbuild.definition.v1', 'tsbuild.content.v1'].map((domain) =>
    createHash2('sha256')
      .update(`${domain}
${text}`)
      .digest('hex'),
  )
}
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join()}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members = Object.entries(value).filter(([, member]) => member !== void 0)
  return `{${members
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`)
    .join()}}`
}
function checkFileLists(folder) {
  return list(folder)
    .filter((hex) => hashOf(join7(folder, hex)) !== hex)
    .map((hex) => `file list ${hex} has other bytes`)
}
function checkSources(folder) {
  const names = list(join7(folder, 'names')).flatMap((name) => {
    const entry = parse(join7(folder, 'names', name))
    if (entry?.tree === void 0) return [`source name ${name} is broken`]
    return isThere(join7(folder, 'trees', entry.tree, 'source.json'))
      ? []
      : [`source name ${name} has no tree`]
  })
  const trees = list(join7(folder, 'trees')).map((id) => join7(folder, 'trees', id, 'source.json'))
  return [...names, ...trees.filter(isThere).flatMap(checkJson)]
}
function checkImages(v1) {
  const path = join7(v1, 'index.json')
  if (!isThere(path)) return []
  const index = parse(path)
  if (index?.manifests === void 0) return ['index.json is broken']
  return index.manifests.flatMap((manifest) => {
    const whose = manifest.annotations?.['io.containerd.image.name'] ?? manifest.digest
    const wrong = checkDescriptor(v1, manifest, whose)
    if (wrong.length > 0) return wrong
    const { config, layers = [] } = parse(join7(v1, 'blobs', 'sha256', manifest.digest.slice(7)))
    return [config, ...layers].flatMap((blob) => checkDescriptor(v1, blob, whose))
  })
}
function checkMounts(folder) {
  return list(folder).flatMap((name) =>
    list(join7(folder, name)).flatMap((number) => checkJson(join7(folder, name, number, 'meta.json'))),
  )
}
function checkJson(path) {
  return parse(path) === void 0 ? [`${path} is broken or missing`] : []
}
function listCommitted(folder) {
  return new Set(list(folder).filter((id) => isThere(join7(folder, id, 'snapshot.json'))))
}
function emptyFiles(folder) {
  return readdirSync3(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join7(parentPath, name))
    .filter((path) => lstatSync2(path).size === 0)
    .map((path) => `${path} is empty`)
}
function parse(path) {
  try {
    const value = JSON.parse(readFileSync5(path, 'utf8'))
    return typeof value === 'object' && value !== null ? value : void 0
  } catch {
    return void 0
  }
}
function read(path) {
  return isThere(path) ? readFileSync5(path, 'utf8') : void 0
}
function isThere(path) {
  return lstatSync2(path, { throwIfNoEntry: false }) !== void 0
}
function list(folder) {
  return isThere(folder) ? readdirSync3(folder) : []
}
function hashOf(path) {
  const hash = createHash2('sha256')
  const piece = Buffer.alloc(1024 * 1024)
  const fd = openSync(path, 'r')
  try {
    for (let length = readSync(fd, piece); length > 0; length = readSync(fd, piece))
      hash.update(piece.subarray(0, length))
  } finally {
    closeSync(fd)
  }
  return hash.digest('hex')
}

// test/faults/verdict.ts
async function judge(scenario2, trial, point, before, wasReached, deadHelper = false) {
  const isSwept = (what) => deadHelper && what.startsWith('cgroup ')
  const left = await findLeft(trial, 1, isSwept)
  const reached = wasReached()
  await trial.corral.kill()
  const first = fsck(trial.store, { swept: false, noEmptyFiles: true })
  const outside = (await scenario2.outside?.(trial)) ?? []
  const again = await rebuild(scenario2, trial, before)
  if (trial.corral.cgroups().length > 0) await endOf(trial.start([], scenario2.anew(trial)))
  const last = fsck(trial.store, { swept: true, noEmptyFiles: true })
  return {
    point,
    reached,
    lost: again.lost,
    corrupt: [...first.corrupt, ...outside, ...again.problems, ...last.corrupt],
    leaked: [...left.filter((what) => !isSwept(what)), ...last.leaked, ...(await findLeft(trial))],
  }
}
async function rebuild(scenario2, trial, before) {
  rmSync3(trial.path('tree'), { recursive: true, force: true })
  const { code, stderr, hung } = await endOf(trial.start([], scenario2.rebuild(trial)))
  const steps = readSteps(stderr)
  const done = readSteps(before.stderr.replace(/\n[^\n]*$/, '\n'))
  const executed = steps.executed.filter((name) => !name.includes('] LINK ')).map(bare)
  const problems =
    code === 0
      ? compare(scenario2.tree, describeTree(trial.path('tree')))
      : [`the next build ${hung ? 'hung' : `ended with ${code}`}: ${lastWords(stderr)}`]
  return {
    lost:
      code === 0 ? [...done.executed, ...done.cached].filter((name) => executed.includes(bare(name))) : [],
    problems,
  }
}
var bare = (name) => name.replace(/^\[[^\]]*\] /, '')
function compare(expected, found) {
  return [
    ...expected.filter((line) => !found.includes(line)).map((line) => `missing: ${line}`),
    ...found.filter((line) => !expected.includes(line)).map((line) => `unexpected: ${line}`),
  ]
}
function lastWords(stderr) {
  return stderr
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('{'))
    .join('\n')
    .slice(-1e3)
}

// test/faults/injections.ts
function failAt(injection) {
  return inTrial(injection.scenario, async (trial) => {
    const { scenario: scenario2, victim, syscall, when, error } = injection
    scenario2.prepare?.(trial)
    const name = `${scenario2.name}, ${victim === 'builder' ? victim : `helper ${victim}`}, ${syscall} ${when} ${error}`
    const log = victim === 'builder' ? trial.path('log') : trial.path(`helper-${victim}`, 'log')
    const inject = `${syscall}:error=${error}:when=${when}`
    const words = (path, own) => straceWords(path, [syscall], inject, own)
    const before = await endOf(
      victim === 'builder'
        ? trial.start(words(log, ['-b', 'execve']), scenario2.args(trial))
        : trial.start([], scenario2.args(trial), {
            TSBUILD_HELPER: wrapHelper(trial, victim, words('@FOLDER@/log', ['-D'])),
          }),
    )
    const verdict = await judge(scenario2, trial, name, before, () => hitsStore(log, trial.store))
    if (!verdict.reached) return { ...verdict, lost: [], corrupt: [], leaked: [] }
    return { ...verdict, corrupt: [...verdict.corrupt, ...faultsOfEnd(syscall, before)] }
  })
}
function hitsStore(log, store) {
  if (!existsSync2(log)) return false
  const begun = /* @__PURE__ */ new Map()
  const injected = []
  for (const line of readFileSync6(log, 'utf8').split('\n')) {
    const thread = line.split(/[< ]/)[0] ?? ''
    if (line.includes('<unfinished ...>')) begun.set(thread, line)
    if (line.includes('(INJECTED)'))
      injected.push(line.includes(' resumed>') ? (begun.get(thread) ?? '') : line)
  }
  return injected.length > 0 && injected.every((line) => line.includes(store))
}
function faultsOfEnd(syscall, end) {
  const how = `the builder ${end.hung ? 'hung' : `ended with ${end.code ?? end.signal}`}: ${lastWords(end.stderr)}`
  if (end.hung || end.code === null || ![0, 1, 3].includes(end.code)) return [how]
  if (end.code === 0) return /sync/.test(syscall) ? [`though ${syscall} failed, ${how}`] : []
  return /\[ERR_[A-Z_]+\]/.test(end.stderr) ? [] : [how]
}

// test/faults/kill-points.ts
import {
  existsSync as existsSync3,
  readdirSync as readdirSync5,
  readFileSync as readFileSync7,
} from 'node:fs'

var builderWords = ['-b', 'execve']
var helperWords = ['-D']
async function killAt(point) {
  for (let attempt = 1; ; attempt += 1) {
    const verdict = await inTrial(point.scenario, (trial) => killOnce(point, trial))
    if (verdict.reached || attempt === 3) return verdict
  }
}
async function killOnce(point, trial) {
  const { scenario: scenario2, victim, syscall, when } = point
  const name = `${scenario2.name}, ${victim === 'builder' ? victim : `helper ${victim}`}, ${syscall} ${when}`
  scenario2.prepare?.(trial)
  const inject = `${syscall}:signal=SIGKILL:when=${when}`
  if (victim === 'builder') {
    const words2 = straceWords(trial.path('log'), [syscall], inject, builderWords)
    const before2 = await endOf(trial.start(words2, scenario2.args(trial)))
    return judge(scenario2, trial, name, before2, () => before2.signal === 'SIGKILL' && !before2.hung)
  }
  const words = straceWords('@FOLDER@/log', [syscall], inject, helperWords)
  const before = await endOf(
    trial.start([], scenario2.args(trial), { TSBUILD_HELPER: wrapHelper(trial, victim, words) }),
  )
  const log = trial.path(`helper-${victim}`, 'log')
  const verdict = await judge(scenario2, trial, name, before, () => wasKilled(log), true)
  const ended = before.code !== null && [0, 1, 3].includes(before.code)
  return ended
    ? verdict
    : {
        ...verdict,
        corrupt: [
          ...verdict.corrupt,
          `the builder ${before.hung ? 'hung' : `ended with ${before.code ?? before.signal}`}: ${lastWords(before.stderr)}`,
        ],
      }
}
function wasKilled(log) {
  return existsSync3(log) && /\+\+\+ killed by SIGKILL/.test(readFileSync7(log, 'utf8'))
}

// test/support/registry-process.ts
import { spawn as spawn2 } from 'node:child_process'
// test/faults/scenarios.ts
import { randomBytes } from 'node:crypto'
import {
  copyFileSync as copyFileSync2,
  existsSync as existsSync4,
  mkdirSync as mkdirSync4,
  mkdirSync as mkdirSync5,
  readFileSync as readFileSync9,
  writeFileSync as writeFileSync4,
  writeFileSync as writeFileSync5,
} from 'node:fs'
// test/support/free-port.ts
import { createServer } from 'node:net'
import { basename, join as join8, join as join9 } from 'node:path'

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() =>
        typeof address === 'object' && address !== null
          ? resolve(address.port)
          : reject(new Error('no port')),
      )
    })
  })
}

// test/support/registry-process.ts
async function startRegistry(folder, auth) {
  const program2 = findProgram('docker-registry')
  if (program2 === void 0) throw new Error('docker-registry is not installed')
  mkdirSync4(folder, { recursive: true })
  const host = `127.0.0.1:${await freePort()}`
  const config = join8(folder, 'config.yml')
  writeFileSync4(config, JSON.stringify(configuration(folder, host, auth)))
  const child = spawn2(program2, ['serve', config], { stdio: ['ignore', 'pipe', 'pipe'] })
  let log = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      log += text
    })
  }
  await answers(`http://${host}/v2/`, child, () => log)
  return {
    host,
    requests: () =>
      [...log.matchAll(/"(GET|HEAD|PUT|POST|PATCH|DELETE) (\S+) HTTP\/[\d.]+" (\d+)/g)].map(
        ([, method, path, status]) => `${method} ${path} ${status}`,
      ),
    forget: () => {
      log = ''
    },
    stop: () => stopProcess(child),
  }
}
function configuration(folder, host, auth) {
  return {
    version: 0.1,
    log: { level: 'warn', accesslog: { disabled: false } },
    storage: { filesystem: { rootdirectory: join8(folder, 'data') } },
    http: { addr: host },
    ...(auth === void 0 ? {} : { auth: authConfiguration(folder, auth) }),
  }
}
function authConfiguration(folder, auth) {
  if (auth.type === 'basic') {
    writeFileSync4(join8(folder, 'htpasswd'), auth.htpasswd)
    return { htpasswd: { realm: 'tests', path: join8(folder, 'htpasswd') } }
  }
  const { realm, service, issuer, certificates } = auth
  return { token: { realm, service, issuer, rootcertbundle: certificates } }
}
async function answers(url, child, log) {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    if (child.exitCode !== null)
      throw new Error(`docker-registry ended with exit code ${child.exitCode}
${log()}`)
    const response = await fetch(url).catch(() => void 0)
    await response?.arrayBuffer()
    if (response !== void 0) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`docker-registry does not answer
${log()}`)
}
function stopProcess(child) {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    child.once('exit', () => resolve())
    child.kill('SIGTERM')
  })
}

// test/faults/tar-problems.ts
import { readFileSync as readFileSync8, statSync } from 'node:fs'

async function tarProblems(path) {
  const listed = await run('tar', ['-tf', path])
  if (listed.code !== 0) return [`${path} is no whole tar: ${listed.stderr}`]
  const end = readFileSync8(path).subarray(statSync(path).size - 1024)
  if (end.some((byte) => byte !== 0)) return [`${path} has no end`]
  const blobs = listed.stdout.split('\n').filter((name) => /^blobs\/sha256\/[0-9a-f]{64}$/.test(name))
  const wrong = []
  for (const blob of blobs) {
    const hash = await run('sh', ['-c', 'tar -xOf "$1" "$2" | sha256sum', 'sh', path, blob])
    if (!hash.stdout.startsWith(blob.slice('blobs/sha256/'.length))) wrong.push(`${path} has another ${blob}`)
  }
  return wrong
}

// test/faults/scenarios.ts
var sixSteps = [
  'FROM busybox:test',
  'COPY one two /src/',
  'RUN --mount=type=cache,target=/cache echo cached >> /cache/file && cp /src/one /copied',
  'RUN <<EOF',
  'echo from a heredoc > /heredoc',
  'ln -s heredoc /link',
  'EOF',
  'COPY <<EOF /etc/written',
  'written by the Dockerfile',
  'EOF',
  'WORKDIR /work',
  'RUN rm /src/two && echo end > end',
]
async function makeScenarios(rig2) {
  const registry = await startRegistry(rig2.workspace.path('registry'))
  const context = rig2.context('six-steps', { Dockerfile: sixSteps.join('\n'), one: 'one\n' })
  writeFileSync5(join9(context, 'two'), randomBytes(3e5))
  const pulling = rig2.context('pulling', {
    Dockerfile: `FROM ${registry.host}/app:1
RUN cat /copied /work/end > /both
`,
  })
  const built = await copyStore(rig2, rig2.busybox, 'built')
  await must(built, ['-t', `${registry.host}/app:1`, '--push', context])
  const first = rig2.context('first', firstImage)
  copyFileSync2(findProgram('busybox') ?? '', join9(first, 'busybox'))
  const failing = rig2.context('failing', {
    Dockerfile: [...sixSteps, 'RUN echo kept > /kept; false'].join('\n'),
    one: 'one\n',
  })
  copyFileSync2(join9(context, 'two'), join9(failing, 'two'))
  mkdirSync5(rig2.workspace.path('empty'))
  const of = (name, template, from) => scenario(rig2, template, name, from)
  const six = await of('build', rig2.busybox, context)
  const all = [
    await of('first', rig2.workspace.path('empty'), first),
    six,
    await of('stages', rig2.busybox, await stagesContext(rig2)),
    { ...six, name: 'failing', code: 1, args: () => ['--progress', 'json', failing] },
    await of('pull', rig2.busybox, pulling),
    {
      ...six,
      name: 'push',
      template: built,
      args: (trial) => ['--progress', 'json', '-t', `${registry.host}/${nameOf(trial)}`, '--push', context],
      rebuild: (trial) => [
        ...['--progress', 'json', '-t', `${registry.host}/${nameOf(trial)}`, '--push'],
        ...['-o', trial.path('tree'), context],
      ],
    },
    await exporting(rig2, built, context),
  ]
  return { all, stop: () => registry.stop() }
}
var nameOf = (trial) => basename(trial.folder).toLowerCase()
var firstImage = {
  Dockerfile:
    'FROM scratch\nCOPY busybox /bin/\nRUN ["/bin/busybox", "touch", "-d", "2020-01-01", "/bin/busybox"]\n',
}
async function stagesContext(rig2) {
  const context = rig2.context('stages', {
    Dockerfile: [
      'FROM busybox:test AS left',
      'RUN echo left > /left',
      'FROM busybox:test AS right',
      'RUN --mount=type=bind,target=/context cat /context/packed/inside > /right',
      'FROM busybox:test',
      'ADD packed.tar.gz /unpacked/',
      'COPY --link --from=left /left /from/',
      'COPY --from=right --chown=7:8 --chmod=640 /right /from/',
      'RUN --mount=type=tmpfs,target=/mnt cat /from/* > /mnt/both && cp /mnt/both /both',
    ].join('\n'),
    'packed/inside': 'inside\n',
  })
  await check('tar', ['-C', context, '-czf', join9(context, 'packed.tar.gz'), 'packed'])
  return context
}
async function scenario(rig2, template, name, context) {
  return {
    name,
    template,
    code: 0,
    args: () => ['--progress', 'json', '-t', `${name}:1`, context],
    rebuild: (trial) => ['--progress', 'json', ...both(`${name}:1`, trial), context],
    anew: () => ['--no-cache', context],
    tree: await treeOf(rig2, template, context),
  }
}
var both = (name, trial) => ['-t', name, '-o', 'type=image', '-o', trial.path('tree')]
var oldArchive = 'what was there before\n'
async function exporting(rig2, template, context) {
  return {
    name: 'export',
    template,
    code: 0,
    prepare: (trial) => writeFileSync5(trial.path('out.tar'), oldArchive),
    args: (trial) => [
      ...['--progress', 'json', '-o', `type=oci,dest=${trial.path('out.tar')},compression=zstd`],
      ...['-o', `type=tar,dest=${trial.path('files.tar')}`, '-o', trial.path('files'), context],
    ],
    outside: async (trial) => [
      ...(readFileSync9(trial.path('out.tar'), 'latin1') === oldArchive
        ? []
        : await tarProblems(trial.path('out.tar'))),
      ...(existsSync4(trial.path('files.tar')) ? await tarProblems(trial.path('files.tar')) : []),
    ],
    rebuild: (trial) => ['--progress', 'json', ...both('export:1', trial), context],
    anew: () => ['--no-cache', context],
    tree: await treeOf(rig2, template, context),
  }
}
var copies = 0
async function copyStore(rig2, from, name) {
  copies += 1
  const path = rig2.workspace.path(`${name}-${copies}`)
  await check('cp', ['-a', '--reflink=auto', from, path])
  return path
}
async function treeOf(rig2, template, context) {
  const store = await copyStore(rig2, template, 'expected')
  await must(store, ['-o', `${store}-tree`, context])
  return describeTree(`${store}-tree`)
}
async function must(store, args) {
  const { code, stderr } = await tsbuild(store, args)
  if (code !== 0)
    throw new Error(`tsbuild ${args.join(' ')}: exit code ${code}
${stderr}`)
}

// test/faults/.e.mts
var rig = await openRig('dbg')
var s = await makeScenarios(rig)
try {
  const [, , name, victim, syscall, when, error] = process.argv
  const sc = s.all.find((x) => x.name === name)
  const p = {
    scenario: sc,
    victim: victim === 'builder' ? 'builder' : Number(victim),
    syscall,
    when: Number(when),
  }
  console.log(JSON.stringify(error ? await failAt({ ...p, error }) : await killAt(p)))
} finally {
  await s.stop()
  await rig.remove()
}
