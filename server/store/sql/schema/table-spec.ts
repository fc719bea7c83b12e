// How a table of MLflow's database is written down here, and the SQLite DDL that it means. Knows SQL's grammar and must
// never know a table's name.

/**
 * One table. A column is its SQL type, with `!` for NOT NULL and `= value` for a default, or `as (expression)` for a
 * stored generated column. Lists of columns are written as in SQL, separated by commas.
 */
export interface TableSpec {
  readonly columns: Readonly<Record<string, string>>;
  /** Constraint name and columns. */
  readonly primaryKey: readonly [string, string];
  /** Constraint name, empty for none, and expression. */
  readonly checks?: readonly (readonly [string, string])[];
  readonly foreignKeys?: readonly ForeignKeySpec[];
  /** Constraint name and columns. */
  readonly unique?: readonly (readonly [string, string])[];
  /** Index name to columns. */
  readonly indexes?: Readonly<Record<string, string>>;
  readonly uniqueIndexes?: Readonly<Record<string, string>>;
  readonly triggers?: Readonly<Record<string, TriggerSpec>>;
}

/** Constraint name (empty for none), columns, the other table, its columns, and actions such as "delete cascade". */
export type ForeignKeySpec = readonly [string, string, string, string, string?];

/** A trigger that refuses a change of a row. */
export interface TriggerSpec {
  readonly when: "BEFORE UPDATE";
  readonly condition: string;
  /** Message of the error. */
  readonly abort: string;
}

const COLUMN = /^(?<type>[A-Z]+(?:\(\d+\))?)(?:(?<notNull>!)?(?: = (?<value>.+))?| as (?<expression>\(.+\)))$/;

/** The statements that create one table with its indexes and triggers, in an order that SQLite takes. */
export function createStatements(name: string, spec: TableSpec): string[] {
  const parts = [
    ...Object.entries(spec.columns).map(([column, text]) => columnSql(name, column, text)),
    `${named(spec.primaryKey[0])}PRIMARY KEY (${list(spec.primaryKey[1])})`,
    ...(spec.checks ?? []).map(([constraint, expression]) => `${named(constraint)}CHECK (${expression})`),
    ...(spec.foreignKeys ?? []).map(foreignKeySql),
    ...(spec.unique ?? []).map(([constraint, columns]) => `${named(constraint)}UNIQUE (${list(columns)})`),
  ];
  const index = (unique: string) => (entry: [string, string]) =>
    `CREATE ${unique}INDEX ${entry[0]} ON ${name} (${list(entry[1])})`;
  return [
    `CREATE TABLE ${name} (\n  ${parts.join(",\n  ")}\n)`,
    ...Object.entries(spec.indexes ?? {}).map(index("")),
    ...Object.entries(spec.uniqueIndexes ?? {}).map(index("UNIQUE ")),
    ...Object.entries(spec.triggers ?? {}).map(([trigger, body]) => triggerSql(trigger, name, body)),
  ];
}

function columnSql(table: string, column: string, text: string): string {
  const match = COLUMN.exec(text)?.groups;
  if (!match) throw new Error(`${table}.${column}: "${text}" is no column description`);
  const { type, notNull, value, expression } = match;
  if (expression) return `"${column}" ${type} GENERATED ALWAYS AS ${expression} STORED`;
  return `"${column}" ${type}${value === undefined ? "" : ` DEFAULT ${value}`}${notNull ? " NOT NULL" : ""}`;
}

function foreignKeySql([constraint, columns, other, otherColumns, actions]: ForeignKeySpec): string {
  const on = (actions ?? "").replace(/\b(delete|update)\b/g, "ON $1").toUpperCase();
  return `${named(constraint)}FOREIGN KEY (${list(columns)}) REFERENCES ${other} (${list(otherColumns)}) ${on}`.trimEnd();
}

function triggerSql(name: string, table: string, { when, condition, abort }: TriggerSpec): string {
  return `CREATE TRIGGER ${name} ${when} ON ${table} FOR EACH ROW WHEN ${condition}
BEGIN
  SELECT RAISE(ABORT, '${abort}');
END`;
}

function named(constraint: string): string {
  return constraint ? `CONSTRAINT ${constraint} ` : "";
}

/** Columns in quotes, since some are called "key"; a direction behind one, as in `version DESC`, stays outside. */
function list(columns: string): string {
  return columns
    .split(", ")
    .map((column) => column.replace(/^\w+/, '"$&"'))
    .join(", ");
}
