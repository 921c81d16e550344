// Gates: named checks that are asked on the caller's thread before an append.
'use strict'

const check = require('./check.cjs')
const { BatpakError } = require('./errors.cjs')

const MODES = ['failFast', 'all']

/** The gates of an append's options, checked. */
function gateList(gates = []) {
  if (!Array.isArray(gates)) check.refuse(`gates is ${check.show(gates)}; it must be an array`)
  return gates.map((gate) => {
    const { name, check: ask } = gate ?? {}
    if (typeof ask !== 'function') check.refuse('a gate must have a function `check`')
    return { name: check.text("a gate's name", name), ask: (event) => gate.check(event) }
  })
}

/**
 * Asks the gates about one event. Nothing when all permit it; otherwise each gate's verdict, and
 * what a gate threw, if one did.
 */
function evaluate(gates, mode, event) {
  const all = check.oneOf('gateMode', mode, MODES) === 1
  const outcomes = []
  let denied = false
  let cause
  for (const { name, ask } of gates) {
    if (denied && !all) {
      outcomes.push({ gate: name, verdict: 'skipped' })
      continue
    }
    let refusal
    try {
      refusal = refusalOf(ask(event))
    } catch (error) {
      // A gate that fails must not let the event pass.
      cause ??= error
      refusal = { code: 'GATE_DEFECT', message: 'the gate threw' }
    }
    denied ||= refusal !== undefined
    outcomes.push({ gate: name, verdict: refusal ? 'deny' : 'permit', ...refusal })
  }
  return denied ? { outcomes, cause } : undefined
}

/** What a gate gave back: nothing, or a refusal. Anything else, such as a Promise, is a defect. */
function refusalOf(verdict) {
  if (verdict === undefined) return undefined
  const { code, message } = verdict
  return { code: check.text("a refusal's code", code), message: check.text("a refusal's message", message) }
}

/** The error for an event that gates refused. */
function denied(event, { outcomes, cause }) {
  const first = outcomes.find(({ verdict }) => verdict === 'deny')
  const why = `gate \`${first.gate}\` refused an event of ${event.entity}: ${first.code}: ${first.message}`
  return new BatpakError('DENIED', why, { outcomes, cause })
}

const VERDICTS = ['permit', 'deny', 'skipped']
const OUTCOME_FIELDS = new Set(['gate', 'verdict', 'code', 'message'])

/** Outcomes from a caller, checked. */
function outcomeList(outcomes) {
  if (!Array.isArray(outcomes)) check.refuse(`outcomes is ${check.show(outcomes)}; it must be an array`)
  return outcomes.map((outcome) => {
    const { gate, verdict, code, message } = check.fields('an outcome', outcome, OUTCOME_FIELDS)
    check.oneOf('verdict', verdict, VERDICTS)
    return {
      gate: check.text("a gate's name", gate),
      verdict,
      code: check.optional(check.text, "a refusal's code", code),
      message: check.optional(check.text, "a refusal's message", message),
    }
  })
}

module.exports = { gateList, evaluate, denied, outcomeList }
