"""What JSON can hold, as Python has it."""

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]
