"""Joins a definition to the interface. Only a component has it: the modules of the interface are made by componentize-py."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.describe import Manifest
from wit_world.imports import log, types

from . import Definition, Inputs, InvalidConfig, Log, MissingInput, Object, Reading, Sample, Tick

_LOG = Log(lambda level, message: log.write(log.Level[level.upper()], message))


def _labels(tags):
    return {tag.key: tag.value for tag in tags}


def _data(data):
    match data:
        case types.Data_Samples(samples):
            return "samples", [Sample(one.name, _labels(one.labels), one.value) for one in samples]
        case types.Data_Objects(objects):
            return "objects", [
                Object(one.kind, one.namespace, one.name, _labels(one.labels), one.body, one.uid, one.api_version)
                for one in objects
            ]
        case types.Data_Scalar(value):
            return "scalar", value
        case types.Data_Json(text):
            return "json", text
        case types.Data_Unavailable(why):
            return "unavailable", why


def _reading(reading: Reading):
    total = str(reading.amount)
    value = (
        types.Value_Gauge(total)
        if reading.source is None
        else types.Value_Counter(types.Counter(total, reading.source))
    )
    return types.Reading(reading.dimension, value, [types.Tag(key, one) for key, one in reading.tags.items()])


def exports_of(definition: Definition) -> tuple[type, type]:
    """The classes ``Meter`` and ``Describe`` that componentize-py looks for."""

    class Meter(exports.Meter):
        def measure(self, tick, inputs):
            try:
                known = Tick(tick.at, tick.seconds, tick.product, definition.parse(tick.config), tick.state)
                outcome = definition.measure(known, Inputs(**{one.name: _data(one.data) for one in inputs}), _LOG)
                return types.Outcome([_reading(one) for one in outcome.readings], outcome.state)
            except InvalidConfig as error:
                raise Err(types.Failure_InvalidConfig(str(error)))
            except MissingInput as error:
                raise Err(types.Failure_MissingInput(str(error)))
            except Exception as error:
                raise Err(types.Failure_Internal(f"{type(error).__name__}: {error}"))

    class Describe(exports.Describe):
        def get_manifest(self):
            one = definition
            return Manifest(one.name, one.version, one.dimensions, one.inputs, json.dumps(one.schema))

        def validate_config(self, config):
            try:
                definition.parse(config)
            except InvalidConfig as error:
                raise Err(str(error))

    return Meter, Describe
