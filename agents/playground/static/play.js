// The game: what happens when something on the page is touched.
import {signed} from "./drawing.js";
import {newSheet, record, rows} from "./sheet.js";
import {compare, divide, draw, drawMove, showAll, showBoards, showEnd, showMove, showSide, showTables} from "./showing.js";
import {$, ev, judge, over, photos, rivalName, shown, the} from "./state.js";
import {Refused, ask, fromAddress, toAddress, upload} from "./talking.js";

let asked = 0; // questions so far: an answer to an older one comes too late
let moving = false, moved = false; // whether the slider's place is being asked for, and has changed since
let retry = null; // what to try again
const refused = new Set(); // photos that can't be played

const say = (text) => { $("status").textContent = text; };
const rounded = (value) => Math.round(value * 100) / 100 + 0;
const busy = () => $("game").getAttribute("aria-busy") === "true";

function notice(text) {
  $("noticed").textContent = text;
  $("notice").hidden = !text;
}

function trouble(error, again) {
  retry = again;
  $("reason").textContent = error.message;
  $("trouble").hidden = false;
  say("");
}

// Runs a part of the game; whatever goes wrong is told, with a button that tries the same again.
async function attempt(work) {
  $("trouble").hidden = true;
  $("game").setAttribute("aria-busy", "true");
  try {
    await work();
  } catch (error) {
    trouble(error, () => attempt(work));
  }
  $("game").setAttribute("aria-busy", "false");
}

// Begins the game that `wanted` says; if there is no such photo or game, the nearest one, and says so.
async function begin(wanted) {
  let told = "", table;
  const first = {...the.options.sheet[0], reward: null, rival: "agent", evs: [], blind: false};
  wanted ??= first;
  try {
    table = await ask("game", {photo: wanted.photo, seed: wanted.seed});
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    refused.add(wanted.photo);
    const other = following();
    if (!other) throw error;
    told = `${error.message} Another game has begun.`;
    wanted = {...first, ...other, reward: wanted.reward};
    table = await ask("game", {photo: wanted.photo, seed: wanted.seed});
  }
  const {reward} = wanted;
  if (!table.rewards.some(({name}) => name === reward)) wanted = {...wanted, reward: table.reward};
  const fitting = {...wanted, evs: [], rival: "agent"};
  const before = {...the};
  Object.assign(the, {table, game: wanted, former: [], oracle: null, helped: false});
  try {
    await refresh();
  } catch (error) {
    if (!(error instanceof Refused)) {
      Object.assign(the, before);
      throw error;
    }
    told ||= `This link doesn’t fit the photo. ${error.message} The game begins anew.`;
    the.game = fitting;
    await refresh();
  }
  if (reward && reward !== wanted.reward) told ||= `“${reward}” can’t judge this photo: the reward is ${judge().title}.`;
  notice(told);
  if (!over()) say(`${table.name}: ${table.segments} segments, the largest first.`);
}

// Asks for both boards after the exposures so far, and shows all there is.
async function refresh() {
  const number = ++asked, {game, table} = the;
  Object.assign($("ev"), {max: table.max_ev, min: -table.max_ev, value: the.former[game.evs.length] ?? 0});
  const turn = await ask("turn", {...game, ev: over() ? null : ev(), whole: true});
  if (number !== asked) return;
  the.turn = turn;
  history.replaceState(null, "", toAddress(game));
  showAll(choose);
  if (over()) finish();
}

// The slider has moved: all that doesn't need the server follows at once, the rest as fast as it answers.
async function slide() {
  if (!the.turn || over()) return;
  showMove();
  drawMove();
  moved = true;
  if (moving) return;
  moving = true;
  while (moved) {
    moved = false;
    const number = asked;
    try {
      const {now, image, curve} = await ask("turn", {...the.game, ev: ev()});
      if (number !== asked) continue;
      Object.assign(the.turn, {now, image, curve});
      $("trouble").hidden = true;
    } catch (error) {
      trouble(error, slide);
      break;
    }
    showBoards(choose);
    showMove();
    drawMove();
  }
  moving = false;
}

async function confirm() {
  if (!the.turn || over() || busy()) return;
  const here = [$("ev"), $("confirm"), document.body].includes(document.activeElement), given = rounded(ev());
  await attempt(async () => {
    const before = the.game;
    the.game = {...before, evs: [...before.evs, given]};
    const formerly = the.former[before.evs.length];
    the.former[before.evs.length] = given;
    try {
      await refresh();
    } catch (error) {
      the.game = before;
      $("ev").value = given;
      the.former[before.evs.length] = formerly;
      throw error;
    }
    const {turn, table} = the, step = the.game.evs.length, rival = rivalName().toLowerCase();
    say(`Segment ${step} of ${table.segments}: you ${signed(given)} EV, ${rival} ${signed(turn.rival.evs[step - 1])} EV. ` +
        `Reward ${shown(turn.yours.scores[step])}, ${rival} ${shown(turn.rival.scores[step])}.`);
    if (over()) $("result").focus();
    else if (here) $("ev").focus({preventScroll: true});
  });
}

function backTo(step) {
  const {game, former} = the;
  if (!the.turn || step >= game.evs.length || step < 0 || busy()) return;
  attempt(async () => {
    the.former = [...game.evs, ...former.slice(game.evs.length)];
    the.game = {...game, evs: game.evs.slice(0, step)};
    try {
      await refresh();
    } catch (error) {
      Object.assign(the, {game, former});
      throw error;
    }
    say(`Back at segment ${step + 1}. Your exposures from here on are offered again.`);
    $("ev").focus({preventScroll: true});
  });
}

function choose(segment) {
  if (segment < the.game.evs.length) backTo(segment);
  else if (segment === the.game.evs.length) $("ev").focus({preventScroll: true});
  else say(`Segment ${segment + 1} comes later: the largest is exposed first.`);
}

function goOn() {
  attempt(async () => {
    const before = the.game, {evs} = await ask("finish", before);
    Object.assign(the, {game: {...before, evs: evs.map(rounded)}, helped: true});
    try {
      await refresh();
    } catch (error) {
      the.game = before;
      throw error;
    }
    say(`${rivalName()} has played segments ${before.evs.length + 1} to ${evs.length} for you.`);
    $("result").focus();
  });
}

// The best plan by the reward; nobody waits for it but the one place where it is shown.
async function search() {
  const {game} = the;
  $("oracle").disabled = true;
  $("oracle").textContent = "Searching …";
  try {
    const found = await ask("oracle", {...game, evs: []});
    const {photo, seed, reward} = the.game;
    if (photo === game.photo && seed === game.seed && reward === game.reward) the.oracle = found;
    return found;
  } finally {
    $("oracle").textContent = "Ask the oracle";
    $("oracle").disabled = the.oracle !== null;
    showTables(backTo);
  }
}

// The end of a game: the result, the sheet's new line, and the pictures to compare.
async function finish() {
  const {game, table, turn, helped} = the;
  showEnd();
  record(game, {name: table.name, helped, you: turn.now, rival: turn.rival.scores.at(-1)});
  try {
    const found = the.oracle ?? await search();
    record(game, {oracle: found.score});
    if (the.game === game) showEnd();
  } catch (error) {
    trouble(error, finish);
  }
}

function start(change) {
  attempt(() => begin({...the.game, evs: [], ...change})).then(() => {
    window.scrollTo({top: 0});
    $("ev").focus({preventScroll: true});
  });
}

// The sheet's first photo without a result, or if there is none the one after this.
function following() {
  const {game} = the, played = rows(), left = the.options.sheet.filter(({photo}) => !refused.has(photo));
  const at = left.findIndex(({photo, seed}) => photo === game.photo && seed === game.seed);
  return left.find((each) => !played.some((row) => row.photo === each.photo && row.seed === each.seed))
    ?? left[(at + 1) % left.length];
}

for (const id of ["left", "right"]) {
  $(id).addEventListener("change", () => showSide(id));
  $(`${id}-image`).addEventListener("error", () => {
    $(`${id}-image`).removeAttribute("src");
    trouble(new Error("A picture didn’t arrive: the server doesn’t answer."), () => attempt(async () => compare()));
  });
}
$("divide").addEventListener("input", divide);
$("ev").addEventListener("input", slide);
$("confirm").addEventListener("click", confirm);
$("back").addEventListener("click", () => backTo(the.game.evs.length - 1));
$("go-on").addEventListener("click", goOn);
$("oracle").addEventListener("click", () => search().then(
  ({score}) => say(`The oracle’s plan is worth ${shown(score)}.`), (error) => trouble(error, () => $("oracle").click())));
$("next").addEventListener("click", () => start({...following()}));
$("replay").addEventListener("click", () => start({}));
$("new-sheet").addEventListener("click", newSheet);
$("again").addEventListener("click", () => {
  $("trouble").hidden = true;
  retry();
});
$("dismiss").addEventListener("click", () => notice(""));
$("open").addEventListener("change", () => {
  the.game = {...the.game, blind: !$("open").checked};
  history.replaceState(null, "", toAddress(the.game));
  showAll(choose);
});
$("settings").addEventListener("submit", (event) => event.preventDefault());
$("photo").addEventListener("change", () => start({photo: $("photo").value}));
$("seed").addEventListener("change", () => {
  if ($("seed").checkValidity() && $("seed").value !== "") start({seed: Number($("seed").value)});
  else $("seed").value = the.game.seed;
});
$("random").addEventListener("click", () => {
  const all = photos();
  start({photo: all[Math.floor(Math.random() * all.length)].id, seed: Math.floor(Math.random() * 10000)});
});
for (const id of ["reward", "rival"]) {
  $(id).addEventListener("change", () => attempt(async () => {
    const before = the.game, {oracle} = the;
    the.game = {...before, [id]: $(id).value};
    if (id === "reward") the.oracle = null;
    if (!over()) the.former[before.evs.length] = ev();
    try {
      await refresh();
    } catch (error) {
      Object.assign(the, {game: before, oracle});
      throw error;
    }
    say(id === "reward" ? `The reward is ${judge().title} now.` : `${rivalName()} plays against you now.`);
  }));
}
$("file").addEventListener("change", () => {
  const file = $("file").files[0];
  if (!file) return;
  attempt(async () => {
    if (file.size > the.options.limits.bytes) {
      throw new Refused(`The file is too large: the limit is ${the.options.limits.bytes / 1e6} MB.`);
    }
    say(`Sending ${file.name} …`);
    const {photo, name} = await upload(file);
    the.own.push({id: photo, name, seeded: false});
    await begin({...the.game, photo, seed: 0, evs: []});
  }).then(() => { $("file").value = ""; });
});
$("link").addEventListener("click", () => navigator.clipboard?.writeText(location.href).then(
  () => say("The link to this moment of the game is copied."),
  () => say("The page’s address is the link to this moment of the game: copy it from the address bar."))
  ?? say("The page’s address is the link to this moment of the game: copy it from the address bar."));
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !the.turn || over()) return;
  const at = event.target;
  if (at !== document.body && at !== $("ev")) return; // fields and buttons have keys of their own
  if (event.key === "Enter") {
    if (!event.repeat) confirm();
  } else if (event.key === "Backspace") backTo(the.game.evs.length - 1);
  else if (at !== $("ev") && event.key.startsWith("Arrow")) $("ev").focus();
  else return;
  event.preventDefault();
});
window.addEventListener("hashchange", () => {
  const wanted = fromAddress(location.hash);
  if (wanted) attempt(() => begin(wanted));
});
new ResizeObserver(draw).observe($("game"));

attempt(async () => {
  the.options ??= await ask("options");
  await begin(fromAddress(location.hash));
  if (!over()) $("ev").focus({preventScroll: true});
});
