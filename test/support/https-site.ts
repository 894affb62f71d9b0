import { createHash, randomUUID } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { join, relative } from 'node:path'
import { gzipSync } from 'node:zlib'
import { packNpm, packumentOf } from './npm-registry.ts'
import { makeTar } from './tar.ts'
import { check } from './tsbuild.ts'
import { writeFiles } from './workspace.ts'
import { makeZip } from './zip.ts'

/** A certificate authority of this test run, with a server certificate for 127.0.0.1. */
export interface Authority {
  /** The folder of `ca.pem`, `ca.key`, `crl.pem`, `server.pem` and `server.key`. */
  readonly folder: string
  /** Its certificate, as a file. */
  readonly file: string
  /** In no other certificate; its bytes stand in the DER form. */
  readonly name: string
}

/** An HTTPS server on loopback with something for each package tool. */
export interface HttpsSite {
  /** `https://127.0.0.1:port` */
  readonly url: string
  readonly stop: () => Promise<void>
}

/** Makes an authority, with openssl. */
export async function makeAuthority(folder: string): Promise<Authority> {
  const name = `tsbuild authority ${randomUUID()}`
  writeFiles(folder, {
    'extensions.cnf': 'subjectAltName=IP:127.0.0.1\n',
    'crl.cnf': '[ca]\ndefault_ca=own\n[own]\ndatabase=index.txt\ndefault_md=sha256\ndefault_crl_days=2\n',
    'index.txt': '',
  })
  const openssl = (line: string, ...rest: readonly string[]) =>
    check('openssl', [...line.split(' '), ...rest], { cwd: folder })
  const request = 'req -newkey rsa:2048 -nodes'
  await openssl(`${request} -x509 -days 2 -keyout ca.key -out ca.pem -subj`, `/CN=${name}`)
  await openssl(`${request} -subj /CN=127.0.0.1 -keyout server.key -out server.csr`)
  const signed = 'x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2'
  await openssl(`${signed} -extfile extensions.cnf -out server.pem`)
  await openssl('ca -gencrl -config crl.cnf -keyfile ca.key -cert ca.pem -out crl.pem')
  return { folder, file: join(folder, 'ca.pem'), name }
}

/** Starts the site with the authority's server certificate. `folder` gets the git repositories. */
export async function startHttpsSite(authority: Authority, folder: string): Promise<HttpsSite> {
  const read = (name: string) => readFileSync(join(authority.folder, name))
  const files = new Map<string, Buffer>()
  const server = createServer({ key: read('server.key'), cert: read('server.pem') }, (request, response) => {
    const body = files.get(decodeURIComponent(new URL(request.url ?? '', 'https://x').pathname))
    response.setHeader('content-type', request.url?.startsWith('/simple/') ? 'text/html' : 'application/json')
    response.writeHead(body === undefined ? 404 : 200).end(body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const url = `https://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
  const add = (path: string, body: string | Buffer) => files.set(path, Buffer.from(body))
  add('/file', 'trusted\n')
  add('/crl.pem', read('crl.pem'))
  addNpm(add, url)
  addPython(add)
  addGo(add)
  const crate = addCrate(add)
  const index = {
    'config.json': `{"dl":"${url}/crates/{crate}-{version}.crate"}`,
    'tr/us/trusted-crate': crate,
  }
  await addRepository(add, join(folder, 'index'), '/index.git', index)
  await addRepository(add, join(folder, 'repository'), '/repository.git', { 'README.md': 'trusted\n' })
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  return { url, stop }
}

type Add = (path: string, body: string | Buffer) => void

function addNpm(add: Add, url: string): void {
  const one = { name: 'trusted-npm', version: '1.0.0', files: { 'index.js': 'module.exports = 1\n' } }
  const packed = packNpm(one)
  add('/npm/trusted-npm/-/1.0.0.tgz', packed)
  add('/npm/trusted-npm', JSON.stringify(packumentOf(one, packed, `${url}/npm/trusted-npm/-/1.0.0.tgz`)))
}

function addPython(add: Add): void {
  const wheel = 'trusted_pip-1.0-py3-none-any.whl'
  const info = 'trusted_pip-1.0.dist-info'
  add('/simple/trusted-pip/', `<!DOCTYPE html><a href="/wheels/${wheel}">${wheel}</a>`)
  add(
    `/wheels/${wheel}`,
    makeZip({
      'trusted_pip.py': 'trusted = True\n',
      [`${info}/METADATA`]: 'Metadata-Version: 2.1\nName: trusted-pip\nVersion: 1.0\n',
      [`${info}/WHEEL`]: 'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
      [`${info}/RECORD`]: '',
    }),
  )
}

function addGo(add: Add): void {
  const mod = 'module example.test/trusted\n'
  const at = '/go/example.test/trusted/@v/v1.0.0'
  const inside = 'example.test/trusted@v1.0.0'
  add(`${at}.info`, '{"Version":"v1.0.0"}')
  add(`${at}.mod`, mod)
  add(`${at}.zip`, makeZip({ [`${inside}/go.mod`]: mod, [`${inside}/trusted.go`]: 'package trusted\n' }))
}

/** Adds a crate; gives its line in the index. */
function addCrate(add: Add): string {
  const manifest = '[package]\nname = "trusted-crate"\nversion = "1.0.0"\n'
  const data = gzipSync(
    makeTar([
      { name: 'trusted-crate-1.0.0/Cargo.toml', data: manifest },
      { name: 'trusted-crate-1.0.0/src/lib.rs', data: '' },
    ]),
  )
  add('/crates/trusted-crate-1.0.0.crate', data)
  const cksum = createHash('sha256').update(data).digest('hex')
  const line = { name: 'trusted-crate', vers: '1.0.0', deps: [], cksum, features: {}, yanked: false }
  return `${JSON.stringify(line)}\n`
}

/** Adds a repository as plain files, which git clones from without a program on the server. */
async function addRepository(add: Add, folder: string, at: string, files: Readonly<Record<string, string>>) {
  writeFiles(folder, files)
  const identity = ['-c', 'user.name=t', '-c', 'user.email=t@example.test']
  const git = (...args: readonly string[]) => check('git', [...identity, ...args], { cwd: folder })
  await git('init', '-q', '-b', 'main')
  await git('add', '.')
  await git('commit', '-q', '-m', 'first')
  await git('update-server-info')
  const root = join(folder, '.git')
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    add(`${at}/${relative(root, path)}`, readFileSync(path))
  }
}
