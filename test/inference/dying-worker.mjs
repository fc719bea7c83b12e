// Stands in for the inference worker: loads and frees anything, and ends of an error on the first thing it is asked to do.

import { parentPort } from "node:worker_threads";

parentPort.on("message", ({ type, id, key }) => {
  if (["load", "loadGraph", "unload"].includes(type)) parentPort.postMessage({ type: "reply", id, value: { key } });
  else if (type === "close") parentPort.close();
  else if (type === "inspect") throw new Error("out of breath");
});
