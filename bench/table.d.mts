// Types of table.mjs, for its test.

export interface Measured {
  median: number;
  low: number;
  high: number;
  note?: string;
}

export interface Figure {
  id: string;
  title: string;
  unit: "ms" | "bytes" | "%" | "×" | "tok/s";
  /** More is better. */
  more?: boolean;
  sides: Record<string, Measured | { absent: string }>;
}

export interface Bar {
  figure: string;
  ours: string;
  against?: string[];
  atLeast?: number;
  atMost?: number;
}

export interface Row {
  figure: string;
  unit: string;
  ours: (Measured & { side: string }) | null;
  peer: (Measured & { side: string }) | null;
  ratio: number | null;
  bar: { atLeast?: number; atMost?: number };
  holds: boolean;
  note?: string;
}

export function judge(bars: readonly Bar[], figures: readonly Figure[]): Row[];
export function exitCode(rows: readonly Row[]): 0 | 1;
export function barsTable(rows: readonly Row[]): string;
export function figuresTable(figures: readonly Figure[], sides: readonly string[]): string;
export function summary(samples: readonly number[]): Measured & { samples: number };
export function quantity(value: number, unit: string): string;
