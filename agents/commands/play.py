"""The command `exposure play`: a page in the browser where students play against the agent."""

import sys
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

Photos = Annotated[Path | None, tyro.conf.arg(metavar="PHOTO|FOLDER")]
Model = Annotated[Path | None, tyro.conf.arg(metavar="RUN")]
Folder = Annotated[Path | None, tyro.conf.arg(metavar="DIR")]


@dataclass(frozen=True)
class Play:
    """Play against the agent in the browser: expose a photo segment by segment, and see who gets more reward.

    The page shows what every exposure would be worth, by any reward that is chosen there. Without photos of your own,
    the sample scenes are exposed wrongly by a known amount, so that the PSNR to the good photo is a reward, too.
    """

    photos: tyro.conf.Positional[Photos] = None  # a photo or a folder of photos; the five sample scenes by default
    targets: Folder = None  # folder of the photos' good versions, under the same file names; none by default
    model: Model = None  # run folder or agent file; the shipped agent by default
    reward: str | None = None  # reward to begin with: a name, "module:attribute", or a run or reward file
    seed: int = 0  # seed of the score sheet's photos and of how the samples are misexposed
    host: str = "127.0.0.1"  # address to listen on; by default one that only this machine reaches
    port: int = 0  # port to listen on; by default a free one

    def run(self) -> int:
        """Serves the page until Ctrl-C."""
        from agents.commands.retouch import load
        from agents.playground import FolderGallery, Library, SampleGallery, judges, run_estimate
        from agents.playground.app import MOST_SEED, make_app
        from agents.playground.gallery import ROUND
        from agents.retouching import find_photos
        from agents.saved_agent import PLACEHOLDER
        from agents.serving import address, host_names, is_loopback, listen, make_server

        if not 0 <= self.seed <= MOST_SEED - ROUND:
            raise ValueError(f"seed must lie between 0 and {MOST_SEED - ROUND}, not {self.seed}")
        if self.photos is not None and not self.photos.exists():
            raise ValueError(f"there is no {self.photos}")
        if self.targets is not None and self.photos is None:
            raise ValueError("--targets are the good versions of photos of your own: give the photos, too")
        gallery = SampleGallery() if self.photos is None else FolderGallery(
            find_photos([self.photos]), () if self.targets is None else find_photos([self.targets]))
        agent = load(self.model)
        library = Library(gallery, agent, judges(agent.task(PLACEHOLDER), self.reward),
                          run_estimate(agent, self.model))
        name = "the shipped agent" if self.model is None else self.model.name
        with closing(listen(self.host, self.port)) as listening:
            hosts = host_names(listening, self.host)
            server = make_server(make_app(library, hosts, seed=self.seed, agent=name, reward=self.reward))
            if not is_loopback(self.host):
                print("warning: whoever reaches this address can play, sees the photos, and can upload some",
                      file=sys.stderr)
            print(f"Open {address(listening, self.host)} in a browser; Ctrl-C ends.", flush=True)
            with suppress(KeyboardInterrupt):
                server.run(sockets=[listening])
        return 0
