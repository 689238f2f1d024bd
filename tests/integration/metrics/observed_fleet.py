"""A fleet whose processes serve metrics and log JSON, and what they show."""

import json
import re
import urllib.request

from fleet import Fleet, eventually

SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*(?:\{.*\})?) (\S+)$")


class Scrape:
    """One exposition: values by series as written, types by family."""

    def __init__(self, text):
        self.values, self.types = {}, {}
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                self.types[name] = kind
            elif line and not line.startswith("#"):
                series, value = SAMPLE.match(line).groups()
                self.values[series] = float(value)

    def names(self):
        return set(self.types)

    def total(self, name, *labels):
        """The sum of all series of the name that have the labels, written label="value"."""
        return sum(value for series, value in self.values.items()
                   if series.split("{")[0] == name and all(label in series for label in labels))


def scrape(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        return Scrape(answer.read().decode())


class ObservedFleet(Fleet):
    """Workers also give vLLM's names."""

    FLAGS = ("--metrics-port=0", "--log-format=json", "--log-requests")

    def __init__(self, bin_folder, model, num_workers, gateway_flags=()):
        super().__init__(bin_folder, model, num_workers,
                         ["--scale=absmax", "--metrics-compat=vllm", *self.FLAGS],
                         [*self.FLAGS, *gateway_flags])

    def lines(self, **fields):
        """The log's objects that have these values. Every line must be an object."""
        text = self.read_log()
        whole = text[:text.rfind("\n") + 1]
        objects = [json.loads(line) for line in whole.splitlines()]
        return [line for line in objects
                if all(line.get(key) == value for key, value in fields.items())]

    def ports(self, process):
        def logged():
            return [int(line["message"].rsplit(" ", 1)[1]) for line in self.lines(process=process)
                    if line["message"].startswith("metrics on port ")]
        eventually(logged, "the metrics port in the log of " + process)
        return logged()

    def scrape_gateway(self):
        return scrape(self.ports("gateway")[-1])

    def scrape_workers(self):
        return [scrape(port) for port in self.ports("worker cpu")]

    def request_lines(self, process, count):
        """Waits for so many lines about requests."""
        eventually(lambda: len(self.lines(process=process, message="request")) >= count,
                   f"{count} requests in the log of {process}")
        return self.lines(process=process, message="request")
