"""Classify errors of the Kafka library."""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException

AUTHENTICATION = (KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError.SASL_AUTHENTICATION_FAILED)
DENIED = (
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
)
UNREACHABLE = (KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE)
TIMED_OUT = (
    KafkaError._TIMED_OUT,
    KafkaError._TIMED_OUT_QUEUE,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError._MSG_TIMED_OUT,
    KafkaError._TRANSPORT,  # `list_topics` returns it at its deadline, for any cause
)
CONNECTION = (KafkaError._TRANSPORT, KafkaError._RESOLVE)
GROUP_DENIED = KafkaError.GROUP_AUTHORIZATION_FAILED
"""Error of a consumer whose group id is not allowed; with `assign` and offsets, it reads without its group."""
TOO_OLD = (KafkaError.UNSUPPORTED_VERSION, KafkaError._UNSUPPORTED_FEATURE)
"""Errors of a broker that is too old for a request."""
PARTITION_END = KafkaError._PARTITION_EOF
"""Event at the end of a partition, with `enable.partition.eof`."""
NOT_FOUND = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.GROUP_ID_NOT_FOUND,
)


def kafka_error(raised: object) -> KafkaError:
    """Return the KafkaError of an error that the library raised or returned.

    A `KafkaException` holds a `KafkaError`, a text or nothing; a list of errors holds either class; a future may raise
    something else.
    """
    while isinstance(raised, KafkaException):
        raised = raised.args[0] if raised.args else "no reason"
    if isinstance(raised, KafkaError):
        return raised
    if isinstance(raised, TimeoutError):
        return KafkaError(KafkaError._TIMED_OUT)
    text = str(raised) if isinstance(raised, str) else f"{type(raised).__name__}: {raised}"
    return KafkaError(KafkaError._FAIL, text)


def reason(raised: object) -> str:
    """Return an error that the library raised or returned, in one line."""
    error = kafka_error(raised)
    return " ".join(error.str().split()) or error.name()
