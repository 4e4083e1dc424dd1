// All that the page knows, and what follows from it at once.
import {minus} from "./drawing.js";

export const RIVALS = {agent: "Agent", greedy: "Greedy"};
export const the = {
  options: null, // photos, limit and the sheet's photos, from the server
  own: [], // uploaded photos: {id, name, seeded}
  game: {photo: "", seed: 0, reward: null, rival: "agent", evs: [], blind: false}, // what an address holds
  table: null, // what the server says of the photo: outlines, segments, rewards
  turn: null, // what it says of the exposures so far
  former: [], // exposures taken back, offered again
  oracle: null, // the best plan, once it has been asked for
  helped: false, // whether the rival has played for the student
};

export const $ = (id) => document.getElementById(id);
export const judge = () => the.table.rewards.find(({name}) => name === the.game.reward);
export const over = () => the.table !== null && the.game.evs.length === the.table.segments;
export const ev = () => Number($("ev").value);
export const rivalName = () => RIVALS[the.game.rival];
export const photos = () => [...the.options.photos, ...the.own];
export const plain = (score) => minus(score.toFixed(judge().digits));
export const shown = (score) => `${plain(score)}${judge().unit && ` ${judge().unit}`}`;
export const gain = (score, from) => `${score >= from ? "+" : ""}${plain(score - from)}`;
