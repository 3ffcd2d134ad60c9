"""Reading what clients send."""

import json
from typing import Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser
from rest_framework.utils.json import strict_constant
from typing_extensions import override


def finite(number: str) -> float:
    """The number; raises ValueError for one that no float can hold (1e400 becomes infinite)."""
    value = float(number)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"the number {number[:20]} is too large")
    return value


class StrictJSONParser(JSONParser):
    """JSON in UTF-8 that can be stored and said back.

    400 also for what Python's parser takes or fails on otherwise: nesting beyond its stack, numbers
    that become infinite, halves of characters (surrogates), which no answer could quote.
    """

    @override
    def parse(self, stream, media_type=None, parser_context=None) -> Any:
        try:
            text = stream.read().decode()
            data = json.loads(text, parse_constant=strict_constant, parse_float=finite)
            if "\\ud" in text.lower():
                json.dumps(data, ensure_ascii=False).encode()
        except RecursionError:
            raise ParseError("The JSON is nested too deeply.") from None
        except UnicodeEncodeError:
            raise ParseError("The JSON holds half of a character (a surrogate).") from None
        except ValueError as error:
            raise ParseError(f"This is not JSON in UTF-8: {error}") from None
        return data
