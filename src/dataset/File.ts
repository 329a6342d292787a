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

/** The bytes of a file in pieces, as they are asked for. */
export const bytes = (file: string): Stream.Stream<Uint8Array, DataError, FileSystem.FileSystem> =>
  Stream.unwrap(
    Effect.gen(function*() {
      const fileSystem = yield* FileSystem.FileSystem
      const { type } = yield* fileSystem.stat(file)
      if (type === "Directory") {
        return yield* new DataError({ file, reason: "unreadable", problem: "it is a folder, not a file" })
      }
      return Stream.mapError(fileSystem.stream(file, { chunkSize: 65_536 }), ofPlatformError(file))
    }).pipe(Effect.catchTag("PlatformError", (error) => Effect.fail(ofPlatformError(file)(error))))
  )
