// What a bench leaves behind: its figures and bars as JSON and Markdown, and its charts beside them. Knows no figure.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { barsTable, exitCode, figuresTable } from "./table.mjs";

/**
 * Writes `name`.json, .md and a .svg for each chart into a folder, and prints the bars.
 * @param rows bars as `judge` gives them
 * @param sections {heading, figures, sides}: the tables behind that of the bars; those without figures are left out
 * @returns the exit code: 1 when a bar does not hold
 */
export function writeReport(
  folder,
  { name, title, command, circumstances, notes, versions, rows, figures, sections, charts },
) {
  mkdirSync(folder, { recursive: true });
  const code = exitCode(rows);
  const result = { circumstances, at: new Date().toISOString(), versions, holds: code === 0, bars: rows, figures };
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(result, null, 2)}\n`);
  const text = [
    `# ${title}`,
    `Made by \`${command}\`: ${circumstances}. Medians, and in brackets where half of the samples lie. ${notes}`,
    [...new Set(Object.values(versions))].map((version) => `- ${version}`).join("\n"),
    "## Bars",
    barsTable(rows),
    ...sections
      .filter((section) => section.figures.length > 0)
      .flatMap(({ heading, figures: shown, sides }) => [`## ${heading}`, figuresTable(shown, sides)]),
    ...charts.map(({ title: of, file }) => `![${of}](${name}-${file}.svg)`),
  ];
  writeFileSync(join(folder, `${name}.md`), `${text.join("\n\n")}\n`);
  for (const { file, svg } of charts) writeFileSync(join(folder, `${name}-${file}.svg`), svg);
  console.log(`\n${circumstances}\n\n${barsTable(rows)}\n\n${join(folder, `${name}.md`)}`);
  return code;
}
