"""Our pages' server in a thread of its own."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from threading import Thread
from typing import Any


@contextmanager
def in_thread(make_app: Callable[[Any], Any], port: int = 0, *, force: bool = False
              ) -> Iterator[tuple[str, int, Callable[[], None]]]:
    """Address and port of a page, and a function that ends its server, which happens at the latest when it is left.

    Args:
        make_app: A function of the names that the host may have, see `agents.serving.host_names`.
        port: See `agents.serving.listen`.
        force: Whether the server ends as if it were killed, and lets no request come to its end.
    """
    from agents.serving import address, host_names, listen, make_server

    host = "127.0.0.1"
    with closing(listen(host, port)) as listening:
        server = make_server(make_app(host_names(listening, host)))
        thread = Thread(target=server.run, kwargs={"sockets": [listening]})

        def stop() -> None:
            server.should_exit, server.force_exit = True, force
            thread.join(10)
            assert not thread.is_alive()

        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            yield address(listening, host), listening.getsockname()[1], stop
        finally:
            stop()
