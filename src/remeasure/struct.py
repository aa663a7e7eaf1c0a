"""The base of everything that is read from or written to a file: frozen, and no key that nobody declared."""

import msgspec


class Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass
