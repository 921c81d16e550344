// Builds the native half with cargo and puts it beside this file. npm runs it when the package is
// installed, from the registry's files or through a link to this folder.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const here = path.dirname(fileURLToPath(import.meta.url))
const workspace = path.dirname(here)
const target = path.join(here, 'native.node')

/** What cargo calls a file that it made or found up to date. */
const ARTIFACT = 'compiler-artifact'

if (existsSync(path.join(workspace, 'core', 'Cargo.toml'))) {
  install(compile())
} else if (!existsSync(target)) {
  fail(`${here} has neither a native.node nor the Rust sources beside it`)
}

/** Lets cargo, which knows what is up to date, build the library; gives the path of the file. */
function compile() {
  const format = 'json-render-diagnostics'
  const options = ['--package', 'batpak-node', '--release', '--message-format', format]
  const cargo = spawnSync('cargo', ['build', ...options], {
    cwd: workspace,
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
    maxBuffer: Infinity,
  })
  if (cargo.error?.code === 'ENOENT') {
    fail('cargo was not found. batpak is built from source: install Rust, then install it again')
  }
  if (cargo.error) throw cargo.error
  if (cargo.status !== 0) fail(`cargo build ended with ${cargo.status ?? cargo.signal}`)
  const libraries = cargo.stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line))
    .filter(({ reason, target: made }) => reason === ARTIFACT && made.name === 'batpak_node')
    .flatMap(({ filenames }) => filenames)
    .filter((file) => /\.(so|dylib|dll)$/.test(file))
  return libraries[0] ?? fail('cargo built no library')
}

/** A process that runs keeps the file that it loaded: the new one takes its name in one step. */
function install(library) {
  const bytes = readFileSync(library)
  if (existsSync(target) && readFileSync(target).equals(bytes)) return
  const temporary = `${target}.${process.pid}`
  try {
    writeFileSync(temporary, bytes, { mode: 0o755 })
    renameSync(temporary, target)
  } finally {
    rmSync(temporary, { force: true })
  }
}

function fail(message) {
  console.error(`batpak: ${message}`)
  process.exit(1)
}
