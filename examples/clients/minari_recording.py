"""Records the shipped agent's episodes with Minari, and reads them back: a data set for offline learning or imitation.

python -m pip install "minari[create,hdf5]==0.5.4" (run with h5py 3.16.0, jax 0.10.2 and gymnasium 1.4.0)

python examples/clients/minari_recording.py --out DIR; with --quick only three episodes

It prints where the data set is, and the gain [dB of PSNR] of each of the first episodes, as read from the file. Minari
takes arrays of bytes for pictures, and JPEG knows no twelve planes: `Cannot handle this data type: (1, 1, 12), |u1`. So
"uint8" and "dict" want `jpeg_encoding=False`, which also keeps every bit; "float32" takes four times the space.
"""

import os
from pathlib import Path

import gymnasium as gym
import minari
import numpy as np
import tyro

from agents import load_agent

DATASET = "exposure/shipped-agent-v0"


def record(episodes: int, seed: int) -> minari.MinariDataset:
    """A new data set, in the folder that the environment variable names."""
    agent = load_agent()
    env = gym.make("exposure_env:Exposure/Local-v0", segmenter=agent.segmenter, **agent.settings)
    collector = minari.DataCollector(env, record_infos=True, jpeg_encoding=False)
    for episode in range(episodes):
        observation, _ = collector.reset(seed=seed + episode)
        done = False
        while not done:
            action, _ = agent.policy.predict(observation, deterministic=True)
            observation, _, done, _, _ = collector.step(action)
    return collector.create_dataset(
        DATASET, eval_env=env, algorithm_name="DeepExposure II", author="your name", author_email="your address",
        code_permalink="your repository", requirements=["deepexposure-gym"],
        description="Sample photos, retouched: infos hold the photo, the segment and its exposure of every step.",
    )


def main(out: Path = Path("runs/minari"), episodes: int = 100, seed: int = 0, quick: bool = False):
    os.environ["MINARI_DATASETS_PATH"] = str(out.resolve())
    if DATASET in minari.list_local_datasets():
        raise SystemExit(f"{out} holds {DATASET} already")
    record(3 if quick else episodes, seed)
    dataset = minari.load_dataset(DATASET)
    print(f"{dataset.total_episodes} episodes, {dataset.total_steps} steps: {dataset.storage.data_path}/main_data.hdf5")
    for episode in dataset.iterate_episodes(range(3)):
        planes, evs = episode.observations, np.round(episode.infos["evs"][-1], 2)
        photo = episode.infos["photo_index"][0]
        print(f"photo {photo}: {planes.shape} {planes.dtype}, EVs {evs}, {sum(episode.rewards):+.2f} dB")


if __name__ == "__main__":
    tyro.cli(main, description=__doc__)
