// Charts and outlines, as SVG.

const SPACE = "http://www.w3.org/2000/svg";
const MARGIN = {top: 14, right: 14, bottom: 26, left: 46};

function make(name, attributes = {}, text) {
  const element = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// About `count` round numbers between two ends.
function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((each) => each * power >= rough) * power;
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step * 1e-6; value += step) found.push(value);
  return {found, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9))};
}

// A chart of lines {name, points: [[x, y], ...]} and marks {name, at: [x, y], shape}; `name` is a class of the style.
export function chart(svg, {lines, marks = [], x, floor = 0}) {
  const width = svg.clientWidth, height = svg.clientHeight;
  const values = [...lines.flatMap(({points}) => points.map((point) => point[1])), ...marks.map(({at}) => at[1])];
  if (!width || !values.length) return svg.replaceChildren();
  let low = Math.min(...values), high = Math.max(...values);
  const room = Math.max((high - low) * 0.08, floor, 1e-6);
  [low, high] = [low - room, high + room];
  const across = (value) =>
    MARGIN.left + (value - x.from) / (x.to - x.from || 1) * (width - MARGIN.left - MARGIN.right);
  const down = (value) => height - MARGIN.bottom - (value - low) / (high - low) * (height - MARGIN.top - MARGIN.bottom);
  const parts = [];
  const vertical = ticks(low, high, 5);
  for (const value of vertical.found) {
    const y = down(value);
    parts.push(make("line", {class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y, y2: y}),
               make("text", {x: MARGIN.left - 8, y: y + 4, "text-anchor": "end"}, minus(value.toFixed(vertical.digits))));
  }
  for (const [value, label] of x.ticks) {
    parts.push(make("text", {x: across(value), y: height - 8, "text-anchor": "middle"}, label));
  }
  for (const {name, points} of lines) {
    const path = points.map(([px, py], i) => `${i ? "L" : "M"}${across(px).toFixed(1)} ${down(py).toFixed(1)}`).join("");
    parts.push(make("path", {class: `line ${name}`, d: path}));
    if (points.length === 1) parts.push(dot(name, across(points[0][0]), down(points[0][1]), "circle", 3));
  }
  for (const {name, at, shape, stem} of marks) {
    const [px, py] = [across(at[0]), down(at[1])];
    if (stem) parts.push(make("line", {class: `stem ${name}`, x1: px, x2: px, y1: py, y2: height - MARGIN.bottom}));
    parts.push(dot(name, px, py, shape, 5));
  }
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren(...parts);
}

function dot(name, x, y, shape, r) {
  const type = `mark ${name}`;
  if (shape === "circle") return make("circle", {class: type, cx: x, cy: y, r});
  const d = shape === "diamond" ? `M${x} ${y - r - 1}l${r + 1} ${r + 1}l${-r - 1} ${r + 1}l${-r - 1} ${-r - 1}z`
    : `M${x} ${y - r}l${r} ${2 * r - 1}h${-2 * r}z`;
  return make("path", {class: type, d});
}

// The value of a line at a place between its points.
export function between(xs, ys, at) {
  const next = Math.min(Math.max(xs.findIndex((x) => x >= at - 1e-9), 1), xs.length - 1);
  const share = (at - xs[next - 1]) / (xs[next] - xs[next - 1]);
  return ys[next - 1] + share * (ys[next] - ys[next - 1]);
}

export function outlines(svg, {width, height, outlines: paths}, choose) {
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.replaceChildren(...paths.map((d, i) => {
    const segment = make("g", {"data-segment": i}), area = make("path", {d, "fill-rule": "evenodd"});
    area.append(make("title", {}, `Segment ${i + 1}`));
    if (choose) area.addEventListener("click", () => choose(i));
    segment.append(make("path", {class: "casing", d}), area); // a light line is seen on a dark one, on any photo
    return segment;
  }));
}

export const minus = (text) => text.replace("-", "−");
export const signed = (ev) => minus(`${ev > 0 ? "+" : ""}${(Math.round(ev * 10) / 10 + 0).toFixed(1)}`);
