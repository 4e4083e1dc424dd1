"""The addresses behind the page; nothing that a request says is used as the name of a file."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from agents.encoding import jpeg
from agents.playground.gallery import sheet
from agents.playground.game import RIVALS, Game, Rival
from agents.playground.judges import Judge
from agents.playground.library import OWN, Forgotten, Library
from agents.playground.uploads import MOST_BYTES
from agents.serving import (
    HTTPException,
    QueryParams,
    Request,
    Response,
    Route,
    Starlette,
    body_of,
    guarded,
    image_reply,
    json_reply,
    page_reply,
    told,
)

STATIC = Path(__file__).parent / "static"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
OWN_PARTS = "style-src 'self'", "script-src 'self'"  # what the page may load and run: files of this server alone
MOST_SEED = 2**31 - 1
THREADS = 8  # that answer; each may keep some memory for itself
UPLOADS, PATIENCE = 4, 60  # files that arrive at once, and how long one may take [s]


class Asked(NamedTuple):
    """A question about a game, checked."""

    game: Game
    judge: Judge
    rival: Rival
    evs: list[float]  # given so far [stops]
    ev: float | None  # where the slider is; None when all segments are exposed
    whole: bool  # whether the rival's side is wanted, too


def make_app(library: Library, hosts: frozenset[str] | None = None, *, seed: int = 0, agent: str = "the shipped agent",
             reward: str | None = None) -> Starlette:
    """The page and what it asks.

    Args:
        library: The games.
        hosts: See `serving.Guard`.
        seed: Of the first score sheet.
        agent: What the trained agent is called.
        reward: Name of the reward that games begin with, where it can judge them.
    """
    parts = {path.name: path.read_bytes() for path in STATIC.iterdir() if path.suffix in TYPES}
    moves = ThreadPoolExecutor(THREADS, "move")
    uploading = asyncio.Semaphore(UPLOADS)
    searches = ThreadPoolExecutor(1, "search")  # seconds long each: the others' moves don't wait for them

    async def page(request: Request) -> Response:
        name = request.path_params.get("name", "play.html")
        if name not in parts:
            raise HTTPException(404, "there is no such page")
        return page_reply(parts[name], TYPES[Path(name).suffix], *OWN_PARTS)

    async def options(request: Request) -> Response:
        first = _seed(request.query_params.get("seed", str(seed)))
        return json_reply({
            "photos": [item._asdict() for item in library.items.values()], "agent": agent, "seed": first,
            "sheet": [{"photo": photo, "seed": its} for photo, its in sheet(list(library.items.values()), first)],
            "limits": {"bytes": MOST_BYTES},
        })

    def begun(content: dict[str, Any]) -> dict[str, Any]:
        game, judges = _game(library, content), library.offered
        height, width = game.board.pixels.shape[:2]
        names = [judge.name for judge in judges(game)]
        return {
            "name": game.shown.name, "width": width, "height": height, "target": game.shown.target is not None,
            "segments": game.segments, "outlines": game.board.outlines, "max_ev": float(game.grid[-1]),
            "rewards": [{"name": each.name, "title": each.title, "unit": each.unit, "digits": each.digits}
                        for each in judges(game)],
            "reward": reward if reward in names else names[0],
            "estimate": None if game.estimate is None else game.estimate.title,
        }

    def turn(content: dict[str, Any]) -> dict[str, Any]:
        asked = _asked(library, content)
        game, evs, now = asked.game, asked.evs, [*asked.evs, *([] if asked.ev is None else [asked.ev])]
        reply = {"now": game.scores([now], asked.judge)[0], "image": _inline(game.picture(now)), "curve": None}
        if asked.ev is not None:
            curve = game.curve(evs, asked.judge)
            reply["curve"] = {"evs": curve.evs.tolist(), "yours": curve.scores.tolist(), "best": curve.best}
        if asked.whole:
            plan = game.finished([], asked.rival, asked.judge)
            before = plan[: len(evs)]
            reply |= {"yours": {"scores": game.course(evs, asked.judge), "estimates": game.estimates(evs)},
                     "rival": {"evs": plan[: len(now)], "scores": game.course(before, asked.judge),
                               "estimates": game.estimates(before), "image": _inline(game.picture(before)),
                               "curve": None}}
            if asked.ev is not None:
                reply["rival"]["curve"] = game.curve(before, asked.judge).scores.tolist()
                reply["rival"]["now"] = game.scores([plan[: len(now)]], asked.judge)[0]
        return reply

    def finished(content: dict[str, Any]) -> dict[str, Any]:
        asked = _asked(library, content)
        return {"evs": asked.game.finished(asked.evs, asked.rival, asked.judge)}

    def searched(content: dict[str, Any]) -> dict[str, Any]:
        asked = _asked(library, content)
        evs, score = asked.game.oracle(asked.judge)
        return {"evs": evs, "score": score}

    def pictured(query: QueryParams) -> Response:
        game = _game(library, {"photo": query.get("photo"), "seed": _seed(query.get("seed", "0"))})
        if query.get("which") == "target":
            if game.shown.target is None:
                raise HTTPException(404, "this photo has no target")
            return image_reply(jpeg(game.shown.target))
        try:
            evs = [float(ev) for ev in query.get("evs", "").split(",") if ev]
        except ValueError as error:
            raise HTTPException(400, f"evs must be numbers, not {query.get('evs')!r:.80}") from error
        return image_reply(game.full(_evs(game, evs)))

    async def upload(request: Request) -> Response:
        name, session = request.query_params.get("name", ""), request.headers.get("x-session")
        try:
            async with uploading, asyncio.timeout(PATIENCE):
                body = await body_of(request, MOST_BYTES)
                kept = await _within(moves, library.uploads.add, session, name, body)
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        except TimeoutError as error:
            raise HTTPException(408, f"the photo didn't arrive within {PATIENCE} seconds") from error
        return json_reply({"session": kept[0], "photo": f"{OWN}{kept[1]}", "name": kept[2]})

    async def picture(request: Request) -> Response:
        return await _within(moves, _plainly, pictured, request.query_params)

    def answer(make: Callable[[dict[str, Any]], dict[str, Any]],
               pool: ThreadPoolExecutor = moves) -> Callable[[Request], Awaitable[Response]]:
        async def answered(request: Request) -> Response:
            return json_reply(await _within(pool, _plainly, make, told(await body_of(request), "question")))

        return answered

    return guarded([
        Route("/", page), Route("/static/{name}", page), Route("/api/options", options),
        Route("/api/game", answer(begun), methods=["POST"]), Route("/api/turn", answer(turn), methods=["POST"]),
        Route("/api/finish", answer(finished), methods=["POST"]),
        Route("/api/oracle", answer(searched, searches), methods=["POST"]),
        Route("/api/picture", picture),
        Route("/api/upload", upload, methods=["POST"]),
    ], hosts)


async def _within(pool: ThreadPoolExecutor, function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns that runs in a thread of the pool."""
    return await asyncio.get_running_loop().run_in_executor(pool, function, *arguments)


def _plainly(make: Callable[[Any], Any], content: Any) -> Any:
    """What a function makes of a question; whatever goes wrong becomes a message for the player."""
    try:
        return make(content)
    except Forgotten as error:
        raise HTTPException(404, str(error)) from error
    except (ValueError, OSError, MemoryError) as error:  # a photo that can't be read, a reward that fails
        raise HTTPException(500, str(error) or type(error).__name__) from error


def _game(library: Library, content: dict[str, Any]) -> Game:
    photo, seed = content.get("photo"), content.get("seed", 0)
    if not isinstance(photo, str) or len(photo) > 300:
        raise HTTPException(400, f"photo must be a name, not {photo!r:.80}")
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed <= MOST_SEED:
        raise HTTPException(400, f"seed must be an integer from 0 to {MOST_SEED}, not {seed!r:.80}")
    return library.game(photo, seed)


def _asked(library: Library, content: dict[str, Any]) -> Asked:
    game = _game(library, content)
    judges = {judge.name: judge for judge in library.offered(game)}
    reward, rival, ev = content.get("reward"), content.get("rival", RIVALS[0]), content.get("ev")
    if not isinstance(reward, str) or reward not in judges:
        raise HTTPException(400, f"the reward must be one of {', '.join(judges)}, not {reward!r:.80}")
    if rival not in RIVALS:
        raise HTTPException(400, f"the rival must be one of {', '.join(RIVALS)}, not {rival!r:.80}")
    evs = _evs(game, content.get("evs", []))
    if len(evs) == game.segments:
        ev = None
    elif ev is not None:
        (ev,) = _evs(game, [ev])
    return Asked(game, judges[reward], rival, evs, ev, bool(content.get("whole")))


def _evs(game: Game, evs: Any) -> list[float]:
    """Exposures given so far, rounded to a hundredth of a stop, so that links hold them exactly."""
    limit = float(game.grid[-1])
    if not isinstance(evs, list) or len(evs) > game.segments:
        raise HTTPException(400, f"evs must be a list of at most {game.segments} numbers, not {evs!r:.80}")
    for ev in evs:
        if isinstance(ev, bool) or not isinstance(ev, int | float) or not isfinite(ev) or abs(ev) > limit + 1e-6:
            raise HTTPException(400, f"an EV must be a number from {-limit:g} to {limit:g}, not {ev!r:.80}")
    return [round(float(ev), 2) for ev in evs]


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 12):
        raise HTTPException(400, f"seed must be an integer from 0 to {MOST_SEED}, not {text!r:.80}")
    return int(text)


def _inline(file: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(file).decode()}"
