"""What a tick finds of the one before."""

import unittest

from tollkeeper_meter import Tick


class State(unittest.TestCase):
    def test_it_is_what_was_remembered(self):
        self.assertEqual(self._recalled(b""), "first")
        self.assertEqual(self._recalled('{"users": ["größe"]}'.encode()), {"users": ["größe"]})

    def test_bytes_of_another_encoding_are_not_guessed_at(self):
        for foreign in (b"\xff\xfe\x00", '"x"'.encode("utf-16"), '"x"'.encode("utf-32"), bytes(64 << 10)):
            with self.assertRaisesRegex(ValueError, "the state of the last tick cannot be read"):
                self._recalled(foreign)

    @staticmethod
    def _recalled(state):
        return Tick("2026-11-21T14:58:00Z", 60, "vecdb", {}, state).recall("first")
