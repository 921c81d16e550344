// Runs behaviour scripts, which `tests/scripts/README.md` describes:
//     node runner.mjs [--sync] [--dir DIR --section K] FILE...
// `--sync` uses the methods that end in `Sync` instead of those that give Promises.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import {
  BatpakError, Store, errorKinds, inspect, inspectSync, repair, repairSync,
} from 'batpak'
import { fileCommands } from './script/files.mjs'
import {
  compactLine, compactOptions, copyLine, damaged, diffWords, dropLine, eventLine, intactLine, isYes, name,
  newEvent, openOptions, payloadText, query, receiptLine, region, repairLines, reportWords, shortLine, when, words,
} from './script/words.mjs'

const { values: flags, positionals: files } = parseArgs({
  allowPositionals: true,
  options: {
    sync: { type: 'boolean', default: false },
    dir: { type: 'string' },
    section: { type: 'string', default: '0' },
  },
})

/** Runs a script, or one section of it; gives its first difference, if there is one. */
async function runFile(file) {
  const sections = parse(fs.readFileSync(file, 'utf8'))
  const directory = flags.dir ?? fs.mkdtempSync(path.join(os.tmpdir(), 'batpak-script-'))
  const machine = new Machine(directory)
  try {
    for (const steps of flags.dir ? [sections[Number(flags.section)]] : sections) {
      for (const step of steps) {
        const found = await machine.run(step.command)
        if (found.join('\n') !== step.expected.join('\n')) return difference(file, step, found)
      }
      await machine.closeAll()
    }
  } finally {
    await machine.closeAll()
    if (!flags.dir) fs.rmSync(directory, { recursive: true, force: true })
  }
}

/** The sections of a script, each a list of { command, line, expected }. */
function parse(text) {
  const sections = [[]]
  const lines = text.split('\n').map((content, index) => ({ content, line: index + 1 }))
  const useful = lines.filter(({ content }) => content !== '' && !content.startsWith('#'))
  for (let next = 0; next < useful.length; next += 1) {
    const { content, line } = useful[next]
    if (content.startsWith('== ')) {
      // What is before the first heading is a section only if it holds a command.
      if (sections.length > 1 || sections[0].length > 0) sections.push([])
    } else if (content.startsWith('= ')) {
      sections.at(-1).at(-1).expected.push(content.slice(2))
    } else {
      const command = [content]
      if (/^(batch|stage)( |$)/.test(content)) {
        while (useful[(next += 1)].content !== 'end') command.push(useful[next].content)
      }
      sections.at(-1).push({ command, line, expected: [] })
    }
  }
  return sections
}

function difference(file, { command, line, expected }, found) {
  const show = (title, lines) => [`${title}:`, ...lines.map((text) => `  = ${text}`)]
  const rest = [...show('expected', expected), ...show('found', found)]
  return [`FAIL ${file}:${line}`, ...command.map((text) => `  ${text}`), ...rest].join('\n')
}

/** Calls a method in the form that the flags ask for. */
function call(target, method, ...values) {
  return target[flags.sync ? `${method}Sync` : method](...values)
}

/** What a script has set up so far. */
class Machine {
  #directory
  #variables = {}
  #opened = []
  #handles = {}
  #fences = {}
  #gates = []
  #gateOptions = {}

  constructor(directory) {
    this.#directory = directory
  }

  async closeAll() {
    for (const fence of Object.keys(this.#fences)) this.#drop(fence)
    for (const store of this.#opened.splice(0)) await call(store, 'close')
    this.#handles = {}
  }

  /** Runs one command, or a batch with its items; gives the lines that it prints. */
  async run([line, ...items]) {
    try {
      const command = words(line, this.#variables)
      const [verb] = command.plain
      if (fileCommands[verb]) return fileCommands[verb](...this.#paths(command)) ?? []
      const printed = await this.#commands[verb](
        command,
        items.map((item) => words(item, this.#variables)),
      )
      return [printed ?? []].flat()
    } catch (error) {
      if (error instanceof BatpakError) return [`error ${error.kind}`]
      throw new Error(`${line}: ${error.message}`, { cause: error })
    }
  }

  /** A path below the script's directory. */
  #below(word) {
    return path.join(this.#directory, name(word))
  }

  /** The directory that a command names first. */
  #target({ plain: [, directory] }) {
    return this.#below(directory)
  }

  #paths({ plain: [verb, target, ...rest] }) {
    const hasTwo = verb === 'copy' || verb === 'rename'
    const others = hasTwo ? rest.map((word) => this.#below(word)) : rest
    return [this.#below(target), ...others]
  }

  #handle({ option }) {
    return this.#handles[option('on') ?? 'a']
  }

  #fence({ plain: [, fence] }) {
    return this.#fences[name(fence)]
  }

  /** Calls a method of the store that the command names. */
  #call(command, method, ...values) {
    return call(this.#handle(command).store, method, ...values)
  }

  async #open(handle, directory, options) {
    const store = await call(Store, 'open', directory, options)
    this.#opened.push(store)
    this.#handles[handle] = { store, directory, options }
    return 'ok'
  }

  /** Cancels a fence as the end of its life does, which nobody can wait for. */
  #drop(fence) {
    this.#fences[fence]?.[Symbol.dispose]()
    delete this.#fences[fence]
  }

  #openAs(handle, command) {
    const directory = this.#below(command.option('path') ?? 'store')
    return this.#open(handle, directory, openOptions(command))
  }

  async #append(command, items, append) {
    const options = {
      durability: command.option('durability'),
      gates: this.#gates.splice(0),
      ...this.#gateOptions,
    }
    const receipts = [await append(items.map(newEvent), options)].flat()
    for (const { sequence, id } of receipts) this.#variables[`id:${sequence}`] = id
    return receipts.map(receiptLine)
  }

  async #read(command) {
    const lines = []
    for await (const event of this.#call(command, 'read', query(command))) {
      lines.push(shortLine(event))
    }
    return lines
  }

  #commands = {
    let: ({ plain: [, variable, value] }) => {
      this.#variables[variable] = value
    },

    open: (command) => this.#openAs(command.option('as') ?? 'a', command),

    reopen: async (command) => {
      const { store, directory, options } = this.#handle(command)
      await call(store, 'close')
      const handle = command.option('on') ?? 'a'
      const anew = command.keys.some((key) => key !== 'on')
      return anew ? this.#openAs(handle, command) : this.#open(handle, directory, options)
    },

    close: (command) => this.#done(command, 'close'),
    flush: (command) => this.#done(command, 'flush'),
    sync: (command) => this.#done(command, 'sync'),

    gate: ({ plain: [, gate, verdict, ...rest] }) => {
      const check = {
        permit: () => undefined,
        deny: () => ({ code: name(rest[0]), message: name(rest[1]) }),
        max_payload: ({ payload }) =>
          payload.length > Number(rest[0]) ? { code: 'TOO_BIG', message: 'too big' } : undefined,
      }[verdict]
      this.#gates.push({ name: name(gate), check })
    },

    gates: ({ option }) => {
      this.#gateOptions = {
        gateMode: option('mode') === 'all' ? 'all' : 'failFast',
        recordDenial: option('record') === 'yes',
      }
    },

    append: (command) =>
      this.#append(command, [command], ([event], options) =>
        this.#call(command, 'append', event, options),
      ),

    batch: (command, items) =>
      this.#append(command, items, (events, options) =>
        this.#call(command, 'appendBatch', events, options),
      ),

    fence: (command) => {
      const fence = name(command.plain[1])
      const options = { memoryBytes: when(command.option('memory'), BigInt) }
      const begun = this.#handle(command).store.beginFence(options)
      this.#drop(fence)
      this.#fences[fence] = begun
      return 'ok'
    },

    stage: (command, items) => `ok place=${this.#fence(command).appendBatch(items.map(newEvent))}`,

    staged: async (command) => {
      const fence = this.#fence(command)
      const sizes = { events: Number(command.option('page') ?? 100), bytes: 0xffff_ffff }
      const from = when(command.option('from'), BigInt)
      const lines = []
      for await (const page of call(fence, 'pages', { from }, sizes)) {
        lines.push(...page.map(eventLine))
      }
      return [...lines, `end ${fence.events}`]
    },

    commit: async (command) => {
      const options = { durability: command.option('durability') }
      const done = await call(this.#fence(command), 'commit', options)
      const duplicate = done.duplicate ? ' duplicate' : ''
      return `ok first=${done.firstSequence} events=${done.events}${duplicate}`
    },

    cancel: (command) => {
      this.#fence(command).cancel()
      return 'ok'
    },

    fill: async (command) => {
      const [count, entity, scope, kind, bytes] = command.plain.slice(1)
      const number = (key) => when(command.option(key), Number)
      const [batch, lanes, entities] = [number('batch'), number('lanes') ?? 1, number('entities')]
      const event = (i) => ({
        entity: name(entity) + (entities ? `:${i % entities}` : ''),
        scope: name(scope),
        kind: Number(kind),
        payload: Buffer.alloc(Number(bytes), i % 251),
        lane: i % lanes,
      })
      const options = { durability: command.option('durability') }
      for (let done = 0; done < Number(count); done += batch ?? 1) {
        const length = Math.min(batch ?? 1, Number(count) - done)
        const events = Array.from({ length }, (_, k) => event(done + k))
        if (batch) await this.#call(command, 'appendBatch', events, options)
        else await this.#call(command, 'append', events[0], options)
      }
      return `ok count=${count}`
    },

    get: async (command) => this.#shown(await this.#call(command, 'get', command.plain[1])),
    at: async (command) => this.#shown(await this.#call(command, 'at', BigInt(command.plain[1]))),

    read: async (command) => {
      const lines = await this.#read(command)
      return [...lines, `end ${lines.length}`]
    },

    count: async (command) => `end ${(await this.#read(command)).length}`,

    page: async (command) => {
      const size = Number(command.plain[1])
      const next = { ...query(command), limit: size }
      const lines = []
      let total = 0
      do {
        const pages = this.#call(command, 'pages', next, { events: size, bytes: 0xffff_ffff })
        const { value: page } = await pages.next()
        if (page === undefined) break
        const [first, last] = [page[0].sequence, page.at(-1).sequence]
        lines.push(`page ${page.length} first=${first} last=${last}`)
        total += page.length
        next.from = next.direction === 'backward' ? last - 1n : last + 1n
      } while (next.from >= 0n)
      return [...lines, `end ${total}`]
    },

    ancestors: async (command) => {
      const { option, plain } = command
      const options = { via: option('via'), limit: when(option('limit'), BigInt) }
      const { events, boundary } = await this.#call(command, 'ancestors', plain[1], options)
      return [...events.map(({ sequence, id }) => `${sequence} ${id}`), `boundary ${boundary}`]
    },

    head: async (command) => {
      const at = command.option('at')
      const head = at === undefined ? ['head'] : ['headAt', BigInt(at)]
      const { events, lastHash, root } = await this.#call(command, ...head)
      return `events=${events} last=${lastHash} root=${root}`
    },

    stream: async (command) => {
      const [, entity, lane] = command.plain
      const head = await this.#call(command, 'streamHead', name(entity), Number(lane))
      return head ? `clock=${head.clock} seq=${head.sequence} hash=${head.hash}` : 'none'
    },

    frontier: async (command) => {
      const { accepted, written, durable, visible } = await this.#call(command, 'frontier')
      return `accepted=${accepted} written=${written} durable=${durable} visible=${visible}`
    },

    stats: async (command) => {
      const { events, segments, entities, streams } = await this.#call(command, 'stats')
      return `events=${events} segments=${segments} entities=${entities} streams=${streams}`
    },

    verify: async (command) => {
      const report = await this.#call(command, 'verify')
      return report.intact ? intactLine(report) : damaged(report)
    },

    report: (command) => reportWords(this.#handle(command).store.report),

    inspect: async ({ plain }) => {
      const directory = path.join(this.#directory, name(plain[1]))
      const found = flags.sync ? inspectSync(directory) : await inspect(directory)
      const opening = `opening=${found.opening} refusal=${found.refusal?.kind ?? '-'}`
      return `${opening} bytes=${found.bytes} ${reportWords(found.report)}`
    },

    repair: async (command) => {
      const { option, plain } = command
      const options = {
        keepAltered: when(option('keep_altered'), isYes),
        maxLost: when(option('max_lost'), BigInt),
        segmentBytes: when(option('segment'), BigInt),
        seed: BigInt(option('seed') ?? 1),
      }
      const paths = [this.#below(plain[1]), this.#below(plain[2])]
      const report = flags.sync ? repairSync(...paths, options) : await repair(...paths, options)
      return repairLines(report)
    },

    import: async (command) => {
      const flag = (key) => when(command.option(key), isYes)
      const options = {
        ...region(command),
        salvage: flag('salvage'),
        unvouched: flag('unvouched'),
        decrypt: flag('decrypt'),
      }
      const r = await this.#call(command, 'importFrom', this.#target(command), options)
      const counts =
        `ok format=${r.format} imported=${r.imported} already=${r.alreadyThere} ` +
        `hidden=${r.hidden} outside=${r.outside} dropped=${r.dropped} ` +
        `keys=${r.keysWithoutEvents} sequences=${r.sequencesKept ? 'kept' : 'new'}`
      return [counts, ...r.drops.map(dropLine)]
    },

    export: async (command) => {
      const options = {
        ...region(command),
        plain: when(command.option('plain'), isYes),
        segmentBytes: when(command.option('segment'), BigInt),
      }
      const r = await this.#call(command, 'exportTo', this.#target(command), options)
      const counts =
        `ok exported=${r.exported} hidden=${r.hidden} dropped=${r.dropped} ` +
        `segments=${r.segments} bytes=${r.bytes}`
      return [counts, ...r.drops.map(dropLine)]
    },

    compact: (command) => this.#compact(command),
    retain: (command) => this.#compact(command),

    snapshot: async (command) => {
      const options = {
        earlier: when(command.option('earlier'), (word) => this.#below(word)),
        independent: when(command.option('independent'), isYes),
      }
      return copyLine(await this.#call(command, 'snapshotTo', this.#target(command), options))
    },

    fork: async (command) => {
      const options = {
        at: when(command.option('at'), BigInt),
        independent: when(command.option('independent'), isYes),
      }
      return copyLine(await this.#call(command, 'forkTo', this.#target(command), options))
    },

    diff: async (command) => diffWords(await this.#call(command, 'diff', this.#target(command))),

    verify_snapshot: async (command) => {
      const check = await this.#call(command, 'verifySnapshot', this.#target(command))
      const { isPrefix, report, diff } = check
      if (diff === undefined) return damaged(report)
      const ahead = diff.common === diff.ours ? 'ahead' : 'parted'
      return `${isPrefix ? 'prefix' : ahead} ${diffWords(diff)}`
    },

    parent: (command) => {
      const { parent } = this.#handle(command).store
      return parent ? `store=${parent.storeId} events=${parent.events} root=${parent.root}` : 'none'
    },

    cover: async (command) =>
      payloadText(await this.#call(command, 'receiptCover0x', BigInt(command.plain[1]))),

    refresh: async (command) => `visible=${await this.#call(command, 'refresh')}`,

    wait: async (command) => {
      const [, events, milliseconds] = command.plain
      return `visible=${await this.#call(command, 'wait', BigInt(events), Number(milliseconds))}`
    },

    kinds: () => errorKinds.map(({ number, name: kind, retry }) => `${number} ${kind} ${retry}`),
  }

  async #compact(command) {
    return compactLine(await this.#call(command, 'compact', compactOptions(command)))
  }

  async #done(command, method) {
    await this.#call(command, method)
    return 'ok'
  }

  #shown(event) {
    return event ? eventLine(event) : 'none'
  }
}

let failed = 0
for (const file of files) {
  const failure = await runFile(file).catch((error) => `FAIL ${file}: ${error.message}`)
  if (failure === undefined) continue
  failed += 1
  console.log(failure)
}
console.log(`${files.length - failed} passed, ${failed} failed`)
process.exitCode = failed > 0 || files.length === 0 ? 1 : 0
