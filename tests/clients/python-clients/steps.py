"""What the life cycles of the Python clients share."""

import sys
import time

DEADLINE = 120  # seconds; the machine may be busy


def arguments():
    """The address of the API, the name of the connector to make, a file with lines, and the topic they go to."""
    if len(sys.argv) != 5:
        sys.exit("usage: %s URL NAME FILE TOPIC" % sys.argv[0])
    return sys.argv[1:]


def source(file, topic, **further):
    config = {
        "connector.class": "FileStreamSource",
        "tasks.max": "1",
        "file": file,
        "topic": topic,
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.storage.StringConverter",
    }
    config.update({key.replace("_", "."): value for key, value in further.items()})
    return config


def done(step):
    """Tell the test that a step is done and was as expected."""
    print("done:", step, flush=True)


def equal(got, want):
    if got != want:
        raise AssertionError("got %r, want %r" % (got, want))


def until(what, want, ask):
    """Ask until the answer is what is wanted."""
    end = time.monotonic() + DEADLINE
    while True:
        got = ask()
        if got == want:
            return
        if time.monotonic() > end:
            raise AssertionError("%s: still %r, want %r" % (what, got, want))
        time.sleep(0.05)


def raises(kind, call, *arguments):
    """Return the exception of a kind that a call has to end with."""
    try:
        got = call(*arguments)
    except kind as error:
        return error
    raise AssertionError("got %r, want a %s" % (got, kind.__name__))
