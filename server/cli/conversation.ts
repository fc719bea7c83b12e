// A conversation with one model: what was said so far, and how the next answer is made. It must never print.
import type { CallOptions, Chat, ChatInput, ChatResult, ChatTurn } from "@modelwire/client";

export type Sampling = Omit<ChatInput, "model" | "messages">;

export class Conversation {
  readonly #chat: Chat;
  readonly #sampling: Sampling;
  #system: string | undefined;
  #turns: ChatTurn[] = [];

  constructor(
    chat: Chat,
    readonly model: string,
    { system, ...sampling }: Sampling & { system?: string } = {},
  ) {
    this.#chat = chat;
    this.#system = system;
    this.#sampling = sampling;
  }

  /** What was said, the system message first. */
  get messages(): readonly ChatTurn[] {
    return this.#system ? [{ role: "system", content: this.#system }, ...this.#turns] : [...this.#turns];
  }

  /** Forgets what was said; the system message stays. */
  reset(): void {
    this.#turns = [];
  }

  /** Sets the system message, or takes it away when it is empty, and forgets what was said. */
  set system(text: string) {
    this.#system = text === "" ? undefined : text;
    this.reset();
  }

  /**
   * Asks, and hands each piece of the answer to `print`. Question and answer become part of the conversation when there
   * is an answer: all of it, or what had come when the caller stopped it. After an error it is as if nothing was asked.
   *
   * @returns the whole answer; undefined when the caller stopped it.
   */
  async ask(
    question: string,
    print: (text: string) => void,
    options: CallOptions & { signal: AbortSignal },
  ): Promise<ChatResult | undefined> {
    const user: ChatTurn = { role: "user", content: question };
    const messages = [...this.messages, user];
    const stream = this.#chat.stream({ ...this.#sampling, model: this.model, messages }, options);
    try {
      for await (const text of stream) print(text);
      const result = await stream.final();
      this.#turns.push(user, result.message);
      return result;
    } catch (error) {
      if (!options.signal.aborted) throw error;
      if (stream.text !== "") this.#turns.push(user, { role: "assistant", content: stream.text });
      return undefined;
    }
  }
}
