// A process that logs one model and may be made to die: crash-child.ts ROOT STEP REQUEST_ID. Kills itself before step
// number STEP (0: never). Tells what it did on stdout, line by line: each step, and "acknowledged ID" once the commit has
// resolved.
import { writeSync } from "node:fs";
import { openModelStore } from "../../server/store/open.ts";
import { beginUpload, CONFIG, chunked, commitChat } from "./uploads.ts";

const [root = "", dieAt = "0", requestId = ""] = process.argv.slice(2);
let step = 0;
const say = (line: string) => writeSync(1, `${line}\n`);

const store = await openModelStore(root, undefined, {
  failpoint: (name) => {
    say(`step ${name.replaceAll(root, "")}`);
    if (++step === Number(dieAt)) process.kill(process.pid, "SIGKILL");
  },
});
const upload = await beginUpload(store, { requestId });
await upload.write("genai_config.json", chunked(CONFIG, 1000));
await upload.write("weights/a.bin", chunked("0123456789".repeat(20), 128));
const { model } = await commitChat(upload);
say(`acknowledged ${model.modelId}`);
await store.close();
say("closed");
