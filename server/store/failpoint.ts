// Where a test can make the store fail: a function that is told of each step which changes something outside of the
// process, just before that step. It may throw, as a full disk would, or end the process, as a crash would.

/** @param step What is about to happen, such as "sync MLmodel" or "commit finalize". */
export type Failpoint = (step: string) => void;

/** The failpoint of a server: nothing. */
export const noFailpoint: Failpoint = () => {};
