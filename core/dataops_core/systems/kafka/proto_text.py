"""Parse the text of a `.proto` file, for a schema registry that returns no descriptor.

Only what the decoding of a record needs is read: messages, enums, extensions and imports. Options and services are
skipped. The grammar is that of proto2 and proto3 (https://protobuf.dev/reference/protobuf/proto3-spec/).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)

from dataops_core.bounded import Malformed
from dataops_core.reasons import line

DEEPEST = 32
"""Maximum levels of nested messages, as in protoc."""
LARGEST_NUMBER = 2**29 - 1
"""The largest number of a field."""
_LARGEST_VALUE = 2**31 - 1
_TOKEN = re.compile(
    r"""(?P<skipped>\s+|//[^\n]*)|/\*(?P<comment>.*?\*/)?|(?P<token>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'"""
    r"""|\.?[A-Za-z_][\w.]*|\d[\w.]*|[{}\[\]()<>;=,:/.+-])|.""",
    re.DOTALL | re.ASCII,
)
_SCALARS = {
    name.removeprefix("TYPE_").lower(): number
    for name, number in vars(FieldDescriptor).items()
    if name.startswith("TYPE_") and name not in ("TYPE_MESSAGE", "TYPE_ENUM", "TYPE_GROUP")
}
_LABELS: Mapping[str, FieldDescriptorProto.Label] = {
    "optional": FieldDescriptorProto.LABEL_OPTIONAL,
    "required": FieldDescriptorProto.LABEL_REQUIRED,
    "repeated": FieldDescriptorProto.LABEL_REPEATED,
}
_CLOSING = {"{": "}", "[": "]", "(": ")", "<": ">"}
_END = ""
"""The token after the last one."""


def parse(text: str) -> FileDescriptorProto:
    """Return the descriptor of a file, whose type names are as written; raise Malformed."""
    return _Parser(text).file()


def _tokens(text: str) -> Iterator[tuple[str, int]]:
    """Yield each token with its position, then the end."""
    for match in _TOKEN.finditer(text):
        if match["token"]:
            yield match["token"], match.start()
        elif match["skipped"] is None and match["comment"] is None:
            raise Malformed(f"is not the text of a .proto file: {_where(text, match.start())}")
    yield _END, len(text)


def _where(text: str, at: int) -> str:
    content = text[at : at + 20].split()
    return f"line {text.count(chr(10), 0, at) + 1} at {line(content[0]) if content else 'its end'}"


class _Parser:
    """Reads a file token by token."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._next = 0
        self._proto3 = False

    def file(self) -> FileDescriptorProto:
        file = FileDescriptorProto()
        while (word := self._take()) != _END:
            if word == "syntax":
                self._expect("=")
                self._proto3 = self._string() == "proto3"
                if self._proto3:  # a file of proto2 does not name its syntax
                    file.syntax = "proto3"
                self._expect(";")
            elif word == "edition":
                raise Malformed("is of an edition of Protobuf, which needs format=serialized")
            elif word == "package":
                file.package = self._name()
                self._expect(";")
            elif word == "import":
                self._import(file)
            elif not self._definition(word, file, file.message_type.add, DEEPEST):
                self._skip(word, "option", "service")
        return file

    def _definition(
        self, word: str, owner: FileDescriptorProto | DescriptorProto, add: Callable[[], DescriptorProto], deepest: int
    ) -> bool:
        """Read a message, an enum or extensions into a file or a message; return whether the word begins one."""
        if word == "message":
            self._message(add(), deepest)
        elif word == "enum":
            self._enum(owner.enum_type.add())
        elif word == "extend":
            self._extend(owner.extension.add)
        else:
            return False
        return True

    def _import(self, file: FileDescriptorProto) -> None:
        kind = self._take() if self._peek() in ("public", "weak") else ""
        if kind == "public":
            file.public_dependency.append(len(file.dependency))
        file.dependency.append(self._string())
        self._expect(";")

    def _message(self, message: DescriptorProto, deepest: int) -> None:
        if not deepest:
            raise Malformed(f"has messages that are nested deeper than {DEEPEST} levels")
        message.name = self._name()
        self._expect("{")
        while (word := self._take()) != "}":
            if self._definition(word, message, message.nested_type.add, deepest - 1):
                continue
            if word == "oneof":
                self._oneof(message)
            elif word == "extensions":
                self._extensions(message)
            elif word == "map" and self._peek() == "<":
                self._map(message)
            elif word in ("option", "reserved", ";"):
                self._skip(word, "option", "reserved")
            else:
                self._field(message.field.add(), word)
        for field in message.field:  # the oneof of an optional field, after the others
            if field.proto3_optional:
                field.oneof_index = len(message.oneof_decl)
                message.oneof_decl.add(name=f"_{field.name}")

    def _oneof(self, message: DescriptorProto) -> None:
        index = len(message.oneof_decl)
        message.oneof_decl.add(name=self._name())
        self._expect("{")
        while (word := self._take()) != "}":
            if word in ("option", ";"):
                self._skip(word, "option")
            else:
                field = message.field.add()
                self._field(field, word)
                field.oneof_index = index

    def _map(self, message: DescriptorProto) -> None:
        self._expect("<")
        key = self._name()
        self._expect(",")
        value = self._name()
        self._expect(">")
        field = message.field.add()
        self._numbered(field)
        parts = re.split("_+", field.name)
        entry = message.nested_type.add(name="".join(part[:1].upper() + part[1:] for part in parts) + "Entry")
        entry.options.map_entry = True
        for number, (name, kind) in enumerate((("key", key), ("value", value)), 1):
            inner = entry.field.add(name=name, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
            _set_type(inner, kind)
        field.label, field.type_name = FieldDescriptorProto.LABEL_REPEATED, entry.name

    def _field(self, field: FieldDescriptorProto, word: str) -> None:
        label = _LABELS.get(word)
        kind = word if label is None else self._name()
        if kind == "group":
            raise Malformed("has a group, which needs format=serialized")
        field.label = FieldDescriptorProto.LABEL_OPTIONAL if label is None else label
        _set_type(field, self._checked(kind))
        self._numbered(field)
        if self._proto3 and word == "optional":
            field.proto3_optional = True

    def _numbered(self, field: FieldDescriptorProto) -> None:
        """Read the name, the number and the options of a field."""
        field.name = self._name()
        self._expect("=")
        field.number = self._number(LARGEST_NUMBER)
        self._end_of_field()

    def _extend(self, add: Callable[[], FieldDescriptorProto]) -> None:
        extendee = self._name()
        self._expect("{")
        while (word := self._take()) != "}":
            if word != ";":
                field = add()
                self._field(field, word)
                field.extendee = extendee
                field.ClearField("proto3_optional")

    def _extensions(self, message: DescriptorProto) -> None:
        while True:
            start = end = self._number(LARGEST_NUMBER)
            if self._peek() == "to":
                self._take()
                end = LARGEST_NUMBER if self._peek() == "max" else self._number(LARGEST_NUMBER)
                if self._peek() == "max":
                    self._take()
            message.extension_range.add(start=start, end=end + 1)
            if self._peek() != ",":
                self._end_of_field()
                return
            self._take()

    def _enum(self, enum: EnumDescriptorProto) -> None:
        enum.name = self._name()
        self._expect("{")
        while (word := self._take()) != "}":
            if word == "option" and self._peek() == "allow_alias":
                enum.options.allow_alias = True
            if word in ("option", "reserved", ";") and self._peek() != "=":
                self._skip(word, "option", "reserved")
            else:
                value = enum.value.add(name=self._checked(word))
                self._expect("=")
                if self._peek() == "-":
                    self._take()
                    value.number = -self._number(_LARGEST_VALUE + 1)
                else:
                    value.number = self._number(_LARGEST_VALUE)
                self._end_of_field()

    def _end_of_field(self) -> None:
        if self._peek() == "[":
            self._skip_block(self._take())
        self._expect(";")

    def _skip(self, word: str, *known: str) -> None:
        """Skip a statement that begins with a known word, to its semicolon or the end of its block."""
        if word == ";":
            return
        if word not in known:
            raise self._unexpected()
        while (each := self._take()) != ";":
            if each in _CLOSING:
                self._skip_block(each)
                if word == "service":
                    return
            elif each == _END:
                raise self._unexpected()

    def _skip_block(self, opening: str) -> None:
        expected = [_CLOSING[opening]]
        while expected:
            token = self._take()
            if token == expected[-1]:
                expected.pop()
            elif token in _CLOSING:
                expected.append(_CLOSING[token])
            elif token == _END:
                raise self._unexpected()

    def _peek(self) -> str:
        return self._tokens[self._next][0]

    def _take(self) -> str:
        token = self._peek()
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def _expect(self, token: str) -> None:
        if self._take() != token:
            raise self._unexpected()

    def _name(self) -> str:
        return self._checked(self._take())

    def _checked(self, token: str) -> str:
        """Return a token that is a name."""
        if not token[:1].isalpha() and not (token[:1] in ("_", ".") and len(token) > 1):
            raise self._unexpected()
        return token

    def _string(self) -> str:
        """Return a text without its quotes; a path needs no escapes."""
        token = self._take()
        if token[:1] not in ('"', "'"):
            raise self._unexpected()
        return token[1:-1]

    def _number(self, largest: int) -> int:
        token = self._take()
        try:
            number = int(token, 8 if token.startswith("0") and token.isdecimal() else 0)
        except ValueError:
            raise self._unexpected() from None
        if number > largest:
            raise self._unexpected()
        return number

    def _unexpected(self) -> Malformed:
        """Return the error for the last token, or for the end."""
        at = self._tokens[max(0, self._next - (self._peek() != _END))][1]
        return Malformed(f"is not the text of a .proto file: {_where(self._text, at)}")


def _set_type(field: FieldDescriptorProto, kind: str) -> None:
    """Set a scalar type, or the name of a message or an enum, which the pool resolves."""
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type_name = kind
