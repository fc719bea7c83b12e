// Times as numpy reads them and as Python writes them. It never knows what a time is for.
import { DateTime } from "./data.ts";

const DAY_NS = 86_400_000_000_000n;

const ISO =
  /^\s*\+?(\d{1,4})(?:-(\d\d)(?:-(\d\d)(?:[T ](\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d{0,6}))?)?)?(?:Z|([+-])(\d\d)(?::?(\d\d))?)?)?)?)?$/;

/**
 * `np.datetime64(text).item()`: a date where the text has no time of day; a zone is applied and then forgotten. Undefined
 * for what numpy does not read, for more than six digits of a second and for years outside 1 to 9999, which Python's types
 * cannot hold, and for the words "now" and "today".
 */
export function readDatetime(text: string): DateTime | undefined {
  const found = ISO.exec(text);
  if (found === null) return undefined;
  const [, year = "", month = "1", day = "1", hour, minute = "0", second = "0", fraction = "", sign, ...zone] = found;
  const date = new Date(Date.UTC(2000, Number(month) - 1, 1));
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  if (date.getUTCFullYear() !== Number(year) || Number(year) < 1) return undefined;
  if (date.getUTCMonth() !== Number(month) - 1 || date.getUTCDate() !== Number(day)) return undefined;
  const midnight = BigInt(date.getTime()) * 1_000_000n;
  if (hour === undefined) return new DateTime(midnight, true);
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined;
  const [zoneHour = "0", zoneMinute = "0"] = zone;
  if (Number(zoneHour) > 23 || Number(zoneMinute) > 59) return undefined;
  const offset = (Number(zoneHour) * 60 + Number(zoneMinute)) * (sign === "-" ? -60 : 60);
  const seconds = (Number(hour) * 60 + Number(minute)) * 60 + Number(second) - offset;
  const ns = midnight + BigInt(seconds) * 1_000_000_000n + BigInt(fraction.padEnd(6, "0")) * 1000n;
  return ns >= FIRST_NS && ns < END_NS ? new DateTime(ns) : undefined;
}

const FIRST_NS = BigInt(Date.parse("0001-01-01T00:00:00Z")) * 1_000_000n;
const END_NS = BigInt(Date.parse("9999-12-31T00:00:00Z")) * 1_000_000n + DAY_NS;

/** `isoformat()`; with a blank for "T" it is `str()`. Microseconds when there are any; what is finer is left out. */
export function isoDatetime({ ns, dateOnly }: DateTime, separator: "T" | " " = "T"): string {
  const { year, month, day, hour, minute, second, microsecond } = datetimeParts(ns);
  const date = `${padded(year, 4)}-${padded(month, 2)}-${padded(day, 2)}`;
  if (dateOnly) return date;
  const time = `${padded(hour, 2)}:${padded(minute, 2)}:${padded(second, 2)}`;
  return `${date}${separator}${time}${microsecond === 0 ? "" : `.${padded(microsecond, 6)}`}`;
}

/** `repr()`: `datetime.datetime(2024, 1, 2, 3, 4)`, without seconds when they are 0. */
export function datetimeRepr({ ns, dateOnly }: DateTime): string {
  const { year, month, day, hour, minute, second, microsecond } = datetimeParts(ns);
  if (dateOnly) return `datetime.date(${year}, ${month}, ${day})`;
  const parts = [year, month, day, hour, minute];
  if (second !== 0 || microsecond !== 0) parts.push(second);
  if (microsecond !== 0) parts.push(microsecond);
  return `datetime.datetime(${parts.join(", ")})`;
}

function datetimeParts(ns: bigint) {
  const ofSecond = ((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  const date = new Date(Number((ns - ofSecond) / 1_000_000n));
  return {
    year: date.getUTCFullYear(),
    month: date.getUTCMonth() + 1,
    day: date.getUTCDate(),
    hour: date.getUTCHours(),
    minute: date.getUTCMinutes(),
    second: date.getUTCSeconds(),
    microsecond: Number(ofSecond / 1000n),
  };
}

function padded(value: number, digits: number): string {
  return String(value).padStart(digits, "0");
}
