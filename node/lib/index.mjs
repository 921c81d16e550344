// The same instance for `import`: two would have two classes of every error.
import batpak from './index.cjs'

export const {
  Store,
  Event,
  EventKind,
  BatpakError,
  errorKinds,
  inspect,
  inspectSync,
  repair,
  repairSync,
  operationId,
  encodePayload,
  decodePayload,
} = batpak
