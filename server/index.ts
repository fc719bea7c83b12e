// The public surface of the `modelwire` package: starting the service from a program.
export { type Config, configHelp, parseConfig } from "./config.ts";
export { type RunningServer, startServer } from "./serve.ts";
