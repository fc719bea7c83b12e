import { join, resolve } from "node:path";
import { SqlTrackingStore } from "../../../server/store/sql/sql-tracking-store.ts";

const [command, folder = "."] = process.argv.slice(2);
const root = resolve(folder);
if (command === "create") await (await SqlTrackingStore.open(join(root, "mlflow.db"), join(root, "mlruns"))).close();
