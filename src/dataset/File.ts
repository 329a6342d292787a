/**
 * The bytes of a file, with the errors of the file system in a reader's words.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type * as PlatformError from "effect/PlatformError"
import * as Stream from "effect/Stream"
import { DataError } from "./DataError.ts"

const ofPlatformError = (file: string) => ({ reason }: PlatformError.PlatformError): DataError => {
  switch (reason._tag) {
    case "NotFound":
      return new DataError({ file, reason: "missing-file", problem: "there is no such file" })
    case "PermissionDenied":
      return new DataError({ file, reason: "unreadable", problem: "this user may not read it" })
    default:
      return new DataError({ file, reason: "unreadable", problem: `it cannot be read (${reason.message})` })
  }
}

/** The size of a file in bytes. Fails when there is none that can be read. */
export const size = Effect.fnUntraced(
  function*(file: string): Effect.fn.Return<number, DataError | PlatformError.PlatformError, FileSystem.FileSystem> {
    const fileSystem = yield* FileSystem.FileSystem
    const info = yield* fileSystem.stat(file)
    if (info.type !== "Directory") return Number(info.size)
    return yield* new DataError({ file, reason: "unreadable", problem: "it is a folder, not a file" })
  },
  (effect, file) => Effect.catchTag(effect, "PlatformError", (error) => Effect.fail(ofPlatformError(file)(error)))
)

/** The bytes of a file in pieces, as they are asked for. */
export const bytes = (file: string): Stream.Stream<Uint8Array, DataError, FileSystem.FileSystem> =>
  Stream.unwrap(Effect.gen(function*() {
    yield* size(file)
    const fileSystem = yield* FileSystem.FileSystem
    return Stream.mapError(fileSystem.stream(file, { chunkSize: 65_536 }), ofPlatformError(file))
  }))
