// What the page says to the server, and what it does when there is no answer.

export class Refused extends Error {} // the server answered, and said no

export class Silent extends Error {} // nobody answered

const PATIENCE = 60000; // ms

async function told(path, options) {
  let reply, content;
  try {
    reply = await fetch(path, {cache: "no-store", signal: AbortSignal.timeout(PATIENCE), ...options});
    content = await reply.json();
  } catch {
    throw new Silent("The server doesn’t answer. “exposure play” must be running.");
  }
  if (!reply.ok) throw new Refused(sentence(content.error ?? `status ${reply.status}`));
  return content;
}

export function ask(path, question) {
  if (question === undefined) return told(`/api/${path}`);
  return told(`/api/${path}`, {
    method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(question),
  });
}

let session = null; // a token, by which the server knows whose uploads are whose

export async function upload(file) {
  const headers = {"Content-Type": "application/octet-stream", ...(session ? {"X-Session": session} : {})};
  const kept = await told(`/api/upload?name=${encodeURIComponent(file.name.slice(-200))}`,
                          {method: "POST", headers, body: file});
  session = kept.session;
  return kept;
}

export function pictureAddress(game, evs) {
  const which = evs === "target" ? "which=target" : `evs=${evs.map(short).join(",")}`;
  return `/api/picture?photo=${encodeURIComponent(game.photo)}&seed=${game.seed}&${which}`;
}

export const short = (ev) => String(Math.round(ev * 100) / 100 + 0);

export function sentence(text) {
  const whole = text[0].toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}

// A game as an address holds it, and back; what makes no sense is left for the server to refuse.
export function toAddress(game) {
  const parts = new URLSearchParams({photo: game.photo, seed: game.seed, reward: game.reward, rival: game.rival});
  if (game.evs.length) parts.set("evs", game.evs.map(short).join(","));
  if (game.blind) parts.set("blind", "1");
  return `#${parts.toString().replaceAll("%2C", ",")}`;
}

export function fromAddress(hash) {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  if (!parts.get("photo")) return null;
  const given = parts.get("evs");
  const seed = parts.get("seed") ?? "0";
  return {
    photo: parts.get("photo"), seed: /^\d{1,10}$/.test(seed) ? Number(seed) : seed, reward: parts.get("reward"),
    rival: parts.get("rival") ?? "agent", blind: parts.get("blind") === "1",
    evs: given ? given.split(",").map((ev) => (/^[-+]?[\d.]+$/.test(ev) ? Number(ev) : ev)) : [],
  };
}
