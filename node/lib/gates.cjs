// Gates: named checks that are asked on the caller's thread before an append.
'use strict'

const check = require('./check.cjs')
const { BatpakError } = require('./errors.cjs')

const MODES = ['failFast', 'all']
const REFUSAL_FIELDS = new Set(['code', 'message'])

/** What an append's options say of gates, checked. */
function gateSet({ gates = [], gateMode = 'failFast', recordDenial = false }) {
  return {
    gates: check.list('gates', gates).map(checkedGate),
    askAll: check.oneOf('gateMode', gateMode, MODES) === 1,
    recordDenial: check.flag('recordDenial', recordDenial),
  }
}

function checkedGate(gate) {
  const { name, check: ask } = gate ?? {}
  if (typeof ask !== 'function') check.refuse('a gate must have a function `check`')
  return { name: check.text("a gate's name", name), ask: (event) => gate.check(event) }
}

/**
 * Asks the gates about one event. Nothing when all permit it; otherwise each gate's verdict, and
 * the first gate that gave no verdict, with why, if there is one.
 */
function evaluate({ gates, askAll }, event) {
  const outcomes = []
  let denied = false
  let defect
  for (const { name, ask } of gates) {
    if (denied && !askAll) {
      outcomes.push({ gate: name, verdict: 'skipped' })
      continue
    }
    let refusal
    try {
      refusal = refusalOf(ask(event))
    } catch (cause) {
      // A gate that fails must not let the event pass.
      defect ??= { name, cause }
      refusal = { code: 'GATE_DEFECT', message: `the gate failed: ${describe(cause)}` }
    }
    denied ||= refusal !== undefined
    outcomes.push({ gate: name, verdict: refusal ? 'deny' : 'permit', ...refusal })
  }
  return denied ? { outcomes, defect } : undefined
}

/** What a gate gave back: nothing, or a refusal. Anything else, such as a Promise, is a defect. */
function refusalOf(verdict) {
  if (verdict === undefined) return undefined
  const { code, message } = check.fields('what a gate gives back', verdict, REFUSAL_FIELDS)
  return { code: check.text('its code', code), message: check.text('its message', message) }
}

/** What was thrown, which need not be an Error, in words that can be stored. */
function describe(thrown) {
  return (thrown instanceof Error ? String(thrown) : check.show(thrown)).toWellFormed()
}

/** The error for an event that gates refused, or could not judge. */
function refused(event, { outcomes, defect }) {
  if (defect) {
    const { name, cause } = defect
    const message = `the gate \`${name}\` failed: ${describe(cause)}`
    return new BatpakError('CALLBACK', message, { outcomes, cause })
  }
  const denials = outcomes.filter(({ verdict }) => verdict === 'deny')
  const reasons = denials.map(({ gate, code, message }) => `${gate} (${code}: ${message})`)
  const message = `an event of ${event.entity} was refused by ${reasons.join(', ')}`
  return new BatpakError('DENIED', message, { outcomes })
}

/** Two functions that say in the error whether the refusal was recorded: it was, it could not be. */
function noteRecord(error) {
  const note = (record) => {
    error.message = `${record}: ${error.message}`
  }
  return [
    (receipt) => note(`recorded as event ${receipt.sequence}`),
    (failure) => note(`the refusal could not be recorded (${failure.message})`),
  ]
}

const VERDICTS = ['permit', 'deny', 'skipped']
const OUTCOME_FIELDS = new Set(['gate', 'verdict', 'code', 'message'])

/** Outcomes from a caller, checked. */
function outcomeList(outcomes) {
  return check.list('outcomes', outcomes).map((outcome) => {
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

module.exports = { gateSet, evaluate, refused, noteRecord, outcomeList }
