// What is on the page, made of what the page knows.
import {between, chart, minus, outlines, signed} from "./drawing.js";
import {cells, showSheet} from "./sheet.js";
import {$, ev, gain, judge, over, photos, plain, rivalName, shown, the} from "./state.js";
import {pictureAddress} from "./talking.js";

const HINTS = {
  agent: "The trained policy: it plays as it has learned to, whatever the reward.",
  greedy: "The best exposure of each curve: it obeys this reward, and nothing else.",
};
const lower = () => rivalName().toLowerCase();

function fill(select, pairs, chosen) {
  select.replaceChildren(...pairs.map(([value, text]) => new Option(text, value, false, value === chosen)));
}

function picture(id, address) { // the same address again would load again
  if ($(id).getAttribute("src") !== address) $(id).src = address;
}

export function showAll(touch) {
  showSettings();
  showBoards(touch);
  showMove();
  showTables(touch);
  draw();
}

function showSettings() {
  const {game, table, options} = the;
  const known = photos().find(({id}) => id === game.photo);
  fill($("photo"), photos().map(({id, name}) => [id, name]), game.photo);
  if (!known) $("photo").append(new Option(table.name, game.photo, false, true));
  $("seed-field").hidden = !known?.seeded;
  $("seed").value = game.seed;
  fill($("reward"), table.rewards.map(({name, title}) => [name, title]), game.reward);
  $("rival").value = game.rival;
  $("rival-hint").textContent = HINTS[game.rival];
  $("open").checked = !game.blind;
  $("about").textContent = `The agent is ${options.agent}. Rewards are measured on the small pictures that it sees. ` +
    "A photo that you upload stays in this server’s memory, and is forgotten when others come.";
  document.title = `${table.name} · Play against the agent`;
}

export function showBoards(choose) {
  const {game, table, turn} = the;
  const first = turn.yours.scores[0], theirs = turn.rival.scores.at(-1);
  const mine = game.blind && !over() ? turn.yours.scores.at(-1) : turn.now;
  document.documentElement.style.setProperty("--ratio", table.width / table.height);
  picture("your-image", turn.image);
  $("your-image").alt = `${table.name}, exposed by you`;
  picture("rival-image", turn.rival.image);
  $("rival-image").alt = `${table.name}, exposed by ${lower()}`;
  $("your-score").textContent = shown(mine);
  $("your-gain").textContent = gain(mine, first);
  $("rival-name").textContent = rivalName();
  $("rival-score").textContent = shown(theirs);
  $("rival-gain").textContent = gain(theirs, first) + (over() || game.blind ? "" :
    `, next ${signed(turn.rival.evs.at(-1))} EV`);
  const of = `${game.photo} ${game.seed}`;
  for (const id of ["your-outlines", "rival-outlines"]) {
    if ($(id).dataset.of !== of) {
      $(id).dataset.of = of;
      outlines($(id), table, id === "your-outlines" ? choose : null);
    }
    for (const path of $(id).children) {
      const place = Number(path.dataset.segment) - game.evs.length;
      path.classList.toggle("done", place < 0);
      path.classList.toggle("current", place === 0);
      path.classList.toggle("later", place > 0);
    }
  }
}

export function showMove() {
  const {game, table, turn} = the;
  $("turn").hidden = over();
  $("end").hidden = !over();
  $("boards").classList.toggle("over", over());
  $("segment").textContent = `Segment ${game.evs.length + 1} of ${table.segments}`;
  $("ev-shown").textContent = `${signed(ev())} EV`;
  $("ev").setAttribute("aria-valuetext", `${signed(ev())} EV${game.blind ? "" : `, ${shown(turn.now)}`}`);
  $("least").textContent = `−${table.max_ev}`;
  $("most").textContent = `+${table.max_ev}`;
  $("back").disabled = !game.evs.length;
  $("go-on").textContent = `Let ${game.rival === "agent" ? "the agent" : "greedy"} go on`;
}

export function showTables(choose) {
  const {game, table, turn, oracle} = the, step = game.evs.length;
  $("moves").tBodies[0].replaceChildren(...Array.from({length: table.segments}, (_, i) => {
    const heading = i >= step ? `${i + 1}` : Object.assign(document.createElement("button"), {
      type: "button", textContent: `${i + 1}`, title: `Back to segment ${i + 1}`, onclick: () => choose(i)});
    const theirs = i < step || !game.blind ? turn.rival.evs[i] : undefined;
    const row = cells([[i < step ? signed(game.evs[i]) : "", "you"],
      [theirs === undefined ? "" : signed(theirs), "rival"], [oracle ? signed(oracle.evs[i]) : ""]], heading);
    row.classList.toggle("current", i === step);
    return row;
  }));
  $("moves-rival").textContent = rivalName();
  $("oracle").disabled = oracle !== null;
  showSheet();
}

export function draw() {
  const {game, table, turn} = the;
  if (!turn) return;
  $("curve-box").hidden = over();
  $("estimate-box").hidden = !turn.yours.estimates;
  $("charts").classList.toggle("one", !turn.yours.estimates);
  $("curve-title").textContent = `What each exposure of segment ${game.evs.length + 1} is worth: ${judge().title}`;
  $("course-title").textContent = `${judge().title} after each step`;
  $("key-rival").textContent = `${lower()}, on its own board`;
  for (const id of ["curve", "legend"]) $(id).toggleAttribute("hidden", game.blind && !over());
  drawMove();
  if (!turn.yours.estimates) return;
  $("estimate-title").textContent = table.estimate;
  chart($("estimate"), {...steps(), floor: 0.1, lines: [{name: "rival", points: numbered(turn.rival.estimates)},
                                                        {name: "you", points: numbered(turn.yours.estimates)}]});
  $("estimate").setAttribute("aria-label", `${table.estimate}, after each step: you ` +
    `${turn.yours.estimates.map((each) => minus(each.toFixed(2))).join(", ")}`);
}

const numbered = (scores) => scores.map((score, i) => [i, score]);
const steps = () => {
  const to = the.table.segments;
  return {x: {from: 0, to, ticks: Array.from({length: to + 1}, (_, i) => [i, `${i}`])}};
};

// What follows the slider
export function drawMove() {
  const {game, turn} = the, hidden = game.blind && !over(), {title, digits} = judge();
  if (turn.curve && turn.rival.curve && !hidden) drawCurve();
  const mine = hidden || over() ? turn.yours.scores : [...turn.yours.scores, turn.now];
  chart($("course"), {...steps(), floor: 5 * 0.1 ** digits, lines: [
    {name: "rival", points: numbered(turn.rival.scores)}, {name: "you", points: numbered(mine)}]});
  $("course").setAttribute("aria-label", `${title}: you ${mine.map(plain).join(", ")}; ` +
    `${lower()} ${turn.rival.scores.map(plain).join(", ")}`);
}

function drawCurve() {
  const {evs, yours, best} = the.turn.curve, {curve, now} = the.turn.rival, most = the.table.max_ev;
  const points = (scores) => scores.map((score, i) => [evs[i], score]);
  const theirs = the.turn.rival.evs.at(-1), top = yours[evs.indexOf(best)];
  chart($("curve"), {
    floor: 0.1 ** judge().digits,
    x: {from: evs[0], to: evs.at(-1), ticks: [-3, -2, -1, 0, 1, 2, 3].map((x) => x * most / 3)
      .map((x) => [x, minus(`${x > 0 ? "+" : ""}${Math.round(x * 10) / 10}`)])},
    lines: [{name: "rival", points: points(curve)}, {name: "you", points: points(yours)}],
    marks: [{name: "best", at: [best, top], shape: "triangle", stem: true},
            {name: "rival", at: [theirs, now], shape: "diamond", stem: true},
            {name: "you", at: [ev(), between(evs, yours, ev())], shape: "circle", stem: true}],
  });
  $("curve").setAttribute("aria-label", `Best here: ${signed(best)} EV, ${shown(top)}. ${rivalName()}: ` +
    `${signed(theirs)} EV, ${shown(now)}. You: ${signed(ev())} EV, ${shown(the.turn.now)}.`);
}

export function showEnd() {
  const {turn, oracle} = the;
  const [mine, theirs] = [turn.now, turn.rival.scores.at(-1)];
  $("result").textContent = shown(mine) === shown(theirs) ? "Even." :
    mine > theirs ? "You are ahead." : `${the.game.rival === "agent" ? "The agent" : "Greedy"} is ahead.`;
  $("total-untouched").textContent = shown(turn.yours.scores[0]);
  $("total-you").textContent = shown(mine);
  $("total-rival-name").textContent = rivalName();
  $("total-rival").textContent = shown(theirs);
  $("total-oracle").textContent = oracle ? shown(oracle.score) : "searching …";
  compare();
}

// Two pictures, one in front of the other
export function compare() {
  const sides = [["before", "Before"], ["you", "Yours"], ["rival", `${rivalName()}’s`]];
  if (the.oracle) sides.push(["oracle", "Oracle’s"]);
  if (the.table.target) sides.push(["target", "Good photo"]);
  for (const [id, first] of [["left", "before"], ["right", "you"]]) {
    const value = $(id).value;
    fill($(id), sides, sides.some(([side]) => side === value) ? value : first);
    showSide(id);
  }
  divide();
}

export function showSide(id) {
  const {game, table, turn, oracle} = the;
  const evs = {before: [], you: game.evs, rival: turn.rival.evs, oracle: oracle?.evs, target: "target"}[$(id).value];
  $(`${id}-image`).alt = `${table.name}: ${$(id).selectedOptions[0].text.toLowerCase()}`;
  picture(`${id}-image`, pictureAddress(game, evs));
}

export function divide() {
  $("right-image").style.clipPath = `inset(0 0 0 ${$("divide").value}%)`;
  $("divider").style.left = `${$("divide").value}%`;
}
