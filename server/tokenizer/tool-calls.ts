// Finds calls of tools in an answer that comes in pieces, and gives them out as they form. It reads one character at a
// time, so the result does not depend on how the answer was cut. It looks for the shape of a call alone: whether arguments
// fit a tool is the grammar's business.

import { CallObject } from "./call-object.ts";
import type { CallMarkup } from "./tool-format.ts";

export type ToolEvent =
  | { readonly type: "text"; readonly text: string }
  /** A call has begun. `index` counts the calls of the answer from 0. */
  | { readonly type: "call"; readonly index: number; readonly name: string }
  /** What is new of its arguments, as JSON text. */
  | { readonly type: "arguments"; readonly index: number; readonly text: string }
  /** It is whole. A call that never ends was cut short. */
  | { readonly type: "end"; readonly index: number };

type Place =
  /** Before the first sign that is no blank, which tells whether an answer without a mark is a call. */
  | "begin"
  /** In text, where a mark may come. */
  | "text"
  /** Behind a mark, before a call or between two. */
  | "between"
  | "object"
  /** In what may be a closing mark. */
  | "close";

const blank = /[ \t\r\n]/;

export class ToolCallParser {
  readonly #mark: string;
  /** What ends a group of calls, without brackets and blanks. */
  readonly #close: string;
  #place: Place;
  /** Read and not given out: the beginning of a mark, or all since a mark until a call has begun. */
  #held = "";
  /** Blanks behind a closing mark: text only if more text follows. */
  #blanks = "";
  /** Nothing but blanks has come since a closing mark. */
  #closed = false;
  /** A call has begun since the mark. */
  #called = false;
  #calls = 0;
  #object = new CallObject();
  #events: ToolEvent[] = [];

  constructor({ markup }: { readonly markup: CallMarkup }) {
    this.#mark = markup.mark;
    this.#close = markup.close.replace(/^[\s\]]+/, "");
    this.#place = markup.mark === "" ? "begin" : "text";
  }

  /** What is certain now. */
  push(text: string): ToolEvent[] {
    for (const character of text) this.#read(character);
    return this.#taken();
  }

  /** What was held back, when no more comes. What looked like a call and never became one is text. */
  flush(): ToolEvent[] {
    if (this.#place === "text" || !this.#called) this.#text(this.#held);
    this.#held = "";
    return this.#taken();
  }

  #read(character: string): void {
    switch (this.#place) {
      case "begin":
        this.#held += character;
        if (character === "{") this.#open();
        else if (!blank.test(character)) this.#giveUp();
        return;
      case "text":
        this.#inText(character);
        return;
      case "between":
        this.#held += character;
        if (character === "{") this.#open();
        else if (this.#called && this.#close !== "" && this.#close.startsWith(character)) this.#ending(character);
        else if (!/[ \t\r\n[\],;]/.test(character)) this.#giveUp();
        return;
      case "close":
        this.#inClose(character);
        return;
      case "object":
        this.#inObject(character);
        return;
    }
  }

  #inText(character: string): void {
    if (this.#closed && this.#held === "" && blank.test(character)) {
      this.#blanks += character;
      return;
    }
    this.#held += character;
    if (this.#mark !== "" && this.#held === this.#mark) {
      this.#place = "between";
      this.#called = false;
      this.#closed = false;
      return;
    }
    while (this.#held !== "" && (this.#mark === "" || !this.#mark.startsWith(this.#held))) {
      const [first = ""] = this.#held;
      this.#held = this.#held.slice(first.length);
      this.#text(first);
    }
  }

  #open(): void {
    this.#object = new CallObject();
    this.#place = "object";
  }

  #inObject(character: string): void {
    const begun = this.#object.name !== undefined;
    const step = this.#object.step(character);
    const { name } = this.#object;
    if (!begun) this.#held += character;
    if (step === "wrong") {
      this.#called ||= begun;
      if (begun) this.#held = character;
      this.#giveUp();
      return;
    }
    const index = this.#calls;
    if (!begun && name !== undefined) {
      this.#events.push({ type: "call", index, name });
      this.#called = true;
      this.#held = "";
      this.#blanks = "";
    }
    const text = this.#object.takeArguments();
    if (text !== "") this.#arguments(index, text);
    if (step === "more") return;
    this.#events.push({ type: "end", index });
    this.#calls++;
    this.#place = "between";
    this.#held = "";
  }

  #ending(character: string): void {
    this.#held = character;
    this.#place = "close";
    this.#inClose("");
  }

  #inClose(character: string): void {
    this.#held += character;
    if (this.#held === this.#close) {
      this.#held = "";
      this.#place = "text";
      this.#closed = true;
    } else if (!this.#close.startsWith(this.#held)) this.#giveUp();
  }

  /** What is held is text after all, but for what stood between calls. */
  #giveUp(): void {
    const held = this.#called ? this.#held.replace(/^[\s\],;]+/, "") : this.#held;
    this.#held = "";
    this.#place = "text";
    const known = held.startsWith(this.#mark) ? this.#mark : "";
    this.#text(known);
    for (const character of held.slice(known.length)) this.#inText(character);
  }

  #text(text: string): void {
    if (text === "") return;
    const last = this.#events.at(-1);
    const whole = this.#blanks + text;
    this.#blanks = "";
    this.#closed = false;
    if (last?.type === "text") this.#events[this.#events.length - 1] = { type: "text", text: last.text + whole };
    else this.#events.push({ type: "text", text: whole });
  }

  #arguments(index: number, text: string): void {
    const last = this.#events.at(-1);
    if (last?.type === "arguments" && last.index === index) {
      this.#events[this.#events.length - 1] = { ...last, text: last.text + text };
    } else this.#events.push({ type: "arguments", index, text });
  }

  #taken(): ToolEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }
}
