import sys
import unittest
from pathlib import Path

sys.path.append(str(Path(__file__).with_name("sdk")))

from meter import measure  # noqa: E402
from tollkeeper_meter import Inputs, Log, MissingInput, Object, Tick  # noqa: E402


def measured(ignored, *nodes):
    tick = Tick("2026-11-21T14:58:00Z", 60, "example", {"ignoreLabel": ignored})
    return measure(tick, Inputs(nodes=("objects", list(nodes))), Log()).lines()


TWO = Object("Node", "", "a", {"control": ""}), Object("Node", "", "b")


class NodeHours(unittest.TestCase):
    def test_every_node_is_counted(self):
        self.assertEqual(measured("", *TWO), ["node_hours 2.000000"])

    def test_a_node_with_the_label_is_not(self):
        self.assertEqual(measured("control", *TWO), ["node_hours 1.000000"])

    def test_a_cluster_without_nodes_is_not_measured(self):
        with self.assertRaises(MissingInput):
            measured("")
