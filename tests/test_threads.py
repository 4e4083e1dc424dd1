import multiprocessing
import threading

import pytest

from exposure_env import threads
from tests.programs import run


class TestThreads:
    def test_results_keep_the_order_of_the_items(self, monkeypatch):
        monkeypatch.setenv("EXPOSURE_THREADS", "3")
        assert threads.num_threads() == 3
        names = threads.spread(lambda i: (i, threading.current_thread().name), range(50))
        assert [i for i, _ in names] == list(range(50)) and all(name.startswith("exposure") for _, name in names)

    def test_one_thread_is_the_caller_s(self, monkeypatch):
        monkeypatch.setenv("EXPOSURE_THREADS", "1")
        assert set(threads.spread(lambda _: threading.current_thread(), range(5))) == {threading.current_thread()}

    def test_a_call_within_a_call_does_not_wait_for_itself(self, monkeypatch):
        monkeypatch.setenv("EXPOSURE_THREADS", "2")
        inner = threads.spread(lambda i: threads.spread(lambda j: i * j, range(3)), range(8))
        assert inner == [[i * j for j in range(3)] for i in range(8)]

    def test_errors_come_through(self, monkeypatch):
        monkeypatch.setenv("EXPOSURE_THREADS", "2")
        with pytest.raises(ZeroDivisionError):
            threads.spread(lambda i: 1 / i, [1, 0, 2])

    @pytest.mark.parametrize("wrong", ["0", "-1", "two", ""])
    def test_a_wrong_number_is_named(self, wrong, monkeypatch):
        monkeypatch.setenv("EXPOSURE_THREADS", wrong)
        with pytest.raises(ValueError, match=f"EXPOSURE_THREADS must be a positive integer, not {wrong!r}"):
            threads.num_threads()

    @pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system doesn't fork")
    def test_a_forked_process_has_threads_of_its_own(self):
        program = """
import os
os.environ["EXPOSURE_THREADS"] = "2"
from exposure_env import kernels, threads
work = lambda: threads.spread(lambda i: i * i, range(4))
assert work() == [0, 1, 4, 9]
child = os.fork()
if child == 0:
    os._exit(0 if work() == [0, 1, 4, 9] else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), work())
"""
        assert run(program).stdout == "0 [0, 1, 4, 9]\n"

    @pytest.mark.parametrize(("count", "least", "sizes"), [(10, 1, [3, 3, 4]), (2, 1, [1, 1]), (0, 1, [0]), (7, 4, [7]),
                                                           (8, 4, [4, 4])])  # fmt: skip
    def test_ranges_are_even_and_cover_everything(self, count, least, sizes, monkeypatch):
        monkeypatch.setenv("EXPOSURE_THREADS", "3")
        pieces = threads.ranges(count, least)
        assert [piece.stop - piece.start for piece in pieces] == sizes
        assert [i for piece in pieces for i in range(count)[piece]] == list(range(count))
