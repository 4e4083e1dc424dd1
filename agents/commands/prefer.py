"""The command `exposure prefer`: which of two retouches is better, asked in the browser."""

import sys
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

Folder = Annotated[Path | None, tyro.conf.arg(metavar="PHOTOS")]


@dataclass(frozen=True)
class Prefer:
    """Answer in the browser which of two retouches is better, so that a reward model can learn your taste.

    Each answer is kept at once; to go on later, give the same command again. Then learn from the answers:
    exposure learn-preferences DIR -o reward.safetensors
    """

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="DIR")]  # folder for the answers
    photos: tyro.conf.Positional[Folder] = None  # folder of photos; the five sample scenes by default
    judge: str = "me"  # who answers, as it is recorded
    number: int = 100  # answers wanted in the folder, with those that are there already
    seed: int = 0  # seed of photos and retouches; which are shown also depends on how many answers there are
    host: str = "127.0.0.1"  # address to listen on; by default one that only this machine reaches
    port: int = 0  # port to listen on; by default a free one

    def run(self) -> int:
        """Serves the page until Ctrl-C, and prints how many answers there are."""
        import numpy as np

        from agents.locks import locked
        from agents.preferring.page import Ballot, make_app
        from agents.preferring.pairs import Pairs, PhotoFiles
        from agents.retouching import find_photos
        from agents.rewards.preferences import FILE_NAME, PreferenceFolder
        from agents.serving import address, host_names, is_loopback, listen, make_server
        from exposure_env.photos import sample_scenes

        if self.number < 1:
            raise ValueError(f"number must be 1 or more, not {self.number}")
        if self.photos is not None and not self.photos.is_dir():
            raise ValueError(f"{self.photos} is not a folder")
        photos = sample_scenes() if self.photos is None else PhotoFiles(find_photos([self.photos]))
        listening = listen(self.host, self.port)
        self.out.mkdir(parents=True, exist_ok=True)
        with closing(listening), locked(self.out / FILE_NAME, f"another `exposure prefer` writes to {self.out}"):
            answers = PreferenceFolder(self.out)
            given = len(answers)
            pairs = Pairs(photos, np.random.default_rng([self.seed, given]))  # others than those answered before
            ballot = Ballot(pairs, answers, self.judge, self.number, given)
            server = make_server(make_app(ballot, host_names(listening, self.host)))
            if not is_loopback(self.host):
                print("warning: whoever reaches this address sees the photos and can answer", file=sys.stderr)
            print(f"{given} of {self.number} answers. Open {address(listening, self.host)} in a browser; Ctrl-C ends.",
                  flush=True)
            with suppress(KeyboardInterrupt):
                server.run(sockets=[listening])
        print(f"\n{ballot.given} answer{'' if ballot.given == 1 else 's'} in {self.out}. Learn from them: exposure "
              f"learn-preferences {self.out} -o reward.safetensors")
        return 0
