// The public surface of the `modelwire` package: starting the service from a program.
export { type Config, parseConfig } from "./config.ts";
export { configHelp } from "./config-options.ts";
export { type RunningServer, startServer } from "./serve.ts";
