/**
 * The bytes of a file, with the errors of the file system in a reader's words.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import type * as PlatformError from "effect/PlatformError"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Parquet from "../store/Parquet.ts"
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

/** A file as a reader sees it: its name for messages and for its format, and its bytes. */
export interface File<R = never> {
  readonly name: string
  /** The bytes in pieces, as they are asked for. */
  readonly bytes: Stream.Stream<Uint8Array, DataError, R>
  /** The bytes at any place, for Parquet. */
  readonly source: Effect.Effect<
    Parquet.Source<Parquet.ParquetError>,
    DataError | Parquet.ParquetError,
    R | Scope.Scope
  >
}

/** A file that is in memory already, such as one whose digest was verified. */
export interface InMemory {
  /** The name for messages, whose end tells the format. */
  readonly name: string
  readonly bytes: Uint8Array
}

const exists = Effect.fnUntraced(
  function*(path: string): Effect.fn.Return<void, DataError | PlatformError.PlatformError, FileSystem.FileSystem> {
    const fileSystem = yield* FileSystem.FileSystem
    const { type } = yield* fileSystem.stat(path)
    if (type !== "Directory") return
    return yield* new DataError({ file: path, reason: "unreadable", problem: "it is a folder, not a file" })
  },
  (effect, path) => Effect.catchTag(effect, "PlatformError", (error) => Effect.fail(ofPlatformError(path)(error)))
)

/** A file on disk. */
export const at = (path: string): File<FileSystem.FileSystem> => ({
  name: path,
  bytes: Stream.unwrap(Effect.gen(function*() {
    yield* exists(path)
    const fileSystem = yield* FileSystem.FileSystem
    return Stream.mapError(fileSystem.stream(path, { chunkSize: pieceBytes }), ofPlatformError(path))
  })),
  source: Effect.andThen(exists(path), Parquet.ofFile(path))
})

const pieceBytes = 65_536

/** A file in memory. */
export const ofBytes = ({ bytes, name }: InMemory): File => ({
  name,
  bytes: Stream.map(
    Stream.range(0, Math.ceil(bytes.length / pieceBytes) - 1),
    (piece) => bytes.subarray(piece * pieceBytes, (piece + 1) * pieceBytes)
  ),
  source: Effect.succeed(Parquet.ofBytes(bytes, name))
})
