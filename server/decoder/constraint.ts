// What an answer may be made of, token by token. The decoder asks it which tokens may come next and tells it which one
// came; what is behind it, a JSON schema or a grammar, the decoder never knows.

export interface TokenConstraint {
  /**
   * Writes -Infinity over the logits of tokens that may not come next; at least one is left. An ending token is left exactly
   * when the answer may end here.
   * @param logits [vocabSize]
   */
  mask(logits: Float32Array): void;

  /** Token `id`, one that `mask` left and no ending token, is part of the answer. */
  accept(id: number): void;

  /** Nothing but an ending token may follow: the answer is whole, and no step is spent on the token that ends it. */
  readonly finished: boolean;

  /** Frees it. Idempotent. */
  dispose(): void;
}
