"""What deploy/ makes of the figures: every name and label in the dashboard and the alert rules is
one that a running gateway or worker shows.

usage: deploy_names_test.py BIN_FOLDER SOURCE_FOLDER
"""

import importlib.machinery
import importlib.util
import json
import pathlib
import re
import sys
import unittest

from client import Client, Result, stream_request
from fleet import eventually
from observed_fleet import ObservedFleet

BIN, SOURCE = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
MODEL = SOURCE / "tests/data/qwen3-moe-3m"
DASHBOARD = SOURCE / "deploy/grafana/spearfish.json"
ALERTS = SOURCE / "deploy/prometheus/alerts.yml"

NAME = re.compile(r"\b(?:spearfish|process|vllm:)[a-z_:]*[a-z]\b")
# Labels that Prometheus adds, and that histograms have.
GIVEN_LABELS = {"instance", "job", "le"}


def alert_expressions():
    """Their text between expr: and the next key; the file has no other expressions."""
    text = ALERTS.read_text(encoding="utf-8")
    return re.findall(r"^ +expr: (?:>-\n)?(.*?)\n +(?:for|labels):", text, re.S | re.M)


def dashboard_expressions():
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


def labels_in(expression):
    matched = re.findall(r"([a-z_]+)\s*(?:=~|!=|!~|=)\s*\"", expression)
    grouped = re.findall(r"\bby \(([^)]*)\)", expression)
    return set(matched) | {label.strip() for group in grouped for label in group.split(",")}


class DeployNamesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.fleet = ObservedFleet(BIN, MODEL, 1)
        client = Client(cls.fleet.endpoint)
        Result(client.stream(stream_request([1, 2, 3], 4)))
        client.close()
        # One of them has been answered, so that its labels are there.
        eventually(lambda: cls.fleet.scrape_gateway().total("spearfish_gateway_requests_total") >= 1,
                   "the request was counted")
        scrapes = [cls.fleet.scrape_gateway(), *cls.fleet.scrape_workers()]
        cls.series = [series for scrape in scrapes for series in scrape.values]
        cls.names = {series.split("{")[0] for series in cls.series}

    @classmethod
    def tearDownClass(cls):
        cls.fleet.cleanup()

    def labels_of(self, name):
        return {label for series in self.series if series.split("{")[0] == name
                for label in re.findall(r"([a-z_]+)=\"", series)}

    def check(self, expressions, least):
        self.assertGreaterEqual(len(expressions), least)
        for expression in expressions:
            names = set(NAME.findall(expression))
            self.assertTrue(names or expression.startswith("up{"), expression)
            self.assertLessEqual(names, self.names, expression)
            known = GIVEN_LABELS.union(*(self.labels_of(name) for name in names))
            self.assertLessEqual(labels_in(expression), known, expression)

    def test_dashboard(self):
        self.check(dashboard_expressions(), 50)

    def test_alerts(self):
        self.check(alert_expressions(), 10)
        alerts = ALERTS.read_text(encoding="utf-8").count("- alert:")
        self.assertEqual(len(alert_expressions()), alerts)

    def test_dashboard_is_what_its_script_makes(self):
        path = str(SOURCE / "deploy/grafana/make_dashboard")
        loader = importlib.machinery.SourceFileLoader("make_dashboard", path)
        module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
        loader.exec_module(module)
        self.assertEqual(module.dashboard(), json.loads(DASHBOARD.read_text(encoding="utf-8")))

    def test_a_name_that_nobody_shows_is_found(self):
        with self.assertRaises(AssertionError):
            self.check(["sum(spearfish_no_such_thing_total)"], 1)
        with self.assertRaises(AssertionError):
            self.check(['spearfish_worker_ready{flavour="mild"}'], 1)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
