"""What gunicorn serves in tests of numbers: each page counts, and says which process it was."""

import os

import ioprofiler

profiler = ioprofiler.Profiler(
    instrument=False,
    config_file=os.environ["IOPROFILER_TEST_CONFIG"],
    build="test",
)

# Before the fork, in the master: its own part of the sum.
profiler.count("registrations", plan="of the master")


def app(environ, start_response):
    path = environ["PATH_INFO"]
    ioprofiler.current().set_route("/" + path.split("/")[1] + "/{number}")
    number = int(path.rpartition("/")[2])
    for _ in range(number % 4):
        with ioprofiler.span("dbshard01", f"SELECT {number}"):
            pass
    profiler.count("registrations", plan="pro" if number % 3 == 0 else "free")
    profiler.count("items", number)
    ioprofiler.timing("mail.sent", 0.001 * number)
    failed = path.startswith("/fails/")
    start_response("500 no" if failed else "200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]


application = profiler.wsgi(app, metrics="/metrics")
