// A runner whose answers are known beforehand, at the full cost of the model: it passes everything on to a real one and
// then raises the logits of a script's tokens. So random weights can say something that repeats itself. It never knows
// how many tokens an engine asks for at once, or why.

export class ScriptedRunner {
  /** Token ids of the one sequence that runs: its prompt and its answer. */
  script = [];
  #runner;
  #steps = 0;

  constructor(runner) {
    this.#runner = runner;
  }

  /** Steps that gave logits, since this was last asked. */
  get steps() {
    const steps = this.#steps;
    this.#steps = 0;
    return steps;
  }

  get spec() {
    return this.#runner.spec;
  }

  get maxSequences() {
    return this.#runner.maxSequences;
  }

  get maxTokens() {
    return this.#runner.maxTokens;
  }

  get room() {
    return this.#runner.room;
  }

  async forward(batch) {
    const all = await this.#runner.forward(batch);
    batch.forEach(({ position, tokens, wantsLogits }, i) => {
      const logits = all[i];
      if (!logits) return;
      const rows = wantsLogits === "all" ? tokens.length : 1;
      const first = position + tokens.length - rows + 1;
      const vocabulary = logits.length / rows;
      for (let row = 0; row < rows; row += 1) logits[row * vocabulary + (this.script[first + row] ?? 0)] = 1e6;
    });
    if (all.some((logits) => logits)) this.#steps += 1;
    return all;
  }

  allocate() {
    return this.#runner.allocate();
  }

  blocksFor(...of) {
    return this.#runner.blocksFor(...of);
  }

  copyPrefix(...of) {
    this.#runner.copyPrefix(...of);
  }

  release(sequence) {
    this.#runner.release(sequence);
  }

  terminate() {
    this.#runner.terminate();
  }

  async dispose() {
    await this.#runner.dispose();
  }
}
