// A store folder opened for serving: MLflow's database and files where MLflow puts them, and leftovers swept away. The
// only file that names the concrete stores.
import { mkdir, realpath } from "node:fs/promises";
import { join } from "node:path";
import { LocalArtifactStore } from "./artifacts/local.ts";
import type { Failpoint } from "./failpoint.ts";
import { LocalModelStore } from "./local-model-store.ts";
import type { ModelStore } from "./model-store.ts";
import { SqlTrackingStore } from "./sql/sql-tracking-store.ts";

/** The part of a logger that the store uses. */
export interface StoreLog {
  warn(facts: object, message: string): void;
  info(facts: object, message: string): void;
}

export interface OpenModelStoreOptions {
  /** How long to wait for another program's lock on the database, in milliseconds; 20,000 when absent. */
  busyWaitMs?: number;
  now?: () => number;
  /** Most bytes that are kept of uploads which did not come about, for a day; 64 GiB when absent. */
  keptBytes?: number;
  newId?: () => string;
  failpoint?: Failpoint;
}

/**
 * @param root Folder of mlflow.db and mlruns/; made when absent.
 * @throws ApiError SCHEMA_REVISION for a database of another MLflow release.
 */
export async function openModelStore(
  root: string,
  log: StoreLog = { warn: () => {}, info: () => {} },
  options: OpenModelStoreOptions = {},
): Promise<ModelStore> {
  await mkdir(root, { recursive: true });
  const folder = await realpath(root);
  const artifactRoot = join(folder, "mlruns");
  const tracking = await SqlTrackingStore.open(join(folder, "mlflow.db"), artifactRoot, options);
  try {
    const { failpoint, keptBytes, now } = options;
    const artifacts = await LocalArtifactStore.open(artifactRoot, { failpoint, keptBytes, now, alsoRead: [folder] });
    const onWarning = (message: string, error: unknown) => log.warn({ err: error }, message);
    const store = new LocalModelStore({ tracking, artifacts, newId: options.newId, onWarning });
    const { failed, removed } = await store.sweep();
    if (removed > 0) log.info({ failed, removed }, "swept away what uploads of dead processes had left");
    return store;
  } catch (error) {
    await tracking.close();
    throw error;
  }
}
