// Times as text, in ISO 8601 alone: pandas takes more, but guesses what is the day and what the month. It never knows
// columns.
import { DateTime } from "../data/data.ts";
import { lossOf } from "./findings.ts";

export interface ParsedTime {
  /** Null for an empty text or NaT; in UTC when the text has a time zone. */
  readonly time: DateTime | null;
  readonly zoned: boolean;
  /** How it is written: pandas wants all of a column alike. Empty for none. */
  readonly layout: string;
  /** Digits of the fraction of a second. */
  readonly digits: number;
}

const ISO =
  /^(\d{4})(?:-(\d\d)(?:-(\d\d)(?:([T ])(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?(Z|[+-]\d\d:?\d\d)?)?)?)?$/;

const MINUTE_NS = 60_000_000_000n;

/** @throws Misfit when it is no time of ISO 8601. */
export function parseTime(text: string): ParsedTime {
  if (text === "" || text === "NaT") return { time: null, zoned: false, layout: "", digits: 0 };
  const match = ISO.exec(text);
  if (match === null) throw noTime("Send ISO 8601, such as 2024-05-17T23:15:28.");
  const [, year = "", month = "01", day = "01", separator = "", hour = "00", minute, second, fraction, zone = ""] =
    match;
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute ?? "00"}:${second ?? "00"}Z`);
  if (Number.isNaN(ms) || hour === "24" || new Date(ms).getUTCDate() !== Number(day))
    throw noTime("There is no such day or hour.");
  let ns = BigInt(ms) * 1_000_000n + BigInt((fraction ?? "").padEnd(9, "0"));
  if (zone !== "" && zone !== "Z") {
    const minutes = BigInt(zone.slice(1, 3)) * 60n + BigInt(zone.slice(-2));
    ns -= (zone.startsWith("-") ? -minutes : minutes) * MINUTE_NS;
  }
  const parts = [match[2], match[3], match[5], minute, second, fraction].filter((part) => part !== undefined).length;
  return {
    time: new DateTime(ns, match[5] === undefined),
    zoned: zone !== "",
    layout: `${parts}${separator}${zone === "" ? "" : "z"}`,
    digits: fraction?.length ?? 0,
  };
}

/** @throws Misfit for a time that 64 bits of nanoseconds do not hold. */
export function inRange(time: DateTime): DateTime {
  if (time.ns > -(2n ** 63n) && time.ns < 2n ** 63n) return time.dateOnly ? new DateTime(time.ns) : time;
  throw lossOf("a time out of range", "datetime64[ns]", "It takes the years 1678 to 2261.");
}

function noTime(remedy: string) {
  return lossOf("text that is no time", "datetime64[ns]", remedy);
}
