// A grammar that can be worked with: rules that no text fulfils are taken out, so that an answer never comes to a place
// where nothing can follow, and rules that begin with themselves are refused. Pure.

import { InvalidGrammarError, type Violation } from "./errors.ts";
import { choice, type Expression, type Grammar, isNothing, nothing, repeat, sequence } from "./expression.ts";

/** @throws InvalidGrammarError for undefined rules, rules that begin with themselves, and a grammar of no text */
export function checkGrammar({ root, rules }: Grammar): Grammar {
  const undefinedRules = [...new Set([root, ...rules.values()].flatMap(rulesIn))].filter((name) => !rules.has(name));
  if (undefinedRules.length > 0) {
    throw new InvalidGrammarError(undefinedRules.map((name) => at(name, "is used and not defined; define it.")));
  }
  const possible = fixpoint(rules, canEnd);
  const pruned = new Map<string, Expression>();
  for (const [name, expression] of rules) if (possible.has(name)) pruned.set(name, prune(expression, possible));
  const start = prune(root, possible);
  if (isNothing(start)) {
    throw new InvalidGrammarError([
      { field: "", description: "is fulfilled by no text that ends; give each rule a way to end." },
    ]);
  }
  const circular = leftRecursive(pruned);
  if (circular.length > 0) throw new InvalidGrammarError(circular);
  return { root: start, rules: pruned };
}

const at = (name: string, description: string): Violation => ({ field: `rule ${name}`, description });

function rulesIn(expression: Expression): string[] {
  switch (expression.type) {
    case "rule":
      return [expression.name];
    case "sequence":
    case "choice":
      return expression.items.flatMap(rulesIn);
    case "repeat":
      return rulesIn(expression.item);
    default:
      return [];
  }
}

/** Names of the rules for which `holds` comes true, given those for which it is true already. */
function fixpoint(
  rules: ReadonlyMap<string, Expression>,
  holds: (expression: Expression, names: ReadonlySet<string>) => boolean,
): Set<string> {
  const users = new Map<string, string[]>();
  for (const [name, expression] of rules) {
    for (const used of new Set(rulesIn(expression))) {
      const list = users.get(used);
      if (list) list.push(name);
      else users.set(used, [name]);
    }
  }
  const found = new Set<string>();
  const queue = [...rules.keys()];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    if (found.has(name) || !holds(rules.get(name)!, found)) continue;
    found.add(name);
    queue.push(...(users.get(name) ?? []));
  }
  return found;
}

function canEnd(expression: Expression, names: ReadonlySet<string>): boolean {
  switch (expression.type) {
    case "rule":
      return names.has(expression.name);
    case "sequence":
      return expression.items.every((item) => canEnd(item, names));
    case "choice":
      return expression.items.some((item) => canEnd(item, names));
    case "repeat":
      return expression.min === 0 || canEnd(expression.item, names);
    default:
      return !isNothing(expression);
  }
}

/** Whether it may be the empty text. */
function canBeEmpty(expression: Expression, names: ReadonlySet<string>): boolean {
  switch (expression.type) {
    case "rule":
      return names.has(expression.name);
    case "sequence":
      return expression.items.every((item) => canBeEmpty(item, names));
    case "choice":
      return expression.items.some((item) => canBeEmpty(item, names));
    case "repeat":
      return expression.min === 0 || canBeEmpty(expression.item, names);
    case "text":
      return expression.text === "";
    default:
      return expression.type === "without";
  }
}

function prune(expression: Expression, possible: ReadonlySet<string>): Expression {
  switch (expression.type) {
    case "rule":
      return possible.has(expression.name) ? expression : nothing;
    case "sequence":
      return sequence(...expression.items.map((item) => prune(item, possible)));
    case "choice":
      return choice(...expression.items.map((item) => prune(item, possible)).filter((item) => !isNothing(item)));
    case "repeat":
      return repeat(prune(expression.item, possible), expression.min, expression.max);
    default:
      return expression;
  }
}

function leftRecursive(rules: ReadonlyMap<string, Expression>): Violation[] {
  const nullable = fixpoint(rules, canBeEmpty);
  const begins = new Map([...rules].map(([name, expression]) => [name, firstRules(expression, nullable)]));
  const found: Violation[] = [];
  const done = new Set<string>();
  for (const start of rules.keys()) {
    // Depth first without recursion: a chain of rules may be longer than the call stack.
    const path: { name: string; next: number }[] = done.has(start) ? [] : [{ name: start, next: 0 }];
    const open = new Set(path.map(({ name }) => name));
    for (let top = path.at(-1); top; top = path.at(-1)) {
      const next = begins.get(top.name)?.[top.next++];
      if (next === undefined) {
        path.pop();
        open.delete(top.name);
        done.add(top.name);
      } else if (open.has(next)) {
        found.push(at(next, "begins with itself, so it has no first character; put what repeats behind something."));
      } else if (!done.has(next)) {
        path.push({ name: next, next: 0 });
        open.add(next);
      }
    }
  }
  return found;
}

/** Rules that may stand at its very beginning. */
function firstRules(expression: Expression, nullable: ReadonlySet<string>): string[] {
  switch (expression.type) {
    case "rule":
      return [expression.name];
    case "sequence": {
      const end = expression.items.findIndex((item) => !canBeEmpty(item, nullable));
      return expression.items.slice(0, end < 0 ? undefined : end + 1).flatMap((item) => firstRules(item, nullable));
    }
    case "choice":
      return expression.items.flatMap((item) => firstRules(item, nullable));
    case "repeat":
      return firstRules(expression.item, nullable);
    default:
      return [];
  }
}
