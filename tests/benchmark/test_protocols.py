"""Protocols: what they are, which photos they take, and how a number names them."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from agents.benchmark.cells import Benchmark, Cell
from agents.benchmark.data import KINDS, find_folders, read_photos
from agents.benchmark.fingerprints import fingerprint
from agents.benchmark.making import fraction, make_benchmark
from agents.benchmark.methods import BASELINES, GROUPS, MAIN, METHODS, named
from agents.benchmark.protocols import PROTOCOLS, protocol_name
from agents.benchmark.results import read_cell, read_cells
from agents.benchmark.splits import misexposed_protocol
from agents.benchmark.stamps import stamp
from agents.benchmark.tables import runs, table
from exposure_env.photos import downloads, fivek_ids
from tests.benchmark.conftest import as_file


def settings_of(method="II", protocol="uneven-v1", **changes):
    """Settings of a cell, as the protocol has them but for the changes."""
    usual = {"segmenter": "slic", "max_segments": 8, "fusion": "mask_pyramid", "max_ev": None,
             "total_timesteps": 30_000}
    return {"protocol": protocol, "method": method, "photos": "10 files, 0a", "config": usual | changes}


class TestProtocols:
    def test_each_has_a_plan_a_version_in_its_name_and_a_kind_of_photos(self):
        for name, protocol in PROTOCOLS.items():
            assert name == protocol.name == protocol_name(name) and protocol.kind in KINDS
            assert name == "fivek" or name.endswith(f"-v{protocol.version}")
            assert {"segmenter", "max_segments", "fusion", "degradation"} <= set(protocol.settings)
            assert callable(protocol.degradation) and bool(protocol.folds) <= protocol.full_size
        assert protocol_name("misexposed") == "uneven-v1"

    def test_the_fingerprint_is_of_all_that_results_depend_on(self):
        one = PROTOCOLS["uneven-v1"]
        marks = [each.fingerprint(photos) for each, photos in (
            (one, "10 files, 0a"), (one, "10 files, 0b"), (replace(one, seed=1), "10 files, 0a"),
            (replace(one, version=2), "10 files, 0a"), (replace(one, crops={**one.crops, "test": 5}), "10 files, 0a"),
            (replace(one, settings={**one.settings, "max_segments": 7}), "10 files, 0a"),
            *((each, "10 files, 0a") for each in PROTOCOLS.values() if each != one))]
        assert len(set(marks)) == len(marks) and all(len(mark) == 8 and int(mark, 16) >= 0 for mark in marks)
        assert replace(one, methods=("all",)).fingerprint("10 files, 0a") == marks[0]  # what is run changes no number

    @pytest.mark.parametrize("name, mark", [("sample-v1", "bc5f51af"), ("uneven-v1", "e9fc92c6"),
                                            ("pairs-v1", "a8865647")])
    def test_published_ones_stay_as_they_are(self, name, mark):
        """A change of a published protocol must be another one, with another name."""
        assert PROTOCOLS[name].fingerprint("sample photos") == mark


class TestStamp:
    def test_it_names_protocol_version_fingerprint_and_photos(self):
        mark = PROTOCOLS["uneven-v1"].fingerprint("10 files, 0a")
        line = f"Protocol uneven-v1, version 1, fingerprint {mark} (10 files, 0a)"
        assert stamp([settings_of(), settings_of(protocol="misexposed")]) == line and stamp([]) == ""
        alone = settings_of("I, global", max_segments=1, total_timesteps=6_000)  # as the method has it
        assert stamp([alone, settings_of("II, long", total_timesteps=90_000)]) == line

    def test_it_names_what_was_changed(self):
        changed = [settings_of(max_segments=3), settings_of(max_segments=3, fusion="local", total_timesteps=7_500)]
        assert stamp(changed).endswith("; changed: max_segments 3, not 8, fusion local, not mask_pyramid, budget 0.25 "
                                       "and 1 of the protocol's")

    def test_a_table_ends_with_it(self, done):
        cells = read_cells(done.out)
        made = table(runs(cells))
        line = stamp([cell["settings"] for cell in cells])
        assert line.startswith("Protocol uneven-v1, version 1, ") and "(10 files, " in line
        assert "max_segments 3, not 8" in line and "budget 0.004 of the protocol's" in line  # --quick
        assert made.text().endswith(f"\n\n{line}") and made.markdown().endswith(f"|\n\n{line}\n")


def test_cells_that_were_finished_before_there_were_versions_stay_finished(done, tmp_path):
    """Settings as a cell of an earlier release has them: nothing of protocols but the name."""
    content = json.loads(done.path(Cell("II", 0)).read_text())
    assert set(content["settings"]) == {"protocol", "method", "seed", "fold", "photos", "config", "off_policy"}
    content["settings"]["config"].pop("snapshots")  # an option that came later
    (tmp_path / "II-seed0.json").write_text(json.dumps(content))
    assert replace(done, out=str(tmp_path)).finished(Cell("II", 0))


class TestSamples:
    def test_they_need_no_folder_and_are_few(self):
        benchmark = make_benchmark("sample-v1")
        split, training = benchmark.data(None)
        assert [len(part) for part in split] == [192, 192, 32] and training is split.inputs
        whole = misexposed_protocol()
        assert [photo.name for photo in split.test] == [photo.name for photo in whole.test[:32]]
        assert benchmark.config.max_segments == 4 and benchmark.config.segmenter == "slic"
        assert benchmark.folders == {}
        methods = {cell.method for cell in benchmark.cells()}
        assert {*MAIN, *GROUPS["rivals"]} <= methods and methods >= {*BASELINES} - {"constant EV on the test"}

    def test_other_photos_are_refused(self, photos, monkeypatch):
        with pytest.raises(ValueError, match=f"has photos of its own: leave out --photos {photos}"):
            make_benchmark("sample-v1", photos)
        protocol = PROTOCOLS["sample-v1"]
        monkeypatch.setitem(PROTOCOLS, "sample-v1", replace(protocol, photos={**protocol.photos, "coffee": "00000000"}))
        with pytest.raises(ValueError, match=f"coffee {protocol.photos['coffee']}, not 00000000"):
            make_benchmark("sample-v1")


class TestPairs:
    def test_anyones_two_folders_are_dealt_into_folds(self, fivek, tmp_path):
        folders = fivek / "fivek_pairs" / "input", fivek / "fivek_pairs" / "expert_c"
        benchmark = make_benchmark("pairs-v1", None, *folders, out=tmp_path, quick=True)
        tested = []
        for fold in range(5):
            split, training = benchmark.data(fold)
            names = {photo.name for photo in split.test}
            assert names and names.isdisjoint(photo.name for photo in training) and len(training) + len(names) == 6
            halves = [{photo.name.rsplit("_", 1)[0] for photo in part} for part in (split.inputs, split.experts)]
            assert not halves[0] & halves[1] and not (halves[0] | halves[1]) & names
            tested += names
            for method in ("identity", "best single EV"):
                benchmark.run_cell(Cell(method, 0, fold))
        assert sorted(tested) == [f"a{i}" for i in range(6)]
        assert all(map(benchmark.finished, benchmark.cells(["identity", "best single EV"])))
        rows = {row.method: row for row in table(runs(read_cells(tmp_path))).rows}
        assert rows["identity"].gain.mean == 0 and rows["best single EV"].gain.mean > 5  # a stop too dark

    def test_large_photos_are_measured_at_500_pixels(self, tmp_path):
        rng = np.random.default_rng(0)
        for side in ("inputs", "targets"):
            for i in range(6):
                as_file(tmp_path / side / f"{i}.png", rng.random((30, 600, 3)))
        split, _ = read_photos("pairs-v1", {side: str(tmp_path / side) for side in ("inputs", "targets")}, 0)
        assert {photo.image.shape for photo in split.test} == {(25, 500, 3)}

    def test_what_does_not_suit_is_named(self, fivek, photos, tmp_path):
        low, good = fivek / "fivek_pairs" / "input", fivek / "fivek_pairs" / "expert_c"
        with pytest.raises(ValueError, match=f"needs more than 5 pairs, but {low} and {photos} have 0 photos of the"):
            make_benchmark("pairs-v1", None, low, photos)
        shutil.copytree(low, tmp_path / "few")
        (tmp_path / "few" / "a0.png").unlink()
        with pytest.raises(ValueError, match="have 5 photos of the same names"):
            make_benchmark("pairs-v1", None, tmp_path / "few", good)
        for given in ((photos, low, good), (photos, None, None)):
            with pytest.raises(ValueError, match="needs --inputs.*and no --photos"):
                make_benchmark("pairs-v1", *given)
        with pytest.raises(ValueError, match="needs at least 5 photos, but .*few has 0"):
            (tmp_path / "none" / "few").mkdir(parents=True)
            make_benchmark("uneven-v1", tmp_path / "none" / "few")


class TestBSDS500:
    @pytest.fixture
    def bsds(self, tmp_path, monkeypatch, sample_photos):
        """The data set in small, four, two and three photographs, with a registry of its own."""
        numbers, number = {"train": 4, "val": 2, "test": 3}, 0
        for split, count in numbers.items():
            for _ in range(count):
                as_file(tmp_path / "data" / "bsds500" / split / f"{number}.png", sample_photos[number])
                number += 1
        files = sorted((tmp_path / "data" / "bsds500").rglob("*.png"))
        registries = tmp_path / "registries"
        registries.mkdir()
        from hashlib import sha256
        (registries / "bsds500.txt").write_text("".join(
            f"{path.parent.name}/{path.name} {sha256(path.read_bytes()).hexdigest()}\n" for path in files))
        monkeypatch.setattr(downloads, "REGISTRIES", registries)
        monkeypatch.setenv("EXPOSURE_DATA", str(tmp_path / "data"))
        return tmp_path / "data"

    @pytest.mark.parametrize("protocol", ["uneven-bsds500-v1", "backlit-bsds500-v1"])
    def test_the_official_parts_are_trained_and_tested_on(self, bsds, protocol):
        benchmark = make_benchmark(protocol)
        assert benchmark.folders == make_benchmark(protocol, bsds).folders  # named, or by EXPOSURE_DATA
        split, training = benchmark.data(None)
        names = [{photo.name.rsplit("_", 1)[0] for photo in part} for part in split]
        assert names[0] | names[1] == {"0", "1", "2", "3"} and not names[0] & names[1] and training is split.inputs
        assert names[2] == {"6", "7", "8"} and [len(part) for part in split] == [16, 16, 6]
        assert benchmark.settings(Cell("identity", 0))["photos"].startswith("7 files, ")

    def test_photos_that_are_not_the_data_sets_are_named(self, bsds):
        path = bsds / "bsds500" / "test" / "7.png"
        content = path.read_bytes()
        path.write_bytes(content[:-30] + bytes([content[-30] ^ 1]) + content[-29:])
        with pytest.raises(ValueError, match=r"not as published.*test/7\.png"):
            make_benchmark("uneven-bsds500-v1")
        path.write_bytes(content)
        as_file(bsds / "bsds500" / "train" / "mine.png", np.zeros((8, 8, 3)))
        with pytest.raises(ValueError, match=r"aren't of bsds500: mine\.png"):
            make_benchmark("uneven-bsds500-v1")


class TestFiveK:
    @pytest.fixture
    def made(self, tmp_path, sample_photos):
        """Finished photos as `exposure data fivek` makes them: four inputs, three experts' photos, two tests."""
        root, number = tmp_path / "fivek", 0
        lines = ["id,split,width,height,input,expert_c,rendition,untagged,max_side"]
        for part, count in {"inputs": 4, "experts": 3, "test": 2}.items():
            for id in fivek_ids(part)[:count]:
                for side, gain in {"input": 0.4, "expert_c": 0.8}.items():
                    as_file(root / side / f"a{id:04}.png", sample_photos[number] * gain)
                number += 1
                lines.append(f"{id},{part},64,64,i.png,c.png,,,500")
        (root / "index.csv").write_text("\n".join(lines) + "\n")
        return root

    def test_missing_photos_are_named_unless_a_part_will_do(self, made, tmp_path):
        with pytest.raises(ValueError, match=r"lacks 1996 of the 2000 photos of the split 'inputs': a\d{4}"):
            make_benchmark("fivek-2k2k1k-v1", made)
        benchmark = make_benchmark("fivek-2k2k1k-v1", made, out=tmp_path / "out", quick=True, subset=True)
        split, training = benchmark.data(None)
        assert [len(part) for part in split] == [8, 6, 2] and len(training) == 4
        assert [photo.name for photo in split.test] == [f"a{id:04}" for id in fivek_ids("test")[:2]]
        assert all(photo.target is None for photo in split.experts)
        assert len(benchmark.cells(["identity"])) == 1 and "constant EV on the test" not in {
            cell.method for cell in benchmark.cells()}
        for method in ("identity", "constant EV", "grey rule", "best single EV", "II", "regression"):
            benchmark.run_cell(Cell(method, 0))
        results = {method: read_cell(benchmark.path(Cell(method, 0)))["results"] for method in
                   ("identity", "constant EV", "best single EV", "II")}
        assert results["best single EV"]["psnr"] > results["identity"]["psnr"] + 3  # half as bright as it should be
        assert stamp([cell["settings"] for cell in read_cells(benchmark.out)]).count("18 files, ") == 1

    def test_a_folder_that_nothing_was_made_of_is_named(self, tmp_path):
        with pytest.raises(ValueError, match=f"no finished photos of FiveK in {tmp_path}"):
            make_benchmark("fivek-2k2k1k-v1", tmp_path)
        with pytest.raises(ValueError, match="--subset is for a part of FiveK, and the protocol sample-v1"):
            make_benchmark("sample-v1", subset=True)


class TestBudgets:
    def test_all_trainings_are_scaled(self):
        full, small, tenth = (make_benchmark("backlit-v1", budget=budget) for budget in ("full", "small", "0.1"))
        assert full == make_benchmark("backlit-v1") and full.config.total_timesteps == 30_000
        assert (small.config.total_timesteps, small.config.warm_start) == (7_500, full.config.warm_start // 4)
        assert tenth.config == make_benchmark("backlit-v1", budget=0.1).config
        for method in ("paired", "regression", "II, long", "td3"):
            long, short = (each.cell_config(Cell(method, 0)).total_timesteps for each in (full, tenth))
            assert short == pytest.approx(long / 10, abs=1), method

    def test_a_limit_of_a_training_shrinks_with_the_budget_and_is_none_for_short_protocols(self):
        most = METHODS["Exposure"]["most"]
        for given, total, steps in (({}, 30_000, most), ({"budget": 0.1}, 3_000, most // 10),
                                    ({"timesteps": 6_000}, 6_000, 3_000)):  # fmt: skip
            benchmark = make_benchmark("backlit-v1", **given)
            assert benchmark.config.total_timesteps == total
            assert benchmark.cell_config(Cell("Exposure", 0)).total_timesteps == steps
            marked = stamp([benchmark.settings(Cell("Exposure", 0))])
            assert ("budget 0.1 of" in marked) == ("budget" in given)

    @pytest.mark.parametrize("budget", ["tiny", "0", "-1", "nan", "inf", ""])
    def test_others_are_refused(self, budget):
        with pytest.raises(ValueError, match="budget must be small, full or a number above 0, not"):
            fraction(budget)

    def test_either_a_fraction_or_a_number_of_exposures(self):
        with pytest.raises(ValueError, match="as timesteps, 10, or as a fraction, small, not both"):
            make_benchmark("backlit-v1", timesteps=10, budget="small")


def test_groups_stand_for_methods():
    benchmark = make_benchmark("uneven-v1")
    assert benchmark.cells() == benchmark.cells(["main", "baselines"]) == benchmark.cells(["baselines", *MAIN])
    assert [cell.method for cell in benchmark.cells(["baselines"])] == [
        name for name in BASELINES if name != "constant EV on the test"]
    assert named(["I", "main", "I"], MAIN)[0] == "I" and len(named(["I", "main", "I"], MAIN)) == len(MAIN)
    with pytest.raises(ValueError, match="or the groups main, .*all, not 'mine'"):
        named(["mine"], MAIN)
    with pytest.raises(ValueError, match="'main' is a method of the benchmark's own"):
        Benchmark("uneven-v1", {}, benchmark.config, "out", agents={"main": ["a.zip"]})


def test_the_same_photos_elsewhere_have_the_same_fingerprint(fivek, tmp_path):
    shutil.copytree(fivek / "fivek_pairs", tmp_path / "copy")
    here, there = (find_folders("pairs-v1", None, root / "input", root / "expert_c")
                   for root in (fivek / "fivek_pairs", tmp_path / "copy"))
    assert here != there and fingerprint(here) == fingerprint(there)
