"""Once finishes the step and saves, twice stops now."""

import os
import signal
import threading

import pytest

from sibling.pipeline.stopping import listening

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def handlers():
    return [signal.getsignal(s) for s in SIGNALS]


def send(number):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_one_signal_asks_and_goes_on(number):
    with listening() as request:
        assert request.cause is None
        send(number)
        assert request.cause == number.name


@pytest.mark.parametrize("first", SIGNALS)
@pytest.mark.parametrize("second", SIGNALS)
def test_two_signals_stop_now(first, second):
    with pytest.raises(KeyboardInterrupt), listening() as request:
        _twice(first, second, request)


def _twice(first, second, request):
    send(first)
    assert request.cause == first.name
    send(second)
    pytest.fail("the second signal was not heard")


def test_what_listened_before_listens_again():
    before = handlers()
    with listening() as request:
        assert handlers() == [request, request]
    assert handlers() == before
    with pytest.raises(ZeroDivisionError), listening():
        raise ZeroDivisionError
    assert handlers() == before


def test_a_new_block_has_heard_nothing():
    with listening():
        send(signal.SIGTERM)
    with listening() as request:
        assert request.cause is None


def test_in_another_thread_nothing_is_listened_to():
    before, seen = handlers(), []

    def run():
        with listening() as request:
            seen.append((request.cause, handlers()))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [(None, before)]
