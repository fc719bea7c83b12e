// Loaded before the service of the soak, in each of its threads: collects garbage every second, so that what memory it has is
// what it holds on to.
const { setFlagsFromString } = require("node:v8");
const { runInNewContext } = require("node:vm");

setFlagsFromString("--expose-gc");
setInterval(runInNewContext("gc"), 1000).unref();
