import unittest
from pathlib import Path

from tollkeeper_meter import Amount

FUNCTIONS = {
    "of": lambda text: Amount.of(float(text)),
    "gigabytes": lambda text: Amount.in_units(float(text), 1_000_000_000),
    "quantity": Amount.quantity,
}


class Amounts(unittest.TestCase):
    def test_amounts_are_those_of_every_sdk(self):
        table = Path(__file__).with_name("amounts.tsv").read_text(encoding="utf-8").splitlines()
        rows = [line.split("\t") for line in table if not line.startswith("#")]
        self.assertGreater(len(rows), 30)
        for function, argument, expected in rows:
            with self.subTest(function=function, argument=argument):
                found = FUNCTIONS[function](argument)
                self.assertEqual("-" if found is None else str(found), expected)

    def test_a_sum_stops_at_the_most_that_can_be_reported(self):
        most = Amount.of(999_999_999_999)
        self.assertEqual(str(most + most), "999999999999.999999")
