// Draws grouped bars as SVG text. Knows nothing of what it shows.

const size = { width: 960, height: 480 };
const plot = { left: 72, right: 24, top: 124, bottom: 60 };
const ink = "#202124";
const faint = "#5f6368";

/**
 * @param series [{side, label, colour}], in the order of the bars; those without a value anywhere are left out
 * @param groups [{label, values: {[side]: {value, low, high}}}]; low and high are drawn as a whisker
 */
export function groupedBars({ title, subtitle, axis, unit, groups, series }) {
  const shown = series.filter(({ side }) => groups.some(({ values }) => values[side]));
  const most = Math.max(
    ...groups.flatMap(({ values }) => Object.values(values).map(({ value, high }) => Math.max(value, high))),
  );
  const step = niceStep(most / 7);
  const top = Math.ceil(most / step) * step;
  const inner = { width: size.width - plot.left - plot.right, height: size.height - plot.top - plot.bottom };
  const y = (value) => plot.top + inner.height * (1 - value / top);
  const groupWidth = inner.width / groups.length;
  const barWidth = Math.min(36, (groupWidth * 0.84) / shown.length);

  const lines = [];
  for (let value = 0; value <= top + step / 2; value += step) {
    lines.push(
      `<line x1="${plot.left}" x2="${size.width - plot.right}" y1="${px(y(value))}" y2="${px(y(value))}" stroke="${value === 0 ? ink : "#e3e5e8"}"/>`,
      text(plot.left - 8, y(value) + 4, format(value, step), { anchor: "end", colour: faint }),
    );
  }
  const bars = groups.flatMap(({ label, values }, g) => {
    const middle = plot.left + groupWidth * (g + 0.5);
    const first = middle - (barWidth * shown.length) / 2;
    return [
      text(middle, size.height - plot.bottom + 20, label, { anchor: "middle" }),
      ...shown.flatMap(({ side, colour }, s) =>
        values[side] ? bar(first + s * barWidth, barWidth, values[side], colour, y) : [],
      ),
    ];
  });
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" width="${size.width}" height="${size.height}" viewBox="0 0 ${size.width} ${size.height}" font-family="system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="13">`,
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    text(24, 32, title, { size: 20, weight: 600 }),
    text(24, 54, `${subtitle} (${unit})`, { colour: faint }),
    ...legend(shown),
    ...lines,
    ...bars,
    text(plot.left + inner.width / 2, size.height - 14, axis, { anchor: "middle", colour: faint }),
    "</svg>",
  ].join("\n")}\n`;
}

function bar(x, width, { value, low, high }, colour, y) {
  const middle = x + width / 2;
  const whisker = `M${px(middle)} ${px(y(low))}V${px(y(high))}`;
  return [
    `<rect x="${px(x + 1)}" y="${px(y(value))}" width="${px(width - 2)}" height="${px(y(0) - y(value))}" fill="${colour}"/>`,
    `<path d="${whisker}" stroke="${ink}" stroke-width="1.2"/>`,
    text(middle, y(Math.max(value, high)) - 5, value >= 99.5 ? value.toFixed(0) : value.toFixed(1), {
      anchor: "middle",
      size: width < 26 ? 9 : 11,
    }),
  ];
}

/** In as many lines as it takes. */
function legend(shown) {
  let x = 24;
  let y = 72;
  return shown.flatMap(({ label, colour }) => {
    const width = 34 + label.length * 6.9;
    if (x + width > size.width) {
      x = 24;
      y += 20;
    }
    const at = x;
    x += width;
    return [`<rect x="${px(at)}" y="${y}" width="12" height="12" fill="${colour}"/>`, text(at + 18, y + 11, label)];
  });
}

function text(x, y, content, { anchor = "start", colour = ink, size: points = 13, weight = 400 } = {}) {
  const escaped = String(content).replace(/[&<>]/g, (one) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[one]);
  return `<text x="${px(x)}" y="${px(y)}" text-anchor="${anchor}" fill="${colour}" font-size="${points}" font-weight="${weight}">${escaped}</text>`;
}

/** 1, 2 or 5 times a power of ten, not below `least`. */
function niceStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least);
}

function format(value, step) {
  return value.toFixed(step < 1 ? 1 : 0);
}

function px(number) {
  return Number(number.toFixed(1));
}
