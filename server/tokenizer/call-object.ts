// Reads one call of a tool, a JSON object with a name and arguments, character by character, and gives out the arguments
// as they come. It checks the shape of JSON only as far as it must to find where a value ends.

/** What a character brought. "wrong": this is no such object; the character has not been read. */
export type Step = "more" | "done" | "wrong";

const blank = /[ \t\r\n]/;
const nameKeys: readonly string[] = ["name", "function"];
const argumentKeys: readonly string[] = ["arguments", "parameters"];

/** The opening brace has been read. */
export class CallObject {
  /** Once it is known. */
  name: string | undefined;
  #place: "key" | "in key" | "colon" | "value" | "in value" = "key";
  /** The key that is being read, or whose value is; as it is written. */
  #key = "";
  /** The value that is being read, if it is the name. */
  #value = "";
  #depth = 0;
  #quoted = false;
  #escaped = false;
  #arguments = "";
  #anyArguments = false;

  step(character: string): Step {
    switch (this.#place) {
      case "key":
        if (character === "}") return this.#over();
        if (character === '"') {
          this.#place = "in key";
          this.#key = "";
          this.#quoted = true;
        } else if (character !== "," && !blank.test(character)) return "wrong";
        return "more";
      case "in key":
        if (this.#inText(character)) this.#place = "colon";
        else this.#key += character;
        return "more";
      case "colon":
        if (character === ":") this.#place = "value";
        else if (!blank.test(character)) return "wrong";
        return "more";
      case "value":
        if (blank.test(character)) return "more";
        if (character === "," || character === "}" || character === "]") return "wrong";
        this.#place = "in value";
        this.#value = "";
        return this.#inValue(character);
      case "in value":
        return this.#inValue(character);
    }
  }

  /** Arguments that have come since the last time; none before the name is known. */
  takeArguments(): string {
    if (this.name === undefined) return "";
    const taken = this.#arguments;
    this.#arguments = "";
    return taken;
  }

  #over(): Step {
    if (!this.#anyArguments) this.#arguments = "{}";
    return this.name === undefined ? "wrong" : "done";
  }

  /** @returns whether this is the quote that ends it */
  #inText(character: string): boolean {
    if (this.#escaped) this.#escaped = false;
    else if (character === "\\") this.#escaped = true;
    else if (character === '"') {
      this.#quoted = false;
      return true;
    }
    return false;
  }

  #inValue(character: string): Step {
    if (this.#quoted) {
      this.#add(character);
      return this.#inText(character) && this.#depth === 0 ? this.#endOfValue() : "more";
    }
    const bare = this.#depth === 0 && this.#value !== "";
    // A number or a word ends before what follows it.
    if (bare && (character === "," || character === "}" || blank.test(character))) {
      const ended = this.#endOfValue();
      return ended === "more" ? this.step(character) : ended;
    }
    if (character === '"') this.#quoted = true;
    else if (character === "{" || character === "[") this.#depth++;
    else if (character === "}" || character === "]") this.#depth--;
    this.#add(character);
    return this.#depth === 0 && (character === "}" || character === "]") ? this.#endOfValue() : "more";
  }

  #add(character: string): void {
    if (argumentKeys.includes(this.#key)) {
      this.#arguments += character;
      this.#anyArguments = true;
    }
    // Of arguments, the first character tells that there is a value.
    if (this.#value === "" || nameKeys.includes(this.#key)) this.#value += character;
  }

  #endOfValue(): Step {
    this.#place = "key";
    if (!nameKeys.includes(this.#key)) return "more";
    const name = textOf(this.#value);
    if (name === undefined || name === "") return "wrong";
    this.name ??= name;
    return "more";
  }
}

function textOf(json: string): string | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}
