// The score sheet: the first result on each photo, for each reward and rival, kept as long as the tab is open.
import {$, judge, over, photos, plain, rivalName, the} from "./state.js";

export const ROWS = 10;
const keyOf = ({reward, rival}) => `sheet ${reward} ${rival}`;

export function rows(game = the.game) {
  try {
    return JSON.parse(sessionStorage.getItem(keyOf(game))) ?? [];
  } catch {
    return []; // the browser keeps nothing, or something else
  }
}

function keep(game, all) {
  try {
    sessionStorage.setItem(keyOf(game), JSON.stringify(all));
  } catch { /* a browser that keeps nothing still shows the game */ }
}

// Writes a finished game into the sheet, or the oracle's score into its row, also if another game is on by then.
export function record(game, scores) {
  const all = rows(game), row = all.find(({photo, seed}) => photo === game.photo && seed === game.seed);
  if (row) row.oracle ??= scores.oracle;
  else if (all.length < ROWS && "you" in scores) all.push({photo: game.photo, seed: game.seed, ...scores});
  keep(game, all);
  showSheet();
}

export function newSheet() {
  keep(the.game, []);
  showSheet();
}

export function cells(values, heading) {
  const row = document.createElement("tr"), head = Object.assign(document.createElement("th"), {scope: "row"});
  head.append(heading);
  row.replaceChildren(head, ...values.map(([text, name]) =>
    Object.assign(document.createElement("td"), {textContent: text, className: name ?? ""})));
  return row;
}

export function showSheet() {
  const all = rows(), {title, unit} = judge();
  const mean = (key) => all.some((row) => row[key] === undefined) ? undefined :
    all.reduce((sum, row) => sum + row[key], 0) / all.length;
  const number = (score) => score === undefined ? "…" : plain(score);
  const values = (row) => [[number(row.you), "you"], [number(row.rival), "rival"], [number(row.oracle)]];
  const seeded = (row) => photos().find(({id}) => id === row.photo)?.seeded;
  const name = (row) => `${row.name}${seeded(row) ? `, seed ${row.seed}` : ""}${row.helped ? " (with help)" : ""}`;
  $("sheet").tBodies[0].replaceChildren(...all.map((row) => cells(values(row), name(row))));
  $("sheet").tFoot.replaceChildren(...(all.length ?
    [cells(values({you: mean("you"), rival: mean("rival"), oracle: mean("oracle")}), "Mean")] : []));
  $("sheet").hidden = !all.length;
  $("sheet-title").textContent = `Score sheet: ${title}${unit && ` [${unit}]`}`;
  $("sheet-rival").textContent = rivalName();
  $("sheet-hint").textContent = all.length >= ROWS ? "Ten photos: the sheet is full." :
    all.length ? `${all.length} of ${ROWS} photos. The first result on each photo counts.` :
      over() ? "" : `Your result on this photo will be the first of ${ROWS}.`;
  $("new-sheet").disabled = !all.length;
}
